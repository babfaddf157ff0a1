"""Changes of the update that were tried on the development split; none is part of EBCA.

A candidate stands in for `Engine._update`, whose arguments it takes. `docs/alignment.md` has what
each of them did.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ebca.attention import split_heads
from ebca.engine import Engine
from ebca.settings import StepSizes
from ebca.visit import Visit

Update = Callable[..., Tensor]


@dataclass(frozen=True)
class Words:
    """Which tokens of each conditional row are what, [b, t]; all others are padding."""

    begin: Tensor
    text: Tensor  # without begin and end
    end: Tensor  # and what is padded after it
    subject: Tensor  # the words for what the picture must show


@dataclass(frozen=True)
class Given:
    """What a candidate may use besides the arguments of the update."""

    update: Update  # EBCA's own, or the candidate before it
    words: Words
    number: float | None  # after the colon of its name
    engine: Engine

    def or_else(self, usual: float) -> float:
        return usual if self.number is None else self.number


Candidate = Callable[[Given], Update]


def _then(change: Callable[[Tensor, Tensor, Given], Tensor]) -> Candidate:
    """A candidate that changes the finished step [b, t, c]; `change(step, context, given)`."""

    def make(given: Given) -> Update:
        def changed(visit: Visit, context: Tensor, *more: Any) -> Tensor:
            return change(given.update(visit, context, *more), context, given)

        return changed

    return make


def _only(mask: Callable[[Words], Tensor]) -> Candidate:
    """Only some tokens move."""
    return _then(lambda step, _, given: step * _fitted(mask(given.words), step))


def _relative(step: Tensor, context: Tensor, given: Given) -> Tensor:
    """Every row's step is a share of the norm of its context, whatever gamma says."""
    size = context.flatten(1).norm(dim=1) / step.flatten(1).norm(dim=1).clamp(min=1e-12)
    resized: Tensor = step * given.or_else(0.01) * size[:, None, None]
    return resized


def _apart(step: Tensor, _context: Tensor, _given: Given) -> Tensor:
    """Without what all tokens have in common, which cannot change who attends to whom."""
    return step - step.mean(1, keepdim=True)


def _apart_words(step: Tensor, _context: Tensor, given: Given) -> Tensor:
    """Subject tokens alone, without what they have in common."""
    mask = _fitted(given.words.subject, step)
    mean = (step * mask).sum(1, keepdim=True) / mask.sum(1, keepdim=True).clamp(min=1)
    return (step - mean) * mask


def _spread(step: Tensor, context: Tensor, given: Given) -> Tensor:
    """The step, and every token away from their mean by a share of its distance."""
    return step + given.or_else(0.02) * (context - context.mean(1, keepdim=True))


def _only_spread(step: Tensor, context: Tensor, given: Given) -> Tensor:
    """That without the step: emphasis that knows nothing of the picture."""
    return _spread(torch.zeros_like(step), context, given)


def _emphasis(given: Given) -> Update:
    """The same, once, before the second layer: what a weight on the whole prompt would do."""

    def changed(visit: Visit, context: Tensor, *more: Any) -> Tensor:
        if visit.layer.index:
            return torch.zeros_like(context)
        return _only_spread(context, context, given)

    return changed


def _backwards(step: Tensor, _context: Tensor, _given: Given) -> Tensor:
    """Uphill."""
    return -step


def _random(given: Given) -> Update:
    """A random direction of the same size in every token: a step that knows nothing at all."""
    generator = torch.Generator().manual_seed(0)

    def changed(step: Tensor, _context: Tensor, _given: Given) -> Tensor:
        other = torch.randn(step.shape, generator=generator).to(step)
        sizes: Tensor = step.norm(dim=2, keepdim=True) / other.norm(dim=2, keepdim=True)
        return other * sizes

    return _then(changed)(given)


def _keys(given: Given) -> Update:
    """Keys see the update, values do not: tokens attend otherwise, but say what they said."""

    def stand_in(_linear: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        visit = given.engine._visit
        return inputs if visit is None else (visit.start, *inputs[1:])

    for layer in given.engine.layers:
        handle = layer.linear("to_v").register_forward_pre_hook(stand_in)
        given.engine._hooks.callback(handle.remove)
    return given.update


def _neglect(given: Given) -> Update:
    """Subject tokens by how neglected they are: softmax, at a temperature, of minus the largest
    share of any pixel's attention that they get, times their count; no other token moves."""

    def changed(
        visit: Visit, context: Tensor, key: Tensor, weight: Tensor, rows: Any,
        step_sizes: StepSizes, mask: Tensor | None, _token_weights: Tensor | None,
    ) -> Tensor:  # fmt: skip
        query, heads = split_heads(visit.query[rows], visit.layer.heads), visit.layer.heads
        subject = given.words.subject[:, : key.shape[1]].to(key.device)
        scores = visit.layer.beta(key.shape[-1]) * query @ split_heads(key, heads).mT
        share = scores.softmax(-1).mean(1).amax(1)  # [b, t]
        neglect = (-share / given.or_else(0.1)).masked_fill(~subject, float("-inf")).softmax(-1)
        factor = (neglect * subject.sum(1, keepdim=True)).nan_to_num()[:, :, None]
        return given.update(visit, context, key, weight, rows, step_sizes, mask, factor)

    return changed


def _several(given: Given) -> Update:
    """Several steps of a part of the size each, in place of one."""

    def changed(
        visit: Visit, context: Tensor, key: Tensor, weight: Tensor, rows: Any,
        step_sizes: StepSizes, *more: Any,
    ) -> Tensor:  # fmt: skip
        count = int(given.or_else(4))
        part = step_sizes.times(1 / count)
        total = torch.zeros_like(context)
        for _ in range(count):
            moved = context + total
            total = total + given.update(visit, moved, key, weight, rows, part, *more)
            key = visit.project("to_k", context + total)
        return total

    return changed


def _fitted(mask: Tensor, step: Tensor) -> Tensor:
    return mask[:, : step.shape[1], None].to(step)


CANDIDATES: dict[str, Candidate] = {
    "subject": _only(lambda words: words.subject),
    "text": _only(lambda words: words.text),
    "end": _only(lambda words: words.end),
    "not-begin": _only(lambda words: ~words.begin),
    "relative": _then(_relative),
    "apart": _then(_apart),
    "apart-words": _then(_apart_words),
    "keys": _keys,
    "neglect": _neglect,
    "several": _several,
    "spread": _then(_spread),
    "only-spread": _then(_only_spread),
    "emphasis": _emphasis,
    "random": _random,
    "backwards": _then(_backwards),
}
