"""What brings a sampler's steps back onto the path of a picture.

A sampler that starts from the noise that was found loses the picture nevertheless: it takes other
steps than Euler's, it is guided, or it adds noise of its own. So one sampling is recorded under the
source prompt. Whenever the sampler has come to x_i, it is moved to where the picture's path is at
that level, and the move is kept:

    delta_i = path(sigma_i) - x_i

In an edit every step is moved by the same delta_i. Under the source prompt that is the path, and at
its end the picture, for every sampler. For one that adds noise c_i z_i the moves are the noise maps
of edit-friendly DDPM inversion (arXiv 2304.06140, eq. 5), delta_i = c_i z_i; for the others what
Direct Inversion (arXiv 2310.01506, algorithm 1) adds to its source branch, without such a branch.
The sampler must draw the same noise in both, or none.

What an edit changes is x_i + delta_i - path(sigma_i). `more` above 0 lets this fade from step to
step, so that of a change in the first of n steps 1 - more is left at the end:

    x_i <- path(sigma_i) + (1 - more)^(1/n) (x_i + delta_i - path(sigma_i))
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from torch import Tensor


@dataclass
class Recording:
    """One sampling of the source: at every step where it was moved to, and by how much."""

    targets: list[Tensor] = field(default_factory=list)
    moves: list[Tensor] = field(default_factory=list)

    def move(self, x: Tensor, target: Tensor) -> Tensor:
        """Note the next step, at `x`; gives `target`, to where it is moved."""
        self.targets.append(target)
        self.moves.append(target - x)
        return target

    @property
    def size(self) -> int:
        """In bytes."""
        return sum(2 * each.numel() * each.element_size() for each in self.moves)


class Replay:
    """Moves the steps of one sampling as they were moved when it was recorded."""

    def __init__(self, recording: Recording, more: float = 0.0, stop: float = 1.0) -> None:
        """`stop` is the fraction of the steps after which none is moved any more."""
        count = len(recording.moves)
        self._recording, self._end = recording, math.ceil(stop * count)
        self._left = (1.0 - more) ** (1.0 / max(count, 1))
        self._done = 0

    @property
    def holds(self) -> bool:
        """Whether the next step is moved; one that was not recorded stays as it is."""
        return self._done < self._end

    def move(self, x: Tensor) -> Tensor:
        """The next step, at `x` [b, c, h, w]."""
        if not self.holds:
            return x
        move, target = self._recording.moves[self._done], self._recording.targets[self._done]
        self._done += 1
        times = (len(x) // len(move), 1, 1, 1)
        moved, target = x + move.to(x).repeat(times), target.to(x).repeat(times)
        return moved if self._left == 1.0 else target + self._left * (moved - target)
