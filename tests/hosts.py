"""Tiny UNets of the WebUI's own libraries, ldm (SD1, SD2) and sgm (SDXL), with random weights."""

import importlib.util
import sys
import types
from pathlib import Path

import torch
from torch import nn

CONTEXT_WIDTH = 24
ADM_CHANNELS = 16


def tiny_ldm() -> nn.Module:
    """ldm's `UNetModel` with 7 cross-attention layers."""
    from ldm.modules.diffusionmodules.openaimodel import UNetModel

    torch.manual_seed(0)
    return _filled(UNetModel(image_size=8, num_heads=2, transformer_depth=1, **_SHAPE))


def tiny_sgm() -> nn.Module:
    """sgm's `UNetModel` with 11 cross-attention layers and a vector input."""
    _name_sgm()
    from sgm.modules.diffusionmodules.openaimodel import UNetModel

    torch.manual_seed(0)
    return _filled(
        UNetModel(
            num_head_channels=16,
            transformer_depth=[1, 2],
            use_linear_in_transformer=True,
            num_classes="sequential",
            adm_in_channels=ADM_CHANNELS,
            **_SHAPE,
        )
    )


_SHAPE = {
    "in_channels": 4,
    "out_channels": 4,
    "model_channels": 32,
    "num_res_blocks": 1,
    "attention_resolutions": [1, 2],
    "channel_mult": [1, 2],
    "use_spatial_transformer": True,
    "context_dim": CONTEXT_WIDTH,
    "use_checkpoint": False,
    "legacy": False,
}


def _filled(unet: nn.Module) -> nn.Module:
    """Both libraries start their last convolutions at zero; with zeros nothing could be seen."""
    with torch.no_grad():
        for parameter in unet.parameters():
            if parameter.ndim >= 2 and not parameter.any():
                nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
    return unet.eval().requires_grad_(False)


def _name_sgm() -> None:
    """Give the sgm inside its wheel its own name, past packages that import half a WebUI."""
    if "sgm" in sys.modules:
        return
    spec = importlib.util.find_spec("auto1111sdk")
    assert spec is not None
    assert spec.submodule_search_locations
    root = Path(spec.submodule_search_locations[0], "modules", "generative", "sgm")
    for name in ("sgm", "sgm.modules", "sgm.modules.diffusionmodules"):
        package = types.ModuleType(name)
        package.__path__ = [str(root.joinpath(*name.split(".")[1:]))]
        sys.modules[name] = package
