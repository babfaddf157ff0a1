"""Find out which image each row of a WebUI's evaluation belongs to.

Rows of the WebUI's own batch are known by their order. If an evaluation is not cut out of that
batch (another extension repeats it for several tiles of the picture, or evaluates the prompts once
more), its rows are recognized by the contexts that come with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ebca.core.evaluation import Row


class KnownContexts:
    """The known contexts of one batch, by the index of their row."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Row, Tensor]] = {}

    def learn(self, first: int, rows: Sequence[Row], contexts: Any) -> None:
        """Note that `contexts` [b, t, c] belong to the rows from index `first` on; anything else is
        ignored. A row's later context (a padded one) replaces the earlier one."""
        if isinstance(contexts, Tensor) and contexts.ndim == 3 and len(contexts) == len(rows):
            known = zip(rows, contexts, strict=True)
            self._known.update(enumerate(known, start=first))

    def rows(self, contexts: Any) -> list[Row] | None:
        """Return the row of each of `contexts` [b, t, c], or None unless all of them are known.

        Rows that share one context take turns, in their order.
        """
        if not isinstance(contexts, Tensor) or contexts.ndim != 3:
            return None
        seen: dict[int, int] = {}
        found = []
        for context in contexts:
            same = [row for row, known in self._known.values() if _equal(known, context)]
            if not same:
                return None
            turn = seen.get(id(same[0]), 0)
            seen[id(same[0])] = turn + 1
            found.append(same[turn % len(same)])
        return found


def _equal(one: Tensor, other: Tensor) -> bool:
    """Whether two contexts are equal, even after a host has made one of them less precise."""
    if one.shape != other.shape:
        return False
    return torch.equal(one, other.to(one)) or torch.equal(one.to(other), other)


def contexts_in(cond: Any) -> Any:
    """Return the contexts from the conditioning that the WebUI gives its inner model."""
    while isinstance(cond, (list, tuple)) and len(cond) == 1:
        (cond,) = cond
    if isinstance(cond, dict):
        return contexts_in(cond.get("crossattn", cond.get("c_crossattn")))
    return cond


def rows_of_batch(prompts: Sequence[int], count: int) -> list[Row] | None:
    """Return all rows of a batch of `count` rows, given the number of prompts of each image.

    Return None if the batch is larger or smaller than the WebUI makes it (one unconditional row an
    image, two with InstructPix2Pix): then another extension has put rows of its own into it.
    """
    conditional = sum(prompts)
    if count - conditional not in (len(prompts), 2 * len(prompts)):
        return None
    firsts = [sum(prompts[:image]) for image in range(len(prompts))]
    rows = [Row(index, conditional=True) for index in range(conditional)]
    while len(rows) < count:
        rows += [Row(first, conditional=False) for first in firsts]
    return rows
