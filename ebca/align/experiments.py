"""Changes of the update that are being tried on the development split; none is part of EBCA.

An experiment stands in for `Engine._update` of the patch on a pipeline.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from ebca.align.cases import Case
from ebca.attention import split_heads
from ebca.bcu import context_update
from ebca.engine import Engine
from ebca.settings import SettingsError
from ebca.visit import Visit

Update = Callable[..., Tensor]


class Words:
    """Which tokens of each prompt do what; [b, t] masks on the conditional rows."""

    def __init__(self, pipe: Any, texts: Sequence[str], cases: Sequence[Case]) -> None:
        tokenizer = pipe.tokenizer
        batch = tokenizer(list(texts), padding="max_length", truncation=True)
        ids = torch.tensor(batch.input_ids)
        first_end = (ids == tokenizer.eos_token_id).int().argmax(1)
        place = torch.arange(ids.shape[1])[None]
        self.begin = (place == 0).expand(ids.shape)
        self.text = (place > 0) & (place < first_end[:, None])
        self.end = place >= first_end[:, None]
        subject = torch.zeros_like(ids, dtype=torch.bool)
        for row, case in enumerate(cases):
            for thing in case.things:
                for word in f"{thing.colour} {thing.name}".split():
                    for token in tokenizer(word, add_special_tokens=False).input_ids:
                        subject[row] |= (ids[row] == token) & self.text[row]
        self.subject = subject


@contextmanager
def experiment(name: str, pipe: Any, cases: Sequence[Case], texts: Sequence[str]) -> Iterator[None]:
    """Change the update of the engine that is installed on `pipe` while the block runs.

    `name` is experiments joined by `+`, each with its number if it has one: `relative:0.02`.
    """
    engine = _engine_on(pipe)
    if engine is None:
        yield
        return
    update: Update = engine._update
    words = Words(pipe, texts, cases)
    for part in name.split("+"):
        kind, _, number = part.partition(":")
        if kind not in EXPERIMENTS:
            raise SettingsError("experiment", part, "one of " + ", ".join(EXPERIMENTS))
        update = EXPERIMENTS[kind](update, words, float(number) if number else None, engine)
    engine.__dict__["_update"] = update
    try:
        yield
    finally:
        engine.__dict__.pop("_update", None)


def _engine_on(pipe: Any) -> Engine | None:
    for hook in pipe.unet._forward_pre_hooks.values():
        owner = getattr(hook, "__self__", None)
        if isinstance(owner, Engine):
            return owner
    return None


def _only(mask: Callable[[Words], Tensor]) -> Callable[..., Update]:
    def make(update: Update, words: Words, _number: float | None, _engine: Engine) -> Update:
        def changed(*arguments: Any) -> Tensor:
            moved = update(*arguments)
            kept: Tensor = moved * mask(words)[:, : moved.shape[1], None].to(moved)
            return kept

        return changed

    return make


def _relative(update: Update, _words: Words, number: float | None, _engine: Engine) -> Update:
    """Every row's step is `number` times the norm of its context, whatever gamma says."""

    def changed(visit: Visit, context: Tensor, *more: Any) -> Tensor:
        moved = update(visit, context, *more)
        size = context.flatten(1).norm(dim=1) / moved.flatten(1).norm(dim=1).clamp(min=1e-12)
        step: Tensor = moved * (number or 0.01) * size[:, None, None]
        return step

    return changed


def _relative_tokens(update: Update, _words: Words, number: float | None, _e: Engine) -> Update:
    """No token moves by more than `number` times its own norm."""

    def changed(visit: Visit, context: Tensor, *more: Any) -> Tensor:
        moved = update(visit, context, *more)
        allowed = (number or 0.02) * context.norm(dim=2, keepdim=True)
        length = moved.norm(dim=2, keepdim=True).clamp(min=1e-12)
        step: Tensor = moved * (allowed / length).clamp(max=1.0)
        return step

    return changed


def _apart(update: Update, _words: Words, _number: float | None, _engine: Engine) -> Update:
    """Without what all tokens have in common, which cannot change who attends to whom."""

    def changed(*arguments: Any) -> Tensor:
        moved = update(*arguments)
        apart: Tensor = moved - moved.mean(1, keepdim=True)
        return apart

    return changed


def _keys(update: Update, _words: Words, _number: float | None, engine: Engine) -> Update:
    """Keys see the update, values do not: tokens attend otherwise, but say what they said."""

    def stand_in(_linear: Any, given: tuple[Any, ...]) -> tuple[Any, ...]:
        visit = engine._visit
        return given if visit is None else (visit.start, *given[1:])

    for layer in engine.layers:
        engine._hooks.callback(layer.linear("to_v").register_forward_pre_hook(stand_in).remove)
    return update


def _apart_words(update: Update, words: Words, _number: float | None, _engine: Engine) -> Update:
    """Subject tokens alone, without what they have in common."""

    def changed(*arguments: Any) -> Tensor:
        moved = update(*arguments)
        mask = words.subject[:, : moved.shape[1], None].to(moved)
        mean = (moved * mask).sum(1, keepdim=True) / mask.sum(1, keepdim=True).clamp(min=1)
        apart: Tensor = (moved - mean) * mask
        return apart

    return changed


