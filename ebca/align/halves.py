"""Regional prompting by hand, as people do it who know where everything goes.

    out = base attn(Q, C_main) + (1 - base) attn(Q, C_j)      for pixels in the column of subject j

The picture is cut into columns of equal width, one a subject, in the order in which they are named;
this is what sd-webui-regional-prompter does in its Attention mode with a base prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ebca.core.engine import Engine
from ebca.core.evaluation import Image
from ebca.hosts.diffusers import Pipeline
from ebca.methods.method import PLAIN, Branch, Method, Mix, Moment, Source
from ebca.prompts import Prompt

BASE = 0.2
"""The share of the whole prompt: that extension's usual base ratio."""


@dataclass(frozen=True)
class Halves(Method):
    """Each of a prompt's `subjects` in a column of its own."""

    def texts(self, prompt: Prompt) -> tuple[Source, ...]:
        return prompt.subjects

    def mix(self, prompt: Prompt, moment: Moment) -> Mix:
        texts = prompt.subjects
        if len(texts) < 2:
            return PLAIN
        columns = (1.0 - BASE) * torch.eye(len(texts))
        pairs = zip(columns, texts, strict=True)
        return Mix(BASE, tuple(Branch(column[None], text) for column, text in pairs))


def halves(pipe: Any, prompts: Sequence[str], columns: Sequence[tuple[str, ...]]) -> Engine:
    """Put `columns`, the prompts of each image's columns, on `pipe`, until `remove()` is called."""
    asked = (Prompt(main, subjects=texts) for main, texts in zip(prompts, columns, strict=True))
    images = [Image(prompt, number=number) for number, prompt in enumerate(asked)]
    engine = Engine(pipe.unet, [Halves()], Pipeline(pipe, [Halves()], images).describe)
    engine.install()
    return engine
