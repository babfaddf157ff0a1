"""Find a UNet's cross-attention layers, and describe each for the engine.

Layers are recognised by their attributes, not by their class, so ldm, sgm and diffusers need no
import.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ebca.settings.checks import SettingsError

_LINEARS = ("to_q", "to_k", "to_v", "to_out")
_PLACES = {  # part of a layer's name -> its place: first diffusers', then ldm's and sgm's
    "down_blocks": "down",
    "mid_block": "mid",
    "up_blocks": "up",
    "input_blocks": "down",
    "middle_block": "mid",
    "output_blocks": "up",
}
_ORDER = tuple(dict.fromkeys(_PLACES.values()))


class NoCrossAttentionError(TypeError):
    """Raised if a model has no cross-attention layer that the engine can work on."""


@dataclass(frozen=True)
class Layer:
    """One cross-attention layer: its module, name, place (down, mid, up) and number in order."""

    module: nn.Module
    name: str
    place: str
    index: int

    @property
    def heads(self) -> int:
        return int(getattr(self.module, "heads"))  # noqa: B009

    def linear(self, name: str) -> nn.Module:
        """Return the current to_q, to_k or to_v: a LoRA may have replaced it."""
        linear: nn.Module = getattr(self.module, name)
        return linear

    @property
    def output(self) -> list[nn.Module]:
        """The parts of to_out: the projection and the modules after it."""
        return list(getattr(self.module, "to_out"))  # noqa: B009

    @property
    def replaced(self) -> bool:
        """Whether this module has a forward of its own instead of its class's.

        A program that removes its own forward may leave the class's bound to the module
        (ControlNet's IP-Adapter).
        """
        own = vars(self.module).get("forward")
        return own is not None and getattr(own, "__func__", None) is not type(self.module).forward

    def beta(self, width: int) -> float:
        """Return the scale on scores; `width` is h*d."""
        scale = getattr(self.module, "scale", None)
        return float(scale) if scale is not None else (width // self.heads) ** -0.5


def find_layers(unet: nn.Module) -> list[Layer]:
    """Return the cross-attention layers of `unet` in the order in which an evaluation visits them.

    Raises NoCrossAttentionError, which says what was looked for, if there are none.
    """
    found = sorted(_cross_attention(unet), key=lambda layer: _ORDER.index(layer[0]))  # stable
    if not found:
        raise NoCrossAttentionError(
            f"EBCA: {type(unet).__name__} has no cross-attention: looked for modules named attn2"
            f" with {', '.join(_LINEARS)} and heads below {', '.join(_PLACES)} and found none."
        )
    return [Layer(module, name, place, i) for i, (place, name, module) in enumerate(found)]


def _cross_attention(unet: nn.Module) -> Iterator[tuple[str, str, nn.Module]]:
    for name, module in unet.named_modules():
        parts = name.split(".")
        place = next((_PLACES[part] for part in parts if part in _PLACES), None)
        if place and parts[-1] == "attn2" and all(hasattr(module, a) for a in (*_LINEARS, "heads")):
            yield place, name, module


class LayerRule(NamedTuple):
    """One comma-separated part of a `layers` setting: a place, or the indices first..last."""

    place: str | None
    first: int
    last: int

    def matches(self, place: str, index: int) -> bool:
        return place == self.place or (self.place is None and self.first <= index <= self.last)


@lru_cache(maxsize=64)
def parse_layers(text: str) -> tuple[LayerRule, ...] | None:
    """Parse a `layers` setting, e.g. `all`, `mid, up`, `0-3, 8`; None stands for all layers."""
    parts = [part.strip().lower() for part in text.split(",")]
    if parts == ["all"]:
        return None
    rules = []
    for part in parts:
        match = _LAYER_RANGE.fullmatch(part)
        if part in _ORDER:
            rules.append(LayerRule(part, 0, 0))
        elif match and int(match[1]) <= int(match[2] or match[1]):
            rules.append(LayerRule(None, int(match[1]), int(match[2] or match[1])))
        else:
            raise SettingsError("layers", text, _LAYERS_LEGAL)
    return tuple(rules)


_LAYERS_LEGAL = "'all', or a list of down, mid, up, indices and ranges such as '0-3, 8, up'"
_LAYER_RANGE = re.compile(r"(\d+)(?:\s*-\s*(\d+))?")


def check_layers(text: Any) -> str:
    """Return `text`, or raise SettingsError for a `layers` setting that cannot be read."""
    if not isinstance(text, str):
        raise SettingsError("layers", text, _LAYERS_LEGAL)
    parse_layers(text)
    return text


def names_layer(text: str, layer: Layer) -> bool:
    """Return whether a `layers` setting includes `layer`."""
    rules = parse_layers(text)
    return rules is None or any(rule.matches(layer.place, layer.index) for rule in rules)


def check_layers_of(layers: list[Layer], text: str) -> None:
    """Raise SettingsError if a part of a `layers` setting matches none of `layers`."""
    for rule in parse_layers(text) or ():
        matching = any(rule.matches(layer.place, layer.index) for layer in layers)
        if not matching or rule.last >= len(layers):
            legal = f"made of parts that name layers of this model (0-{len(layers) - 1})"
            raise SettingsError("layers", text, legal)


class Projections:
    """The inputs and the key weights of an unchanged layer.

    A host that puts something in between (the WebUI has hypernetworks and its own kinds of LoRA)
    has a subclass.
    """

    def inputs(self, context: Tensor) -> tuple[Tensor, Tensor]:
        """Return the inputs of to_k and to_v for `context` [b, t, c]."""
        return context, context

    def pull_back(self, context: Tensor, gradient: Tensor) -> Tensor:
        """Return the gradient [b, t, c] with respect to the context, given that of to_k's input."""
        return gradient

    def key_weight(
        self, to_k: nn.Module, context: Tensor, project: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """Return W_K^T [h*d, c] of a layer's current key projection.

        A plain `nn.Linear` has this matrix as its weight. For anything else (LoRA, quantised or
        offloaded weights, other people's hooks) `project`, which calls `to_k`, maps the unit
        vectors: exact for every linear map, at the cost of c tokens.
        """
        weight = getattr(to_k, "weight", None)
        if isinstance(weight, Tensor) and weight.device == context.device and is_plain(to_k):
            return weight
        return self.acting_weight(context, project)

    def acting_weight(self, context: Tensor, project: Callable[[Tensor], Tensor]) -> Tensor:
        """Return `key_weight` of any linear map by calling it on the unit vectors."""
        width = context.shape[-1]
        units = torch.eye(width, device=context.device, dtype=context.dtype)[None]
        offset = project(torch.zeros_like(units[:, :1]))
        return (project(units) - offset)[0].mT

    def upcast(self, layer: Layer) -> bool:
        """Return whether the layer computes its scores in fp32 (SD2.1)."""
        return bool(getattr(layer.module, "upcast_attention", False))


def is_plain(linear: nn.Module) -> bool:
    """Return whether `linear` is PyTorch's own `nn.Linear` with no hooks but the engine's."""
    return (
        isinstance(linear, nn.Linear)
        and type(linear).forward is nn.Linear.forward
        and is_untouched(linear)
    )


def is_untouched(linear: nn.Module) -> bool:
    """Return whether `linear` has its class's forward, with no hooks but the engine's."""
    return (
        "forward" not in vars(linear)
        and all(_is_ours(hook) for hook in linear._forward_hooks.values())
        and not linear._forward_pre_hooks
        and not getattr(linear, "parametrizations", None)
    )


def _is_ours(hook: object) -> bool:
    return getattr(hook, "__module__", None) == "ebca.core.hooks"
