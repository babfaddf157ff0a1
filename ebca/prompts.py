"""Reading prompts: `AND` into a main and editorial prompts, words into token weights.

Host-free. `AND` and `:weight` are read exactly as the WebUI reads them (modules/prompt_parser.py):
case-sensitive whole word, weight default 1.0, negative allowed, no exponent.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ebca.settings import (
    CONTRAST,
    CONTRAST_STOP_OPTION,
    FRACTION,
    TOKEN_WEIGHT,
    Edit,
    SettingsError,
    check_number,
)

_AND = re.compile(r"\bAND\b")
_ARTICLE = r"(?:an?|the|one|two|three|four|five|six|seven|eight|nine|ten|several|many|some)"
_WORDS = (
    r"(?:(?!\b(?:and|or|with|without|wearing|wears|holding|riding|carrying|in|on|at|under|over|near"
    r"|behind|beside|below|above|inside|next|between|beneath|against|by|to|from|is|are|that|which|an?"
    r"|the|BREAK)\b)[^\W_][\w'-]*\s*)+"
)
_NOUN = re.compile(rf"\b{_ARTICLE}\s+{_WORDS}", re.IGNORECASE)
"""A noun and what stands before it, from its article or number on."""

_THING = re.compile(
    rf"{_NOUN.pattern}(?:(?:wearing|wears|with)\s+(?:{_ARTICLE}\s+)?{_WORDS})*", re.IGNORECASE
)
"""A noun with all that it wears or has."""

_MARKS = re.compile(r"[()\[\]{}\\]|:\s*[\d.]+")
"""The WebUI's emphasis."""

_WEIGHTED = re.compile(r"(.*?)(?:\s*:\s*([-+]?(?:\d+\.?|\d*\.\d+)))?\s*", re.DOTALL)


class Subprompt(NamedTuple):
    """One of the `AND`-separated parts of a prompt, and its weight."""

    text: str
    weight: float


def split_prompt(prompt: str) -> list[Subprompt]:
    """The `AND`-separated parts of `prompt` in order; at least one."""
    parts = []
    for part in _AND.split(prompt):
        match = _WEIGHTED.fullmatch(part)
        assert match is not None  # the expression matches every text
        parts.append(Subprompt(match[1], 1.0 if match[2] is None else float(match[2])))
    return parts


@dataclass(frozen=True)
class Composed:
    """A prompt read for CACAO: its main prompt and the editorial ones.

    From one prompt `main` is a text and `edits` a tuple of `Edit`; from a list of prompts they
    are a list of texts and a tuple of such tuples. Both go straight into a pipeline and into
    `apply_patch`.
    """

    main: str | list[str]
    edits: tuple[Edit, ...] | tuple[tuple[Edit, ...], ...]


def compose(
    prompt: str | Sequence[str],
    *,
    gamma_attn: float = 0.0,
    gamma_norm: float = 0.0,
    start: float = 0.0,
    stop: float = 1.0,
    contrast: float = 0.0,
    contrast_stop: float = CONTRAST_STOP_OPTION.default,
    things: str = "",
) -> Composed:
    """Read `main :w AND editorial :v AND ...`; every editorial alpha is its weight over main's.

    `contrast` moves the picture away from the main prompt's things alone, if it has several, up
    to `contrast_stop`, a fraction of the steps; they are found by `find_things`, or named by
    `things`, as `read_things` reads it. The other arguments are given to every editorial `Edit`.
    Empty editorial prompts are left out. Raises `SettingsError` if the main weight is not
    positive, a value out of range, or a thing named that no main prompt has.
    """
    check_number("contrast", contrast, CONTRAST)
    check_number("contrast_stop", contrast_stop, FRACTION)
    texts = [prompt] if isinstance(prompt, str) else prompt
    each = [_compose_one(text, gamma_attn, gamma_norm, start, stop) for text in texts]
    mains = [main for main, _ in each]
    contrast, named = contrast if contrast_stop else 0.0, read_things(things)
    if contrast:
        check_things(mains, named)
    composed = tuple(
        edits
        + tuple(
            Edit(thing, contrast=share, stop=contrast_stop)
            for thing, share in contrasts(main, contrast, named).items()
        )
        for main, edits in each
    )
    return Composed(mains[0], composed[0]) if isinstance(prompt, str) else Composed(mains, composed)


