"""Lists of prompts to vote on: the built-in ones, and a user's own."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Callable, Iterator
from importlib import resources
from typing import NamedTuple

from ebca.settings import SettingsError

MOST_PROMPTS, MOST_CHARACTERS = 2000, 20_000

# From Attend-and-Excite (Chefer et al., SIGGRAPH 2023): all pairs of animals, of animals
# and coloured objects, and of coloured objects
ANIMALS = ("cat", "dog", "bird", "bear", "lion", "horse", "elephant", "monkey", "frog", "turtle",
           "rabbit", "mouse")  # fmt: skip
OBJECTS = ("backpack", "glasses", "crown", "suitcase", "chair", "balloon", "bow", "car", "bowl",
           "bench", "clock", "apple")  # fmt: skip
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "gray", "black",
           "white")  # fmt: skip

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
_PLURALS = ("glasses",)


class Asked(NamedTuple):
    """A prompt and its kind."""

    kind: str
    prompt: str


def everyday() -> list[Asked]:
    """Return the project's own sixty prompts, in six kinds."""
    text = (resources.files("ebca.vote") / "everyday.txt").read_text(encoding="utf-8")
    return read_list(text)


def animals() -> list[Asked]:
    pairs = itertools.combinations(ANIMALS, 2)
    return [Asked("animals", f"{_a(one)} and {_a(two)}") for one, two in pairs]


def animals_and_objects() -> list[Asked]:
    """Deal the colours in turn; the published list colours its objects at random."""
    colours = itertools.cycle(COLOURS)
    return [
        Asked("animals and objects", f"{_a(animal)} and {_a(f'{next(colours)} {thing}')}")
        for animal, thing in itertools.product(ANIMALS, OBJECTS)
    ]


def objects() -> list[Asked]:
    """Return pairs of objects in two colours, dealt so that they differ."""
    colours = itertools.cycle(COLOURS)
    return [
        Asked("objects", f"{_a(f'{next(colours)} {one}')} and {_a(f'{next(colours)} {two}')}")
        for one, two in itertools.combinations(OBJECTS, 2)
    ]


def attend_and_excite() -> list[Asked]:
    return [*animals(), *animals_and_objects(), *objects()]


SETS: dict[str, tuple[str, Callable[[], list[Asked]]]] = {
    "everyday": ("Everyday prompts", everyday),
    "attend-and-excite": ("Attend-and-Excite: all combinations", attend_and_excite),
    "animals": ("Attend-and-Excite: two animals", animals),
    "animals-objects": ("Attend-and-Excite: an animal and an object", animals_and_objects),
    "objects": ("Attend-and-Excite: two objects", objects),
}
"""Name -> (title, function that makes the list)."""


def named(name: str) -> list[Asked]:
    """Return a built-in list. Raises SettingsError for an unknown name."""
    if name not in SETS:
        raise SettingsError("prompts", name, "one of " + ", ".join(SETS))
    return SETS[name][1]()


def read_list(text: str) -> list[Asked]:
    """Read one prompt a line; a line `# animals` gives the kind of those after it. Repeated prompts
    count once. Raises SettingsError for an empty list or one that is too long."""
    found = list(dict.fromkeys(_lines(text)))
    if not found:
        raise SettingsError("prompts", "", "at least one prompt, one a line")
    if len(found) > MOST_PROMPTS:
        raise SettingsError("prompts", f"{len(found)} lines", f"at most {MOST_PROMPTS}")
    return found


def _lines(text: str) -> Iterator[Asked]:
    kind, seen = "own", set()
    for line in re.split(r"[\r\n]+", text):
        prompt = clean(line)
        if prompt.startswith("# "):
            kind = prompt[2:].strip()[:80] or kind
        elif prompt and prompt not in seen:
            seen.add(prompt)
            yield Asked(kind, prompt)


def clean(text: str) -> str:
    """Strip control characters from a user's text, so that it can be stored, shown and exported.
    Raises SettingsError if it is too long."""
    text = _CONTROL.sub("", text).strip()
    if len(text) > MOST_CHARACTERS:
        legal = f"at most {MOST_CHARACTERS} characters long"
        raise SettingsError("prompt", f"{text[:40]}...", legal)
    return text


def some(prompts: list[Asked], count: int) -> list[Asked]:
    """Return `count` of the prompts (all if there are fewer): always the same, in their order."""
    if count >= len(prompts):
        return prompts
    chosen = random.Random(0).sample(range(len(prompts)), count)
    return [prompts[place] for place in sorted(chosen)]


def _a(thing: str) -> str:
    if thing.split()[-1] in _PLURALS:
        return thing
    return f"{'an' if thing[0] in 'aeiou' else 'a'} {thing}"
