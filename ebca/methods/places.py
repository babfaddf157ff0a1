"""Where a prompt says that a subject is: `a cat on the left, a dog behind it`."""

from __future__ import annotations

import re

from ebca.prompts.words import plain

_DIRECTIONS = {
    "left": (-1.0, 0.0),
    "right": (1.0, 0.0),
    "top": (0.0, -1.0),
    "bottom": (0.0, 1.0),
    "above": (0.0, -1.0),
    "over": (0.0, -1.0),
    "atop": (0.0, -1.0),
    "riding": (0.0, -1.0),
    "below": (0.0, 1.0),
    "under": (0.0, 1.0),
    "underneath": (0.0, 1.0),
    "beneath": (0.0, 1.0),
}
"""Words -> direction (x, y) in the picture, y downwards."""

_SIDE = r"(?:on|at|to|in)\s+the\s+(left|right|top|bottom)"
_RELATION = (
    r"(?:(?:on|to|at)\s+the\s+|on\s+)?"
    r"(?:(left|right|top)(?:\s+side)?\s+of"
    r"|(above|over|atop|below|under|underneath|beneath|riding)(?:\s+on)?)"
)
"""Between two subjects: where the first of them is, seen from the second."""

_AFTER = re.compile(
    rf"\s*(?:(?:is|stands|sits)\s+)?{_SIDE}\b|\W{{1,3}}{_SIDE}(?=\s*(?:[,.;]|and\b|$))"
)
_BEFORE = re.compile(rf"(?:^|[,.;]\s*){_SIDE}\W{{0,3}}(?:is\s+|there\s+is\s+)?$")
_FIRST = re.compile(rf"\W{{0,2}}(?:(?:is|stands|sits)\s+)?{_RELATION}\b")
_SECOND = re.compile(rf"\b{_RELATION}\s+$")


def place_of(prompt: str, subject: str) -> tuple[float, float]:
    """The direction in which `prompt` says that `subject` is; (0, 0) if it does not."""
    text = plain(prompt).lower()
    at = text.find(subject.lower())
    if at < 0:
        return (0.0, 0.0)
    before, after = text[:at], text[at + len(subject) :]
    if said := _FIRST.match(after):
        return _DIRECTIONS[said[1] or said[2]]
    if said := _SECOND.search(before):
        x, y = _DIRECTIONS[said[1] or said[2]]
        return (-x, -y)
    if said := _AFTER.match(after):
        return _DIRECTIONS[said[1] or said[2]]
    if said := _BEFORE.search(before):
        return _DIRECTIONS[said[1]]
    return (0.0, 0.0)
