"""Join the maps of several samplings of one picture, such as both passes of hires fix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ebca.core.maps import Seen, Used


class Crop(NamedTuple):
    """The part of a sampling's picture that the finished one keeps, as fractions of its size."""

    left: float = 0.0
    top: float = 0.0
    right: float = 1.0
    bottom: float = 1.0


WHOLE = Crop()


def joined(parts: Sequence[tuple[Seen, Crop]]) -> Seen:
    """Return the mean of cropped `Seen`, weighted by evaluations, in the size of the last."""
    if len(parts) == 1 and parts[0][1] == WHOLE:
        return parts[0][0]
    last = parts[-1][0]
    size = (last.maps.shape[-2], last.maps.shape[-1])
    total: dict[str, Tensor] = {}
    counts: dict[str, int] = {}
    for seen, crop in parts:
        maps = cropped(seen.maps, crop, size)
        for word, share in zip(seen.words, maps, strict=True):
            total[word] = total.get(word, torch.zeros(size)) + seen.evaluations * share
            counts[word] = counts.get(word, 0) + seen.evaluations
    means = [total[word] / counts[word] for word in total]
    return Seen(
        tuple(total),
        torch.stack(means) if means else torch.zeros(0, *size),
        _used(parts),
        sum(seen.evaluations for seen, _ in parts),
    )


def _used(parts: Sequence[tuple[Seen, Crop]]) -> tuple[Used, ...]:
    """Return the mean of everything used over the evaluations of all parts."""
    evaluations = sum(seen.evaluations for seen, _ in parts)
    weights, changes = _Mean(), _Mean()
    for seen, crop in parts:
        share = seen.evaluations / evaluations
        for used in seen.used:
            weights.add(used.name, used.weight, share, crop, "nearest")
            if used.change is not None:
                changes.add(used.name, used.change, share, crop)
    return tuple(
        Used(name, weight, change if isinstance(change, Tensor) else None)
        for name, weight in weights.total.items()
        for change in (changes.total.get(name),)
    )


class _Mean:
    """Weighted sums of numbers and maps [h, w] by name, in the size of a name's last map."""

    def __init__(self) -> None:
        self.total: dict[str, float | Tensor] = {}

    def add(
        self, name: str, value: float | Tensor, share: float, crop: Crop, how: str = "bilinear"
    ) -> None:
        before = self.total.get(name, 0.0)
        if isinstance(value, Tensor):
            size = (value.shape[0], value.shape[1])
            value = cropped(value[None], crop, size, how)[0]
            if isinstance(before, Tensor):
                before = cropped(before[None], WHOLE, size, how)[0]
        self.total[name] = before + share * value


def cropped(maps: Tensor, crop: Crop, size: tuple[int, int], how: str = "bilinear") -> Tensor:
    """Crop maps [k, h, w] and resize them to `size` (h, w)."""
    if crop == WHOLE and tuple(maps.shape[-2:]) == size:
        return maps
    if not len(maps):
        return maps.new_zeros(0, *size)
    across = 2 * torch.linspace(0.5 / size[1], 1 - 0.5 / size[1], size[1]) - 1
    down = 2 * torch.linspace(0.5 / size[0], 1 - 0.5 / size[0], size[0]) - 1
    across = across * (crop.right - crop.left) + crop.left + crop.right - 1
    down = down * (crop.bottom - crop.top) + crop.top + crop.bottom - 1
    y, x = torch.meshgrid(down, across, indexing="ij")
    grid = torch.stack([x, y], -1)[None]
    fine = F.grid_sample(maps.float()[None], grid, how, "border", align_corners=False)
    return fine[0]
