"""The progress of a WebUI sampler, told by its noise levels."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

from ebca.core.method import Time
from ebca.hosts.unet import TRAINING_TIMESTEPS, denoised

_SAME = 1.0 + 1e-4
"""Noise levels whose ratio is less count as the same."""


class Schedule:
    """The noise levels that a sampler goes through, read from its arguments."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        levels: Any = next(
            (arguments[name] for name in ("sigmas", "sigma_sched") if name in arguments), []
        )
        self.on_grid = "timesteps" in arguments
        """Whether the levels are training timesteps and not sigmas."""
        if self.on_grid:
            levels = list(arguments["timesteps"])[::-1]
        self._levels = [float(level) for level in levels][:-1]  # no step begins at the last
        self._span: tuple[float, float] | None = None
        if {"sigma_min", "sigma_max"} <= set(arguments):
            self._span = (float(arguments["sigma_max"]), float(arguments["sigma_min"]))

    @property
    def levels(self) -> list[float]:
        """The levels at which steps begin; empty if the sampler chooses its steps by itself."""
        return self._levels

    @property
    def first(self) -> float | None:
        """The level at which the sampling begins, or None if it is unknown."""
        if self._levels:
            return self._levels[0]
        return None if self._span is None else self._span[0]

    def progress(self, level: float) -> float | None:
        """Return the fraction of the schedule done at a noise level (or timestep).

        It is the fraction of the steps; a step that evaluates the model between its beginning and
        its end is not done yet there. A sampler that chooses its steps by itself (DPM fast, DPM
        adaptive) is taken to go evenly through the logarithm of the noise level. The fraction is
        None if it is unknown: UniPC's timesteps are not those of its schedule.
        """
        if self.on_grid and all(abs(level - each) > 0.5 for each in self._levels):
            return None
        if self._levels:
            return sum(level <= end * _SAME for end in self._levels[1:]) / len(self._levels)
        if self._span and level > 0.0:
            most, least = map(math.log, self._span)
            return max(0.0, (most - math.log(level)) / max(most - least, 1e-12))
        return None


class Times:
    """The times of a sampling's evaluations, told by their noise levels."""

    def __init__(self, schedule: Schedule, sigmas: Sequence[float], from_noise: bool) -> None:
        """`sigmas` are the rising sigmas of the training timesteps, empty where the levels are
        timesteps. `from_noise` tells whether the sampling begins with pure noise, and not with a
        picture."""
        self._schedule, self._sigmas = schedule, sigmas
        first = schedule.first
        self._begin = TRAINING_TIMESTEPS - 1.0
        if from_noise and first:
            self._begin = self._timestep(first)

    def at(self, level: float, otherwise: float = 0.0) -> Time:
        """Return the time of an evaluation at a noise level; `otherwise` is the fraction of the
        steps that is done, used where the schedule does not tell it."""
        progress = self._schedule.progress(level)
        done = otherwise if progress is None else progress
        return Time(min(done, 1.0), denoised(self._timestep(level), self._begin))

    def _timestep(self, level: float) -> float:
        """Return the training timestep of a noise level, which in some samplers is one already."""
        grid = self._schedule.on_grid or not self._sigmas
        return level if grid else timestep_of(level, self._sigmas)


def timestep_of(sigma: float, sigmas: Sequence[float]) -> float:
    """Return the training timestep of `sigma`, interpolated among the rising `sigmas` of all."""
    after = min(max(bisect_left(sigmas, sigma), 1), len(sigmas) - 1)
    low, high = sigmas[after - 1], sigmas[after]
    share = (math.log(max(sigma, low)) - math.log(low)) / (math.log(high) - math.log(low))
    return after - 1 + min(share, 1.0)
