"""The stages that make the model: autoencoder, cached latents, UNet with text encoder."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from tqdm import tqdm

from small_model.judge_error import pictures_of
from small_model.networks import BETAS, TOKENS, TRAIN_STEPS, Words
from small_model.stage import Dice, replace
from small_model.world import Scene, caption, draw_scene

_KL = 2e-4
_EDGES = 0.2
_SNR = 5.0  # min-SNR weighting
_EMPTY = 0.1  # share of the captions
_SHORT = 24  # tokens; every fifth batch has all 77
_PART = 1000  # latents a file


def autocast(device: torch.device) -> torch.autocast:
    """Use bfloat16 where it pays: on a GPU, and on a CPU that has instructions for it."""
    there = torch.cpu.get_capabilities()
    pays = device.type == "cuda" or there.get("avx512_bf16") or there.get("amx_bf16")
    return torch.autocast(device.type, torch.bfloat16, enabled=bool(pays))


def autoencoder_loss(batch: int, device: torch.device) -> Callable[[nn.Module, Dice], Tensor]:
    """Return a loss of pixels, their edges, and a little of the Kullback-Leibler divergence."""

    def loss(vae: Any, dice: Dice) -> Tensor:
        scenes = [draw_scene(dice.rng) for _ in range(batch)]
        pictures = pictures_of(scenes).to(device) * 2 - 1
        with autocast(device):
            posterior = vae.encode(pictures).latent_dist
            noise = dice.noise(*posterior.mean.shape).to(device)
            rebuilt = vae.decode(posterior.mean + posterior.std * noise).sample
        off = rebuilt.float() - pictures
        edges = off.diff(dim=-1).abs().mean() + off.diff(dim=-2).abs().mean()
        pixels: Tensor = off.abs().mean() + 2 * off.square().mean() + _EDGES * edges
        return pixels + _KL * _divergence(posterior.mean.float(), posterior.logvar.float())

    return loss


def _divergence(mean: Tensor, logvar: Tensor) -> Tensor:
    """Return the divergence of the posterior from the standard normal distribution, per number."""
    return 0.5 * (mean.square() + logvar.exp() - 1 - logvar).mean()


def scene_number(number: int, seed: int) -> Scene:
    """Return the `number`-th scene of the data set that is encoded once."""
    return draw_scene(random.Random(f"{seed} scene {number}"))


def cache_latents(
    folder: Path, vae: Any, count: int, seed: int, device: torch.device, seconds: float | None
) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of the first pictures' latents, [n, 4, 8, 8] each.

    They are kept in `folder` part by part, so that only missing parts are computed. After `seconds`
    it stops, with at least one part; only the parts there by then are used, after a resume too.
    """
    folder.mkdir(parents=True, exist_ok=True)
    finished, begun = folder / "finished", time.monotonic()
    starts = list(range(0, count, _PART))
    bar = tqdm(total=count, desc="latents", unit="picture")
    parts: list[dict[str, Tensor]] = []
    for start in starts:
        path = folder / f"{start:07d}.safetensors"
        if not path.exists():
            late = seconds is not None and time.monotonic() - begun > seconds
            if parts and (late or finished.exists()):
                break
            scenes = [scene_number(n, seed) for n in range(start, min(start + _PART, count))]
            latents = _encode(vae, scenes, device, bar)
            replace(path, lambda to, state=latents: save_file(state, to))  # type: ignore[misc]
        else:
            bar.update(min(_PART, count - start))
        parts.append(load_file(path))
    bar.close()
    finished.touch()
    mean, std = (torch.cat([part[name] for part in parts]).float() for name in ("mean", "std"))
    return mean, std


@torch.inference_mode()
def _encode(vae: Any, scenes: list[Scene], device: torch.device, bar: Any) -> dict[str, Tensor]:
    means, stds = [], []
    for start in range(0, len(scenes), 50):
        part = scenes[start : start + 50]
        with autocast(device):
            posterior = vae.encode(pictures_of(part).to(device) * 2 - 1).latent_dist
        means.append(posterior.mean.half().cpu())
        stds.append(posterior.std.half().cpu())
        bar.update(len(part))
    return {"mean": torch.cat(means).contiguous(), "std": torch.cat(stds).contiguous()}


class Painter(nn.Module):
    """The UNet and the text encoder, trained together."""

    def __init__(self, unet: Any, text_encoder: Any) -> None:
        super().__init__()
        self.unet, self.text_encoder = unet, text_encoder

    def forward(self, noisy: Tensor, times: Tensor, tokens: Tensor) -> Tensor:
        context = self.text_encoder(input_ids=tokens)[0]
        noise: Tensor = self.unet(noisy, times, context).sample
        return noise


def painter_loss(
    mean: Tensor, std: Tensor, words: Words, batch: int, seed: int, device: torch.device
) -> Callable[[nn.Module, Dice], Tensor]:
    """Return a noise prediction loss on latents of scaled `mean` and `std`, with fresh captions."""
    scenes = [scene_number(number, seed) for number in range(len(mean))]
    roots = torch.linspace(BETAS[0] ** 0.5, BETAS[1] ** 0.5, TRAIN_STEPS)
    kept = torch.cumprod(1 - roots.square(), dim=0)
    snr = kept / (1 - kept)
    weight = snr.clamp(max=_SNR) / snr

    def loss(painter: nn.Module, dice: Dice) -> Tensor:
        chosen = [dice.rng.randrange(len(scenes)) for _ in range(batch)]
        captions = [
            "" if dice.rng.random() < _EMPTY else caption(scenes[number], dice.rng)
            for number in chosen
        ]
        tokens = words.encode(captions, TOKENS if dice.rng.random() < 0.2 else _SHORT)
        shape = (batch, *mean.shape[1:])
        latents = mean[chosen] + std[chosen] * dice.noise(*shape)
        noise, times = dice.noise(*shape), dice.times(batch, TRAIN_STEPS)
        share = kept[times, None, None, None]
        noisy = share.sqrt() * latents + (1 - share).sqrt() * noise
        with autocast(device):
            said = painter(noisy.to(device), times.to(device), tokens.to(device))
        off: Tensor = (said.float() - noise.to(device)).square().mean(dim=(1, 2, 3))
        return (off * weight[times].to(device)).mean()

    return loss
