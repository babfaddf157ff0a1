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
    "below": (0.0, 1.0),
    "under": (0.0, 1.0),
    "underneath": (0.0, 1.0),
    "beneath": (0.0, 1.0),
}
"""Words -> direction (x, y) in the picture, y downwards."""

_SIDE = r"(?:on|at|to|in)\s+the\s+(left|right|top|bottom)"
_RELATION = r"(on\s+top\s+of|above|below|under|underneath|beneath)"
_AFTER = re.compile(rf"\W{{0,3}}(?:(?:is|stands|sits)\s+)?{_SIDE}\b")
_BEFORE = re.compile(rf"(?:^|[,.;]\s*){_SIDE}\W{{0,3}}(?:is\s+|there\s+is\s+)?$")
_ABOVE_WHAT_FOLLOWS = re.compile(rf"\W{{0,2}}{_RELATION}\b")
_BELOW_WHAT_PRECEDES = re.compile(rf"\b{_RELATION}\s+$")


def place_of(prompt: str, subject: str) -> tuple[float, float]:
    """The direction in which `prompt` says that `subject` is; (0, 0) if it does not."""
    text = plain(prompt).lower()
    at = text.find(subject.lower())
    if at < 0:
        return (0.0, 0.0)
    before, after = text[:at], text[at + len(subject) :]
    if said := _AFTER.match(after) or _BEFORE.search(before):
        return _DIRECTIONS[said[1]]
    if said := _ABOVE_WHAT_FOLLOWS.match(after):
        return _DIRECTIONS["above" if said[1].startswith("on") else said[1]]
    if said := _BELOW_WHAT_PRECEDES.search(before):
        x, y = _DIRECTIONS["above" if said[1].startswith("on") else said[1]]
        return (-x, -y)
    return (0.0, 0.0)
