"""Listening to the calls of UNets, and doing them again without the extension."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn


@dataclass
class Call:
    """One call of a UNet: what the host gave it and what came out."""

    unet: nn.Module = field(repr=False)
    args: tuple[Any, ...] = field(repr=False)
    kwargs: dict[str, Any] = field(repr=False)
    output: Tensor

    @property
    def sample(self) -> Tensor:
        sample: Tensor = self.args[0] if self.args else self.kwargs["x"]
        return sample

    @property
    def context(self) -> Tensor:
        context: Tensor = self.kwargs["context"] if "context" in self.kwargs else self.args[2]
        return context

    def again(self) -> Tensor:
        """The output for the same input now, when nothing is installed any more."""
        with torch.no_grad():
            output: Tensor = self.unet(*_copied(self.args), **_copied(self.kwargs))
        return output

    def changed(self) -> list[bool]:
        """Row by row, whether the output was another one than without the extension."""
        pairs = zip(self.output, self.again(), strict=True)
        return [not torch.equal(one, other) for one, other in pairs]


@contextlib.contextmanager
def listening(unets: Iterable[nn.Module]) -> Iterator[list[Call]]:
    """All calls of `unets`, in order."""
    calls: list[Call] = []

    def listen(unet: nn.Module, args: Any, kwargs: Any, output: Tensor) -> None:
        calls.append(Call(unet, _copied(args), _copied(kwargs), output.clone()))

    with contextlib.ExitStack() as stack:
        for unet in unets:
            stack.callback(unet.register_forward_hook(listen, with_kwargs=True).remove)
        yield calls


@contextlib.contextmanager
def at_call(unet: nn.Module, number: int, act: Callable[[], None]) -> Iterator[None]:
    """`act` within the call `number`, counted from 1, of `unet`, after its first layer."""
    seen = 0

    def count(_unet: nn.Module, _args: Any) -> None:
        nonlocal seen
        seen += 1

    def hook(_layer: nn.Module, _args: Any, _output: Any) -> None:
        if seen == number:
            act()

    layer = next(layer for name, layer in unet.named_modules() if name.endswith("attn2"))
    handles = [unet.register_forward_pre_hook(count), layer.register_forward_hook(hook)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def hooks_of(model: nn.Module) -> list[str]:
    """The modules of `model` that have hooks."""
    return [
        name
        for name, module in model.named_modules()
        if module._forward_hooks or module._forward_pre_hooks
    ]


def _copied(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.clone()
    if isinstance(value, dict):
        return {key: _copied(each) for key, each in value.items()}
    return type(value)(map(_copied, value)) if isinstance(value, (list, tuple)) else value
