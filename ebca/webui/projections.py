"""How the WebUI projects contexts: through hypernetworks, its LoRAs and its settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from modules import shared  # type: ignore[import-not-found]
from torch import Tensor, nn

from ebca.core.layers import Layer, Projections


class WebUIProjections(Projections):
    """The projections of the WebUI's UNets."""

    def inputs(self, context: Tensor) -> tuple[Tensor, Tensor]:
        """Return `context` as the loaded hypernetworks change it for keys and for values. Some of
        Forge's relatives, which do not use these projections, lack the module."""
        networks: list[Any] = shared.loaded_hypernetworks
        if not networks:
            return context, context
        from modules.hypernetworks import hypernetwork  # type: ignore[import-not-found]

        for_key, for_value = hypernetwork.apply_hypernetworks(networks, context)
        return for_key, for_value

    def pull_back(self, context: Tensor, gradient: Tensor) -> Tensor:
        """Pull a gradient back through the loaded hypernetworks, by autograd."""
        if not shared.loaded_hypernetworks:
            return gradient
        with torch.enable_grad():
            source = context.detach().requires_grad_()
            for_key, _ = self.inputs(source)
        (through,) = torch.autograd.grad(for_key, source, gradient.to(for_key.dtype))
        return through

    def key_weight(
        self, to_k: nn.Module, context: Tensor, project: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """Return W_K^T, by calling `to_k` if the WebUI is set to add LoRAs in every call."""
        if getattr(shared.opts, "lora_functional", False):
            return self.acting_weight(context, project)
        return super().key_weight(to_k, context, project)

    def upcast(self, layer: Layer) -> bool:
        """Whether the layer or the setting "Upcast cross attention layer to float32" wants fp32."""
        return bool(shared.opts.upcast_attn) or super().upcast(layer)
