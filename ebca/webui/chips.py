"""The prompt below the line: its words as buttons, as the model reads them.

A click on a word of the main prompt makes the word part of a subject, or takes it out; Shift and a
click give any word a weight. javascript/ebca.js writes the result into the controls `subjects` and
`token_weights`.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ebca.options.job import labels
from ebca.settings.checks import TOKEN_WEIGHT
from ebca.subjects.grammar import ENGLISH
from ebca.webui.membership import Span, clicked, spans
from ebca.webui.pieces import Piece

MOST = 300
"""The most words and marks that are shown."""


class Phase(NamedTuple):
    """The pieces of a prompt from step `first` to step `last`, both counted from 1."""

    first: int
    last: int
    pieces: Sequence[Piece]


@dataclass(frozen=True)
class Part:
    """One of the prompts joined by AND; `wrong` says why its weight cannot be used, if so."""

    weight: float
    phases: Sequence[Phase]
    wrong: str = ""


class LeftOver(NamedTuple):
    """Entries of a control that have no effect.

    control: the field's name; entries: text -> why it has no effect; kept: the other entries.
    """

    control: str
    entries: Mapping[str, str]
    kept: Sequence[str]


@dataclass(frozen=True)
class Marked:
    """The subjects and weights that the controls give to the words.

    subjects: text -> noun; weights: words -> factor; also: other entries of the control
    `subjects`, which a click leaves there.
    """

    subjects: Mapping[str, str]
    weights: Mapping[str, float] = field(default_factory=dict)
    left_over: Sequence[LeftOver] = ()
    also: Sequence[str] = ()


def chips(parts: Sequence[Part], marked: Marked, subjects_act: bool = True) -> str:
    """Return the HTML of the words of all parts, the main one first; empty if there are none.

    subjects_act: whether the subjects will get their places; if not, they have no colour.
    """
    room = _Room(MOST)
    shown = [_part(number, part, len(parts), marked, room) for number, part in enumerate(parts)]
    wrong = "".join(map(_left_over, marked.left_over))
    if not any(shown) and not wrong:
        return ""
    more = f"<span class='ebca-note'>... and {room.over} more words</span>" if room.over else ""
    hint = f"<span class='ebca-note'>{_HINT}</span>" if any(shown) else ""
    low, high, step = TOKEN_WEIGHT.slider
    idle = "" if subjects_act else " ebca-idle"
    return (
        f"<div class='ebca-words{idle}' role='group' aria-label='The prompt as the model reads it'"
        f" data-low='{low:g}' data-high='{high:g}' data-step='{step:g}'>"
        f"{wrong}{''.join(shown)}{more}{hint}</div>"
    )


_HINT = "Click a word to make it a subject. Shift and a click: bring it out more or less."


@dataclass
class _Room:
    """How many more pieces there is room for, and how many did not fit."""

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
    """Yield the words and marks of a phase, those of a subject grouped."""
    pieces, chunk = phase.pieces, 0
    taken = spans(pieces, marked.subjects) if main else []
    weighed = spans(pieces, {words: words for words in marked.weights})
    starts, stops = {span.start: span for span in taken}, {span.stop for span in taken}
    within = {place for span in taken for place in range(span.start, span.stop)}
    for place, piece in enumerate(pieces):
        if not room.take():
            continue
        if place in starts:
            yield _opened(starts[place])
        if piece.chunk != chunk and not piece.dropped:
            chunk = piece.chunk
            yield _CHUNK.format(75 * chunk)
        then = None
        if main and piece.is_word and (place in within or piece.text.lower() not in ENGLISH):
            then = clicked(pieces, taken, (*marked.also, *marked.subjects), place)
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


def _opened(span: Span) -> str:
    subject = _escaped(span.subject)
    return (
        f"<span class='ebca-subject' role='group' data-subject='{subject}'"
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
    """Yield the sentences of a word's tooltip."""
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


def _left_over(left: LeftOver) -> str:
    """Return a row of buttons, each of which takes out an entry that has no effect."""
    if not left.entries:
        return ""
    buttons = [
        _bad(entry, f"{why} Click to take it out.", left.control,
             [*left.kept, *(each for each in left.entries if each != entry)])
        for entry, why in left.entries.items()
    ]  # fmt: skip
    if len(left.entries) > 1:
        buttons.append(_bad("", "Takes all of this out.", left.control, left.kept, "clear all"))
    label = _escaped(labels()[left.control])
    note = f"<span class='ebca-note'>Without effect in “{label}”:</span>"
    return f"<div class='ebca-chips'>{note}{''.join(buttons)}</div>"


def _bad(text: str, told: str, control: str, rest: Sequence[str], shown: str = "") -> str:
    """Return a button that sets a control to `rest`."""
    word = _escaped(text)
    return (
        f"<button type='button' class='ebca-chip ebca-wrong' data-key='wrong.{control}.{word}'"
        f" data-control='{control}' data-then='{_escaped(', '.join(rest))}'"
        f" title='{_escaped(told)}'>{shown or word} &times;</button>"
    )


def _escaped(text: str) -> str:
    return html.escape(text, quote=True)
