"""Divide a picture among its subjects: list the partitions, and choose the best.

Shape letters: `p` partitions, `k` subjects or parts, `n` pixels.
"""

from __future__ import annotations

import itertools
import math
from functools import lru_cache

import torch
from torch import Tensor

TURNS = 16
"""The number of angles at which a picture is divided."""

_THREE = (0.4, 0.3, 0.3)
"""The shares of three subjects: one beside two."""

_MOST_ORDERS = 5040
"""The most orders of the subjects that are tried."""

_SAID = 10.0
"""The weight of a place that the prompt names, against a `maps` of mean 1."""


def partitions(size: tuple[int, int], count: int, mask: Tensor | None = None) -> Tensor:
    """Return the partitions of a picture of `size` (h, w) into `count` parts, on the CPU.

    The result is [p, k, h*w], 1 where a pixel belongs to a part. Two parts are halves; three are
    one beside two; more are in two rows; each at every angle. With a `mask` [h, w], only the pixels
    above 0 are divided; the others belong to no part.
    """
    if mask is None:
        return _partitions(size, count)
    return _divide(size, count, mask.detach().float().flatten().cpu())


@lru_cache(maxsize=8)
def _partitions(size: tuple[int, int], count: int) -> Tensor:
    return _divide(size, count, torch.ones(size[0] * size[1]))


def _divide(size: tuple[int, int], count: int, inside: Tensor) -> Tensor:
    height, width = size
    y, x = torch.meshgrid(
        torch.arange(height, dtype=torch.float32) - (height - 1) / 2,
        torch.arange(width, dtype=torch.float32) - (width - 1) / 2,
        indexing="ij",
    )
    made = []
    for turn in range(TURNS):
        angle = 2 * math.pi * turn / TURNS
        along = (x * math.cos(angle) + y * math.sin(angle)).flatten()
        across = (y * math.cos(angle) - x * math.sin(angle)).flatten()
        rows = _cut(along + 1e-4 * across, inside, _row_shares(count))
        parts: list[Tensor] = []
        for row, columns in zip(rows, _columns(count), strict=True):
            shares = tuple(1 / columns for _ in range(columns))
            parts += _cut(across + 1e-4 * along, row, shares)
        made.append(torch.stack(parts))
    return torch.stack(made)


def best_partition(
    maps: Tensor, parts: Tensor, places: Tensor, size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Choose the partition, and the part for each subject, that agree best with `maps`.

    maps [k, n] says where the picture begins to show each subject, each map with mean 1; parts is
    [p, k, n] for a picture of `size` (h, w); places [k, 2] is the direction (x, y) that the prompt
    names for each subject, 0 if it names none. Returns the index of the partition, [], and that of
    each subject's part, [k], both on the device of `maps`; nothing is read from the device.
    """
    count = len(maps)
    sizes = parts.sum(-1).clamp(min=1)
    fit = torch.einsum("pcn,kn->pck", parts, maps) / sizes[:, :, None]  # [p, part, subject]
    middles = parts @ _spots(*size).to(parts) / sizes[:, :, None]
    fit = fit + _SAID * torch.einsum("pcd,kd->pck", middles, places)
    orders = _orders(count).to(maps.device)  # [o, k]: the part of each subject
    chosen = torch.arange(count, device=maps.device)
    total = fit[:, orders, chosen].sum(-1)  # [p, o]
    best = total.flatten().argmax()
    turn, order = best // len(orders), best % len(orders)
    return turn, orders.index_select(0, order[None])[0]


def _row_shares(count: int) -> tuple[float, ...]:
    if count == 3:
        return (_THREE[0], _THREE[1] + _THREE[2])
    return tuple(columns / count for columns in _columns(count))


def _columns(count: int) -> tuple[int, ...]:
    """Return the number of parts in each row."""
    return (1, count - 1) if count <= 3 else (count // 2, count - count // 2)


def _cut(along: Tensor, inside: Tensor, shares: tuple[float, ...]) -> list[Tensor]:
    """Cut `inside` [n] across `along` [n] into pieces that have the given shares of its sum."""
    order = along.argsort()
    done = inside[order].cumsum(0) - inside[order] / 2
    reached = torch.empty_like(done)
    reached[order] = done / inside.sum().clamp(min=1e-6)
    pieces, begin = [], 0.0
    for share in shares:
        end = begin + share
        here = (reached >= begin - 1e-6) & (reached < end - 1e-6 if end < 1 - 1e-6 else reached < 2)
        pieces.append(inside * here)
        begin = end
    return pieces


def _spots(height: int, width: int) -> Tensor:
    """Return the positions of the pixels, [h*w, 2], as (x, y) from -1 to 1."""
    y, x = torch.meshgrid(
        torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij"
    )
    return torch.stack([x.flatten(), y.flatten()], -1)


@lru_cache(maxsize=16)
def _orders(count: int) -> Tensor:
    """Return orders of `count` subjects, [o, k]: all, or only the rotations if all are too many."""
    if math.factorial(count) <= _MOST_ORDERS:
        return torch.tensor(list(itertools.permutations(range(count))))
    return torch.stack([torch.arange(count).roll(turn) for turn in range(count)])
