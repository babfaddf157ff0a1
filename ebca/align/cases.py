"""The cases of a benchmark: prompts, the things that their pictures must show, and noise seeds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ebca.align.methods import COMPOSING
from ebca.prompts import split_prompt
from ebca.prompts.words import plain
from ebca.settings import SettingsError

_BEGINS = r"(?:an?|the|one|two|three|four|five|six|seven|eight|nine|ten|several|many|some)"
_WORDS = (
    r"(?:(?!\b(?:and|or|with|without|wearing|wears|holding|riding|carrying|in|on|at|under|over|near"
    r"|behind|beside|below|above|inside|next|between|beneath|against|by|to|from|is|are|that|which|an?"
    r"|the|BREAK)\b)[^\W_][\w'-]*\s*)+"
)
_NOUN = re.compile(rf"\b{_BEGINS}\s+{_WORDS}", re.IGNORECASE)
"""Matches a noun with the words before it, from its article or number on."""

_ARTICLE = re.compile(r"(?:an?|the|one) (.*)", re.IGNORECASE)


class Thing(NamedTuple):
    """A thing that a picture must show; without a colour, any colour will do."""

    name: str
    colour: str = ""

    @property
    def phrase(self) -> str:
        words = f"{self.colour} {self.name}".strip()
        return ("an " if words[0].lower() in "aeiou" else "a ") + words


@dataclass(frozen=True)
class Source:
    """The picture that editing and inpainting start from: its content, and how it is drawn.

    `mask` is the half that is repainted, left or right; `strength` is the denoising strength;
    `shows` describes the picture in words. An edit changes the first of `things`.
    """

    things: tuple[Thing, ...]
    seed: int
    strength: float
    mask: str = ""
    scene: str = "plain"
    shows: str = ""


@dataclass(frozen=True)
class Case:
    """One picture to make by every method.

    `main` is the prompt without the parts that AND adds, `joint` puts everything into one prompt
    (with `negative` for what is to be removed), and `composed` joins everything by AND. `things`,
    `scene` and `style` are what the picture must show, `absent` what it must not.
    """

    task: str
    main: str
    joint: str
    composed: str
    seed: int
    things: tuple[Thing, ...]
    scene: str | None = None
    style: str | None = None
    absent: tuple[Thing, ...] = ()
    negative: str = ""
    source: Source | None = None

    def facts(self) -> dict[str, Any]:
        """Return all fields as values that JSON can hold."""
        return asdict(self)

    def prompt(self, kind: str) -> str:
        """Return the prompt for a method of the kind `kind`."""
        if kind == "off":
            return self.main
        if kind == "kept-same" and self.source:
            return self.source.shows
        return self.composed if kind in COMPOSING else self.joint

    @property
    def edited(self) -> bool:
        """Whether the case edits a whole picture."""
        return self.source is not None and not self.source.mask

    @property
    def strength(self) -> float | None:
        """The denoising strength of an edit; None for other cases."""
        return self.source.strength if self.source and not self.source.mask else None

    @property
    def title(self) -> str:
        """The name under which the case is counted: its task and, for an edit, the strength."""
        return self.task if self.strength is None else f"{self.task} at {self.strength:g}"

    @property
    def columns(self) -> tuple[str, ...]:
        """The prompts for columns side by side: those joined by AND, if each of several things has
        one."""
        parts = tuple(part.text.strip() for part in split_prompt(self.composed))
        return parts if len(parts) == len(self.things) > 1 and self.source is None else ()

    @property
    def batch(self) -> tuple[object, ...]:
        """A key that is equal for cases that can be sampled together."""
        source = self.source
        place = None if source is None else (source.strength, source.mask)
        return (place, len(re.findall(r"\bAND\b", self.composed)))


def joined(things: Sequence[Thing]) -> str:
    """Return the things as one phrase: `a red car, a blue crown and a clock`."""
    *first, last = (thing.phrase for thing in things)
    return " and ".join([*([", ".join(first)] if first else []), last])


def read_prompts(path: Path, seeds: int, first_seed: int) -> list[Case]:
    """Read the prompts of a file, one a line, each with `seeds` seeds; `#` begins a comment.

    The things asked for are listed after `|`, separated by commas, or else follow a, an, the.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError("prompts", str(path), "a text file that can be read") from error
    cases = []
    for line in (line.partition("#")[0].strip() for line in lines):
        if not line:
            continue
        text, _, marked = (part.strip() for part in line.partition("|"))
        names = [name.strip() for name in marked.split(",") if name.strip()] or find_nouns(text)
        things = tuple(Thing(name) for name in names)
        composed = text if re.search(r"\bAND\b", text) else " AND ".join(t.phrase for t in things)
        main = re.split(r"\bAND\b", text)[0].strip() if composed == text else text
        joint = re.sub(r"\s*(?::\s*[-+.\d]+)?\s+AND\s+", ", ", text)
        joint = re.sub(r"\s*:\s*[-+]?[\d.]+\s*$", "", joint)
        main = re.sub(r"\s*:\s*[-+]?[\d.]+\s*$", "", main)
        cases += [
            Case("prompts", main, joint, composed or text, seed, things)
            for seed in range(first_seed, first_seed + seeds)
        ]
    if not cases:
        raise SettingsError("prompts", str(path), "a file with a prompt in at least one line")
    return cases


def find_nouns(text: str) -> list[str]:
    """Return the nouns of a prompt: `a cat wearing a red bow, masterpiece` -> cat, red bow.

    A noun begins with an article and ends before the next comma, conjunction, preposition or
    article; one that `of` follows is left out. Each noun is given once.
    """
    found = (match[0].strip() for match in _NOUN.finditer(plain(text)))
    nouns = (noun for noun in dict.fromkeys(found) if not noun.lower().endswith(" of"))
    return [match[1] for noun in nouns if (match := _ARTICLE.fullmatch(noun))]
