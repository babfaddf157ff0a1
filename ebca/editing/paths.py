"""Ways from a picture into noise: where a sampling of it would be at each noise level.

flow        along the probability flow (`flow.py`): the noise that a deterministic sampler needs
scattered   x(sigma) = clean + sigma noise(sigma), the noises independent of each other: the
            "edit-friendly" DDPM inversion (Huberman-Spiegelglas et al., arXiv 2304.06140, eq. 6)

Along the flow what is found is one noise, and the picture's layout hides in it; the prompt of an
edit changes what the model makes of it. Where every level has noise of its own, the layout is in
the moves (`holding.py`), which stay as they are.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Protocol

from torch import Tensor


class Path(Protocol):
    """A way from a picture into noise."""

    clean: Tensor

    def at(self, level: float) -> Tensor:
        """[b, c, h, w] at a noise level sigma; the picture itself at 0."""
        ...


class Flow:
    """Along the probability flow, straight between the levels that were computed."""

    def __init__(self, clean: Tensor, levels: Sequence[float], points: Sequence[Tensor]) -> None:
        """`points` are where the flow is at the rising `levels`, as `flow.step_back` gives them."""
        self.clean = clean
        self._levels, self._points = [0.0, *levels], [clean, *points]

    def at(self, level: float) -> Tensor:
        after = min(max(bisect_left(self._levels, level), 1), len(self._levels) - 1)
        low, high = self._levels[after - 1], self._levels[after]
        share = (level - low) / (high - low)  # above the highest level it goes straight on
        return self._points[after - 1] + share * (self._points[after] - self._points[after - 1])


class Scattered:
    """Every level has noise of its own, drawn when it is first asked for."""

    def __init__(self, clean: Tensor, draw: Callable[[], Tensor]) -> None:
        """`draw` gives new normal noise in the shape of `clean`."""
        self.clean, self._draw = clean, draw
        self._noise: dict[float, Tensor] = {0.0: clean.new_zeros(())}

    def at(self, level: float) -> Tensor:
        if level not in self._noise:
            self._noise[level] = self._draw()
        return self.clean + level * self._noise[level]