def _centred(_update: Update, words: Words, _number: float | None, engine: Engine) -> Update:
    """Queries without their mean over pixels: the pull is towards where a token is attended to
    more than elsewhere."""

    def changed(
        visit: Visit, context: Tensor, key: Tensor, weight: Tensor, rows: Any,
        step_sizes: tuple[float, float], mask: Tensor | None, token_weights: Tensor | None,
    ) -> Tensor:  # fmt: skip
        query = visit.query[rows]
        return context_update(
            query - query.mean(1, keepdim=True), key, weight,
            heads=visit.layer.heads, beta=visit.layer.beta(key.shape[-1]),
            gamma_attn=step_sizes[0], gamma_norm=step_sizes[1],
            formulation=engine.settings.formulation, token_weights=token_weights,
            mask=None if mask is None else mask[rows],
        )  # fmt: skip

    return changed


def _neglect(update: Update, words: Words, number: float | None, _engine: Engine) -> Update:
    """Subject tokens weighted by how neglected they are: softmax of their own energy over the
    subject tokens at temperature `number`, times their count; other tokens do not move."""

    def changed(
        visit: Visit, context: Tensor, key: Tensor, weight: Tensor, rows: Any,
        step_sizes: tuple[float, float], mask: Tensor | None, token_weights: Tensor | None,
    ) -> Tensor:  # fmt: skip
        query = visit.query[rows]
        subject = words.subject[:, : key.shape[1]].to(key.device)
        beta, heads = visit.layer.beta(key.shape[-1]), visit.layer.heads
        scores = beta * split_heads(query, heads) @ split_heads(key, heads).mT  # [b, h, n, t]
        share = scores.softmax(-1).mean(1).amax(1)  # how much of some pixel a token gets, [b, t]
        neglect = (-share / (number or 0.1)).masked_fill(~subject, float("-inf")).softmax(-1)
        factor = (neglect * subject.sum(1, keepdim=True)).nan_to_num()[:, :, None]
        return update(visit, context, key, weight, rows, step_sizes, mask, factor)

    return changed


def _several(update: Update, _words: Words, number: float | None, _engine: Engine) -> Update:
    """`number` steps of a part of the size each, in place of one."""

    def changed(
        visit: Visit, context: Tensor, key: Tensor, weight: Tensor, rows: Any,
        step_sizes: tuple[float, float], mask: Tensor | None, token_weights: Tensor | None,
    ) -> Tensor:  # fmt: skip
        count = int(number or 4)
        part = step_sizes[0] / count, step_sizes[1] / count
        total = torch.zeros_like(context)
        for _ in range(count):
            total = total + update(
                visit, context + total, key, weight, rows, part, mask, token_weights
            )
            key = visit.project("to_k", context + total)
        return total

    return changed


def _random(update: Update, _words: Words, _number: float | None, _engine: Engine) -> Update:
    """A random direction of the same size in every token: what a step does that knows nothing."""
    generator = torch.Generator().manual_seed(0)

    def changed(*arguments: Any) -> Tensor:
        moved = update(*arguments)
        other = torch.randn(moved.shape, generator=generator).to(moved)
        step: Tensor = other * moved.norm(dim=2, keepdim=True) / other.norm(dim=2, keepdim=True)
        return step

    return changed


def _contrast(_update: Update, _words: Words, number: float | None, _engine: Engine) -> Update:
    """Every token away from their mean, by `number` of its distance: emphasis that knows nothing
    of the picture."""

    def changed(_visit: Visit, context: Tensor, *_more: Any) -> Tensor:
        step: Tensor = (number or 0.02) * (context - context.mean(1, keepdim=True))
        return step

    return changed


def _spread(update: Update, _words: Words, number: float | None, _engine: Engine) -> Update:
    """The step, and every token away from their mean by `number` of its distance."""

    def changed(visit: Visit, context: Tensor, *more: Any) -> Tensor:
        spread = (number or 0.02) * (context - context.mean(1, keepdim=True))
        step: Tensor = update(visit, context, *more) + spread
        return step

    return changed


def _backwards(update: Update, _words: Words, _number: float | None, _engine: Engine) -> Update:
    """Uphill."""
    return lambda *arguments: -update(*arguments)


EXPERIMENTS: dict[str, Callable[..., Update]] = {
    "subject": _only(lambda words: words.subject),
    "text": _only(lambda words: words.text),
    "end": _only(lambda words: words.end),
    "begin": _only(lambda words: words.begin),
    "not-begin": _only(lambda words: ~words.begin),
    "relative": _relative,
    "relative-tokens": _relative_tokens,
    "apart": _apart,
    "keys": _keys,
    "apart-words": _apart_words,
    "centred": _centred,
    "neglect": _neglect,
    "several": _several,
    "random": _random,
    "contrast": _contrast,
    "spread": _spread,
    "backwards": _backwards,
}
