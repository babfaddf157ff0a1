"""A prompt as the model reads it: words with their emphasis, their tokens, and the chunks of 75
tokens in which they are encoded."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ebca.prompts.words import UNIT
from ebca.webui.words import read_chunks

Parsed = Sequence[Sequence[Any]]
"""The result of the WebUI's `parse_prompt_attention`: [[text, weight], ...]."""

_UNIT = re.compile(rf"{UNIT.pattern}|[^\w\s]+|_+")
_WORD = re.compile(r"[^\W_]")
_BREAK = "BREAK"
_WINDOW = 12  # how many tokens may be skipped to find a word again


@dataclass(frozen=True)
class Piece:
    """A word, or the characters between words.

    weight: its emphasis; tokens: their number, 0 if that is not known; chunk: counted from 0;
    embedding: the name of the embedding that the text names, if any; dropped: whether the model
    never sees the piece.
    """

    text: str
    weight: float = 1.0
    tokens: int = 0
    chunk: int = 0
    embedding: str = ""
    dropped: bool = False

    @property
    def is_break(self) -> bool:
        return self.text == _BREAK and self.weight == -1

    @property
    def is_word(self) -> bool:
        return not self.is_break and bool(_WORD.match(self.text))


def units(text: str) -> list[str]:
    """Split a text into words and the marks between them, without spaces."""
    return _UNIT.findall(text)


def read_pieces(text: str, parsed: Parsed, encoder: Any = None) -> list[Piece]:
    """Return the pieces of a text. `encoder` is the WebUI's text encoder; without it tokens and
    chunks are unknown."""
    found = [piece for part, weight in parsed for piece in _of(str(part), float(weight))]
    if encoder is None or not found:
        return found
    ids = encoder.tokenize([piece.text for piece in found])
    return list(_placed(found, ids, _Stream(read_chunks(encoder, text))))


def _of(text: str, weight: float) -> Iterator[Piece]:
    if text == _BREAK and weight == -1:
        yield Piece(text, weight)
    else:
        yield from (Piece(unit, weight) for unit in units(text))


class _Stream:
    """The encoded tokens and embeddings in order, and how far they have been read."""

    def __init__(self, chunks: list[list[object]]) -> None:
        self._places = [place for places in chunks for place in places]
        self._chunks = [number for number, places in enumerate(chunks) for _ in places]
        self._at, self._last = 0, len(chunks) - 1

    @property
    def chunk(self) -> int:
        return self._chunks[self._at] if self._at < len(self._chunks) else self._last

    @property
    def ended(self) -> bool:
        return self._at >= len(self._places)

    @property
    def embedding(self) -> str:
        """The name of the embedding that begins here; empty if there is none."""
        place = None if self.ended else self._places[self._at]
        return str(place[0]) if isinstance(place, tuple) else ""

    def vectors(self) -> int:
        """Read the embedding that begins here, and return its number of vectors."""
        begin, self._at = self._at, self._at + 1
        while not self.ended:
            place = self._places[self._at]
            if not isinstance(place, tuple) or place[1] == 0:
                break
            self._at += 1
        return self._at - begin

    def find(self, tokens: Sequence[int]) -> int | None:
        """Read on past the next occurrence of `tokens`, if it is near; return its chunk."""
        for begin in range(self._at, min(self._at + _WINDOW, len(self._places))):
            if self._places[begin : begin + len(tokens)] == list(tokens):
                self._at = begin + len(tokens)
                return self._chunks[begin]
        return None


def _placed(
    pieces: Sequence[Piece], ids: Sequence[Sequence[int]], stream: _Stream
) -> Iterator[Piece]:
    """Yield the pieces with their tokens, found in order in the stream."""
    number = 0
    while number < len(pieces):
        piece, chunk = pieces[number], stream.chunk
        count = _spelling(stream.embedding, pieces[number:])
        if piece.is_break:
            yield replace(piece, chunk=chunk)
        elif count:
            name = stream.embedding
            yield replace(piece, text=name, tokens=stream.vectors(), chunk=chunk, embedding=name)
        elif ids[number] and (found := stream.find(ids[number])) is not None:
            yield replace(piece, tokens=len(ids[number]), chunk=found)
        else:
            yield replace(piece, chunk=chunk, dropped=stream.ended and bool(ids[number]))
        number += max(1, count)


def _spelling(name: str, pieces: Sequence[Piece]) -> int:
    """Return how many of the first pieces spell the name; 0 if they do not spell it."""
    rest = "".join(name.lower().split())
    for count, piece in enumerate(pieces, 1):
        if not rest or not rest.startswith(piece.text.lower()):
            return 0
        rest = rest.removeprefix(piece.text.lower())
        if not rest:
            return count
    return 0
