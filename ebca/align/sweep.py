"""All cases by all methods, in batches that do not depend on what is done already. A sweep that was
interrupted or spread over machines therefore gives the same pictures as one that was not."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ebca.align.cases import Case
from ebca.align.judges import Judge
from ebca.align.methods import UPDATING, Method
from ebca.align.painter import Painter, Pictures, Sampling
from ebca.align.store import Store, key_of


@dataclass(frozen=True)
class Batch:
    """Cases that one method samples together."""

    method: Method
    cases: tuple[Case, ...]
    keys: tuple[str, ...]
    traced: bool


Done = tuple[Batch, Pictures, dict[str, float]]


class Workers(Protocol):
    """Paints batches: in this process, or on a cluster."""

    def paint(self, batches: Iterable[Batch]) -> Iterator[Done]: ...


class InProcess:
    def __init__(self, painter: Painter) -> None:
        self._painter = painter

    def paint(self, batches: Iterable[Batch]) -> Iterator[Done]:
        for batch in batches:
            pictures, traced = self._painter.paint(batch.cases, batch.method, traced=batch.traced)
            yield batch, pictures, traced


@dataclass(frozen=True)
class Sweep:
    """The pictures to make. `weights` is the painter's fingerprint."""

    cases: Sequence[Case]
    methods: Sequence[Method]
    sampling: Sampling
    weights: str
    batch: int = 16
    energies: bool = False
    _batches: list[Batch] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        for method in self.methods:
            groups: dict[tuple[object, ...], list[Case]] = {}
            for case in self.cases:
                groups.setdefault((case.task, *case.batch), []).append(case)
            first = True
            for group in groups.values():
                for start in range(0, len(group), self.batch):
                    part = tuple(group[start : start + self.batch])
                    keys = tuple(self.key(case, method) for case in part)
                    traced = first and self.energies and method.kind in UPDATING
                    self._batches.append(Batch(method, part, keys, traced))
                    first = False

    def key(self, case: Case, method: Method) -> str:
        """Return the key of a picture: `off`'s key where `joint` would do the same as `off`."""
        kind = method.facts()
        if method.kind == "joint" and case.joint == case.main and not case.negative:
            kind = {"kind": "off"}
        facts = {"case": case.facts(), "method": kind, "weights": self.weights}
        return key_of({**facts, **self.sampling.facts()})

    def batches(self, store: Store) -> list[Batch]:
        """Return the batches with a missing picture or trace, so that each picture is made once."""
        missing: list[Batch] = []
        planned: set[str] = set()
        for batch in self._batches:
            lacking = any(not store.has_picture(k) and k not in planned for k in batch.keys)
            if lacking or (batch.traced and store.get(_trace_key(batch.keys), "trace") is None):
                missing.append(batch)
                planned.update(batch.keys)
        return missing

    def run(
        self, store: Store, workers: Workers, judge: Judge, tick: Callable[[int], None]
    ) -> None:
        """Make what is missing and have it judged; `tick(pictures)` is called along the way."""
        for batch, pictures, traced in workers.paint(self.batches(store)):
            facts = [
                {"case": case.facts(), "method": batch.method.label, "weights": self.weights}
                for case in batch.cases
            ]
            store.put_pictures(list(batch.keys), pictures, facts)
            if traced:
                store.put([{"key": _trace_key(batch.keys), "kind": "trace", **traced}])
            tick(len(batch.cases))
        self._judge(store, judge)

    def _judge(self, store: Store, judge: Judge) -> None:
        unseen = {
            key: case
            for batch in self._batches
            for case, key in zip(batch.cases, batch.keys, strict=True)
            if store.get(key, judge.name) is None
        }
        todo = iter(unseen.items())
        while part := list(itertools.islice(todo, 128)):
            keys, cases = [key for key, _ in part], [case for _, case in part]
            seen = judge.look(store.pictures(keys), cases)
            store.put(
                {"key": key, "kind": judge.name, "saw": each}
                for key, each in zip(keys, seen, strict=True)
            )

    def saw(self, store: Store, judge: Judge, method: Method) -> list[dict[str, Any]]:
        """Return what the judge saw in the pictures of a method, in the order of the cases."""
        records = [store.get(self.key(case, method), judge.name) for case in self.cases]
        return [record["saw"] for record in records if record is not None]

    def traced(self, store: Store, method: Method) -> dict[str, Any] | None:
        """Return what the updates of a method did in its first batch."""
        keys = next(batch.keys for batch in self._batches if batch.method == method)
        return store.get(_trace_key(keys), "trace")


def _trace_key(keys: Sequence[str]) -> str:
    return "+".join(keys[:1])
