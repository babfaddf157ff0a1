"""BCU and CACAO the obvious way, to measure against: every attention map is materialised, every
context projected by itself, every composed output projected by itself.

This is what an implementation does that replaces the attention of diffusers' cross-attention
layers (as the authors' code does). It computes the same as the engine and is used by the
benchmark alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ebca.attention import merge_heads, split_heads
from ebca.engine import REFERENCE_DEPTH
from ebca.layers import find_layers
from ebca.settings import Edit, Settings


@dataclass
class _Text:
    """A context of one row on its way through the layers, [1, t, c]."""

    context: Tensor
    gamma_attn: float
    gamma_norm: float
    alpha: float = 1.0


class _Processor:
    """A diffusers attention processor that carries the contexts of an evaluation."""

    def __init__(self, unet: Any, settings: Settings, edits: Sequence[Edit]) -> None:
        self._first = find_layers(unet)[0].module
        self._scale = REFERENCE_DEPTH / len(find_layers(unet))
        self._settings, self._edits = settings, edits
        self._texts: list[_Text] = []

    def __call__(
        self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Tensor, **_: Any
    ) -> Tensor:
        if attn is self._first:
            self._texts = self._fresh(encoder_hidden_states)
        query = attn.to_q(hidden_states)
        rows = [self._attend(attn, query[:1], _Text(encoder_hidden_states[:1], 0.0, 0.0))]
        outputs = [self._attend(attn, query[1:], text) for text in self._texts]
        alphas = [text.alpha for text in self._texts]
        weighted = [alpha * output for alpha, output in zip(alphas, outputs, strict=True)]
        rows.append(torch.stack(weighted).sum(0) / sum(alphas))
        return torch.cat(rows)

    def _fresh(self, contexts: Tensor) -> list[_Text]:
        main = _Text(contexts[1:], self._settings.gamma_attn, self._settings.gamma_norm)
        return [main] + [
            _Text(edit.encoding[None].to(contexts), edit.gamma_attn, edit.gamma_norm, edit.alpha)
            for edit in self._edits
        ]

    def _attend(self, attn: Any, query: Tensor, text: _Text) -> Tensor:
        """One row's attention to one context, projected; then that context's step."""
        key, value = attn.to_k(text.context), attn.to_v(text.context)
        heads = [split_heads(packed, attn.heads) for packed in (query, key, value)]
        scores = heads[0] @ heads[1].mT * attn.scale  # [1, h, n, t]
        out = attn.to_out[0](merge_heads(scores.softmax(-1) @ heads[2]))
        if text.gamma_attn or text.gamma_norm:
            pull = scores.mT.softmax(-1) @ heads[0]
            hold = key.float().square().sum(-1).softmax(-1)[:, :, None] * key
            step = text.gamma_attn * merge_heads(pull) - text.gamma_norm * hold
            text.context = text.context + self._scale * step.to(key.dtype) @ attn.to_k.weight
        return torch.as_tensor(out)


@contextmanager
def naive(unet: Any, settings: Settings, edits: Sequence[Edit]) -> Iterator[None]:
    """The reference formulation on a diffusers UNet that evaluates [unconditional, conditional]
    rows of one image."""
    before = unet.attn_processors
    processor = _Processor(unet, settings, edits)
    unet.set_attn_processor(
        {name: processor if "attn2" in name else each for name, each in before.items()}
    )
    try:
        yield
    finally:
        unet.set_attn_processor(before)
