"""The noise levels that a sampler of a WebUI goes through.

Levels are sigma. The host's own levels are sigma or timesteps; at timesteps its latents are scaled:
host's x = scale (clean + sigma noise).
"""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from ebca.editing.paths import Path


class Levels:
    """The levels of one run, from the arguments that the sampler is called with."""

    def __init__(self, given: dict[str, Any], steps: int | None, alphas: Tensor | None) -> None:
        """`steps` is the job's, for samplers that are given no number of steps; `alphas` is the
        model's `alphas_cumprod`, for samplers with timesteps."""
        self._alphas = alphas
        self.on_grid = "timesteps" in given
        """Whether the host's levels are timesteps."""
        self.rising = self._rising(given, steps)
        """The levels above 0, lowest first."""

    def _rising(self, given: dict[str, Any], steps: int | None) -> list[float]:
        if self.on_grid:
            return sorted({self.sigma(float(t)) for t in given["timesteps"]})
        known = next((given[name] for name in ("sigmas", "sigma_sched") if name in given), None)
        if known is not None:
            return sorted({float(sigma) for sigma in known if sigma > 0})
        low, high = (math.log(float(given[name])) for name in ("sigma_min", "sigma_max"))
        count = int(given.get("n", steps or 2))
        return [math.exp(low + place * (high - low) / max(count - 1, 1)) for place in range(count)]

    def to_host(self, path: Path, level: float) -> Tensor:
        """Return the point of the path at a level of the host, in the host's scale."""
        if not self.on_grid:
            return path.at(level)
        sigma = self.sigma(level)
        return path.at(sigma) * self.scale(sigma)

    def scale(self, sigma: float) -> float:
        """Return the scale of the host's latents at timesteps."""
        return 1.0 / math.sqrt(1.0 + sigma**2)

    def sigma(self, timestep: float) -> float:
        """Return the sigma of a timestep, which may lie between two whole ones."""
        alphas = self._alphas
        assert alphas is not None
        below = min(max(int(timestep), 0), len(alphas) - 2)
        share = min(max(timestep - below, 0.0), 1.0)
        alpha = float(alphas[below]) ** (1.0 - share) * float(alphas[below + 1]) ** share
        return math.sqrt((1.0 - alpha) / alpha)

    def timestep(self, sigma: float) -> float:
        """Return the timestep whose level is nearest to sigma."""
        assert self._alphas is not None
        return float((self._alphas.float() - 1.0 / (1.0 + sigma**2)).abs().argmin())
