"""What brings a sampler's steps back onto the path of a picture.

A sampler that starts from the noise that was found loses the picture nevertheless: it takes other
steps than Euler's, it is guided, or it adds noise of its own. So one sampling is recorded under the
source prompt. Whenever the sampler has made a step, to x_i, it is moved to where the picture's path
is at that level, and the move is kept:

    delta_i = path(sigma_i) - x_i

In an edit every step is moved by delta_i, times a strength. Under the source prompt and at strength 1 that is
the path, and at its end the picture, for every sampler. For one that adds noise c_i z_i the moves are the
noise maps of edit-friendly DDPM inversion (arXiv 2304.06140, eq. 5): delta_i = c_i z_i. For the
others they are what Direct Inversion (arXiv 2310.01506) adds to the source branch, here without running one.

The sampler must draw the same noise in both, or none.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor


class Recorder:
    """Records one sampling of the source, step by step."""

    def __init__(self) -> None:
        self.moves: list[Tensor] = []

    def move(self, x: Tensor, target: Tensor) -> Tensor:
        """`target`, to where the sampler's `x` is moved."""
        self.moves.append(target - x)
        return target


class Replay:
    """Moves the steps of one sampling as they were moved when it was recorded."""

    def __init__(self, moves: Sequence[Tensor], strength: float = 1.0) -> None:
        self._moves, self._strength = moves, strength
        self._done = 0

    def move(self, x: Tensor) -> Tensor:
        """`x` after the next step. A step that was not recorded stays as it is."""
        if self._done >= len(self._moves) or self._strength == 0.0:
            return x
        move = self._moves[self._done].to(x)
        self._done += 1
        return x + self._strength * move.repeat(len(x) // len(move), 1, 1, 1)


def mixed(found: Tensor, own: Tensor, strength: float) -> Tensor:
    """Noise [b, c, h, w]: the `found` one by `strength` 0 to 1, the seed's `own` for the rest, as strong
    as both."""
    if strength == 1.0:
        return found
    norm = (strength**2 + (1.0 - strength) ** 2) ** 0.5
    return (strength * found + (1.0 - strength) * own) / norm
