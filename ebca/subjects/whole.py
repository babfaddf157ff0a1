"""Decide which phrases are subjects, in view of the whole prompt."""

from __future__ import annotations

from itertools import pairwise

from ebca.subjects import grammar
from ebca.subjects.links import AND, ANIMATE, STANDING, START, THINGS, WEAR, Found, Verdict
from ebca.subjects.persons import find_animate, without_ornaments

_FAMILIES = ("fk", "v", "tk")
"""Categories of things that may be listed together as subjects."""
_MOST = 20
"""The number of things with one noun that are told apart."""


def keep(found: list[Found]) -> list[Found]:
    """Return the subjects, each once."""
    dressed = any(one.link == WEAR for one in found)
    found = [one for one in found if one.verdict in (Verdict.SUBJECT, Verdict.RELATED)]
    for one, after in pairwise(found):
        if after.joined == "or":
            one.verdict = after.verdict = Verdict.OTHER
    whole = _Whole(found, dressed)
    kept: list[Found] = []
    for at, one in enumerate(found):
        if one.verdict is not Verdict.OTHER and whole.takes(at, kept):
            kept.append(one)
    return _distinct(without_ornaments(kept))


class _Whole:
    """The facts about the whole prompt that are needed to judge one phrase."""

    def __init__(self, found: list[Found], dressed: bool) -> None:
        self._found = found
        self._animate = find_animate(found)
        self._listed = set() if self._animate else _listed(found)
        self._by_and = _listed_by_and(found)
        self._scene, self._places = _begins_with_scenery(found), _lists_places(found)
        self._dressed = dressed or bool(self._animate)

    def takes(self, at: int, kept: list[Found]) -> bool:
        """Whether this is a subject, given those kept before it."""
        one = self._found[at]
        if at in self._animate:
            return True
        if self._is_scenery(one) or self._is_of_another(at, kept):
            return False
        if one.verdict is Verdict.RELATED or at in self._listed:
            return True
        before = self._found[at - 1] if at else None
        owned = any(other.letter in "pg" for other in kept)
        if at in self._by_and and one.letter == "w" and not owned:
            return one.article in ("a", "number")  # `a crown and a cat`: nobody wears it yet
        return _has_article(self._found, at) and _is_thing(one, before, self._dressed)

    def _is_scenery(self, one: Found) -> bool:
        stands = one.letter in STANDING
        if stands and (one.background or (self._places and one.link == START)):
            return True
        return self._scene and one.letter not in ANIMATE and one.letter != "v"

    def _is_of_another(self, at: int, kept: list[Found]) -> bool:
        """Whether it is the last subject's, or scenery: `a woman, a bouquet in her hands`."""
        one = self._found[at]
        if one.link == "on" and one.letter not in ANIMATE:
            return not _stands_on(one, kept)
        if not kept or at in self._by_and or not _only_follows(one):
            return False
        return one.letter in STANDING or (bool(self._animate) and one.letter in THINGS - {"v"})


def _only_follows(one: Found) -> bool:
    """Whether only a comma joins it to the phrase before."""
    return one.after_comma and one.link == START and not one.joined and not one.placed


def _listed_by_and(found: list[Found]) -> set[int]:
    """Return the indices in lists that end with `and`: `a king, a queen and a jester`."""
    listed: set[int] = set()
    for at in range(len(found) - 2, -1, -1):
        one, after = found[at], found[at + 1]
        ends = after.joined == AND and after.segment - one.segment < 2
        follows = after.link == START and after.segment == one.segment + 1
        if ends or (at + 1 in listed and follows):
            listed.add(at)
    return listed


def _stands_on(one: Found, kept: list[Found]) -> bool:
    """Whether the last subject is on this thing, as in `a crow on a skull`."""
    return bool(kept) and (one.previous is kept[-1] or _is_part(one.previous, kept[-1]))


def _begins_with_scenery(found: list[Found]) -> bool:
    """Whether a place comes first, and the rest furnishes it: `a living room, a sofa`."""
    first = next((one for one in found if one.letter not in ("m", "n", "")), None)
    return first is not None and first.letter == "s" and first.link == START


def _lists_places(found: list[Found]) -> bool:
    """Whether a place is listed, so that a church is scenery in `a church, a graveyard`."""
    return any(one.letter == "s" and one.link == START and one.article for one in found)


def _has_article(found: list[Found], index: int) -> bool:
    """Whether it has an article, or shares one, as in `a pie, fries and a coke`.

    At the beginning of a sentence none is needed: `red car passing a truck`.
    """
    one = found[index]
    before, after = (found[i] if 0 <= i < len(found) else None for i in (index - 1, index + 1))
    if one.article:
        return True
    if one.joined or after is None or after.segment != one.segment:
        return False  # `a skull and crossbones`, `fish and chips` are one
    if after.verdict is Verdict.RELATED:
        return bool(after.article)
    listed = after.joined == AND and one.letter in ANIMATE | THINGS
    return listed and bool(before and before.article and before.letter in THINGS)


def _is_thing(one: Found, before: Found | None, worn: bool) -> bool:
    """Whether it is a thing by itself, and no possession."""
    if not one.article and one.phrase.noun in grammar.COLOURS:
        return False
    if one.letter in THINGS:
        return not (one.article == "their" and one.joined != AND)
    if one.letter == "w":
        beside = before is not None and before.letter in ANIMATE | THINGS
        beside = beside and (one.previous is before or _is_part(one.previous, before))
        return not worn or (beside and one.joined == AND and one.article not in ("", "their"))
    stands = bool(one.letter) and one.letter in STANDING
    return stands and (one.letter, one.article) != ("y", "the")


def _is_part(one: Found | None, whole: Found | None) -> bool:
    return one is not None and one.verdict is Verdict.PART and one.part_of is whole


def _listed(found: list[Found]) -> set[int]:
    """Return the things in a list of tags that names only things of one family."""
    named = {
        at: one
        for at, one in enumerate(found)
        if one.letter not in ("m", "n", "z", "", "b") and one.link == START
    }
    parts = len({one.segment for one in found})
    if len({bool(one.article) for one in named.values()}) > 1:
        return set()  # `a skull and crossbones flag`
    for family in _FAMILIES:
        if 2 * len(named) > max(2, parts) and all(one.letter in family for one in named.values()):
            return {at for at, one in named.items() if one.article or not one.phrase.plural}
    return set()


def _distinct(found: list[Found]) -> list[Found]:
    """Remove phrases that name a thing again."""
    kept: list[Found] = []
    by_noun: dict[str, list[Found]] = {}
    for one in found:
        others = by_noun.setdefault(one.phrase.noun, [])
        if not any(_is_same(one, other) for other in others[:_MOST]):
            others.append(one)
            kept.append(one)
    return kept


def _is_same(one: Found, other: Found) -> bool:
    """Whether both, of one noun, mean one thing: one has no adjective that the other lacks."""
    mine, yours = one.words, other.words
    if not one.article or not other.article:
        mine, yours = mine & grammar.COLOURS, yours & grammar.COLOURS
    return mine <= yours or yours <= mine or one.article == "the"
