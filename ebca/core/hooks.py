"""One call of one cross-attention layer, and the hooks that follow it.

    pre-hook on the layer        hand it the cascade's current context instead of the static one
    hooks on to_q, to_k, to_v    note query and key as they pass, so that none is computed twice,
                                 and whether other people's hooks change what passes
    pre-hook on to_out[0]        replace the heads' output by the mix of all prompts' outputs
    hook on the layer            contexts take their steps, for the next layer to see

Other people's code may call the linears in another way, replace them (LoRA) or hook them too. A
note is only believed if nothing of that kind was seen; otherwise the call calls the linears
itself: slower, same result. Shape letters as in `ebca.core.energy`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ebca.core.layers import Layer, Projections

LINEARS = ("to_q", "to_k", "to_v")
_CONTEXT_NAMES = ("encoder_hidden_states", "context")


@dataclass
class LayerCall:
    """What is known of the call of `layer` under way; dropped when the call ends."""

    layer: Layer
    hidden: Tensor  # [b, n, *]
    start: Tensor  # the context that the host handed in, [b, t, c]
    context: Tensor  # the one that the layer sees, [b, t, c]
    projections: Projections
    extras: bool = False  # more than text may be in the heads' output (IP-Adapter, NegPiP)
    mixed: bool = False
    _noted: dict[str, list[Tensor]] = field(default_factory=dict)
    _seen: dict[str, tuple[Tensor, int]] = field(default_factory=dict)
    _only_recorded: dict[str, nn.Module] = field(default_factory=dict)
    _projecting: bool = False

    @property
    def query(self) -> Tensor:
        """[b, n, h*d]"""
        return self._believed("to_q", lambda: self.hidden, self.hidden.shape[:2])

    @property
    def key(self) -> Tensor:
        """[b, t, h*d], of the main contexts"""
        return self._believed(
            "to_k", lambda: self.projections.inputs(self.context)[0], self.context.shape[:2]
        )

    @property
    def value(self) -> Tensor:
        """[b, t, h*d], of the main contexts as text, whatever others put in their place"""

        def given() -> Tensor:
            return self.projections.inputs(self.context)[1]

        if self.extras:
            return self.project("to_v", given())
        return self._believed("to_v", given, self.context.shape[:2])

    def project(self, name: str, tensor: Tensor) -> Tensor:
        """The layer's linear of that name applied by the engine rather than by the host.

        Hooks of others that only record what passes (S-CFG of sd-webui-incantations) are not told
        of it: they would take it for the host's.
        """
        linear = self.layer.linear(name)
        if linear is self._only_recorded.get(name) and not linear._forward_pre_hooks:
            return linear.forward(tensor)  # type: ignore[no-any-return]
        self._projecting = True
        try:
            return linear(tensor)  # type: ignore[no-any-return]
        finally:
            self._projecting = False

    def see(self, name: str, output: Tensor) -> None:
        """Take down what a linear put out before anybody else's hooks saw it."""
        self._seen[name] = (output, _version(output))

    def note(self, name: str, linear: nn.Module, hook: object, output: Tensor) -> None:
        """Take down what `linear` put out when the host called it, after all hooks."""
        ours_is_last = next(reversed(linear._forward_hooks.values())) == hook
        in_place = self.layer.linear(name) is linear
        if not (ours_is_last and in_place) or self._projecting:
            return
        self._noted.setdefault(name, []).append(output)
        before, version = self._seen.pop(name, (None, 0))
        if before is output and _version(output) == version:
            self._only_recorded[name] = linear

    def _believed(self, name: str, given: Callable[[], Tensor], shape: torch.Size) -> Tensor:
        notes = self._noted.get(name, [])
        if len(notes) != 1 or notes[0].shape[:2] != shape:
            self._noted[name] = notes = [self.project(name, given())]
        return notes[0]


def _version(tensor: Tensor) -> int:
    """Grows with every change in place; tensors of inference mode do not count them."""
    return 0 if tensor.is_inference() else tensor._version


class Listener(Protocol):
    """Who is told about calls: the engine."""

    def arrive(self, layer: Layer, hidden: Tensor, context: Tensor) -> LayerCall | None: ...
    def current_call(self, layer: Layer) -> LayerCall | None: ...
    def mix_heads(self, call: LayerCall, heads_out: Tensor) -> Tensor: ...
    def depart(self, call: LayerCall, output: Tensor) -> Tensor: ...


class LayerHooks:
    """The hooks of one layer."""

    def __init__(self, layer: Layer, listener: Listener) -> None:
        self._layer, self._listener = layer, listener
        self._notes = {name: self._noting(name) for name in LINEARS}

    def registrations(self) -> Iterator[tuple[Callable[..., Any], Callable[..., Any], bool]]:
        """(where to register, hook, whether it takes keyword arguments)"""
        layer, module = self._layer, self._layer.module
        yield module.register_forward_pre_hook, self._arrive, True
        for name, (see, note) in self._notes.items():
            linear = layer.linear(name)
            yield partial(linear.register_forward_hook, prepend=True), see, False
            yield linear.register_forward_hook, note, False
        yield layer.output[0].register_forward_pre_hook, self._mix_heads, False
        yield module.register_forward_hook, self._depart, False

    def _arrive(
        self, _module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        name = next((name for name in _CONTEXT_NAMES if name in kwargs), None)
        context = kwargs[name] if name else args[1] if len(args) > 1 else None
        hidden = args[0] if args else kwargs.get("hidden_states", kwargs.get("x"))
        extras: tuple[Any, ...] = ()
        if isinstance(context, tuple) and context:  # diffusers' IP-Adapters: (text, images)
            context, extras = context[0], context[1:]
        if not (isinstance(context, Tensor) and isinstance(hidden, Tensor)):
            return None  # self-attention, or a host that speaks of something else
        call = self._listener.arrive(self._layer, hidden, context)
        if call is None:
            return None
        value = kwargs.get("value")  # Forge's, if an extension is to change what the layer attends
        others_value = value is not None and value is not context
        call.extras = bool(extras) or self._layer.replaced or others_value
        handed = (call.context, *extras) if extras else call.context
        if name:
            values = {"value": handed} if value is context and value is not None else {}
            return args, {**kwargs, name: handed, **values}
        return (args[0], handed, *args[2:]), kwargs

    def _noting(self, name: str) -> tuple[Callable[..., None], Callable[..., None]]:
        """The first hook and the last one of a linear."""

        def see(_linear: nn.Module, _args: Any, output: Tensor) -> None:
            if call := self._listener.current_call(self._layer):
                call.see(name, output)

        def note(linear: nn.Module, _args: Any, output: Tensor) -> None:
            if call := self._listener.current_call(self._layer):
                call.note(name, linear, note, output)

        return see, note

    def _mix_heads(self, linear: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        call = self._listener.current_call(self._layer)
        expected = call and call.hidden.shape[:2] == args[0].shape[:2]
        if call is None or call.mixed or not expected:
            return None
        if self._layer.replaced:
            return None  # it may put out several pictures' worth (Regional Prompter's regions)
        if self._layer.output[0] is not linear:
            return None  # inside a wrapper (LoRA), whose other parts would not see the average
        mixed = self._listener.mix_heads(call, args[0])
        return None if mixed is args[0] else (mixed, *args[1:])

    def _depart(self, _module: nn.Module, _args: Any, output: Any) -> Any:
        call = self._listener.current_call(self._layer)
        return self._listener.depart(call, output) if call is not None else None
