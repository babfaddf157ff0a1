"""Dividing a picture among its subjects: the partitions there are, and which one fits.

Shape letters: `p` partitions, `k` subjects or parts, `n` pixels.
"""

from __future__ import annotations

import itertools
import math
from functools import lru_cache

import torch
from torch import Tensor

TURNS = 16
"""Angles at which a picture is divided."""

_THREE = (0.4, 0.3, 0.3)
"""Shares of three subjects: one beside two."""

_MOST_ORDERS = 5040
"""So many orders of the subjects are tried."""

_SAID = 10.0
"""How much a place counts that the prompt says, over where the picture begins to be."""


def partitions(size: tuple[int, int], count: int, mask: Tensor | None = None) -> Tensor:
    """The partitions of a picture of `size` (h, w) into `count` parts, [p, k, h*w]: 1 where a
    pixel is of a part. On the CPU.

    Two parts are halves; three are one beside two; more are two rows, at every angle. With a
    `mask` [h, w] only where it is above 0 is divided; what is outside is of no part.
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
    """Which partition, and which part for which subject, agree best with `maps`.

    maps [k, n]: where the picture begins to show each subject, each with mean 1; parts [p, k, n]
    of a picture of `size` (h, w); places [k, 2]: the direction (x, y) in which the prompt says
    that a subject is, 0 if it does not. Returns the index of the partition, [], and that of each
    subject's part, [k], on the device of `maps`, from which nothing is read.
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
    """How many parts each row has."""
    return (1, count - 1) if count <= 3 else (count // 2, count - count // 2)


def _cut(along: Tensor, inside: Tensor, shares: tuple[float, ...]) -> list[Tensor]:
    """`inside` [n] cut across `along` [n] into pieces with those shares of its sum."""
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
    """Where pixels are, [h*w, 2] as (x, y) from -1 to 1."""
    y, x = torch.meshgrid(
        torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij"
    )
    return torch.stack([x.flatten(), y.flatten()], -1)


@lru_cache(maxsize=16)
def _orders(count: int) -> Tensor:
    """Orders of so many subjects, [o, k]: all of them, or turns of one where that is too many."""
    if math.factorial(count) <= _MOST_ORDERS:
        return torch.tensor(list(itertools.permutations(range(count))))
    return torch.stack([torch.arange(count).roll(turn) for turn in range(count)])
