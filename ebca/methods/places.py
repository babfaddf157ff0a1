"""Where a prompt says that a subject is: `a cat on the left, a dog behind it`."""

from __future__ import annotations

import re

from ebca.prompts.words import plain

Place = tuple[float, float]
"""A direction (x, y) in the picture, y downwards."""

NOWHERE: Place = (0.0, 0.0)
_LEFT, _RIGHT = (-1.0, 0.0), (1.0, 0.0)
_UP, _DOWN = (0.0, -1.0), (0.0, 1.0)  # what is further away is drawn higher

_PLACES: dict[str, Place] = {
    "left": _LEFT,
    "right": _RIGHT,
    **dict.fromkeys(("top", "above", "over", "atop", "riding", "behind", "background"), _UP),
    **dict.fromkeys(
        ("bottom", "below", "under", "underneath", "beneath", "in front of", "foreground"), _DOWN
    ),
}
"""Words -> where they say that something is. The middle is none: with one subject there and the
other around it, the other is drawn several times (docs/alignment.md)."""

_SIDE = r"(?:on|at|to|in)\s+the\s+(left|right|top|bottom|foreground|background)"
_RELATION = (
    r"(?:(?:on|to|at)\s+the\s+|on\s+)?"
    r"(?:(left|right|top)(?:\s+side)?\s+of"
    r"|(above|over|atop|below|under|underneath|beneath|riding|behind|in front of)(?:\s+on)?)"
)
"""Between two subjects: where the first of them is, seen from the second."""

_AFTER = re.compile(
    rf"\s*(?:(?:is|stands|sits)\s+)?{_SIDE}\b|\W{{1,3}}{_SIDE}(?=\s*(?:[,.;]|and\b|$))"
)
_BEFORE = re.compile(rf"(?:^|[,.;]\s*){_SIDE}\W{{0,3}}(?:is\s+|there\s+is\s+)?$")
_FIRST = re.compile(rf"\W{{0,2}}(?:(?:is|stands|sits)\s+)?{_RELATION}\b")
_SECOND = re.compile(rf"\b{_RELATION}\s+$")


def place_of(prompt: str, subject: str) -> Place:
    """Where `prompt` says that `subject` is; NOWHERE if it does not."""
    text = plain(prompt).lower()
    at = text.find(subject.lower())
    if at < 0:
        return NOWHERE
    before, after = text[:at], text[at + len(subject) :]
    if said := _FIRST.match(after):
        return _said(said)
    if said := _SECOND.search(before):
        x, y = _said(said)
        return (-x, -y)
    if said := _AFTER.match(after) or _BEFORE.search(before):
        return _said(said)
    return NOWHERE


def _said(found: re.Match[str]) -> Place:
    """Where the word says it that was found: the only group that has one."""
    return _PLACES[found[found.lastindex or 0]]
