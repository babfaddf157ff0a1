"""Find the phrases that are persons or animals, not just another name for one."""

from __future__ import annotations

from ebca.subjects import grammar
from ebca.subjects.links import AND, ANIMATE, Found, Verdict

_LONG_LIST = 12
"""The number of parts from which a list of tags is long."""


def find_animate(found: list[Found]) -> set[int]:
    """Return the indices of persons and animals, without other names for the same person.

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
    """Whether it is a bare word that describes another: `professional`, `male`, `creature`."""
    if one.article or one.verdict is not Verdict.SUBJECT:
        return False
    if one.phrase.noun in grammar.COLOURS or not one.phrase.known:
        return True
    if one.joined:
        return False
    alone = one.phrase.stop - one.phrase.start == 1
    return (alone and one.phrase.adjective) or one.phrase.noun in grammar.GENERIC


def _joins_scenery(found: list[Found], at: int) -> bool:
    """Whether it has no article and `and` joins it to no subject: `dungeons and dragons`."""
    one, before = found[at], found[at].previous
    if one.article or one.joined != AND or before is None or before.segment != one.segment:
        return False
    return before.letter in "snmzb" and before.verdict is not Verdict.PART


def without_ornaments(kept: list[Found]) -> list[Found]:
    """Remove `butterflies` or `jellyfish`, without article, far behind in a list of tags."""
    out: list[Found] = []
    long = bool(kept) and kept[-1].segment >= _LONG_LIST
    for one in kept:
        bare = not one.article and not one.joined and one.verdict is Verdict.SUBJECT
        bare = bare and one.letter in ANIMATE
        far = not out or one.segment - out[-1].segment > (2 if long else _LONG_LIST)
        many = one.phrase.plural or (long and one.phrase.noun.endswith("fish"))
        among = not out or (many and (out[-1].article or not out[-1].phrase.plural))
        if not (bare and out and (far or among)):
            out.append(one)
    return out
