"""What is checked of a job before anything is sampled, and whose its ANDs are."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from modules import extra_networks, sd_samplers, shared  # type: ignore[import-not-found]
from torch import nn

from ebca.layers import find_layers, select_layers
from ebca.prompts import read_word_weights
from ebca.settings import SettingsError
from ebca.webui.composing import ImagePrompt, check_named, read_prompts
from ebca.webui.neighbours import owner_of_and
from ebca.webui.options import Options
from ebca.webui.words import check_words, text_encoder


def check_model(options: Options, other_unet: Any) -> None:
    """Raise SettingsError or NoCrossAttentionError if the model cannot be used; `other_unet` is
    what the WebUI's settings have in the UNet's place."""
    if other_unet is not None:
        legal = "None: this one cannot be hooked"
        raise SettingsError("the setting SD Unet", other_unet.label, legal)
    select_layers(find_layers(unet()), options.layers)


def leave_to_owners(p: Any, options: Options) -> Options:
    """The options with which other extensions keep the ANDs that are theirs; says so in `p`."""
    if options.compose != "cacao":
        return options
    several = [image for image in _images(p, options) if len(image.parts) > 1]
    owner = owner_of_and(p) if several else None
    owners = {owner} if owner else {image.owner for image in several if image.owner}
    for each in sorted(owners):
        p.comment(f"EBCA: AND was left to {each}.")
    if owner or (owners and not any(image.composed for image in several)):
        return dataclasses.replace(options, compose="webui")
    return options


def check_prompts(p: Any, options: Options) -> bool:
    """Raise SettingsError if the prompts of the job `p` cannot be used. Returns whether any
    evaluation may have editorial prompts."""
    images = _images(p, options)
    for image in images:
        image.check(options)
    check_named(images, options)
    texts = [text for image in images for text in image.words()]
    check_words(
        text_encoder(shared.sd_model), texts, dict(read_word_weights(options.token_weights))
    )
    if options.hires == "only" and not getattr(p, "enable_hr", False):
        p.comment("EBCA: hires is 'only' and hires fix is off, so nothing was changed.")
    return any(image.composed or image.all_contrasts() for image in images)


def unet() -> nn.Module:
    """The UNet in use."""
    current: nn.Module = shared.sd_model.model.diffusion_model
    return current


def _images(p: Any, options: Options) -> list[ImagePrompt]:
    """The prompts of all images and of those passes in which EBCA takes part."""
    images, first_steps = [], _steps(p.sampler_name, p.steps)
    if options.hires != "only":
        images += _read(options, [*p.all_prompts, *(p.prompts or ())], first_steps)
    if getattr(p, "enable_hr", False) and options.hires != "off":
        steps = _steps(p.hr_sampler_name or p.sampler_name, p.hr_second_pass_steps or p.steps)
        images += _read(options, p.all_hr_prompts, first_steps, steps)
    return images


def _steps(sampler: str, steps: int) -> int:
    """What the WebUI schedules prompts over: twice the steps for second-order samplers."""
    config = sd_samplers.find_sampler_config(sampler)
    return int(config.total_steps(steps)) if config else steps


def _read(
    options: Options, prompts: Sequence[str], steps: int, hires_steps: int | None = None
) -> list[ImagePrompt]:
    plain, _ = extra_networks.parse_prompts(list(dict.fromkeys(prompts)))
    return read_prompts(plain, options, steps, hires_steps)
