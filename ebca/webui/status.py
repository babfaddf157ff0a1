"""The line under the accordion's controls: what EBCA will do with the prompt, or what is wrong."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from modules import extra_networks, sd_unet, shared  # type: ignore[import-not-found]

from ebca.options import Settings
from ebca.options.job import Options, labels, options_of
from ebca.prompts import split_prompt
from ebca.settings import SettingsError
from ebca.webui import keeping
from ebca.webui.checking import NO_CROSS_ATTENTION, check_layers_and_unet
from ebca.webui.family import NextModel, family, next_model
from ebca.webui.forecast import Forecast, forecast, left_over
from ebca.webui.prompts import read_prompts
from ebca.webui.reading import words_of
from ebca.webui.timetable import Sampling, times_of
from ebca.webui.words import missing_weights

_OFF = "Off: tick the box beside the title to use EBCA."
_NO_HIRES = "Nothing to do: EBCA is set to the hires pass only, and hires fix is off."
_NOTHING = "Nothing to do with this prompt and these settings: the picture stays as it is."
_STAYS = "The picture stays as it is."
_NOT_LOADED = (
    "The chosen model is not loaded yet. Whether EBCA can use it shows when the job begins."
)


class _Line(NamedTuple):
    """The text of the line; acts: whether the picture will change, None if that is not known."""

    text: str
    acts: bool | None = False
    style: str = ""
    subjects: bool = False  # whether subjects get their places

    @property
    def html(self) -> str:
        acts = "" if self.acts is None else str(self.acts).lower()
        return f"<div class='{self.style}' data-acts='{acts}'>{html.escape(self.text)}</div>"


def status(page: str, values: Mapping[str, Any]) -> str:
    """Return the HTML of the line and, below it, of the prompt's words as buttons.

    page: the state of the page, JSON of `tab`, `prompt`, `styles` (names), `sampler`, `scheduler`,
    `steps`, `denoising` (null where a picture is made from noise) and `hires` (null if hires fix
    is off, else its `prompt`, `sampler`, `scheduler`, `steps` and `denoising`); values: the
    accordion's values by field.
    """
    if not values["enabled"]:
        return _Line(_OFF).html
    seen, settings, coming = json.loads(page), Settings(), next_model()
    try:
        options = options_of(values)
        settings = options.settings
        if coming.has_attention is False:
            return _Line(NO_CROSS_ATTENTION, style="" if coming.goes_without else "error").html
        line = _described(seen, options, coming)
    except SettingsError as error:
        line = _Line(error.with_labels(labels()), style="error")
    prompt, steps = _plain(seen["prompt"], seen["styles"]), int(seen.get("steps") or 20)
    model = coming.model
    encoder = None if model is None else family(model).text_encoder(model)
    return line.html + words_of(prompt, values, settings, steps, encoder, line.subjects)


def _described(page: Mapping[str, Any], options: Options, coming: NextModel) -> _Line:
    """Make the line for the page. Raises SettingsError where a job would be refused."""
    settings, model = options.settings, coming.model
    if model is not None:  # without a model the host would load one here
        check_layers_and_unet(settings, model, sd_unet.get_unet_option())
    told: list[str] = []
    made: list[Forecast] = []
    texts: list[str] = []
    for name, text, sampling, own in _passes(page, options):
        (image,) = read_prompts([text], settings, sampling.steps)
        made.append(forecast(image, None if model is None else times_of(sampling)))
        if own or (made[-1].acts and not made[0].acts):
            told += [name + each for each in made[-1].sentences]
        texts += image.words()
    if not made:
        told.append(_NO_HIRES)
    told += _kept(page, options, model)
    if model is not None and texts:
        encoder = family(model).text_encoder(model)
        words = [words for words, _ in settings.words.word_weights]
        told.append(left_over("token_weights", missing_weights(encoder, texts, words)))
    acts = any(each.acts for each in made) or _keeps(page, options)
    told = [*dict.fromkeys(filter(None, told))]
    if acts and coming.has_attention is None:
        return _Line(" ".join([_NOT_LOADED, *told]), None)
    if not acts:
        told = [*told, _STAYS] if told else [_NOTHING]
    return _Line(" ".join(told), acts, subjects=any(each.subjects for each in made))


def _keeps(page: Mapping[str, Any], options: Options) -> bool:
    """Whether the job keeps its picture."""
    return options.keeping.keep and page.get("tab") == "img2img"


def _kept(page: Mapping[str, Any], options: Options, model: Any) -> Iterator[str]:
    """Yield sentences on keeping the picture. Raises SettingsError if it cannot be kept."""
    if not options.keeping.keep:
        return
    if not _keeps(page, options):
        yield keeping.NO_PICTURE.removeprefix("EBCA: ")
        return
    prompt = _plain(page["prompt"], page["styles"])
    unet = None if model is None else family(model).unet(model)
    keeping.check(options.keeping, [prompt], unet)
    yield "Keeps your picture where the prompt does not change it."
    if not options.keeping.keep_source.strip() and len(split_prompt(prompt)) < 2:
        yield (
            "To change something, write what the picture shows now into “The picture shows”, or"
            " the change after AND."
        )


def _passes(page: Mapping[str, Any], options: Options) -> Iterator[tuple[str, str, Sampling, bool]]:
    """Yield (introduction, prompt, sampling, own) for each pass in which EBCA takes part; an `own`
    pass is described even if it does no more than the first."""
    hires, wanted = page["hires"], options.page.hires
    prompt = _plain(page["prompt"], page["styles"])
    if wanted != "only":
        yield "", prompt, Sampling.of(page), True
    if hires is not None and wanted != "off":
        text = _plain(hires["prompt"], page["styles"]) if hires["prompt"] else prompt
        own = bool(hires["prompt"]) or wanted == "only"
        yield "Hires pass: ", text, Sampling.of(page, hires=True), own


def _plain(prompt: str, styles: list[str]) -> str:
    """Return the prompt with its styles and without extra networks."""
    styled = shared.prompt_styles.apply_styles_to_prompt(prompt, styles)
    return str(extra_networks.parse_prompt(styled)[0])
