"""What will be done with a prompt, told before the job: sentences, and whether the picture changes.

Each method is asked what it will do at the steps that the sampling has, so that nothing is promised
which these steps do not allow.
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
"""When a sampling evaluates the model: (step counted from 0, time)."""

_TOO_FEW = "Fewer than two subjects found. If there are more, click them below."
_ONE = "One subject is too few: click a second one below."
_WITH_AND = "To show several subjects write “and” in small letters: AND puts them into one place."


class Forecast(NamedTuple):
    """What will be done in one sampling.

    acts: whether it changes the picture; subjects: whether it gives subjects their places.
    """

    sentences: tuple[str, ...]
    acts: bool
    subjects: bool


def forecast(image: ImagePrompt, times: Times | None) -> Forecast:
    """What will be done with `image` in a sampling with those times; None if they are not known.

    Raises SettingsError if it cannot be done.
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
    """The sentence on words in a control that no prompt has."""
    if not words:
        return ""
    shown = ", ".join(f"“{each}”" for each in words)
    return f"Without effect: {shown} in “{fields()[field].label}”, not in the prompt."


Phases = Sequence[tuple[int, int, list[Prompt]]]


def _has_work(method: Method, phases: Phases) -> bool:
    """Whether the prompt ever asks for what a method does."""
    return any(method.acts_on(prompt) for *_, prompts in phases for prompt in prompts)


def _steps_of(method: Method, image: ImagePrompt, times: Times | None) -> set[int] | None:
    """The steps at which a method acts; None if nobody knows."""
    if times is None:
        return None
    asked = [(step, time, image.prompts(step)) for step, time in times]
    acting: set[int] = set()
    for row in range(max((len(prompts) for *_, prompts in asked), default=0)):
        acts = method.forecast([(time, prompts[row]) for _, time, prompts in asked])
        acting.update(step for (step, *_), act in zip(asked, acts, strict=True) if act)
    return acting


def _sentences(method: Method, phases: Phases, steps: set[int] | None) -> Iterator[str]:
    """What a method says of each part of the prompt's schedule in which it acts."""
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
    """What the user might do about subjects that are too few, or not there."""
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
    """Whether AND stands between subjects, which then share one place."""
    main, *others = (part.schedule[-1][1] for part in image.parts)
    if len(find_subjects(main)) > 1:
        return False
    return any(len(find_subjects(f"{main.strip()} and {each.strip()}")) > 1 for each in others)
