"""One call of one cross-attention layer, and the hooks that follow it.

    pre-hook on the layer        pass the cascade's current context instead of the static one
    hooks on to_q, to_k, to_v    record query and key as they pass, so that none is computed twice,
                                 and whether other people's hooks change them
    pre-hook on to_out[0]        replace the heads' output by the mix of all prompts' outputs
    hook on the layer            take the steps of the contexts, for the next layer

Other people's code may call the linears in another way, replace them (LoRA) or hook them too. A
record is used only if nothing of that kind was seen; otherwise the call applies the linears itself:
slower, same result. Shape letters as in `ebca.core.energy`.
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
    """The current call of `layer` and the tensors known so far; dropped when the call ends."""

    layer: Layer
    hidden: Tensor  # [b, n, *]
    start: Tensor  # the context from the host, [b, t, c]
    context: Tensor  # the context that the layer gets, [b, t, c]
    projections: Projections
    extras: bool = False  # the heads' output may hold more than text (IP-Adapter, NegPiP)
    mixed: bool = False
    _noted: dict[str, list[Tensor]] = field(default_factory=dict)
    _seen: dict[str, tuple[Tensor, int]] = field(default_factory=dict)
    _only_recorded: dict[str, nn.Module] = field(default_factory=dict)
    _projecting: bool = False

    @property
    def query(self) -> Tensor:
        """The query of all rows, [b, n, h*d]."""
        return self._believed("to_q", lambda: self.hidden, self.hidden.shape[:2])

    @property
    def key(self) -> Tensor:
        """The key of the main contexts, [b, t, h*d]."""
        return self._believed(
            "to_k", lambda: self.projections.inputs(self.context)[0], self.context.shape[:2]
        )

    @property
    def value(self) -> Tensor:
        """The main contexts' value as text, [b, t, h*d], even where others have replaced it."""

        def given() -> Tensor:
            return self.projections.inputs(self.context)[1]

        if self.extras:
            return self.project("to_v", given())
        return self._believed("to_v", given, self.context.shape[:2])

    def project(self, name: str, tensor: Tensor) -> Tensor:
        """Apply the layer's linear `name` on the engine's behalf rather than the host's.

        Other people's hooks that only record tensors (S-CFG of sd-webui-incantations) are not
        called: they would take this call for the host's.
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
        """Record the output of a linear before anybody else's hooks."""
        self._seen[name] = (output, _version(output))

    def note(self, name: str, linear: nn.Module, hook: object, output: Tensor) -> None:
        """Record the output of `linear` in the host's call, after all hooks."""
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
    """Count the changes in place; always 0 for inference-mode tensors, which have no count."""
    return 0 if tensor.is_inference() else tensor._version


class Listener(Protocol):
    """The receiver of the hooks' calls: the engine."""

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
        """Yield (register function, hook, whether the hook takes keyword arguments)."""
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
            return None  # self-attention, or arguments of an unknown kind
        call = self._listener.arrive(self._layer, hidden, context)
        if call is None:
            return None
        value = kwargs.get("value")  # on Forge, an extension may change it
        others_value = value is not None and value is not context
        call.extras = bool(extras) or self._layer.replaced or others_value
        handed = (call.context, *extras) if extras else call.context
        if name:
            values = {"value": handed} if value is context and value is not None else {}
            return args, {**kwargs, name: handed, **values}
        return (args[0], handed, *args[2:]), kwargs

    def _noting(self, name: str) -> tuple[Callable[..., None], Callable[..., None]]:
        """Return the first and the last hook of a linear."""

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
            return None  # its output may be several pictures (Regional Prompter's regions)
        if self._layer.output[0] is not linear:
            return None  # within a wrapper (LoRA), whose other parts would miss the mix
        mixed = self._listener.mix_heads(call, args[0])
        return None if mixed is args[0] else (mixed, *args[1:])

    def _depart(self, _module: nn.Module, _args: Any, output: Any) -> Any:
        call = self._listener.current_call(self._layer)
        return self._listener.depart(call, output) if call is not None else None
