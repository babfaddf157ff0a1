"""Regional prompting by hand, for users who know where everything goes.

    out = (1 - share) attn(Q, C_main) + share attn(Q, C_j)     in the column of subject j

The picture is cut into columns of equal width, one for each subject in the order of the prompt, as
sd-webui-regional-prompter does in its Attention mode with a base prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ebca.core.engine import Engine
from ebca.core.evaluation import Image
from ebca.core.method import PLAIN, Branch, Method, Mix, Moment, Source
from ebca.hosts.diffusers import Pipeline
from ebca.prompts import Prompt

SHARE = 0.8
"""The share of a column's own prompt: 1 minus that extension's usual base ratio."""


@dataclass(frozen=True)
class Halves(Method):
    """Show each of a prompt's `subjects` in a column of its own."""

    share: float = SHARE

    def texts(self, prompt: Prompt) -> tuple[Source, ...]:
        return prompt.subjects

    def mix(self, prompt: Prompt, moment: Moment) -> Mix:
        texts = prompt.subjects
        if len(texts) < 2:
            return PLAIN
        columns = self.share * torch.eye(len(texts))
        pairs = zip(columns, texts, strict=True)
        return Mix(1.0 - self.share, tuple(Branch(column[None], text) for column, text in pairs))


def halves(
    pipe: Any, prompts: Sequence[str], columns: Sequence[tuple[str, ...]], share: float = SHARE
) -> Engine:
    """Patch `pipe` with the prompts of each image's columns, until `remove()` is called."""
    asked = (Prompt(main, subjects=texts) for main, texts in zip(prompts, columns, strict=True))
    images = [Image(prompt, number=number) for number, prompt in enumerate(asked)]
    method = Halves(share)
    engine = Engine(pipe.unet, [method], Pipeline(pipe, [method], images).describe)
    engine.install()
    return engine
