"""A cache of the inversions of pictures, for the next job on the same picture."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import NamedTuple

from torch import Tensor

from ebca.editing.holding import Recording

_MOST, _BYTES = 8, 256 * 2**20
_SAME = 0.2  # relative; the WebUI encodes the same picture a little differently every time


class Found(NamedTuple):
    """The inversion of a picture's `latent`: where the sampler started, and the recording of its
    moves, all in main memory."""

    start: Tensor
    recording: Recording
    latent: Tensor
    told: str = ""  # a line for the user, if any


class Recordings:
    """The last inversions under one model."""

    def __init__(self, most: int = _MOST, size: int = _BYTES) -> None:
        self._most, self._size = most, size
        self._model: Hashable = None
        self._kept: OrderedDict[tuple[Hashable, int], Found] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, model: Hashable, key: Hashable, latent: Tensor) -> Found | None:
        """Return the inversion with the same `key` and about the same `latent`, if there is one.
        Another `model` than before empties the cache."""
        if model != self._model:
            self._kept.clear()
            self._model = model
        for each, found in self._kept.items():
            if each[0] == key and _alike(found.latent, latent):
                self._kept.move_to_end(each)
                return found
        return None

    def keep(self, key: Hashable, found: Found) -> None:
        """Keep an inversion, and drop the oldest if they are too many or too large."""
        self._count += 1
        self._kept[key, self._count] = found
        while len(self._kept) > self._most or self.size > self._size:
            self._kept.popitem(last=False)

    @property
    def size(self) -> int:
        """The size of the recordings in bytes."""
        return sum(each.recording.size for each in self._kept.values())


def _alike(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape:
        return False
    other = other.to(one)
    return bool((one - other).norm() <= _SAME * other.norm())


recordings = Recordings()
"""The cache of the running WebUI."""
