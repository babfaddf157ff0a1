"""What was found for pictures, kept for the next job on the same one."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import NamedTuple

from torch import Tensor

from ebca.editing.holding import Recording

_MOST, _BYTES = 8, 256 * 2**20
_SAME = 0.2  # relative; the WebUI encodes the same picture a little differently every time


class Found(NamedTuple):
    """Where the sampler began when `recording` was made of a picture's `latent`, all in main
    memory."""

    start: Tensor
    recording: Recording
    latent: Tensor
    told: str = ""  # what the user should know of it


class Recordings:
    """The last ones, of one model."""

    def __init__(self, most: int = _MOST, size: int = _BYTES) -> None:
        self._most, self._size = most, size
        self._model: Hashable = None
        self._kept: OrderedDict[tuple[Hashable, int], Found] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, model: Hashable, key: Hashable, latent: Tensor) -> Found | None:
        """What was found with the same `key`, if the picture's latent is about the same too. With
        another `model` everything is dropped."""
        if model != self._model:
            self._kept.clear()
            self._model = model
        for each, found in self._kept.items():
            if each[0] == key and _alike(found.latent, latent):
                self._kept.move_to_end(each)
                return found
        return None

    def keep(self, key: Hashable, found: Found) -> None:
        """The oldest ones go where it becomes too much."""
        self._count += 1
        self._kept[key, self._count] = found
        while len(self._kept) > self._most or self.size > self._size:
            self._kept.popitem(last=False)

    @property
    def size(self) -> int:
        """In bytes."""
        return sum(each.recording.size for each in self._kept.values())


def _alike(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape:
        return False
    other = other.to(one)
    return bool((one - other).norm() <= _SAME * other.norm())


recordings = Recordings()
"""Of the WebUI."""
