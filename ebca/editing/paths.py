"""Paths from a picture into noise: the point of its sampling at each noise level.

flow        along the probability flow (`flow.py`), to the noise that a deterministic sampler needs
scattered   x(sigma) = clean + sigma noise(sigma), the noises independent of each other: the
            "edit-friendly" DDPM inversion (Huberman-Spiegelglas et al., arXiv 2304.06140, eq. 6)

The flow leads to a single noise, which encodes the picture's layout; with the prompt of an edit the
model paints something else from it. If every level has its own noise, the layout is in the moves
(`holding.py`), which an edit does not change.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Protocol

from torch import Tensor


class Path(Protocol):
    """A path from a picture into noise."""

    clean: Tensor

    def at(self, level: float) -> Tensor:
        """Return the path's point [b, c, h, w] at a noise level sigma; at 0 it is the picture."""
        ...


class Flow:
    """The path along the probability flow, linear between the computed levels."""

    def __init__(self, clean: Tensor, levels: Sequence[float], points: Sequence[Tensor]) -> None:
        """`points` are the flow's at the rising `levels`, as `flow.step_back` returns them."""
        self.clean = clean
        self._levels, self._points = [0.0, *levels], [clean, *points]

    def at(self, level: float) -> Tensor:
        after = min(max(bisect_left(self._levels, level), 1), len(self._levels) - 1)
        low, high = self._levels[after - 1], self._levels[after]
        share = (level - low) / (high - low)  # extrapolates above the highest level
        return self._points[after - 1] + share * (self._points[after] - self._points[after - 1])


class Scattered:
    """The path on which every level has its own noise, drawn at its first use."""

    def __init__(self, clean: Tensor, draw: Callable[[], Tensor]) -> None:
        """`draw` returns new normal noise in the shape of `clean`."""
        self.clean, self._draw = clean, draw
        self._noise: dict[float, Tensor] = {0.0: clean.new_zeros(())}

    def at(self, level: float) -> Tensor:
        if level not in self._noise:
            self._noise[level] = self._draw()
        return self.clean + level * self._noise[level]
