"""Which of a prompt's phrases are subjects, as the whole prompt goes."""

from __future__ import annotations

from itertools import pairwise

from ebca.subjects import grammar
from ebca.subjects.links import AND, ANIMATE, STANDING, START, THINGS, WEAR, Found, Verdict

_FAMILIES = ("fk", "v", "tk")
"""Things that make a list of things by themselves."""
_OUTDOORS = "hly"
_LONG_LIST = 12
"""So many parts are a long list of tags."""
_MOST = 20
"""So many things of one noun are told apart."""


def keep(found: list[Found]) -> list[Found]:
    """The subjects, each once."""
    dressed = any(one.link == WEAR for one in found)
    found = [one for one in found if one.verdict in (Verdict.SUBJECT, Verdict.RELATED)]
    for one, after in pairwise(found):
        if after.joined == "or":
            one.verdict = after.verdict = Verdict.OTHER
    animate = _animate(found)
    listed = set() if animate else _listed(found)
    scene, places = _begins_with_scenery(found), _lists_places(found)
    kept: list[Found] = []
    for at, one in enumerate(found):
        if one.verdict is Verdict.OTHER or (one.background and one.letter in STANDING):
            continue
        if places and one.letter in STANDING and one.link == START:
            continue
        before = found[at - 1] if at else None
        if one.link == "on" and one.letter not in ANIMATE and not _stands_on(one, kept):
            continue
        if scene and one.letter not in ANIMATE and one.letter != "v":
            continue
        alone = _has_article(found, at) and _is_thing(one, before, bool(animate) or dressed)
        if one.verdict is Verdict.RELATED or at in animate or at in listed or alone:
            kept.append(one)
    outdoors = [one for one in kept if one.letter in _OUTDOORS and one.link == START]
    if len({one.phrase.noun for one in outdoors if not one.joined}) == len(kept):
        return []  # `a mansion, a dead tree, a full moon`
    return _distinct(_without_ornaments(kept))


def _stands_on(one: Found, kept: list[Found]) -> bool:
    """Is what is on this thing the last subject, as in `a crow on a skull`?"""
    return bool(kept) and (one.previous is kept[-1] or _is_part(one.previous, kept[-1]))


def _without_ornaments(kept: list[Found]) -> list[Found]:
    """Without the bare `butterflies` or `jellyfish` far behind in a list of tags."""
    out: list[Found] = []
    long = bool(kept) and kept[-1].segment >= _LONG_LIST
    for one in kept:
        bare = not one.article and not one.joined and one.verdict is Verdict.SUBJECT
        bare = bare and one.letter in ANIMATE
        far = not out or one.segment - out[-1].segment > (2 if long else _LONG_LIST)
        many = one.phrase.plural or one.phrase.noun.endswith("fish")
        among = not out or (many and (out[-1].article or not out[-1].phrase.plural))
        if not (bare and out and (far or among)):
            out.append(one)
    return out


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


def _animate(found: list[Found]) -> set[int]:
    """Which are persons or animals, and not only what another person is called.

    `1girl, witch` and `a woman. The artist` are one person, and so is a bare `elf, princess`.
    """
    alone = [one for one in found if one.letter == "p" and one.verdict is Verdict.SUBJECT
             and one.joined != AND]  # fmt: skip
    nouns = {one.phrase.noun for one in alone}
    seen: set[str] = set()
    counted: set[str] = set()
    kept = set()
    for at, one in enumerate(found):
        noun, article = one.phrase.noun, one.article
        named = False
        if one.letter == "p" and one.verdict is Verdict.SUBJECT and one.joined != AND:
            if not article:
                named = len(nouns) > 1
            elif article == "the":
                named = bool(seen - {noun})
            elif article != "number":
                named = bool(counted - {noun})
            seen.add(noun)
            if article == "number":
                counted.add(noun)
        named = named or _is_quality(one) or _joins_scenery(found, at)
        living = one.letter in ANIMATE and (one.letter != "g" or bool(article))
        if living and one.verdict is not Verdict.OTHER and not named:
            kept.add(at)
    return kept


def _is_quality(one: Found) -> bool:
    """Is it one bare word that says what another one is: `professional`, `male`, `creature`?"""
    if one.article or one.verdict is not Verdict.SUBJECT:
        return False
    if one.phrase.noun in grammar.COLOURS or not one.phrase.known:
        return True
    if one.joined:
        return False
    alone = one.phrase.stop - one.phrase.start == 1
    return (alone and one.phrase.adjective) or one.phrase.noun in grammar.GENERIC


def _joins_scenery(found: list[Found], at: int) -> bool:
    """`dungeons and dragons`: bare, and with what is no subject."""
    one = found[at]
    if one.article or one.joined != AND or at == 0:
        return False
    before = found[at - 1]
    return before.segment == one.segment and before.letter in "snmzb"


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
