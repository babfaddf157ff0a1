"""Whose the rows of an evaluation of the WebUI are.

Those of its own batch are told by their order. For evaluations that are not cut out of that batch
(another extension repeats it for several tiles of the picture, or evaluates the prompts once more)
they are told by the contexts that come with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ebca.core.evaluation import Row


class KnownContexts:
    """The contexts of one batch, by the places of its rows."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Row, Tensor]] = {}

    def learn(self, first: int, rows: Sequence[Row], contexts: Any) -> None:
        """`contexts` [b, t, c] belong to the rows from `first` on; what is no such tensor tells
        nothing. A later context of a row (which has been padded) takes the place of an earlier."""
        if isinstance(contexts, Tensor) and contexts.ndim == 3 and len(contexts) == len(rows):
            known = zip(rows, contexts, strict=True)
            self._known.update(enumerate(known, start=first))

    def rows(self, contexts: Any) -> list[Row] | None:
        """Whose `contexts` [b, t, c] are; None unless all of them are known.

        Of several rows with one context, the first comes first, then the second, and so on round.
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
    """Also after a host has made one of them less precise."""
    if one.shape != other.shape:
        return False
    return torch.equal(one, other.to(one)) or torch.equal(one.to(other), other)


def contexts_in(cond: Any) -> Any:
    """The contexts in what the WebUI's inner model is given beside a sample."""
    while isinstance(cond, (list, tuple)) and len(cond) == 1:
        (cond,) = cond
    if isinstance(cond, dict):
        return contexts_in(cond.get("crossattn", cond.get("c_crossattn")))
    return cond


def rows_of_batch(prompts: Sequence[int], count: int) -> list[Row] | None:
    """All rows of a batch of `count`, given the number of prompts of each image.

    None if the batch is larger or smaller than the WebUI makes it (one unconditional row an image,
    two with InstructPix2Pix): then another extension has put rows of its own into it.
    """
    conditional = sum(prompts)
    if count - conditional not in (len(prompts), 2 * len(prompts)):
        return None
    firsts = [sum(prompts[:image]) for image in range(len(prompts))]
    rows = [Row(index, conditional=True) for index in range(conditional)]
    while len(rows) < count:
        rows += [Row(first, conditional=False) for first in firsts]
    return rows
