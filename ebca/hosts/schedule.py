"""How far a sampler of the WebUI has come."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

_SAME = 1.0 + 1e-4
"""Noise levels that differ by less are the same."""


class Schedule:
    """The noise levels that a sampler goes through, from the arguments that it was called with."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        levels: Any = next(
            (arguments[name] for name in ("sigmas", "sigma_sched") if name in arguments), []
        )
        self.on_grid = "timesteps" in arguments
        """Whether levels are timesteps of the training."""
        if self.on_grid:
            levels = list(arguments["timesteps"])[::-1]
        self._levels = [float(level) for level in levels][:-1]  # at the last, nothing is left to do
        self._span: tuple[float, float] | None = None
        if {"sigma_min", "sigma_max"} <= set(arguments):
            self._span = (float(arguments["sigma_max"]), float(arguments["sigma_min"]))

    @property
    def first(self) -> float | None:
        """The level at which the sampling begins, if it is known."""
        if self._levels:
            return self._levels[0]
        return None if self._span is None else self._span[0]

    def progress(self, level: float) -> float | None:
        """Fraction of the schedule done at a noise level (or timestep); None if it is unknown.

        That is the fraction of the steps, of which one that evaluates the model between its
        beginning and its end is not done yet. A sampler that chooses its steps by itself (DPM
        fast, DPM adaptive) goes evenly through the logarithm of the noise level, and UniPC's
        timesteps are not those of its schedule.
        """
        if self.on_grid and all(abs(level - each) > 0.5 for each in self._levels):
            return None
        if self._levels:
            return sum(level <= end * _SAME for end in self._levels[1:]) / len(self._levels)
        if self._span and level > 0.0:
            most, least = map(math.log, self._span)
            return max(0.0, (most - math.log(level)) / max(most - least, 1e-12))
        return None


def timestep_of(sigma: float, sigmas: Sequence[float]) -> float:
    """Where `sigma` lies among those of the training's timesteps, which rise."""
    after = min(max(bisect_left(sigmas, sigma), 1), len(sigmas) - 1)
    low, high = sigmas[after - 1], sigmas[after]
    share = (math.log(max(sigma, low)) - math.log(low)) / (math.log(high) - math.log(low))
    return after - 1 + min(share, 1.0)
