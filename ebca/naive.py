"""The maths of EBCA again, slow and obvious: a reference for tests and for `ebca.bench`.

Its attention processors for diffusers compute row by row and head by head with explicit softmaxes,
store every attention map, project every context and output by itself, and carry the updated
contexts from one cross-attention layer to the next, as implementations do that replace the
attention (such as the authors' code). Nothing else of `ebca` is used.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass
class Text:
    """One encoded prompt [t, c] on its way through the layers."""

    context: Tensor
    gamma_attn: float = 0.0
    gamma_norm: float = 0.0
    gamma_spread: float = 0.0
    alpha: float = 1.0
    token_weights: dict[int, float] = field(default_factory=dict)
    contrast: float | Tensor = 0.0  # in place of alpha; [h, w]: by place, and the size is kept


@dataclass
class Rows:
    """The work for every row of the batch, with all state that changes on the way."""

    mains: list[Text]
    edits: list[list[Text]]
    formulation: str = "reference"
    masks: list[Tensor | None] | None = None
    cap: float | None = None
    layers: set[int] | None = None
    scale_with_depth: bool = True
    centered: bool = False
    reference: Tensor | None = None  # [t, c]: edits add what they say beyond it
    seen: list[dict[int, Tensor]] | None = None  # token of the main context -> how much, [h, w]
    visited: int = 0
    size: tuple[int, int] = (0, 0)


def oracle(unet: Any, sample: Tensor, timestep: float, text: Tensor, rows: Rows) -> Tensor:
    """Return the output of a copy of a UNet2DConditionModel with `rows` applied."""
    walk = copy.deepcopy(unet)
    with naive(walk, rows), torch.no_grad():
        output: Tensor = walk(sample, timestep, encoder_hidden_states=text, return_dict=False)[0]
    return output


@contextmanager
def naive(unet: Any, rows: Rows) -> Iterator[None]:
    """Apply `rows` in the one evaluation of a UNet2DConditionModel that runs in the block."""
    before = dict(unet.attn_processors)
    cross = sum("attn2" in name for name in before)
    processor = _Processor(rows, 16 / cross if rows.scale_with_depth else 1.0)

    def note_size(_module: object, args: tuple[Tensor, ...]) -> None:
        rows.size = (args[0].shape[2], args[0].shape[3])

    stages = [each for each in unet.modules() if type(each).__name__ == "Transformer2DModel"]
    handles = [stage.register_forward_pre_hook(note_size) for stage in stages]
    unet.set_attn_processor(processor)
    try:
        yield
        assert rows.visited == cross
    finally:
        unet.set_attn_processor(before)
        for handle in handles:
            handle.remove()


class _Processor:
    def __init__(self, rows: Rows, depth_scale: float) -> None:
        self.rows, self.depth_scale = rows, depth_scale

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        **_: object,
    ) -> Tensor:
        assert attention_mask is None
        if encoder_hidden_states is None:
            out = [_attention(attn, pixels, pixels) for pixels in hidden_states]
        else:
            out = [self._cross(attn, row, pixels) for row, pixels in enumerate(hidden_states)]
            self.rows.visited += 1
        return torch.as_tensor(attn.to_out[0](torch.stack(out)))

    def _cross(self, attn: Any, row: int, pixels: Tensor) -> Tensor:
        rows, main = self.rows, self.rows.mains[row]
        seen = torch.ones(len(pixels), len(main.context))
        for token, places in rows.seen[row].items() if rows.seen else ():
            seen[:, token] = self._at_level(places)
        main_said = _attention(attn, pixels, main.context, seen)
        total, denominator, away = main_said, 1.0, torch.zeros_like(main_said)
        moved = main_said
        for edit in rows.edits[row]:
            said = _attention(attn, pixels, edit.context)
            if isinstance(edit.contrast, Tensor):
                moved = moved + self._at_level(edit.contrast)[:, None] * (main_said - said)
            elif edit.contrast:
                away = away + edit.contrast * (main_said - said)
            elif rows.reference is not None:
                total = total + edit.alpha * (said - _attention(attn, pixels, rows.reference))
            else:
                total = total + edit.alpha * said
                denominator += edit.alpha
        if rows.layers is None or rows.visited in rows.layers:
            for text in (main, *rows.edits[row]):
                self._step(attn, row, pixels, text)
        kept: Tensor = main_said.norm(dim=1, keepdim=True) / moved.norm(dim=1, keepdim=True)
        return total / denominator + away + moved * kept - main_said

    def _at_level(self, places: Tensor) -> Tensor:
        """Resize [h, w] to the layer's size, [n]."""
        return F.interpolate(
            places[None, None], self.rows.size, mode="bilinear", align_corners=True
        ).flatten()

    def _step(self, attn: Any, row: int, pixels: Tensor, text: Text) -> None:
        mask = self.rows.masks[row] if self.rows.masks else None
        mask = None if mask is None else self._at_level(mask)
        update = gradient_step(
            attn.to_q(pixels), attn.to_k(text.context), attn.to_k.weight, attn.heads, text,
            self.rows.formulation, mask,
        )  # fmt: skip
        mean_token = sum(text.context) / len(text.context)
        update = update + text.gamma_spread * (text.context - mean_token)
        if self.rows.centered:
            update = update - sum(update) / len(update)
        update = self.depth_scale * update
        if self.rows.cap is not None and update.norm() > self.rows.cap * text.context.norm():
            update = update / update.norm() * self.rows.cap * text.context.norm()
        text.context = text.context + update


def _attention(attn: Any, pixels: Tensor, text: Tensor, seen: Tensor | None = None) -> Tensor:
    """Return softmax_t(Q K^T / sqrt(d)) V of one row, [n, h*d]; `seen` [n, t] multiplies the shares
    of the softmax, which are then normalised again."""
    query, key, value = attn.to_q(pixels), attn.to_k(text), attn.to_v(text)
    heads = zip(*(packed.chunk(attn.heads, dim=-1) for packed in (query, key, value)), strict=True)
    out = []
    for q, k, v in heads:
        shares = (q @ k.T / q.shape[-1] ** 0.5).softmax(1)
        if seen is not None:
            shares = shares * seen / (shares * seen).sum(1, keepdim=True)
        out.append(shares @ v)
    return torch.cat(out, dim=1)


def gradient_step(
    query: Tensor, key: Tensor, key_weight: Tensor, heads: int, text: Text,
    formulation: str, mask: Tensor | None,
) -> Tensor:  # fmt: skip
    """Return the update of a context, [t, c]: query [n, h*d], key [t, h*d], W_K^T [h*d, c]."""
    width = query.shape[1] // heads
    factor = torch.ones(len(key), 1)
    for token, weight in text.token_weights.items():
        factor[token] = weight
    norms = key.square().sum(1)
    prior = (norms if formulation == "reference" else norms / 2).softmax(0)
    update = torch.zeros(len(key), key_weight.shape[1])
    for head in range(heads):
        part = slice(head * width, (head + 1) * width)
        q, k, w = query[:, part], key[:, part], key_weight[part]
        score = k @ q.T / width**0.5  # [t, n]
        if mask is None:
            pull = score.softmax(1) @ q
        elif formulation == "reference":
            pull = score.softmax(1) @ (mask[:, None] * q)
        else:
            weights = mask * (score - score.amax(1, keepdim=True)).exp()
            pull = weights / weights.sum(1, keepdim=True) @ q
        step = text.gamma_attn * factor * pull - text.gamma_norm * prior[:, None] * k
        update = update + step @ w
    return update
