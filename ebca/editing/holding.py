"""Bring a sampler's steps back onto the path of a picture.

A sampler that starts from the noise that was found loses the picture nevertheless: its steps are
not Euler's, it is guided, or it adds noise of its own. So one sampling is recorded under the source
prompt. Whenever the sampler arrives at some x_i, that is moved to the point of the picture's path
at the same level, and the move is recorded:

    delta_i = path(sigma_i) - x_i

In an edit every step is moved by the same delta_i. Under the source prompt every sampler then
follows the path and ends at the picture. If a sampler adds noise c_i z_i, the moves are the noise
maps of edit-friendly DDPM inversion (arXiv 2304.06140, eq. 5), delta_i = c_i z_i; otherwise they
are what Direct Inversion (arXiv 2310.01506, algorithm 1) adds to its source branch, without such a
branch. The sampler must draw the same noise in the recording and in the edit, or none.

The change by an edit is x_i + delta_i - path(sigma_i). With `more` above 0 it fades from step to
step, so that the share 1 - more of a change in the first of n steps is left at the end:

    x_i <- path(sigma_i) + (1 - more)^(1/n) (x_i + delta_i - path(sigma_i))
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from torch import Tensor


@dataclass
class Recording:
    """One sampling of the source: the target of every step, and the move that led there."""

    targets: list[Tensor] = field(default_factory=list)
    moves: list[Tensor] = field(default_factory=list)

    def move(self, x: Tensor, target: Tensor) -> Tensor:
        """Record the move of the next step from `x` to `target`, and return `target`."""
        self.targets.append(target)
        self.moves.append(target - x)
        return target

    @property
    def size(self) -> int:
        """The size in bytes."""
        return sum(2 * each.numel() * each.element_size() for each in self.moves)


class Replay:
    """Moves the steps of one sampling as they were moved when it was recorded."""

    def __init__(self, recording: Recording, more: float = 0.0, stop: float = 1.0) -> None:
        """`more` is as above; after the fraction `stop` of the steps no step is moved."""
        count = len(recording.moves)
        self._recording, self._end = recording, math.ceil(stop * count)
        self._left = (1.0 - more) ** (1.0 / max(count, 1))
        self._done = 0

    @property
    def holds(self) -> bool:
        """Whether the next step will be moved; steps that were not recorded will not."""
        return self._done < self._end

    def move(self, x: Tensor) -> Tensor:
        """Return where the next step, which arrived at `x` [b, c, h, w], is moved to."""
        if not self.holds:
            return x
        move, target = self._recording.moves[self._done], self._recording.targets[self._done]
        self._done += 1
        times = (len(x) // len(move), 1, 1, 1)
        moved, target = x + move.to(x).repeat(times), target.to(x).repeat(times)
        return moved if self._left == 1.0 else target + self._left * (moved - target)
