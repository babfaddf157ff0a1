"""Which words of a prompt belong to which subject, and how a click on a word changes them.
The text of the control `subjects` is the only state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ebca.prompts.words import without_spaces
from ebca.subjects.grammar import ENGLISH
from ebca.webui.pieces import Piece, units


class Span(NamedTuple):
    """An occurrence of a subject: pieces `start` up to `stop`, and the place `noun` of its noun, or
    else of its last word."""

    subject: str
    start: int
    stop: int
    noun: int


def spans(pieces: Sequence[Piece], subjects: Mapping[str, str]) -> list[Span]:
    """Return the occurrences of the subjects (text -> noun) in order; no piece belongs to two."""
    said = [piece.text.lower() for piece in pieces]
    found: list[Span] = []
    for subject, noun in sorted(subjects.items(), key=lambda each: -len(each[0])):
        for start in _places(said, units(subject.lower())):
            stop = start + len(units(subject))
            if all(stop <= each.start or start >= each.stop for each in found):
                found.append(Span(subject, start, stop, _noun(said[start:stop], noun) + start))
    return sorted(found, key=lambda span: span.start)


def clicked(
    pieces: Sequence[Piece], taken: Sequence[Span], subjects: Sequence[str], place: int
) -> str:
    """Return the text of the control `subjects` after a click on the word at `place`.

    A word outside all subjects becomes one, or joins the subject right after it. A word within is
    taken out with the words that it cuts off from the noun; the noun takes the whole subject out.
    """
    span = next((each for each in taken if each.start <= place < each.stop), None)
    if span is not None:
        low, high = span.start, span.stop
        low, high = (place + 1, high) if place < span.noun else (low, place)
        rest = "" if place == span.noun else _text(pieces, low, high)
        return _listed(subjects, span.subject, rest)
    behind = next((each for each in taken if each.start == place + 1), None)
    if behind is not None:
        joined = _joined([pieces[place].text, behind.subject])
        return _listed(subjects, behind.subject, joined)
    return ", ".join(dict.fromkeys([*map(_plain, subjects), pieces[place].text]))


def _places(said: Sequence[str], wanted: Sequence[str]) -> list[int]:
    size = len(wanted)
    starts = range(len(said) - size + 1 if size else 0)
    return [start for start in starts if list(said[start : start + size]) == list(wanted)]


def _noun(said: Sequence[str], noun: str) -> int:
    """Return the place of the noun within a subject's words; the last place if it is not there."""
    last = units(noun.lower())[-1:] or [""]
    return max((n for n, word in enumerate(said) if word == last[0]), default=len(said) - 1)


def _text(pieces: Sequence[Piece], start: int, stop: int) -> str:
    """Return the text of these pieces without small words at its end; empty if no other is left."""
    words = [piece.text for piece in pieces[start:stop]]
    while words and (words[-1].lower() in ENGLISH or not words[-1][-1].isalnum()):
        words.pop()
    return _joined(words)


def _joined(words: Sequence[str]) -> str:
    """Join words with spaces, except in scripts without spaces."""
    text = ""
    for word in words:
        apart = text and not (without_spaces(text[-1]) and without_spaces(word))
        text += f" {word}" if apart else word
    return text


def _listed(subjects: Sequence[str], old: str, new: str) -> str:
    """Return the list of subjects with `new` in the place of `old`, as a text."""
    changed = (new if each == old else each for each in subjects)
    return ", ".join(dict.fromkeys(filter(None, map(_plain, changed))))


def _plain(subject: str) -> str:
    """Shorten a subject to the part after its last comma, since commas separate the subjects."""
    return subject.rpartition(",")[2].strip()
