"""Which of a prompt's phrases are subjects, as the whole prompt goes."""

from __future__ import annotations

from itertools import pairwise

from ebca.subjects import grammar
from ebca.subjects.links import AND, ANIMATE, STANDING, START, THINGS, WEAR, Found, Verdict
from ebca.subjects.persons import find_animate, without_ornaments

_FAMILIES = ("fk", "v", "tk")
"""Things that make a list of things by themselves."""
_MOST = 20
"""So many things of one noun are told apart."""


def keep(found: list[Found]) -> list[Found]:
    """The subjects, each once."""
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
    """What must be known of the whole prompt to judge one phrase."""

    def __init__(self, found: list[Found], dressed: bool) -> None:
        self._found = found
        self._animate = find_animate(found)
        self._listed = set() if self._animate else _listed(found)
        self._by_and = _listed_by_and(found)
        self._scene, self._places = _begins_with_scenery(found), _lists_places(found)
        self._dressed = dressed or bool(self._animate)

    def takes(self, at: int, kept: list[Found]) -> bool:
        """Is this a subject, after those that were kept?"""
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
        """`a woman, a bouquet in her hands`: of the one before, or scenery."""
        one = self._found[at]
        if one.link == "on" and one.letter not in ANIMATE:
            return not _stands_on(one, kept)
        if not kept or at in self._by_and or not _only_follows(one):
            return False
        return one.letter in STANDING or (bool(self._animate) and one.letter in THINGS - {"v"})


def _only_follows(one: Found) -> bool:
    """Is it after a comma and nothing else?"""
    return one.after_comma and one.link == START and not one.joined and not one.placed


def _listed_by_and(found: list[Found]) -> set[int]:
    """Which are of a list that ends with `and`, as in `a king, a queen and a jester`."""
    listed: set[int] = set()
    for at in range(len(found) - 2, -1, -1):
        one, after = found[at], found[at + 1]
        ends = after.joined == AND and after.segment - one.segment < 2
        follows = after.link == START and after.segment == one.segment + 1
        if ends or (at + 1 in listed and follows):
            listed.add(at)
    return listed


def _stands_on(one: Found, kept: list[Found]) -> bool:
    """Is what is on this thing the last subject, as in `a crow on a skull`?"""
    return bool(kept) and (one.previous is kept[-1] or _is_part(one.previous, kept[-1]))


def _begins_with_scenery(found: list[Found]) -> bool:
    """`a living room, a sofa, a table`: what follows furnishes it."""
    first = next((one for one in found if one.letter not in ("m", "n", "")), None)
    return first is not None and first.letter == "s" and first.link == START


def _lists_places(found: list[Found]) -> bool:
    """`a church, a graveyard and a full moon`: what stands there is scenery as well."""
    return any(one.letter == "s" and one.link == START and one.article for one in found)


def _has_article(found: list[Found], index: int) -> bool:
    """Has it an article, or a share in one, as in `a pie, fries and a coke`?

    What begins a sentence needs none: `red car passing a truck`.
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
    """Is it a thing by itself, and no possession?"""
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
    """The things of a list of tags that names nothing but things, all of a kind."""
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
    """Without what is named again."""
    kept: list[Found] = []
    by_noun: dict[str, list[Found]] = {}
    for one in found:
        others = by_noun.setdefault(one.phrase.noun, [])
        if not any(_is_same(one, other) for other in others[:_MOST]):
            others.append(one)
            kept.append(one)
    return kept


def _is_same(one: Found, other: Found) -> bool:
    """Do both, of one noun, mean one thing? Then one has no adjective that the other lacks."""
    mine, yours = one.words, other.words
    if not one.article or not other.article:
        mine, yours = mine & grammar.COLOURS, yours & grammar.COLOURS
    return mine <= yours or yours <= mine or one.article == "the"
