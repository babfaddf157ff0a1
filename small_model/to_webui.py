"""Write the small model as a checkpoint for AUTOMATIC1111's WebUI.

    python small_model/to_webui.py DEST

DEST is the WebUI's folder `models/Stable-diffusion`. It gets `ebca-small.safetensors`, the weights
under the names of the ldm library, `ebca-small.yaml`, their configuration, and `ebca-small/`, the
text encoder's configuration and tokenizer. The yaml has that folder's full path: do not move it.

Only torch and safetensors are needed, so the WebUI's own Python will do.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

WEIGHTS = Path(__file__).resolve().parent / "weights"
NAME = "ebca-small"

# the parts of a block: diffusers' name and ldm's
_UNET_PARTS = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_VAE_PARTS = {"conv_shortcut": "nin_shortcut", "group_norm": "norm", "to_out.0": "proj_out"}
_VAE_PARTS |= {"to_q": "q", "to_k": "k", "to_v": "v"}


def convert(destination: Path, weights: Path = WEIGHTS) -> None:
    """Write the model of `weights` into the folder `destination`."""
    destination = destination.resolve()
    parts = {
        "model.diffusion_model": unet_state(weights),
        "first_stage_model": vae_state(weights),
        "cond_stage_model.transformer": _load(weights / "text_encoder"),
    }
    state = {
        f"{prefix}.{name}": tensor.half().contiguous()
        for prefix, part in parts.items()
        for name, tensor in part.items()
    }
    text_folder = destination / NAME
    shutil.copytree(weights / "tokenizer", text_folder, dirs_exist_ok=True)
    shutil.copy(weights / "text_encoder" / "config.json", text_folder)
    yaml = destination / f"{NAME}.yaml"
    yaml.write_text(ldm_yaml(weights, text_folder), encoding="utf-8")
    save_file(state, destination / f"{NAME}.safetensors", metadata={"format": "pt"})


def unet_state(weights: Path) -> dict[str, Tensor]:
    """Return the UNet's weights under the names of ldm's `UNetModel`."""
    config = _config(weights / "unet")
    layers = config["layers_per_block"]
    blocks = {
        "time_embedding.linear_1": "time_embed.0",
        "time_embedding.linear_2": "time_embed.2",
        "conv_in": "input_blocks.0.0",
        "mid_block.resnets.0": "middle_block.0",
        "mid_block.attentions.0": "middle_block.1",
        "mid_block.resnets.1": "middle_block.2",
        "conv_norm_out": "out.0",
        "conv_out": "out.2",
    }
    for level in range(len(config["block_out_channels"])):
        down, up = f"down_blocks.{level}", f"up_blocks.{level}"
        first = level * (layers + 1)  # ldm counts the blocks through all levels
        for layer in range(layers + 1):
            for kind, place in (("resnets", 0), ("attentions", 1)):
                blocks[f"{down}.{kind}.{layer}"] = f"input_blocks.{1 + first + layer}.{place}"
                blocks[f"{up}.{kind}.{layer}"] = f"output_blocks.{first + layer}.{place}"
        blocks[f"{down}.downsamplers.0.conv"] = f"input_blocks.{1 + first + layers}.0.op"
        blocks[f"{up}.upsamplers.0"] = f"output_blocks.{first + layers}.2"
    state = _load(weights / "unet")
    return {_renamed(name, blocks, _UNET_PARTS): tensor for name, tensor in state.items()}


def vae_state(weights: Path) -> dict[str, Tensor]:
    """Return the autoencoder's weights under the names of ldm's `AutoencoderKL`."""
    config = _config(weights / "vae")
    last = len(config["block_out_channels"]) - 1
    blocks = {name: name for name in ("quant_conv", "post_quant_conv")}
    for half in ("encoder", "decoder"):
        blocks[f"{half}.conv_in"] = f"{half}.conv_in"
        blocks[f"{half}.mid_block.resnets.0"] = f"{half}.mid.block_1"
        blocks[f"{half}.mid_block.attentions.0"] = f"{half}.mid.attn_1"
        blocks[f"{half}.mid_block.resnets.1"] = f"{half}.mid.block_2"
        blocks[f"{half}.conv_norm_out"] = f"{half}.norm_out"
        blocks[f"{half}.conv_out"] = f"{half}.conv_out"
    for level in range(last + 1):
        down, up = f"encoder.down_blocks.{level}", f"decoder.up_blocks.{level}"
        ldm_down, ldm_up = f"encoder.down.{level}", f"decoder.up.{last - level}"
        for layer in range(config["layers_per_block"] + 1):
            blocks[f"{down}.resnets.{layer}"] = f"{ldm_down}.block.{layer}"
            blocks[f"{up}.resnets.{layer}"] = f"{ldm_up}.block.{layer}"
        blocks[f"{down}.downsamplers.0"] = f"{ldm_down}.downsample"
        blocks[f"{up}.upsamplers.0"] = f"{ldm_up}.upsample"
    state = {}
    for name, tensor in _load(weights / "vae").items():
        if ".attentions." in name and tensor.ndim == 2:
            tensor = tensor[:, :, None, None]  # ldm has a 1 x 1 convolution for a linear layer
        state[_renamed(name, blocks, _VAE_PARTS)] = tensor
    return state


def ldm_yaml(weights: Path, text_folder: Path) -> str:
    """Return ldm's description of the model, whose text encoder's files are in `text_folder`."""
    unet, vae = _config(weights / "unet"), _config(weights / "vae")
    noise = _config(weights / "scheduler", "scheduler_config.json")
    widths, vae_widths = unet["block_out_channels"], vae["block_out_channels"]
    return f"""\
