"""The prompt below the line: its words as buttons, as the model reads them.

A click on a word of the main prompt makes it a part of a subject, or takes it out; Shift and a
click give any word a weight. What they say goes into the controls `subjects` and `token_weights`,
see javascript/ebca.js.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ebca.settings.checks import TOKEN_WEIGHT
from ebca.subjects.grammar import ENGLISH
from ebca.webui.membership import Span, clicked, spans
from ebca.webui.pieces import Piece

MOST = 300
"""So many words are shown."""


class Phase(NamedTuple):
    """What is read from one step to another, both counted from 1."""

    first: int
    last: int
    pieces: Sequence[Piece]


@dataclass(frozen=True)
class Part:
    """One of the prompts that AND joins; `wrong` is why its weight cannot be used."""

    weight: float
    phases: Sequence[Phase]
    wrong: str = ""


@dataclass(frozen=True)
class Marked:
    """What the controls say of the words.

    subjects: text -> noun; weights: words -> factor; wrong: the text of a control's entry -> why
    it cannot be used, for subjects and for weights.
    """

    subjects: Mapping[str, str]
    weights: Mapping[str, float] = field(default_factory=dict)
    wrong_subjects: Mapping[str, str] = field(default_factory=dict)
    wrong_weights: Mapping[str, str] = field(default_factory=dict)


def chips(parts: Sequence[Part], marked: Marked) -> str:
    """HTML of the words of all parts, the main one first; empty if there are none."""
    room = _Room(MOST)
    shown = [_part(number, part, len(parts), marked, room) for number, part in enumerate(parts)]
    wrong = "".join(_wrong(marked, parts))
    wrong = wrong and f"<div class='ebca-chips'>{wrong}</div>"
    if not any(shown) and not wrong:
        return ""
    more = f"<span class='ebca-note'>... and {room.over} more words</span>" if room.over else ""
    low, high, step = TOKEN_WEIGHT.slider
    return (
        "<div class='ebca-words' role='group' aria-label='The prompt as the model reads it'"
        f" data-low='{low:g}' data-high='{high:g}' data-step='{step:g}'>"
        f"{wrong}{''.join(shown)}{more}</div>"
    )


@dataclass
class _Room:
    """How many more words there is room for, and how many had none."""

    left: int
    over: int = 0

    def take(self) -> bool:
        self.left -= 1
        self.over += self.left < 0
        return self.left >= 0


def _part(number: int, part: Part, of: int, marked: Marked, room: _Room) -> str:
    phases = [
        (phase, shown)
        for index, phase in enumerate(part.phases)
        if (shown := "".join(_pieces(f"{number}.{index}", phase, number == 0, marked, room)))
    ]
    if not phases and not part.wrong:
        return ""
    title = "" if of == 1 else _name(number, part)
    several = len(part.phases) > 1
    rows = (
        "<div class='ebca-chips'>"
        + (f"<span class='ebca-note'>steps {p.first} to {p.last}</span>" if several else "")
        + f"{shown}</div>"
        for p, shown in phases
    )
    label = "The main prompt" if number == 0 else f"After AND, weight {part.weight:g}"
    return f"<div role='group' aria-label='{label}'>{title}{''.join(rows)}</div>"


def _name(number: int, part: Part) -> str:
    weight = f", weight {part.weight:g}" if number or part.weight != 1.0 else ""
    wrong = f" ebca-wrong' title='{_escaped(part.wrong)}" if part.wrong else ""
    return f"<span class='ebca-note{wrong}'>{'AND' if number else 'main prompt'}{weight}</span>"


def _pieces(key: str, phase: Phase, main: bool, marked: Marked, room: _Room) -> Iterator[str]:
    """The words and marks of a phase; those of a subject together."""
    pieces, chunk = phase.pieces, 0
    taken = spans(pieces, marked.subjects) if main else []
    weighed = spans(pieces, {words: words for words in marked.weights})
    starts, stops = {span.start: span for span in taken}, {span.stop for span in taken}
    within = {place for span in taken for place in range(span.start, span.stop)}
    for place, piece in enumerate(pieces):
        if not room.take():
            continue
        if place in starts:
            yield _opened(starts[place], marked)
        if piece.chunk != chunk and not piece.dropped:
            chunk = piece.chunk
            yield _CHUNK.format(75 * chunk)
        then = None
        if main and piece.is_word and (place in within or piece.text.lower() not in ENGLISH):
            then = clicked(pieces, taken, tuple(marked.subjects), place)
        yield _piece(f"{key}.{place}", piece, then, _span_at(taken, place),
                     _span_at(weighed, place), marked)  # fmt: skip
        if place + 1 in stops:
            yield "</span>"


_CHUNK = (
    "<span class='ebca-note' title='The model reads 75 tokens at a time: here it begins"
    " anew'>{}</span>"
)


def _span_at(taken: Sequence[Span], place: int) -> Span | None:
    return next((span for span in taken if span.start <= place < span.stop), None)


def _opened(span: Span, marked: Marked) -> str:
    wrong = marked.wrong_subjects.get(span.subject, "")
    subject = _escaped(span.subject)
    told = f" ebca-wrong' title='{_escaped(wrong)}" if wrong else ""
    return (
        f"<span class='ebca-subject{told}' role='group' data-subject='{subject}'"
        f" aria-label='Subject: {subject}'>"
    )


def _piece(
    key: str, piece: Piece, then: str | None, subject: Span | None, weighed: Span | None,
    marked: Marked,
) -> str:  # fmt: skip
    word = _escaped(piece.text)
    if piece.is_break:
        return "<span class='ebca-note' title='What follows is read apart'>BREAK</span>"
    if not piece.is_word:
        return f"<span class='ebca-mark'>{word}</span>"
    words = weighed.subject if weighed else piece.text
    factor = marked.weights.get(words, 1.0)
    told = list(_told(piece, subject, then, factor, weighed))
    wrong = " ebca-wrong" * piece.dropped
    pressed = "" if then is None else f" aria-pressed='{str(subject is not None).lower()}'"
    click = "" if then is None else f" data-then='{_escaped(then)}'"
    emphasis = f"<sup>{piece.weight:.3g}</sup>" if piece.weight != 1.0 else ""
    times = f"<b>&times;{factor:g}</b>" if weighed else ""
    return (
        f"<button type='button' class='ebca-chip{wrong}' data-key='{key}'"
        f" data-words='{_escaped(words)}' data-factor='{factor:g}'{click}{pressed}"
        f" title='{_escaped(' '.join(told))}'>{word}{emphasis}{times}</button>"
    )


def _told(
    piece: Piece, subject: Span | None, then: str | None, factor: float, weighed: Span | None
) -> Iterator[str]:
    """What the tooltip says."""
    if piece.dropped:
        yield "The model never reads it: only the first 75 tokens count."
    if subject:
        yield f"Part of the subject “{subject.subject}”. Click to take it out."
    elif then is not None:
        yield "Click to make it a part of a subject."
    if weighed:
        yield f"“{weighed.subject}” is brought out {factor:g} times as much."
    yield "Shift and a click: bring it out more or less."
    if piece.weight != 1.0:
        yield f"Emphasis {piece.weight:.3g}."
    if piece.embedding:
        yield f"An embedding of {piece.tokens} vectors."
    elif piece.tokens > 1:
        yield f"{piece.tokens} tokens."


def _wrong(marked: Marked, parts: Sequence[Part]) -> Iterator[str]:
    """What stands in the controls and in no prompt, as buttons that take it out."""
    for subject, why in marked.wrong_subjects.items():
        if subject not in marked.subjects or not _is_there(subject, parts[:1]):
            rest = ", ".join(each for each in marked.subjects if each != subject)
            yield _bad(subject, why, f"data-then='{_escaped(rest)}'")
    for entry, why in marked.wrong_weights.items():
        yield _bad(entry, why, f"data-without='{_escaped(entry)}'")


def _is_there(subject: str, parts: Sequence[Part]) -> bool:
    """Whether one of the phases has it, so that it is marked there."""
    return any(spans(phase.pieces, {subject: subject}) for part in parts for phase in part.phases)


def _bad(text: str, why: str, does: str) -> str:
    word = _escaped(text)
    told = _escaped(f"{why} Click to take it out.")
    return (
        f"<button type='button' class='ebca-chip ebca-wrong' data-key='wrong.{word}' {does}"
        f" title='{told}'>{word}</button>"
    )


def _escaped(text: str) -> str:
    return html.escape(text, quote=True)
