"""The words of a prompt as buttons: a click makes a word a subject, or takes a subject out.

What the buttons say goes into the control `subjects`, see javascript/ebca.js.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

from ebca.prompts.words import has_words, plain
from ebca.subjects.grammar import ENGLISH

_WORD = re.compile(r"[^\W_][\w'-]*")
_MOST = 300
"""So many words are shown."""


def chips(text: str, subjects: Sequence[str]) -> str:
    """HTML of the buttons for the main prompt `text`, of which `subjects` are pressed. Small words
    (`and`, `the`) have none."""
    there = [each for each in subjects if has_words(text, each)]
    taken = {word.lower() for each in there for word in _WORD.findall(each)}
    words = dict.fromkeys(_WORD.findall(plain(text)))
    others = [w for w in words if w.lower() not in taken and w.lower() not in ENGLISH][:_MOST]
    if not there and not others:
        return ""
    pressed = [_chip(each, True, "Click to leave it out.") for each in there]
    free = [_chip(each, False, "Click to make it a subject.") for each in others]
    return (
        "<div class='ebca-chips' role='group' aria-label='Subjects: words of the prompt'>"
        f"{''.join([*pressed, *free])}</div>"
    )


def _chip(text: str, pressed: bool, title: str) -> str:
    word = html.escape(text, quote=True)
    return (
        f"<button type='button' class='ebca-chip' data-subject='{word}' title='{title}'"
        f" aria-pressed='{str(pressed).lower()}'>{word}</button>"
    )
