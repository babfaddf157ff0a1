"""The line under the accordion's controls: what EBCA will do with the prompt, or what is wrong."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Mapping
from typing import Any

from modules import extra_networks, shared  # type: ignore[import-not-found]

from ebca.core.layers import NoCrossAttentionError, find_layers
from ebca.settings import Settings, SettingsError
from ebca.webui.checking import no_cross_attention
from ebca.webui.family import family, loaded_model
from ebca.webui.options import Options, options_of
from ebca.webui.prompts import describe, read_prompts
from ebca.webui.reading import words_of
from ebca.webui.words import check_words

_OFF = "Off: tick the box beside the title to use EBCA."
_NO_HIRES = "Nothing to do: EBCA is set to the hires pass only, and hires fix is off."
_NOTHING = "Nothing to do with this prompt and these settings: the picture stays as it is."


def status(page: str, values: Mapping[str, Any]) -> str:
    """The line as HTML, and below it the prompt's words as buttons.

    page: what the browser sees, JSON of `prompt`, `styles` (names), `hires` (the prompt of hires
    fix, null if that is off) and `steps`; values: the accordion's, by field.
    """
    if not values["enabled"]:
        return _line(_OFF)
    seen, settings = json.loads(page), Settings()
    try:
        options = options_of(values)
        settings = options.settings
        line = _line(_described(seen, options))
    except SettingsError as error:
        line = _line(str(error), "error")
    except NoCrossAttentionError as error:
        model = loaded_model()
        host = family(model)
        if host.goes_without:
            return _line(no_cross_attention(host.unet(model)))
        line = _line(str(error), "error")
    prompt, steps = _plain(seen["prompt"], seen["styles"]), int(seen.get("steps") or 20)
    return line + words_of(prompt, values, settings, steps, loaded_model())


def _described(page: Mapping[str, Any], options: Options) -> str:
    """Raises SettingsError or NoCrossAttentionError where a job would be refused."""
    settings = options.settings
    prompts = {name: _plain(text, page["styles"]) for name, text in _passes(page, options)}
    if not prompts:
        return _NO_HIRES
    told = {name: describe(text, settings) for name, text in prompts.items()}
    images = read_prompts(list(prompts.values()), settings, steps=20)
    model = loaded_model()
    if model is not None:
        layers = find_layers(family(model).unet(model))
        for method in settings.methods:
            method.check_model(layers)
        texts = [text for image in images for text in image.words()]
        check_words(family(model).text_encoder(model), texts, dict(settings.words.word_weights))
    return " ".join(name + text for name, text in told.items() if text) or _NOTHING


def _passes(page: Mapping[str, Any], options: Options) -> Iterator[tuple[str, str]]:
    """(introduction, prompt) of those passes in which EBCA takes part."""
    prompt, hires, wanted = page["prompt"], page["hires"], options.page.hires
    if wanted != "only":
        yield "", prompt
    if hires is not None and wanted != "off" and (hires or wanted == "only"):
        yield "Hires pass: ", hires or prompt


def _plain(prompt: str, styles: list[str]) -> str:
    """The prompt with its styles and without extra networks."""
    styled = shared.prompt_styles.apply_styles_to_prompt(prompt, styles)
    return str(extra_networks.parse_prompt(styled)[0])


def _line(text: str, style: str = "") -> str:
    return f"<div class='{style}'>{html.escape(text)}</div>"