model:
  target: ldm.models.diffusion.ddpm.LatentDiffusion
  params:
    linear_start: {noise["beta_start"]}
    linear_end: {noise["beta_end"]}
    timesteps: {noise["num_train_timesteps"]}
    first_stage_key: jpg
    cond_stage_key: txt
    image_size: {unet["sample_size"]}
    channels: {unet["in_channels"]}
    conditioning_key: crossattn
    scale_factor: {vae["scaling_factor"]}
    use_ema: false
    unet_config:
      target: ldm.modules.diffusionmodules.openaimodel.UNetModel
      params:
        image_size: {unet["sample_size"]}
        in_channels: {unet["in_channels"]}
        out_channels: {unet["out_channels"]}
        model_channels: {widths[0]}
        attention_resolutions: {[2**level for level in range(len(widths))]}
        num_res_blocks: {unet["layers_per_block"]}
        channel_mult: {[width // widths[0] for width in widths]}
        num_heads: {unet["attention_head_dim"]} # their number, in spite of diffusers' name for it
        use_spatial_transformer: true
        context_dim: {unet["cross_attention_dim"]}
        legacy: false
    first_stage_config:
      target: ldm.models.autoencoder.AutoencoderKL
      params:
        embed_dim: {vae["latent_channels"]}
        ddconfig:
          double_z: true
          z_channels: {vae["latent_channels"]}
          resolution: {vae["sample_size"]}
          in_channels: {vae["in_channels"]}
          out_ch: {vae["out_channels"]}
          ch: {vae_widths[0]}
          ch_mult: {[width // vae_widths[0] for width in vae_widths]}
          num_res_blocks: {vae["layers_per_block"]}
          attn_resolutions: []
        lossconfig:
          target: torch.nn.Identity
    cond_stage_config:
      target: ldm.modules.encoders.modules.FrozenCLIPEmbedder
      params:
        version: {json.dumps(str(text_folder), ensure_ascii=False)}
        device: cpu
"""


def _renamed(name: str, blocks: dict[str, str], parts: dict[str, str]) -> str:
    """Return ldm's name of the weight `name`: its block from `blocks`, its part from `parts`."""
    module, _, kind = name.rpartition(".")  # kind: weight or bias
    (block,) = (each for each in blocks if f"{module}.".startswith(f"{each}."))
    part = module[len(block) + 1 :]
    return ".".join(filter(None, (blocks[block], parts.get(part, part), kind)))


def _load(folder: Path) -> dict[str, Tensor]:
    (file,) = folder.glob("*.safetensors")
    return load_file(file)


def _config(folder: Path, name: str = "config.json") -> Any:
    return json.loads((folder / name).read_text(encoding="utf-8"))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="The small model as a checkpoint for the WebUI.")
    parser.add_argument("dest", type=Path, help="the WebUI's folder models/Stable-diffusion")
    destination: Path = parser.parse_args(arguments).dest
    if not destination.is_dir():
        parser.error(f"there is no folder {str(destination)!r}")
    convert(destination)
    print(f"{destination / NAME}.safetensors")


if __name__ == "__main__":
    main()
