"""Read the prompt on the page, and what the controls say of its words, for the word buttons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from modules import prompt_parser, shared  # type: ignore[import-not-found]

from ebca.options import Settings
from ebca.options.job import labels
from ebca.prompts import Edit
from ebca.prompts.reading import check_main_weight
from ebca.prompts.words import has_words, noun_of, read_list, read_word_weights
from ebca.settings import SettingsError
from ebca.subjects import read_subjects
from ebca.webui.chips import LeftOver, Marked, Part, Phase, chips
from ebca.webui.pieces import read_pieces
from ebca.webui.prompts import ImagePrompt, read_prompts
from ebca.webui.prompts import Part as Read
from ebca.webui.words import check_words


def words_of(
    prompt: str, values: Mapping[str, Any], settings: Settings, steps: int, encoder: Any,
    subjects_act: bool,
) -> str:  # fmt: skip
    """Return the HTML of the words of `prompt`, which is free of extra networks.

    values: the accordion's values by field, which may be illegal. settings: the job's settings, or
    the defaults. encoder: the text encoder of the job's model; without it tokens are left out.
    subjects_act: whether the subjects will get their places.
    """
    (image,) = read_prompts([prompt], settings, steps)
    parts = [
        Part(part.weight, tuple(_phases(part, encoder)), _wrong(image, part))
        for part in image.parts
    ]
    return chips(parts, _marked(image, values, encoder), subjects_act)


def _phases(part: Read, encoder: Any) -> Iterator[Phase]:
    first = 1
    for last, text in part.schedule:
        parsed: Sequence[Any] = [[text, 1.0]]
        if getattr(shared.opts, "emphasis", "Original") != "None":
            parsed = prompt_parser.parse_prompt_attention(text)
        yield Phase(first, last, read_pieces(text, parsed, encoder))
        first = last + 1


def _wrong(image: ImagePrompt, part: Read) -> str:
    """Return why EBCA cannot use the weight of a part; empty if it can, or need not."""
    if not image.absorbed:
        return ""
    main = image.parts[0]
    try:
        check_main_weight(main.text, main.weight)
        if part is not main:
            Edit(part.text, alpha=part.weight / main.weight)
    except SettingsError as error:
        return _message(error)
    return ""


def _marked(image: ImagePrompt, values: Mapping[str, Any], encoder: Any) -> Marked:
    named, main = read_list(values["subjects"]), image.parts[0]
    texts = [text for _, text in main.schedule]
    nouns = {found.text: found.noun for text in texts for found in read_subjects(text)}
    there = [each for each in named if any(has_words(text, each) for text in texts)]
    subjects = {each: nouns.get(each, noun_of(each)) for each in there} or nouns
    lost = {each: "The prompt does not have it." for each in named if each not in there}
    weights: dict[str, float] = {}
    usable: list[str] = []
    wrong: dict[str, str] = {}
    for entry in filter(None, (each.strip() for each in str(values["token_weights"]).split(","))):
        try:
            ((words, factor),) = read_word_weights(entry)
            _check_there(words, image.words(), encoder)
            weights[words] = factor
            usable.append(entry)
        except SettingsError as error:
            wrong[entry] = _message(error)
    left_over = LeftOver("subjects", lost, there), LeftOver("token_weights", wrong, usable)
    return Marked(subjects, weights, left_over, tuple(lost))


def _check_there(words: str, texts: Sequence[str], encoder: Any) -> None:
    if encoder is not None:
        check_words(encoder, texts, [words])
    elif not any(has_words(text, words) for text in texts):
        raise SettingsError("token_weights", words, "words of the prompt, as they stand there")


def _message(error: SettingsError) -> str:
    return error.with_labels(labels()).removeprefix("EBCA: ")
