"""Decide whether a phrase after `and` or a comma is more of the same, or a new subject."""

from __future__ import annotations

from ebca.subjects.held import joins_held
from ebca.subjects.links import (
    ANIMATE,
    HAVE,
    MADE,
    NOT,
    OF,
    START,
    THINGS,
    VERB,
    WEAR,
    WITH,
    Found,
    Verdict,
)
from ebca.subjects.phrases import Phrase

_NOTHING = ("as", "like", "is", "by", "leans on", "about")
"""Links whose phrase is never in the picture, nor are phrases that `and` adds to it."""


def inherited(phrase: Phrase, last: Found) -> str:
    """Return the link of a phrase that `and` adds to the last one."""
    animate = phrase.letter in ANIMATE
    if last.verdict is Verdict.HELD:
        return last.link if joins_held(phrase, last) else START
    part = last.verdict is Verdict.PART or last.of_list is not None
    if last.link in (WITH, WEAR) or (last.link in (HAVE, "in", MADE) and part):
        if (last.of_list and animate) or (last.verdict is Verdict.RELATED and not animate):
            return "list"  # `a monitor, a keyboard and a mouse`: undecidable
        alone = animate or (last.link == MADE and phrase.article)
        if last.link == WITH and phrase.letter in THINGS and phrase.article:
            owner = last.part_of  # `pancakes with syrup and a glass of juice`
            alone = alone or bool(owner and owner.letter in THINGS and not last.article)
        return START if alone else last.link
    if last.link == OF:
        return START if phrase.article or not part else OF
    if last.link == NOT:
        return START if phrase.article and not last.article else NOT
    if last.verdict is Verdict.OTHER and last.article == "their" and not animate:
        return last.link  # `a scar on his cheek and an eyepatch`
    if last.verdict is Verdict.OTHER and last.link not in _NOTHING:
        settled = phrase.article not in ("", "the") or (animate and phrase.article)
        return START if settled and not last.link.startswith(VERB) else last.link
    return last.link


def list_of_parts(phrase: Phrase, last: Found | None, segment: int) -> Found | None:
    """Return the subject whose list of parts this continues: `with lettuce, tomato and`."""
    if last is None or phrase.letter in ANIMATE:
        return None
    if last.link not in (WITH, WEAR, OF) or last.segment + 1 != segment:
        return None
    alike = bool(phrase.article) == bool(last.article) and phrase.article != "number"
    if last.link == OF and phrase.article:
        return None
    if not alike and not (last.link == WEAR and phrase.letter in "wb"):
        return None
    return last.of_list or last.part_of
