"""Links, which join a noun phrase to its prompt, and the verdict that follows from a link."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from ebca.subjects import contact, grammar
from ebca.subjects.phrases import Phrase

ANIMATE = frozenset("pag")
THINGS = frozenset("tvfk")
STANDING = frozenset("uhly")
"""Furniture, buildings, plants, stars: things or scenery, depending on the prompt."""

START, AND, OF, WITH, WEAR, HAVE, MADE = "start", "and", "of", "with", "wearing", "have", "made"
NOT, BACKGROUND, VERB = "not", "background", "verb "
ALONGSIDE = grammar.words(
    "next_to beside besides between alongside on_top_of atop under beneath underneath below above"
    " inside"
)
NEAR = grammar.words(
    "at to near before around against toward towards onto upon past among amongst beyond"
)
_LONG = 6
"""A noun with more modifiers than this was not understood."""


class Verdict(Enum):
    """The role of a phrase in its prompt."""

    SUBJECT = "a subject, if the whole prompt does not say otherwise"
    RELATED = "a subject that stands in a relation to another one"
    PART = "a part of the subject before it"
    HELD = "held by somebody, and no part of the text"
    OTHER = "neither"


@dataclass(eq=False)
class Found:
    """A phrase at its place in the prompt."""

    phrase: Phrase
    link: str
    verdict: Verdict
    letter: str
    stop: int
    """The token after the phrase and its parts."""
    segment: int
    words: frozenset[str]
    """The words that describe the noun: adjectives, and the words of its parts."""
    joined: str = ""
    previous: Found | None = field(default=None, repr=False)
    """The phrase before it in the prompt."""
    part_of: Found | None = field(default=None, repr=False)
    owner: Found | None = field(default=None, repr=False)
    """The subject that the phrase could be a part of, by its position."""
    of_list: Found | None = field(default=None, repr=False)
    """The subject whose list of parts it may continue: `with lettuce, tomato and cheese`."""
    background: bool = False
    after_comma: bool = False
    placed: bool = False
    """Whether the prompt says where it is, as in `on the left`."""

    @property
    def article(self) -> str:
        return self.phrase.article


def judge(phrase: Phrase, link: str, last: Found | None, owner: Found | None) -> Verdict:
    """Return the verdict on a phrase by its link; parts may still belong to `owner`."""
    letter = phrase.letter
    if len(phrase.modifiers) > _LONG or "half" in phrase.modifiers:
        return Verdict.OTHER
    animate = letter in ANIMATE and (letter != "g" or bool(phrase.article))
    if link == START:
        return Verdict.SUBJECT
    if link == OF:
        return _of(last)
    if link == WITH:
        return _with(phrase, animate, last, owner)
    if link in (WEAR, HAVE, MADE):
        if link == HAVE and (animate or letter not in "bwz"):
            return _object(phrase, animate, "have")
        wears = owner and (owner.verdict is Verdict.SUBJECT or owner.letter in ANIMATE)
        return Verdict.PART if wears and (link == MADE or not animate) else Verdict.OTHER
    if link == "in":
        worn = letter in "wz" or (letter == "n" and phrase.noun in grammar.COLOURS)
        return Verdict.PART if owner and letter and worn else Verdict.OTHER
    if link == BACKGROUND:
        seen = (animate or letter in "tv") and bool(letter) and bool(phrase.article)
        return Verdict.RELATED if seen else Verdict.OTHER
    if link.startswith(VERB):
        return _object(phrase, animate, link[len(VERB) :])
    return _where(phrase, animate, link)


def _of(last: Found | None) -> Verdict:
    if last is None or last.verdict in (Verdict.OTHER, Verdict.HELD):
        return Verdict.OTHER
    if last.letter == "m":
        return Verdict.SUBJECT if last.verdict is Verdict.SUBJECT else Verdict.OTHER
    if last.letter in "snbzy" and last.verdict is not Verdict.PART:
        return Verdict.OTHER
    return Verdict.PART


def _with(phrase: Phrase, animate: bool, last: Found | None, owner: Found | None) -> Verdict:
    if last and last.verdict is Verdict.SUBJECT and last.letter == "m":
        return Verdict.SUBJECT
    if animate:
        scenery = last is not None and last.letter in "sn" and last.verdict is Verdict.SUBJECT
        return Verdict.RELATED if phrase.article or not scenery else Verdict.OTHER
    if owner is None or (phrase.letter == "b" and _is_held(owner)):
        return Verdict.OTHER
    return Verdict.PART


def _is_held(owner: Found) -> bool:
    """Whether `owner` is a held thing: `holding a sword with both hands`, which are not its own."""
    return owner.verdict is Verdict.RELATED and owner.letter not in ANIMATE


def _object(phrase: Phrase, animate: bool, verb: str) -> Verdict:
    letter, article = phrase.letter, phrase.article
    if verb in grammar.RESEMBLE:
        return Verdict.OTHER
    if _is_handled(phrase, animate, verb):
        return Verdict.HELD
    if animate:
        return Verdict.RELATED
    if verb in grammar.CONSUME or not letter:
        return Verdict.OTHER
    if letter == "v":
        return Verdict.RELATED if article else Verdict.OTHER
    if letter in "tkfl" and article in ("a", "number", "own"):
        return Verdict.RELATED
    return Verdict.OTHER


def _is_handled(phrase: Phrase, animate: bool, verb: str) -> bool:
    """Whether the verb puts its object into somebody's arms or hands."""
    if verb in contact.HOLD:
        return True
    if animate or not phrase.letter:
        return False
    if verb in contact.HUG | contact.CLING:
        return True
    alone = phrase.noun in contact.STANDS_ALONE or phrase.letter in "vhs"
    return verb in contact.HANDLE and not alone


def _where(phrase: Phrase, animate: bool, link: str) -> Verdict:
    letter, article = phrase.letter, phrase.article
    if link in grammar.BESIDE or link in ("near", "on", "around"):
        if animate:
            return Verdict.RELATED
        seen = "tvfk"
        if link == "on":
            seen = "v" if phrase.noun in grammar.RIDDEN else ""
            seen += "t" if article in ("a", "number") else ""
        if link in ALONGSIDE and article != "the":
            seen += "u"
        if link in ("next_to", "beside", "between"):
            seen += "hlw"
        if article == "the" and phrase.plural:  # `the keys` of what was named
            return Verdict.OTHER
        if link in grammar.UNDER and phrase.noun in grammar.OVERHEAD:
            return Verdict.OTHER
        return Verdict.RELATED if article and letter and letter in seen else Verdict.OTHER
    if link in NEAR or link in ("by the", "held by"):
        named = article or (phrase.plural and link != "by the")
        # `chased by a missile`, `walking past a car`
        acts = animate or (link in ("by the", "past", "toward", "towards") and letter == "v")
        return Verdict.RELATED if acts and named else Verdict.OTHER
    return Verdict.OTHER
