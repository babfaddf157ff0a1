"""The line under the accordion's controls: what EBCA will do with the prompt, or what is wrong."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Mapping
from typing import Any

from modules import extra_networks, sd_models, shared  # type: ignore[import-not-found]

from ebca.layers import NoCrossAttentionError, find_layers, select_layers
from ebca.prompts import read_word_weights
from ebca.settings import SettingsError
from ebca.webui.composing import check_named, describe, read_prompts
from ebca.webui.encoder import text_encoder
from ebca.webui.options import Options
from ebca.webui.words import check_words

_OFF = "Off: tick the box beside the title to use EBCA."
_NO_HIRES = "Nothing to do: the hires pass is set to 'only' and hires fix is off."
_INERT = "The step sizes are 0 and nothing is composed, so the picture stays as it is."


def status(page: str, values: Mapping[str, Any]) -> str:
    """The line as HTML.

    page: what the browser sees, JSON of `prompt`, `styles` (names) and `hires` (the prompt of hires
    fix, null if that is off); values: the accordion's, by field.
    """
    if not values["enabled"]:
        return _line(_OFF)
    try:
        return _line(_described(json.loads(page), Options(**values)))
    except (SettingsError, NoCrossAttentionError) as error:
        return _line(str(error), "error")


def _described(page: Mapping[str, Any], options: Options) -> str:
    """Raises SettingsError or NoCrossAttentionError where a job would be refused."""
    prompts = {name: _plain(text, page["styles"]) for name, text in _passes(page, options)}
    lines = [name + describe(text, options) for name, text in prompts.items()]
    images = read_prompts(list(prompts.values()), options, steps=20)
    check_named(images, options)
    model = sd_models.model_data.sd_model  # unlike shared.sd_model, this does not load one
    if model is not None:
        select_layers(find_layers(model.model.diffusion_model), options.layers)
        texts = [text for image in images for text in image.words()]
        check_words(text_encoder(model), texts, dict(read_word_weights(options.token_weights)))
    if not images:
        return _NO_HIRES
    inert = options.settings().inert and not any(
        image.composed or image.all_contrasts() for image in images
    )
    return " ".join([*lines, _INERT] if inert else lines)


def _passes(page: Mapping[str, Any], options: Options) -> Iterator[tuple[str, str]]:
    """(introduction, prompt) of those passes in which EBCA takes part."""
    prompt, hires = page["prompt"], page["hires"]
    if options.hires != "only":
        yield "", prompt
    if hires is not None and options.hires != "off" and (hires or options.hires == "only"):
        yield "Hires pass: ", hires or prompt


def _plain(prompt: str, styles: list[str]) -> str:
    """The prompt with its styles and without extra networks."""
    styled = shared.prompt_styles.apply_styles_to_prompt(prompt, styles)
    return str(extra_networks.parse_prompt(styled)[0])


def _line(text: str, style: str = "") -> str:
    return f"<div class='{style}'>{html.escape(text)}</div>"
