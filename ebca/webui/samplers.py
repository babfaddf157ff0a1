"""Replacements for the denoiser and the noise that a sampler of the host is given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from ebca.hosts.replacing import replaced

_SEED = 0


class StandIn:
    """The host's denoiser, except that `call` handles a sampler's calls of it."""

    def __init__(self, model: Any, call: Callable[[Tensor, Tensor, dict[str, Any]], Any]) -> None:
        """`call` gets the latents, their level and the denoiser's other arguments."""
        vars(self).update(_model=model, _call=call)

    def __call__(self, x: Tensor, level: Tensor, **given: Any) -> Any:
        return self._call(x, level, given)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._model, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._model, name)


@contextmanager
def quiet(p: Any, x: Tensor, kwargs: dict[str, Any], silent: Callable[[], bool]) -> Iterator[None]:
    """While the block runs, give samplers of the job `p` on latents `x` zeros for noise whenever
    `silent` returns true. `kwargs`, the sampler's arguments, are changed.

    Some samplers and Forge's inpainting draw noise of their own nevertheless; that noise is the
    same in every such block.
    """

    def unless_silent(draw: Callable[..., Tensor]) -> Callable[..., Tensor]:
        return lambda *span: x.new_zeros(x.shape) if silent() else draw(*span)

    if "noise_sampler" in kwargs:
        drawn = kwargs["noise_sampler"] or (lambda *_: x.new_empty(x.shape).normal_())
        kwargs["noise_sampler"] = unless_silent(drawn)
    devices = [x.device] if x.device.type == "cuda" else []
    with replaced(p.rng, "next", unless_silent(p.rng.next)), torch.random.fork_rng(devices):
        torch.manual_seed(_SEED)
        yield
