"""Checks of a job before anything is sampled, among them which extension its ANDs belong to."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from modules import extra_networks, sd_samplers, shared  # type: ignore[import-not-found]

from ebca.core.layers import find_layers
from ebca.core.method import Method
from ebca.methods.cacao import HOSTS_OWN
from ebca.options import Settings
from ebca.options.job import Options
from ebca.options.keeping import Keeping
from ebca.settings import SettingsError
from ebca.webui.family import family, has_attention, text_encoder, unet
from ebca.webui.forecast import left_over
from ebca.webui.neighbours import owner_of_and
from ebca.webui.prompts import ImagePrompt, missing_subjects, read_prompts
from ebca.webui.refusal import by_api
from ebca.webui.words import check_words, missing_weights

NO_CROSS_ATTENTION = (
    "EBCA does nothing with this model: it has no cross-attention."
    " SD1, SD2 and SDXL models have it."
)


def check_model(settings: Settings, other_unet: Any) -> None:
    """Raise SettingsError or NoCrossAttentionError if EBCA cannot work in the model in use;
    `other_unet` is what the WebUI's setting SD Unet puts in the UNet's place."""
    check_layers_and_unet(settings, shared.sd_model, other_unet)


def check_layers_and_unet(settings: Settings, model: Any, other_unet: Any) -> None:
    """Like `check_model`, for a given model."""
    if other_unet is not None:
        legal = "None: EBCA cannot work inside this one"
        raise SettingsError("the setting SD Unet", other_unet.label, legal)
    layers = find_layers(family(model).unet(model))
    for method in settings.methods:
        method.check_model(layers)


def goes_without(p: Any) -> bool:
    """Whether the model in use has no cross-attention and the host lets the job `p` go on without
    EBCA; if so, add a comment to `p`."""
    host = family()
    if not host.goes_without:
        return False
    if has_attention(unet()):
        return False
    p.comment(NO_CROSS_ATTENTION)
    return True


def leave_to_owners(p: Any, options: Options) -> Options:
    """Return the options with which other extensions keep their ANDs; comment on that in `p`."""
    several = [image for image in _images(p, options) if len(image.parts) > 1]
    if not any(image.absorbed or image.owner for image in several):
        return options
    owner = owner_of_and(p)
    owners = {owner} if owner else {image.owner for image in several if image.owner}
    for each in sorted(owners):
        p.comment(f"EBCA: AND was left to {each}.")
    if owner or (owners and not any(image.absorbed for image in several)):
        settings = options.settings.replace(and_means=HOSTS_OWN)
        return dataclasses.replace(options, settings=settings)
    return options


def without(options: Options) -> Options:
    """Return the options with which EBCA does nothing and AND is left to the WebUI."""
    settings = options.settings.off().replace(and_means=HOSTS_OWN)
    return dataclasses.replace(options, settings=settings, keeping=Keeping())


def check_prompts(p: Any, options: Options) -> list[Method]:
    """Return the methods that have something to do with the prompts of the job `p`. Raises
    SettingsError if the prompts cannot be used."""
    settings, images = options.settings, _images(p, options)
    for image in images:
        image.check(settings.methods)
    for line in _left_over(p, settings, images):
        p.comment(f"EBCA: {line}")
    if options.page.hires == "only" and not getattr(p, "enable_hr", False):
        p.comment("EBCA: hires is 'only' and hires fix is off, so nothing was changed.")
    prompts = [prompt for image in images for prompt in image.all_prompts()]
    return [each for each in settings.methods if any(map(each.acts_on, prompts))]


def _left_over(p: Any, settings: Settings, images: Sequence[ImagePrompt]) -> Iterator[str]:
    """Yield lines on settings for words that the prompts do not have. These have no effect; but a
    request through the API, which is written in one piece, is refused with a SettingsError."""
    words, texts = settings.words, [text for image in images for text in image.words()]
    weighed = [each for each, _ in words.word_weights]
    if by_api(p):
        words.check_count()
        check_words(text_encoder(), texts, weighed)
    yield from filter(None, (
        left_over("subjects", missing_subjects(images)),
        left_over("token_weights", missing_weights(text_encoder(), texts, weighed)),
    ))  # fmt: skip


def _images(p: Any, options: Options) -> list[ImagePrompt]:
    """Return the prompts of all images, for the passes in which EBCA takes part."""
    images, first_steps = [], _steps(p.sampler_name, p.steps)
    if options.page.hires != "only":
        images += _read(options, [*p.all_prompts, *(p.prompts or ())], first_steps)
    if getattr(p, "enable_hr", False) and options.page.hires != "off":
        steps = _steps(p.hr_sampler_name or p.sampler_name, p.hr_second_pass_steps or p.steps)
        images += _read(options, p.all_hr_prompts, first_steps, steps)
    return images


def _steps(sampler: str, steps: int) -> int:
    """Return how many steps the WebUI schedules prompts over: twice the steps for second-order
    samplers."""
    config = sd_samplers.find_sampler_config(sampler)
    return int(config.total_steps(steps)) if config else steps


def _read(
    options: Options, prompts: Sequence[str], steps: int, hires_steps: int | None = None
) -> list[ImagePrompt]:
    plain, _ = extra_networks.parse_prompts(list(dict.fromkeys(prompts)))
    return read_prompts(plain, options.settings, steps, hires_steps)
