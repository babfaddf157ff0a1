"""Runs a sweep on a Ray cluster, with one painter for each device. Ray is optional."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ebca.align.painter import Painter, Pictures, Sampling
from ebca.align.sweep import Batch, Done
from ebca.settings import SettingsError

LOCAL = "local"
_ROOT = Path(__file__).resolve().parents[2]
_IGNORED = [".git", ".venv*", "outputs", "tests", "docs", "**/__pycache__"]


class Cluster:
    """Paints on the devices of a cluster: its GPUs, or `workers` processes of one CPU each."""

    def __init__(self, address: str, sampling: Sampling, workers: int | None) -> None:
        """Connect; `local` starts Ray on this machine. Raises SettingsError if that fails."""
        try:
            import ray
        except ImportError as error:
            legal = "left out, or Ray installed (pip install ray)"
            raise SettingsError("ray", address, legal) from error
        self._ray: Any = ray
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
        if address == LOCAL:
            options |= {"num_cpus": workers or 1, "include_dashboard": False}
            paths = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
            environment: dict[str, Any] = {"env_vars": {"PYTHONPATH": paths}}
        else:
            options["address"] = address
            environment = {"working_dir": str(_ROOT), "excludes": _IGNORED}
        try:
            ray.init(runtime_env=environment, **options)
        except (ConnectionError, RuntimeError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise SettingsError("ray", address, f"a Ray that answers ({reason})") from error
        gpus = int(ray.cluster_resources().get("GPU", 0))
        count = workers or gpus or 1
        needs = {"num_gpus": 1} if gpus else {"num_cpus": 1}
        if gpus:
            sampling = dataclasses.replace(sampling, device="cuda")
        actor = ray.remote(**needs)(Actor)
        self._actors = [actor.remote(sampling) for _ in range(count)]

    def paint(self, batches: Iterable[Batch]) -> Iterator[Done]:
        pool = self._ray.util.ActorPool(self._actors)
        yield from pool.map_unordered(lambda actor, batch: actor.paint.remote(batch), batches)

    def fingerprint(self) -> str:
        """Return the fingerprint of the weights, which must be the same on every worker."""
        found = set(self._ray.get([actor.fingerprint.remote() for actor in self._actors]))
        if len(found) != 1:
            raise SettingsError("model", sorted(found), "the same weights on every worker")
        return str(found.pop())

    def close(self) -> None:
        self._ray.shutdown()


class Actor:
    """A painter in a process of its own."""

    def __init__(self, sampling: Sampling) -> None:
        import torch

        torch.set_num_threads(1)
        self._painter = Painter(sampling)

    def fingerprint(self) -> str:
        return self._painter.fingerprint()

    def paint(self, batch: Batch) -> tuple[Batch, Pictures, dict[str, float]]:
        return batch, *self._painter.paint(batch.cases, batch.method, traced=batch.traced)
