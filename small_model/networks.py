"""The three networks in the layout of Stable Diffusion 1, and their folder for diffusers."""

from __future__ import annotations

import copy
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from small_model.captions import vocabulary

TOKENIZER = Path(__file__).resolve().parent / "weights" / "tokenizer"
TOKENS = 77
TRAIN_STEPS = 1000
BETAS = (0.00085, 0.012)


@dataclass(frozen=True)
class Sizes:
    """The widths of the networks. Group norms have 32 groups, so no width is below 32."""

    autoencoder: tuple[int, ...] = (64, 64, 128, 128)
    unet: tuple[int, ...] = (64, 128)
    text: int = 128
    text_layers: int = 3


TINY = Sizes(autoencoder=(32, 32, 32, 32), unet=(32, 32), text=32, text_layers=1)


def new_autoencoder(sizes: Sizes) -> Any:
    from diffusers import AutoencoderKL

    levels = len(sizes.autoencoder)
    return AutoencoderKL(
        sample_size=64,
        latent_channels=4,
        block_out_channels=sizes.autoencoder,
        layers_per_block=1,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
    )


def new_unet(sizes: Sizes) -> Any:
    from diffusers import UNet2DConditionModel

    levels = len(sizes.unet)
    return UNet2DConditionModel(
        sample_size=8,
        block_out_channels=sizes.unet,
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D",) * levels,
        up_block_types=("CrossAttnUpBlock2D",) * levels,
        cross_attention_dim=sizes.text,
        attention_head_dim=4,
    )


def new_text_encoder(sizes: Sizes, words: Words) -> Any:
    """Build a text encoder for the tokenizer's vocabulary, with zeros for untrained tokens."""
    from transformers import CLIPTextConfig, CLIPTextModel

    tokenizer = words.tokenizer
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=sizes.text,
        intermediate_size=4 * sizes.text,
        num_hidden_layers=sizes.text_layers,
        num_attention_heads=4,
        max_position_embeddings=TOKENS,
        projection_dim=sizes.text,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    encoder = CLIPTextModel(config)
    with torch.no_grad():
        table = encoder.get_input_embeddings().weight
        trained = torch.zeros(len(table), dtype=torch.bool)
        trained[words.ids] = True
        table[~trained] = 0.0
    return encoder


class Words:
    """Encodes captions, and knows the tokens that captions can have, which are trained."""

    def __init__(self) -> None:
        from transformers import CLIPTokenizer

        self.tokenizer = CLIPTokenizer.from_pretrained(str(TOKENIZER))
        texts = self.tokenizer(vocabulary()).input_ids
        self.ids = sorted({token for text in texts for token in text})
        self._known: dict[str, list[int]] = {}

    def encode(self, captions: Iterable[str], length: int) -> Tensor:
        """Return token numbers [b, length], padded with the end token."""
        end = self.tokenizer.eos_token_id
        rows = [self._row(text)[:length] for text in captions]
        return torch.tensor([row + [end] * (length - len(row)) for row in rows])

    def _row(self, text: str) -> list[int]:
        if text not in self._known:
            tokens = self.tokenizer(text, truncation=True, max_length=TOKENS).input_ids
            self._known[text] = tokens
        return self._known[text]


def take_weights(network: nn.Module, source: nn.Module) -> None:
    """Copy the weights of `source` to the same places of `network`, which may have fewer levels.

    A UNet's up blocks are matched from the last, the finest, its down blocks from the first. Raises
    ValueError if a weight of `network` has no counterpart of the same shape.
    """
    known = {_place(name, source): tensor for name, tensor in source.state_dict().items()}
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            counterpart = known.get(_place(name, network))
            if counterpart is None or counterpart.shape != tensor.shape:
                raise ValueError(f"{name} {tuple(tensor.shape)} is not in the other model")
            tensor.copy_(counterpart)


def _place(name: str, network: Any) -> str:
    block = re.match(r"up_blocks\.(\d+)\.", name)
    if block is None:
        return name
    from_last = len(network.up_blocks) - int(block[1])
    return f"up_blocks.-{from_last}.{name[block.end() :]}"


def plain_attention(network: Any) -> None:
    """Compute attention by matrix products: on a CPU their backward is twice as fast as fused."""
    from diffusers.models.attention_processor import AttnProcessor

    network.set_attn_processor(AttnProcessor())


def save_pipeline(folder: Path, autoencoder: Any, unet: Any, text_encoder: Any) -> None:
    """Write a folder that `python -m ebca generate --model` loads, in fp16."""
    from diffusers import DDIMScheduler, StableDiffusionPipeline
    from transformers import CLIPTokenizer

    scheduler = DDIMScheduler(
        beta_start=BETAS[0],
        beta_end=BETAS[1],
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )
    pipe = StableDiffusionPipeline(
        vae=_halved(autoencoder),
        text_encoder=_halved(text_encoder),
        tokenizer=CLIPTokenizer.from_pretrained(str(TOKENIZER)),
        unet=_halved(unet),
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.save_pretrained(folder)
    _name_as_ever(folder / "text_encoder" / "model.safetensors")
    shutil.rmtree(folder / "tokenizer")  # transformers writes the vocabulary twice
    shutil.copytree(TOKENIZER, folder / "tokenizer")


def _name_as_ever(text_encoder: Path) -> None:
    """Give the text encoder's weights the prefix without which transformers before 5 (and programs
    built on it) would leave them random; newer versions know the prefix too."""
    state = load_file(text_encoder)
    named = {f"text_model.{name.removeprefix('text_model.')}": state[name] for name in state}
    save_file(named, text_encoder, metadata={"format": "pt"})
    text_encoder.chmod(0o644)


def _halved(network: nn.Module) -> nn.Module:
    return copy.deepcopy(network).to("cpu", torch.float16)
