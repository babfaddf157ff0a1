"""The times of a sampling's evaluations, computed from the page before the sampling begins.

The host's own sampler is asked for its noise levels, so that its settings and schedulers count.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any, NamedTuple

from modules import sd_samplers, sd_samplers_common, shared  # type: ignore[import-not-found]

from ebca.core.method import Time
from ebca.hosts.schedule import Schedule, Times

_SAME = "Use same "
"""The beginning of choices of hires fix that take over a choice of the first pass."""

_BETWEEN = ("sample_dpm_2", "sample_dpm_2_ancestral", "sample_dpmpp_2s_ancestral",
            "sample_dpmpp_sde")  # fmt: skip
"""Samplers that also evaluate the model halfway between two levels."""


class Sampling(NamedTuple):
    """One sampling as the page asks for it.

    denoising: the denoising strength; None where the sampling begins with pure noise.
    hires: whether it is the pass of hires fix, which does all of its steps.
    """

    sampler: str
    scheduler: str
    steps: int
    denoising: float | None = None
    hires: bool = False

    @classmethod
    def of(cls, page: Mapping[str, Any], hires: bool = False) -> Sampling:
        """Return the sampling of a tab, or its pass of hires fix."""
        first = (str(page.get("sampler") or ""), str(page.get("scheduler") or "Automatic"))
        steps, denoising = int(page.get("steps") or 20), page.get("denoising")
        if not hires:
            return cls(*first, steps, None if denoising is None else float(denoising))
        second = page["hires"]
        sampler, scheduler = (
            usual if not own or own.startswith(_SAME) else own
            for own, usual in zip((second["sampler"], second["scheduler"]), first, strict=True)
        )
        denoising = float(second["denoising"])
        return cls(sampler, scheduler, int(second["steps"] or steps), denoising, hires=True)


def times_of(sampling: Sampling) -> list[tuple[int, Time]] | None:
    """Return the step, counted from 0, and the time of every evaluation by the loaded model; None
    if they are not known, as for samplers that choose their steps as they go."""
    config = sd_samplers.find_sampler_config(sampling.sampler)
    if config is None:
        return None
    sampler = config.constructor(shared.sd_model)
    sampler.config = config
    arguments = _arguments(sampler, sampling)
    if arguments is None:
        return None
    schedule = Schedule(arguments)
    sigmas = [] if schedule.on_grid else sampler.model_wrap.sigmas.tolist()
    times = Times(schedule, sigmas, from_noise=sampling.denoising is None)
    between = getattr(sampler.func, "__name__", "") in _BETWEEN
    return [(step, times.at(level)) for step, level in _evaluated(schedule.levels, between)]


def _arguments(sampler: Any, sampling: Sampling) -> dict[str, Any] | None:
    """Return the arguments for the sampler that determine its levels; None if not known."""
    if sampling.steps < 1:
        return None
    job = SimpleNamespace(
        steps=sampling.steps, denoising_strength=sampling.denoising,
        scheduler=sampling.scheduler, hr_scheduler=sampling.scheduler, is_hr_pass=sampling.hires,
        sampler_noise_scheduler_override=None, extra_generation_params={}, width=512, height=512,
        sd_model=shared.sd_model,
    )  # fmt: skip
    steps, encoded = sampling.steps, None
    if sampling.denoising is not None:
        asked = sampling.steps if sampling.hires else None
        steps, encoded = sd_samplers_common.setup_img2img_steps(job, asked)
        if steps < 1:
            return None
    if hasattr(sampler, "get_timesteps"):
        return {"timesteps": sampler.get_timesteps(job, steps)[:encoded]}
    known = inspect.signature(sampler.func).parameters
    if not {"sigmas", "sigma_sched"} & set(known) or not hasattr(sampler, "get_sigmas"):
        return None
    sigmas = sampler.get_sigmas(job, steps)
    return {"sigmas": sigmas if encoded is None else sigmas[steps - encoded - 1 :]}


def _evaluated(levels: list[float], between: bool) -> Iterator[tuple[int, float]]:
    for step, (level, following) in enumerate(zip(levels, [*levels[1:], 0.0], strict=True)):
        yield step, level
        if between and following:
            yield step, math.sqrt(level * following)
