"""The noise levels of one run of a diffusers scheduler.

A scheduler works in latents of its own scale. The scale and the noise level are measured by
letting it add noise of zeros to a picture of ones, and noise of ones to a picture of zeros:

    add_noise(clean, noise, t) = scale(t) clean + spread(t) noise,    sigma = spread / scale
"""

from __future__ import annotations

import copy
import itertools
from typing import Any

import torch
from torch import Tensor


class Levels:
    """The timesteps of one run of a scheduler, with the scale and noise level of each."""

    def __init__(self, scheduler: Any, steps: int, strength: float) -> None:
        still = copy.deepcopy(scheduler)  # some schedulers remember their last call
        still.set_timesteps(steps)
        self.steps = steps
        self.first = max(steps - min(int(steps * strength), steps), 0) * getattr(still, "order", 1)
        run = still.timesteps[self.first :]
        self._factors = {float(each): _factors(still, each) for each in run}

    def scale(self, timestep: float) -> float:
        return self._factors[timestep][0]

    def sigma(self, timestep: float) -> float:
        scale, spread = self._factors[timestep]
        return spread / scale

    def rising(self) -> list[float]:
        """Return the noise levels, lowest first."""
        return sorted(set(map(self.sigma, self._factors)))

    def timestep(self, sigma: float) -> float:
        """Return the timestep of a noise level, interpolated linearly between the run's levels."""
        known = sorted((self.sigma(each), each) for each in self._factors)
        for (low, before), (high, after) in itertools.pairwise(known):
            if low <= sigma <= high and low < high:
                return before + (sigma - low) / (high - low) * (after - before)
        return known[0][1] if sigma < known[0][0] else known[-1][1]

    def __contains__(self, timestep: float) -> bool:
        return timestep in self._factors


def _factors(scheduler: Any, timestep: Tensor) -> tuple[float, float]:
    one, zero = torch.ones(1, 1, 1, 1), torch.zeros(1, 1, 1, 1)
    scale = float(scheduler.add_noise(one, zero, timestep[None]))
    return scale, float(scheduler.add_noise(zero, one, timestep[None]))
