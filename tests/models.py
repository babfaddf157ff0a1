"""Tiny models with random weights, and inputs for them."""

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

CONTEXT_WIDTH = 24
TOKENS = 7
PAPER = {"gamma_spread": 0.0, "centered": False, "and_means": "average", "regions": 0.0}
"""What leaves an update to the paper's terms."""
LAYERS = 7  # cross-attention layers of `tiny_unet`: 2 down, 1 mid, 4 up


def tiny_unet(**config: object) -> UNet2DConditionModel:
    """An SD1-like UNet of 7 cross-attention layers in 3 levels, to whose output text matters."""
    torch.manual_seed(0)
    shape = {
        "block_out_channels": (32, 64, 64),
        "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        "layers_per_block": 1,
        "cross_attention_dim": CONTEXT_WIDTH,
        "attention_head_dim": 2,  # which means the number of heads
        "norm_num_groups": 8,
    }
    unet = UNet2DConditionModel(**{**shape, **config})
    with torch.no_grad():
        for name, parameter in unet.named_parameters():
            if "attn2" in name and name.endswith("weight"):
                parameter.mul_(2.0)
    return unet.eval().requires_grad_(False)


def noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def latent(rows: int, height: int = 8, width: int = 8, seed: int = 1) -> Tensor:
    """Different pictures in every row."""
    return noise(rows, 4, height, width, seed=seed)


def context(rows: int, tokens: int = TOKENS, seed: int = 2) -> Tensor:
    """Different encoded prompts in every row, [rows, tokens, CONTEXT_WIDTH]."""
    return noise(rows, tokens, CONTEXT_WIDTH, seed=seed)


def encoding(tokens: int = TOKENS, seed: int = 3) -> Tensor:
    """One encoded prompt, [tokens, CONTEXT_WIDTH]."""
    return noise(tokens, CONTEXT_WIDTH, seed=seed)


def evaluate(unet: torch.nn.Module, sample: Tensor, text: Tensor, timestep: float = 500) -> Tensor:
    """The UNet's output, without gradients."""
    with torch.no_grad():
        output: Tensor = unet(sample, timestep, encoder_hidden_states=text, return_dict=False)[0]
        return output


def distance(one: Tensor, other: Tensor) -> float:
    """The largest difference, relative to the size of `other`."""
    assert one.shape == other.shape
    return float((one - other).abs().max() / other.abs().max())
