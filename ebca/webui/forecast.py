"""A forecast of what EBCA will do with a prompt: sentences, and whether the picture changes.

Each method is asked what it will do at the steps of the sampling, so that the forecast promises
nothing that these steps do not allow.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ebca.core.method import Method, Time
from ebca.options.job import fields
from ebca.prompts import Prompt
from ebca.subjects import find_subjects
from ebca.webui.prompts import ImagePrompt, missing_subjects

Times = Sequence[tuple[int, Time]]
"""The evaluations of the model in a sampling: (step counted from 0, time)."""

_TOO_FEW = "Fewer than two subjects found. If there are more, click them below."
_ONE = "One subject is too few: click a second one below."
_WITH_AND = "To show several subjects write “and” in small letters: AND puts them into one place."


class Forecast(NamedTuple):
    """The forecast of one sampling: sentences for the user, and their gist.

    acts: whether the picture changes; subjects: whether subjects are given their places.
    """

    sentences: tuple[str, ...]
    acts: bool
    subjects: bool


def forecast(image: ImagePrompt, times: Times | None) -> Forecast:
    """Forecast one sampling of `image`; `times` is None if they are not known.

    Raises SettingsError if the methods cannot do what the prompt asks for.
    """
    methods = image.settings.methods
    image.check(methods)
    phases, told, acting = list(image.phases()), [], []
    if len(image.parts) > 1 and not image.absorbed:
        owner, count = image.owner or "the WebUI", len(image.parts)
        told.append(f"AND is left to {owner}: {count} prompts, each calculated in full.")
    for method in methods:
        steps = _steps_of(method, image, times)
        if steps is None or steps:
            told += _sentences(method, phases, steps)
            acting += [method] * _has_work(method, phases)
        elif _has_work(method, phases):
            told.append(method.idle)
    told += _notes(image, phases)
    places = any(method.needs_subjects for method in acting)
    return Forecast(tuple(dict.fromkeys(filter(None, told))), bool(acting), places)


def left_over(field: str, words: Sequence[str]) -> str:
    """Return the sentence on words in a control that no prompt has; empty if there are none."""
    if not words:
        return ""
    shown = ", ".join(f"“{each}”" for each in words)
    return f"Without effect: {shown} in “{fields()[field].label}”, not in the prompt."


Phases = Sequence[tuple[int, int, list[Prompt]]]


def _has_work(method: Method, phases: Phases) -> bool:
    """Whether the prompt has something for the method to do in any phase."""
    return any(method.acts_on(prompt) for *_, prompts in phases for prompt in prompts)


def _steps_of(method: Method, image: ImagePrompt, times: Times | None) -> set[int] | None:
    """Return the steps at which a method acts; None if they are not known."""
    if times is None:
        return None
    asked = [(step, time, image.prompts(step)) for step, time in times]
    acting: set[int] = set()
    for row in range(max((len(prompts) for *_, prompts in asked), default=0)):
        acts = method.forecast([(time, prompts[row]) for _, time, prompts in asked])
        acting.update(step for (step, *_), act in zip(asked, acts, strict=True) if act)
    return acting


def _sentences(method: Method, phases: Phases, steps: set[int] | None) -> Iterator[str]:
    """Yield a method's sentences on those phases of the prompt in which it acts."""
    said = [
        (first, last, " ".join(dict.fromkeys(filter(None, map(method.tell, prompts)))))
        for first, last, prompts in phases
        if steps is None or any(first <= step + (first == 1) and step <= last for step in steps)
    ]
    if len({sentence for *_, sentence in said}) < 2 and len(said) == len(phases):
        yield said[0][2]
        return
    for first, last, sentence in said:
        if sentence:
            yield f"Steps {first} to {last}: {sentence}"


def _notes(image: ImagePrompt, phases: Phases) -> Iterator[str]:
    """Yield hints on subjects that are too few or not in the prompt."""
    settings, texts = image.settings, [text for _, text in image.parts[0].schedule]
    prompts = [prompt for *_, row in phases for prompt in row]
    wanted = any(method.needs_subjects for method in settings.methods)
    lacking = all(each.single and not each.subjects for each in prompts)
    if wanted and _joins_subjects(image):
        yield _WITH_AND
    elif wanted and lacking and any(map(str.strip, texts)):
        named = any(settings.words.named_in(text) for text in texts)
        yield _ONE if named else _TOO_FEW
    yield left_over("subjects", missing_subjects([image]))


def _joins_subjects(image: ImagePrompt) -> bool:
    """Whether AND stands between subjects, so that they will share one place."""
    main, *others = (part.schedule[-1][1] for part in image.parts)
    if len(find_subjects(main)) > 1:
        return False
    return any(len(find_subjects(f"{main.strip()} and {each.strip()}")) > 1 for each in others)
