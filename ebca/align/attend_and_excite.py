"""Attend-and-Excite (Chefer et al. 2023, arXiv 2301.13826) on a pipeline, to compare EBCA with.

Before every step of the first half, the latents move so that the least attended subject gets more
attention:

    z <- z - a_t  d/dz max_s ( 1 - max_x G * A_s(z, x) )

A_s is the attention to subject s among the words of the prompt (scores times 100, softmax, as in
the authors' code), the mean over the heads and layers of one level; G is a Gaussian of width 0.5.
Before three steps the move repeats, at most 20 times, until the loss is below a threshold.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ebca.core.attention import split_heads
from ebca.core.layers import Layer, find_layers

SCALE = 20.0
"""The authors' step size; over the steps it falls to `SCALE` times the square root of a half."""

_MOVED = 0.5
"""The first share of the steps, before each of which the latents move: 25 of the authors' 50."""

_REFINED = ((0.0, 0.05), (0.2, 0.5), (0.4, 0.8))
"""(share of the steps, t): there, refine until the loss is below 1 - t; theirs: 0, 10, 20 of 50."""

_MOST_REFINEMENTS = 20
_SHARPNESS = 100.0
_PIXELS = 256
"""Attention is read at the finest level with at most this many pixels, or else at the coarsest."""


class AttendAndExcite:
    """The latents of one batch, and the moves that Attend-and-Excite makes with them."""

    def __init__(
        self,
        pipe: Any,
        prompts: Sequence[str],
        tokens: Sequence[Sequence[Sequence[int]]],
        steps: int,
        scale: float = SCALE,
    ) -> None:
        """`tokens` has, for each image, the token indices of every subject."""
        self._pipe, self._tokens, self._steps, self._scale = pipe, tokens, steps, scale
        self._context = pipe.encode_prompt(list(prompts), pipe.device, 1, False)[0]
        ids = pipe.tokenizer(list(prompts), truncation=True)["input_ids"]
        self._words = [len(each) - 2 for each in ids]  # without begin and end
        self._noted: dict[str, Tensor] = {}
        self.gradients = 0
        """How many times the UNet was evaluated and differentiated, for the whole batch."""

    def first(self, latents: Tensor) -> Tensor:
        """Move pure noise [b, 4, h, w], scaled as the pipeline takes it, before the first step."""
        scheduler = self._pipe.scheduler
        scheduler.set_timesteps(self._steps, device=latents.device)
        sigma = float(scheduler.init_noise_sigma)
        return self._moved(latents * sigma, 0) / sigma

    def after_step(self, _pipe: Any, step: int, _time: Any, kwargs: dict[str, Any]) -> Any:
        """Move the latents before the next step; the pipeline's callback at the end of a step."""
        if step + 1 < _MOVED * self._steps:
            kwargs["latents"] = self._moved(kwargs["latents"], step + 1)
        return kwargs

    def _moved(self, latents: Tensor, step: int) -> Tensor:
        done = step / self._steps
        size = self._scale * math.sqrt(1.0 - 0.5 * done)
        for begin, threshold in _REFINED:
            if step == math.ceil(begin * self._steps):
                for _ in range(_MOST_REFINEMENTS):
                    losses, gradient = self._pull(latents, step)
                    above = losses > 1.0 - threshold
                    if not above.any():
                        break
                    latents = latents - size * gradient * above[:, None, None, None]
        losses, gradient = self._pull(latents, step)
        return latents - size * gradient

    def _pull(self, latents: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """Return the loss of each image, [b], and its gradient with respect to the latents."""
        pipe, time = self._pipe, self._pipe.scheduler.timesteps[step]
        self.gradients += 1
        with torch.enable_grad(), self._noting() as layers:
            leaf = latents.detach().requires_grad_()
            pipe.unet(pipe.scheduler.scale_model_input(leaf, time), time, self._context)
            losses = self._losses(layers, (leaf.shape[-2], leaf.shape[-1]))
            (gradient,) = torch.autograd.grad(losses.sum(), leaf)
        return losses.detach(), gradient

    @contextmanager
    def _noting(self) -> Iterator[list[Layer]]:
        layers = find_layers(self._pipe.unet)
        hooks = [
            layer.linear(name).register_forward_hook(partial(self._note, f"{layer.index} {name}"))
            for layer in layers
            for name in ("to_q", "to_k")
        ]
        try:
            yield layers
        finally:
            for hook in hooks:
                hook.remove()
            self._noted.clear()

    def _note(self, key: str, _linear: Any, _args: Any, output: Tensor) -> None:
        self._noted[key] = output

    def _losses(self, layers: Sequence[Layer], latent: tuple[int, int]) -> Tensor:
        sizes = {self._noted[f"{layer.index} to_q"].shape[1] for layer in layers}
        pixels = min(sizes, key=lambda size: (size > _PIXELS, abs(size - _PIXELS)))
        height = round(math.sqrt(pixels * latent[0] / latent[1]))
        shares = [
            self._share(layer)
            for layer in layers
            if self._noted[f"{layer.index} to_q"].shape[1] == pixels
        ]
        share = torch.stack(shares).mean(0)  # [b, n, t]
        return torch.stack(
            [
                _least_attended(each[:, 1 : 1 + words], tokens, height)
                for each, words, tokens in zip(share, self._words, self._tokens, strict=True)
            ]
        )

    def _share(self, layer: Layer) -> Tensor:
        """Return the attention of each pixel to each token, the mean over heads, [b, n, t]."""
        packed = [self._noted[f"{layer.index} {name}"] for name in ("to_q", "to_k")]
        query, key = (split_heads(each, layer.heads) for each in packed)
        beta = layer.beta(packed[0].shape[-1])
        return (beta * query @ key.mT).softmax(-1).mean(1)


def _least_attended(share: Tensor, tokens: Sequence[Sequence[int]], height: int) -> Tensor:
    """Return 1 minus the peak attention of the least attended subject; `share` is [n, words]."""
    maps = (_SHARPNESS * share).softmax(-1)
    losses = []
    for subject in tokens:
        own = maps[:, [index - 1 for index in subject]].mean(-1).view(1, 1, height, -1)
        losses.append((1.0 - _smooth(own).max()).clamp(min=0.0))
    return torch.stack(losses).max()


def _smooth(maps: Tensor) -> Tensor:
    """Convolve with a 3 x 3 Gaussian of width 0.5."""
    line = torch.exp(-2.0 * torch.tensor([-1.0, 0.0, 1.0]) ** 2)
    kernel = (line / line.sum()).to(maps)
    padded = F.pad(maps, (1, 1, 1, 1), mode="reflect")
    return F.conv2d(padded, (kernel[:, None] * kernel)[None, None])
