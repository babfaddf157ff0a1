"""Trying a change of the update on a pipeline: `--grid experiment=apart,relative:0.01`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from ebca.align.candidates import CANDIDATES, Given, Update, Words
from ebca.align.cases import Case
from ebca.engine import Engine
from ebca.settings import SettingsError


@contextmanager
def experiment(name: str, pipe: Any, cases: Sequence[Case], texts: Sequence[str]) -> Iterator[None]:
    """Change the update of the engine that is installed on `pipe` while the block runs.

    `name` is candidates joined by `+`, each with its number if it has one: `apart+relative:0.02`.
    """
    engine = _engine_on(pipe)
    words = words_of(pipe, texts, cases)
    update: Update = engine._update
    for part in name.split("+"):
        kind, _, number = part.partition(":")
        if kind not in CANDIDATES:
            raise SettingsError("experiment", part, "one of " + ", ".join(CANDIDATES))
        update = CANDIDATES[kind](Given(update, words, float(number) if number else None, engine))
    engine.__dict__["_update"] = update
    try:
        yield
    finally:
        del engine.__dict__["_update"]


def words_of(pipe: Any, texts: Sequence[str], cases: Sequence[Case]) -> Words:
    """What the tokens of the prompts are."""
    tokenizer = pipe.tokenizer
    ids = torch.tensor(tokenizer(list(texts), padding="max_length", truncation=True).input_ids)
    first_end = (ids == tokenizer.eos_token_id).int().argmax(1, keepdim=True)
    place = torch.arange(ids.shape[1])[None]
    text = (place > 0) & (place < first_end)
    subject = torch.zeros_like(text)
    for row, case in enumerate(cases):
        for thing in case.things:
            for token in tokenizer(
                f"{thing.colour} {thing.name}", add_special_tokens=False
            ).input_ids:
                subject[row] |= (ids[row] == token) & text[row]
    return Words((place == 0).expand(ids.shape), text, place >= first_end, subject)


def _engine_on(pipe: Any) -> Engine:
    for hook in pipe.unet._forward_pre_hooks.values():
        owner = getattr(hook, "__self__", None)
        if isinstance(owner, Engine):
            return owner
    raise SettingsError("experiment", "any", "left out where BCU takes no step")
