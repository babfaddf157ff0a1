"""How far a sampler of the WebUI has come."""

from __future__ import annotations

import math
from typing import Any

_SAME = 1.0 + 1e-4
"""Noise levels that differ by less are the same."""


class Schedule:
    """The noise levels that a sampler goes through, from the arguments that it was called with."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        levels: Any = next(
            (arguments[name] for name in ("sigmas", "sigma_sched") if name in arguments), []
        )
        self._on_grid = "timesteps" in arguments
        if self._on_grid:
            levels = list(arguments["timesteps"])[::-1]
        self._levels = [float(level) for level in levels][:-1]  # at the last, nothing is left to do
        self._span: tuple[float, float] | None = None
        if {"sigma_min", "sigma_max"} <= set(arguments):
            self._span = (float(arguments["sigma_max"]), float(arguments["sigma_min"]))

    def progress(self, level: float) -> float | None:
        """Fraction of the schedule done at a noise level (or timestep); None if it is unknown.

        That is the fraction of the steps, of which one that evaluates the model between its
        beginning and its end is not done yet. A sampler that chooses its steps by itself (DPM
        fast, DPM adaptive) goes evenly through the logarithm of the noise level, and UniPC's
        timesteps are not those of its schedule.
        """
        if self._on_grid and all(abs(level - each) > 0.5 for each in self._levels):
            return None
        if self._levels:
            return sum(level <= end * _SAME for end in self._levels[1:]) / len(self._levels)
        if self._span and level > 0.0:
            most, least = map(math.log, self._span)
            return max(0.0, (most - math.log(level)) / max(most - least, 1e-12))
        return None