def _compose_one(
    prompt: str, gamma_attn: float, gamma_norm: float, start: float, stop: float
) -> tuple[str, tuple[Edit, ...]]:
    main, *others = split_prompt(prompt)
    if others and main.weight <= 0:
        raise SettingsError(
            "prompt", f"{main.text.strip()} :{main.weight:g}",
            "a main prompt (the first of those joined by AND) with a weight above 0",
        )  # fmt: skip
    edits = tuple(
        Edit(other.text, None, other.weight / main.weight, gamma_attn, gamma_norm, start, stop)
        for other in others
        if other.text.strip()
    )
    return (main.text if others else prompt), edits


def find_nouns(text: str) -> list[str]:
    """`a photo of a cat wearing a crown, masterpiece` -> a cat, a crown.

    A noun begins with an article or a number and ends before the next comma, conjunction,
    preposition or article; what is only `of` another is none. Each is given once.
    """
    return _found(_NOUN, text)


def find_things(text: str) -> list[str]:
    """`a photo of a cat wearing a crown and a dog` -> a cat wearing a crown, a dog.

    Nouns as `find_nouns` finds them, but one that wears or has (`with`) something is one with that.
    """
    return _found(_THING, text)


def _found(pattern: re.Pattern[str], text: str) -> list[str]:
    found = (match[0].strip() for match in pattern.finditer(_plain(text)))
    return list(dict.fromkeys(thing for thing in found if not thing.lower().endswith(" of")))


def _plain(text: str) -> str:
    """`text` without the WebUI's emphasis, its words one space apart."""
    return " ".join(_MARKS.sub(" ", text).split())


def read_things(text: str) -> tuple[str, ...]:
    """Read `cat, red hat` as ("cat", "red hat"); empty text as (). One alone is refused."""
    named = tuple(dict.fromkeys(filter(None, map(_plain, text.split(",")))))
    if len(named) == 1:
        raise SettingsError("things", text, "two or more, such as 'cat, red hat', or none at all")
    return named


def check_things(texts: Collection[str], named: Sequence[str]) -> None:
    """Raise SettingsError for a thing that is in none of the texts, if there are any."""
    for thing in named:
        if texts and not any(_has(text, thing) for text in texts):
            raise SettingsError("things", thing, "words of the main prompt, as they stand there")


def _has(text: str, thing: str) -> bool:
    return bool(re.search(rf"(?<!\w){re.escape(thing)}(?!\w)", _plain(text), re.IGNORECASE))


def contrasts(text: str, contrast: float, named: Sequence[str] = ()) -> dict[str, float]:
    """The things of `text` that are not to be alone in the picture, with their share of `contrast`:
    so many things as there may be, the main prompt gains `contrast`. None if there is only one.

    They are those of `named` that it has, or if none is named, those that `find_things` finds.
    """
    if not contrast:
        return {}
    found = [thing for thing in named if _has(text, thing)] if named else find_things(text)
    return dict.fromkeys(found, contrast / len(found)) if len(found) > 1 else {}


def read_word_weights(text: str) -> list[tuple[str, float]]:
    """Read `crown:2.5, red hat:1.5` as [("crown", 2.5), ("red hat", 1.5)]; empty text as []."""
    weights = []
    for item in filter(None, (item.strip() for item in text.split(","))):
        word, colon, number = item.rpartition(":")
        legal = f"words with factors such as 'crown:2.5, red hat:1.5', each {TOKEN_WEIGHT}"
        try:
            factor = float(number)
        except ValueError:
            raise SettingsError("token_weights", item, legal) from None
        if not (colon and word.strip()):
            raise SettingsError("token_weights", item, legal)
        weights.append((word.strip(), check_number("token_weights", factor, TOKEN_WEIGHT)))
    return weights


def find_tokens(wanted: Sequence[object], tokens: Sequence[object]) -> Iterator[int]:
    """Every index of `tokens` that belongs to an occurrence of the sequence `wanted`."""
    length = len(wanted)
    seen: set[int] = set()
    for first in range(len(tokens) - length + 1 if length else 0):
        if list(tokens[first : first + length]) == list(wanted):
            seen.update(range(first, first + length))
    yield from sorted(seen)
