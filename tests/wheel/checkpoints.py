"""Tiny models with random weights, as the WebUI has them when it has loaded a checkpoint."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

WIDTH = 24
"""Width of a context."""

_TOKENIZER = Path(__file__).parents[2] / "small_model" / "weights" / "tokenizer"
_UNET = {
    "in_channels": 4,
    "out_channels": 4,
    "model_channels": 32,
    "num_res_blocks": 1,
    "attention_resolutions": [1, 2],
    "channel_mult": [1, 2],
    "use_spatial_transformer": True,
    "context_dim": WIDTH,
    "use_checkpoint": False,
    "legacy": False,
}
_VAE = {
    "double_z": True,
    "z_channels": 4,
    "resolution": 64,
    "in_channels": 3,
    "out_ch": 3,
    "ch": 32,
    "ch_mult": [1, 1, 1, 1],
    "num_res_blocks": 1,
    "attn_resolutions": [],
    "dropout": 0.0,
}


def _ldm(text: str, channels: int = 4, **changes: Any) -> Any:
    unet = {**_UNET, "in_channels": channels, "image_size": 8, "num_heads": 2}
    return {
        "target": "ldm.models.diffusion.ddpm.LatentDiffusion",
        "params": {
            "linear_start": 0.00085,
            "linear_end": 0.012,
            "timesteps": 1000,
            "first_stage_key": "jpg",
            "channels": 4,
            "image_size": 8,
            "cond_stage_key": "txt",
            "conditioning_key": "crossattn",
            "scale_factor": 0.18215,
            "use_ema": False,
            "unet_config": {
                "target": "ldm.modules.diffusionmodules.openaimodel.UNetModel",
                "params": {**unet, "transformer_depth": 1},
            },
            "first_stage_config": {
                "target": "ldm.models.autoencoder.AutoencoderKL",
                "params": {
                    "embed_dim": 4,
                    "ddconfig": _VAE,
                    "lossconfig": {"target": "torch.nn.Identity"},
                },
            },
            "cond_stage_config": {
                "target": "ldm.modules.encoders.modules.FrozenCLIPEmbedder",
                "params": {"version": text, "device": "cpu"},
            },
            **changes,
        },
    }


def _sgm(text: str) -> Any:
    """Its two text encoders make the context together, as those of SDXL do."""
    encoder = {
        "input_key": "txt",
        "target": "sgm.modules.encoders.modules.FrozenCLIPEmbedder",
        "params": {"version": text, "device": "cpu", "layer": "hidden", "layer_idx": 1},
    }
    sizes = [
        {
            "input_key": key,
            "target": "sgm.modules.encoders.modules.ConcatTimestepEmbedderND",
            "params": {"outdim": 4},
        }
        for key in ("original_size_as_tuple", "crop_coords_top_left", "target_size_as_tuple")
    ]
    steps = "sgm.modules.diffusionmodules"
    unet = {
        **_UNET,
        "num_head_channels": 16,
        "transformer_depth": [1, 2],
        "use_linear_in_transformer": True,
        "num_classes": "sequential",
        "adm_in_channels": 24,
    }
    return {
        "target": "sgm.models.diffusion.DiffusionEngine",
        "params": {
            "scale_factor": 0.13025,
            "disable_first_stage_autocast": True,
            "denoiser_config": {
                "target": f"{steps}.denoiser.DiscreteDenoiser",
                "params": {
                    "num_idx": 1000,
                    "weighting_config": {"target": f"{steps}.denoiser_weighting.EpsWeighting"},
                    "scaling_config": {"target": f"{steps}.denoiser_scaling.EpsScaling"},
                    "discretization_config": {
                        "target": f"{steps}.discretizer.LegacyDDPMDiscretization"
                    },
                },
            },
            "network_config": {"target": f"{steps}.openaimodel.UNetModel", "params": unet},
            "conditioner_config": {
                "target": "sgm.modules.GeneralConditioner",
                "params": {"emb_models": [encoder, encoder, *sizes]},
            },
            "first_stage_config": {
                "target": "sgm.models.autoencoder.AutoencoderKLInferenceWrapper",
                "params": {
                    "embed_dim": 4,
                    "ddconfig": _VAE,
                    "lossconfig": {"target": "torch.nn.Identity"},
                },
            },
        },
    }


def _text_encoder(folder: Path, width: int) -> str:
    """A folder with CLIP's tokenizer and a tiny encoder with random weights."""
    from transformers import CLIPTextConfig, CLIPTextModel

    shutil.copytree(_TOKENIZER, folder, dirs_exist_ok=True)
    config = CLIPTextConfig(
        hidden_size=width, intermediate_size=width, num_hidden_layers=2, num_attention_heads=2
    )
    model = CLIPTextModel(config)
    with torch.no_grad():  # with a mean of zero, emphasis, which keeps the mean, would divide by it
        model.text_model.final_layer_norm.bias.normal_()
    model.save_pretrained(folder)
    return str(folder)


@cache
def make(kind: str, folder: Path, seed: int = 0) -> Any:
    """A model as `sd_models` leaves one behind: `sd1`, `sdxl`, `v` (predicting v, as SD2 does),
    `edit` (InstructPix2Pix) or `inpaint` (with 9 channels)."""
    from modules import sd_hijack, sd_models, sd_models_xl, shared
    from omegaconf import OmegaConf

    torch.manual_seed(seed)
    text = _text_encoder(folder / kind / str(seed), WIDTH // 2 if kind == "sdxl" else WIDTH)
    configs = {
        "sd1": lambda: _ldm(text),
        "sdxl": lambda: _sgm(text),
        "v": lambda: _ldm(text, parameterization="v"),
        "edit": lambda: _ldm(text, 8, cond_stage_key="edit", conditioning_key="hybrid"),
        "inpaint": lambda: _ldm(text, 9, conditioning_key="hybrid"),
    }
    model = sd_models.instantiate_from_config(OmegaConf.create(configs[kind]()))
    model.requires_grad_(False).eval()
    _fill(model.model)
    model.is_sdxl, model.is_sd1, model.is_sd2, model.is_ssd = kind == "sdxl", True, False, False
    if model.is_sdxl:
        model.is_sd1 = False
        sd_models_xl.extend_sdxl(model)
    model.lowvram = False
    model.sd_checkpoint_info = sd_models.CheckpointInfo(f"{kind}-{seed}.ckpt")
    model.sd_checkpoint_info.register()
    model.sd_model_checkpoint = model.sd_checkpoint_info.filename
    sd_hijack.model_hijack.hijack(model)
    before, shared.sd_model = shared.sd_model, model
    with torch.no_grad():
        model.cond_stage_model_empty_prompt = sd_models.get_empty_cond(model)
    shared.sd_model = before
    return model


def _fill(unet: nn.Module) -> None:
    """Both libraries start their last convolutions at zero, with which nothing could be seen; and
    the text must matter."""
    with torch.no_grad():
        for name, parameter in unet.named_parameters():
            if parameter.ndim >= 2 and not parameter.any():
                nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
            if "attn2" in name and parameter.ndim == 2:
                parameter.mul_(2.0)
