"""The WebUI's script *img2img alternative test*, as a method to compare EBCA with.

A reimplementation of what the script does (AUTOMATIC1111, `scripts/img2imgalt.py`, 1.10). Starting
at the picture, it climbs the noise levels of its sampler, Euler, with one evaluation a level,

    x <- x + (s_i - s_(i-1)) (x - D(x, s_i)) / s_i,      noise = x / std(x)

and begins to sample the new prompt at `clean + s (noise - clean / s_n)`, where s is the level at
which the denoising strength begins and s_n the highest. With its sigma adjustment the model is
evaluated at the level below, s_(i-1), the first step does nothing, and the noise is x / s_n.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ebca.hosts.levels import Levels
from ebca.hosts.source_model import SourceModel, encoded
from ebca.settings import Range
from ebca.settings.declaration import check_settings, setting


@dataclass(frozen=True)
class Alternative:
    """The script's settings and their defaults, except for its number of steps: there both the
    search for the noise and the sampling take 50."""

    decode_cfg: float = setting(
        1.0, "CFG scale while the noise is found", label="Decode CFG scale", legal=Range(0.0, 15.0)
    )
    decode_steps: float = setting(
        0.0, "steps in which it is found; 0: as many as are sampled", label="Decode steps",
        legal=Range(0.0, 150.0),
    )  # fmt: skip
    sigma_adjustment: bool = setting(
        False, "asks the model at the level below", label="Sigma adjustment"
    )
    randomness: float = setting(
        0.0, "how much of the noise is the seed's", label="Randomness", legal=Range(0.0, 1.0)
    )

    def __post_init__(self) -> None:
        check_settings(self)


@contextmanager
def alternative(
    pipe: Any, pictures: Sequence[Any], shows: Sequence[str], steps: int, chosen: Alternative
) -> Iterator[dict[str, Any]]:
    """Give the image-to-image pipeline `pipe` the script's sampler and the noise of `pictures`, all
    of one size and described by `shows`, while the block runs. Yields the inputs to call the
    pipeline with."""
    import diffusers

    before = pipe.scheduler
    given = {**before.config, "timestep_spacing": "linspace"}
    pipe.scheduler = scheduler = diffusers.EulerDiscreteScheduler.from_config(given)
    try:
        clean = encoded(pipe, pictures)
        levels = Levels(scheduler, round(chosen.decode_steps) or steps, 1.0)
        found = find_noise(pipe, clean, shows, pictures[0].size, levels, chosen)
        plain, highest = scheduler.add_noise, levels.rising()[-1]

        @functools.wraps(plain)
        def add_noise(latent: Tensor, drawn: Tensor, timesteps: Tensor) -> Tensor:
            share = chosen.randomness
            norm = (share**2 + (1.0 - share) ** 2) ** 0.5
            noise = ((1.0 - share) * found + share * drawn) / norm
            noisy: Tensor = plain(latent, noise - latent / highest, timesteps)
            return noisy

        scheduler.add_noise = add_noise
        yield {"image": clean}
    finally:
        pipe.scheduler = before


@torch.no_grad()
def find_noise(
    pipe: Any, clean: Tensor, shows: Sequence[str], size: tuple[int, int], levels: Levels,
    chosen: Alternative,
) -> Tensor:  # fmt: skip
    """Return the noise, of standard deviation about 1, that the script finds for latents `clean`
    [b, c, h, w] of pictures of `size` (width, height)."""
    texts = [list(shows)]
    if chosen.decode_cfg != 1.0:
        texts.append([""] * len(shows))
    models = [SourceModel(pipe, each, size, lambda: None).at_levels(levels) for each in texts]

    def denoise(x: Tensor, level: float) -> Tensor:
        main, *empty = (model(x, level) for model in models)
        return main if not empty else empty[0] + chosen.decode_cfg * (main - empty[0])

    x, below = clean, 0.0
    for level in levels.rising():
        asked = below if chosen.sigma_adjustment else level
        if asked > 0.0:
            x = x + (level - below) * (x - denoise(x, asked)) / asked
        below = level
    return x / below if chosen.sigma_adjustment else x / x.std((1, 2, 3), keepdim=True)
