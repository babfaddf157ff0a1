"""What a prompt asks to see as separate things: right or silent.

Every noun phrase gets a link, what joins it to the prompt: nothing (it begins a part), a small
word (`with`, `on`, `next to`), or a verb. Link and noun decide: it is a subject, a part of the one
before it (`in a red dress`), or neither. Then the whole prompt is looked at: what may be one thing
said twice, scenery, or a garment is left out, and with fewer than two subjects nothing is done.
"""

from __future__ import annotations

from dataclasses import dataclass

from ebca.subjects import grammar
from ebca.subjects.lexicon import Lexicon, lexicon
from ebca.subjects.links import AND, ANIMATE, STANDING, START, THINGS, Found, Verdict
from ebca.subjects.marks import Kind, Token, read_tokens
from ebca.subjects.walk import Walk

_FAMILIES = ("fk", "v", "tk")
"""Things that make a list of things by themselves."""


@dataclass(frozen=True)
class Subject:
    """A subject: a text that can be encoded alone, its noun, and its place in the prompt."""

    text: str
    noun: str
    start: int
    stop: int


def read_subjects(prompt: str) -> tuple[Subject, ...]:
    """The subjects in order; none if there are fewer than two, or in doubt."""
    tokens = read_tokens(prompt)
    words = lexicon()
    if not _is_english(tokens, words) or any(token.text == "solo" for token in tokens):
        return ()
    kept = _distinct(_seen(Walk(tokens, words).found))
    return tuple(_subject(tokens, one) for one in kept) if len(kept) > 1 else ()


def find_subjects(prompt: str) -> tuple[str, ...]:
    """The texts of `read_subjects`."""
    return tuple(subject.text for subject in read_subjects(prompt))


def _subject(tokens: list[Token], found: Found) -> Subject:
    own = tokens[found.phrase.start : found.stop]
    text = ""
    for token in own:
        if token.kind is Kind.WORD:
            text += " " * bool(text) + token.shown
        elif token.kind is Kind.SOFT:
            text += ","
    return Subject(text, tokens[found.phrase.head].shown, own[0].start, own[-1].stop)


def _is_english(tokens: list[Token], words: Lexicon) -> bool:
    said = [token.text for token in tokens if token.kind is Kind.WORD]
    if not said:
        return False
    foreign = sum(word in grammar.FOREIGN for word in said)
    english = sum(word in grammar.ENGLISH for word in said)
    known = sum(word in grammar.ENGLISH or words.knows(word) or word[0].isdigit() for word in said)
    return foreign <= english and known >= 0.4 * len(said)


def _seen(found: list[Found]) -> list[Found]:
    """Those that are subjects, as the whole prompt goes."""
    found = [one for one in found if one.verdict in (Verdict.SUBJECT, Verdict.RELATED)]
    for one, after in zip(found, found[1:], strict=False):
        if after.joined == "or":
            one.verdict = after.verdict = Verdict.OTHER
    animate = [one for one in found if one.letter in ANIMATE and _is_animate(one, found)]
    scene = _begins_with_scenery(found)
    listed = _listed(found) if not animate else []
    kept = []
    for index, one in enumerate(found):
        before = found[index - 1] if index else None
        if one.verdict is Verdict.OTHER or (one.background and one.letter in STANDING):
            continue
        if one.verdict is Verdict.RELATED or one in animate or one in listed:
            kept.append(one)
        elif scene and one.letter != "v":
            continue
        elif _has_article(found, index) and _is_thing(one, before, bool(animate)):
            kept.append(one)
    return kept


def _begins_with_scenery(found: list[Found]) -> bool:
    """`a living room, a sofa, a table`: what follows furnishes it."""
    first = next((one for one in found if one.letter not in ("m", "n", "")), None)
    return first is not None and first.letter == "s" and first.link == START


def _has_article(found: list[Found], index: int) -> bool:
    """Has it an article, or a share in one, as in `a bird and fish`, `a pie, fries and a coke`?

    What begins a sentence needs none: `red car passing a truck`.
    """
    one = found[index]
    before, after = (found[i] if 0 <= i < len(found) else None for i in (index - 1, index + 1))
    if one.article or (one.joined == AND and before and before.article):
        return True
    if after is None or after.segment != one.segment:
        return False
    if after.verdict is Verdict.RELATED:
        return bool(after.article)
    return after.joined == AND and bool(before and before.article and before.letter in THINGS)


def _is_thing(one: Found, before: Found | None, worn: bool) -> bool:
    if one.letter in THINGS:
        return not (one.article == "their" and one.joined != AND)
    if one.letter == "w":
        return not worn or (one.joined == AND and one.article not in ("", "their"))
    return bool(one.letter) and one.letter in STANDING and (one.letter != "y" or one.article != "the")


def _is_animate(one: Found, found: list[Found]) -> bool:
    """Is it one more person or animal, and not what another one is called?"""
    if one.letter == "g":
        return bool(one.article)
    if one.letter != "p" or one.verdict is Verdict.RELATED or one.joined == AND:
        return one.verdict is not Verdict.OTHER
    others = [
        other for other in found
        if other.letter == "p" and other is not one and other.verdict is Verdict.SUBJECT
        and other.phrase.noun != one.phrase.noun and other.joined != AND
    ]  # fmt: skip
    earlier = [other for other in others if other.phrase.start < one.phrase.start]
    if not one.article:
        return not others
    if one.article == "the" and earlier:
        return False
    counted = [other for other in earlier if other.article == "number"]
    return one.article == "number" or not counted
 

def _listed(found: list[Found]) -> list[Found]:
    """The things of a list of tags that names nothing but things, all of a kind."""
    named = [one for one in found if one.letter not in ("m", "n", "z", "", "b")]
    for family in _FAMILIES:
        if len(named) > 1 and all(one.letter in family for one in named):
            return [one for one in named if not one.phrase.plural or one.article]
    return []


def _distinct(found: list[Found]) -> list[Found]:
    """Without what is named again."""
    kept: list[Found] = []
    for one in found:
        if not any(_is_same(one, other) for other in kept):
            kept.append(one)
    return kept


def _is_same(one: Found, other: Found) -> bool:
    if one.phrase.noun != other.phrase.noun:
        return False
    mine, yours = one.phrase.modifiers, other.phrase.modifiers
    if not one.article or not other.article:
        mine, yours = mine & grammar.COLOURS, yours & grammar.COLOURS
    return mine <= yours or yours <= mine or one.article == "the"
