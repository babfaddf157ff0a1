"""Find where a prompt places a subject: `a cat on the left, a dog behind it`."""

from __future__ import annotations

import re

from ebca.prompts.words import plain

Place = tuple[float, float]
"""A direction (x, y) in the picture, y downwards."""

NOWHERE: Place = (0.0, 0.0)
_LEFT, _RIGHT = (-1.0, 0.0), (1.0, 0.0)
_UP, _DOWN = (0.0, -1.0), (0.0, 1.0)  # more distant things are drawn higher

_PLACES: dict[str, Place] = {
    "left": _LEFT,
    "right": _RIGHT,
    **dict.fromkeys(("top", "above", "over", "atop", "riding", "behind", "background"), _UP),
    **dict.fromkeys(
        ("bottom", "below", "under", "underneath", "beneath", "in front of", "foreground"), _DOWN
    ),
}
"""Words -> the place that they name. There is no word for the middle: with one subject there and
the other around it, the other is drawn several times (docs/alignment.md)."""

_SIDE = r"(?:on|at|to|in)\s+the\s+(left|right|top|bottom|foreground|background)"
_RELATION = (
    r"(?:(?:on|to|at)\s+the\s+|on\s+)?"
    r"(?:(left|right|top)(?:\s+side)?\s+of"
    r"|(above|over|atop|below|under|underneath|beneath|riding|behind|in front of)(?:\s+on)?)"
)
"""Matches words between two subjects that place the first in relation to the second."""

_AFTER = re.compile(
    rf"\s*(?:(?:is|stands|sits)\s+)?{_SIDE}\b|\W{{1,3}}{_SIDE}(?=\s*(?:[,.;]|and\b|$))"
)
_BEFORE = re.compile(rf"(?:^|[,.;]\s*){_SIDE}\W{{0,3}}(?:is\s+|there\s+is\s+)?$")
_FIRST = re.compile(rf"\W{{0,2}}(?:(?:is|stands|sits)\s+)?{_RELATION}\b")
_SECOND = re.compile(rf"\b{_RELATION}\s+$")


def place_of(prompt: str, subject: str) -> Place:
    """Return where `prompt` places `subject`; NOWHERE if it does not say."""
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
    """Return the place that a match names: only one of its groups has a word."""
    return _PLACES[found[found.lastindex or 0]]
