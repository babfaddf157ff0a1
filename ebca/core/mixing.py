"""Combine outputs of several attentions: weighted sums, and moves away from some of them."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

Weight = float | Tensor
"""The weight of an output: a number, or [b, 1 or n, 1]."""

Weighed = tuple[Weight, Tensor]
"""A weight and the output [b, n, w] that it belongs to."""


def mixed(moved: Tensor, main: Tensor, weight: Weight, branches: Iterable[Weighed]) -> Tensor:
    """Return moved + (weight - 1) main + sum of weight_i output_i, all [b, n, w].

    `moved` is `main` after `moved_away`, and is often `main` itself.
    """
    if isinstance(weight, float) and weight == 1.0:
        total = moved
    elif moved is main:
        total = main * weight
    else:
        total = moved + main * (weight - 1.0)
    return _added(total, branches)


def moved_away(main: Tensor, away: Iterable[Weighed]) -> Tensor:
    """Return main + sum of weight_i (main - output_i), scaled to the size of `main` at every pixel.

    All are [b, n, w]; the size is the norm over w, over all heads together.
    """
    away = list(away)
    if not away:
        return main
    weights = sum(weight for weight, _ in away)
    moved = _added(main * (1.0 + weights), away, -1.0)
    before, after = (
        torch.linalg.vector_norm(each, dim=-1, keepdim=True, dtype=torch.float32)
        for each in (main, moved)
    )
    back: Tensor = before / after.clamp(min=1e-12)
    return moved * back.to(moved.dtype)


def _added(total: Tensor, branches: Iterable[Weighed], sign: float = 1.0) -> Tensor:
    for weight, output in branches:
        if isinstance(weight, Tensor):
            total = torch.addcmul(total, output, weight, value=sign)
        else:
            total = total.add(output, alpha=sign * weight)
    return total
