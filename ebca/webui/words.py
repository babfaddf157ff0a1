"""Find the words of a prompt as token indices of its context in the WebUI's text encoders.

The WebUI encodes a prompt in chunks of 77 tokens, whose first and last tokens mark beginning and
end; a textual inversion embedding takes as many places as it has vectors. With the setting "Use old
emphasis implementation" there is one chunk, in which the weights of emphasis are words like others,
and tokens that do not fit in are dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, NamedTuple

from ebca.prompts.words import find_tokens
from ebca.settings import SettingsError

CHUNK = 77
"""The number of tokens that the WebUI encodes at once."""

_LEGAL = "words of the prompt, as they stand there"
_LEGAL_OLD = (
    "words of the prompt, as they stand there, among its first 75 tokens: the WebUI drops the rest"
    " while its setting 'Use old emphasis implementation' is on"
)


class _Chunk(NamedTuple):
    tokens: Sequence[int]
    fixes: Sequence[tuple[int, Any]]


class OldEmphasis:
    """A text encoder under the WebUI's setting "Use old emphasis implementation".

    process: the WebUI's `process_text_old`.
    """

    def __init__(self, encoder: Any, process: Callable[[Any, Sequence[str]], Any]) -> None:
        self._encoder, self._process = encoder, process

    def tokenize_line(self, text: str) -> tuple[list[_Chunk], int]:
        """Return the only chunk, and the number of tokens in the whole text."""
        _, (tokens,), _, _, (fixes,), count = self._process(self._encoder, [text])
        return [_Chunk(tokens, fixes)], count

    def empty_chunk(self) -> Any:
        return self._encoder.empty_chunk()

    def tokenize(self, texts: Sequence[str]) -> Sequence[Sequence[int]]:
        """Return the token ids of each text by itself."""
        ids: Sequence[Sequence[int]] = self._encoder.tokenize(texts)
        return ids


def find_words(encoder: Any, prompt: str, words: str) -> list[int]:
    """Return the token indices of all occurrences of `words` in the context of `prompt`.

    encoder: the WebUI's text encoder, which has `tokenize_line`.
    """
    wanted = _places(encoder, words)
    while wanted and wanted[-1] == _padding(encoder):
        wanted.pop()
    return [_index(place) for place in find_tokens(wanted, _places(encoder, prompt))]


def check_words(encoder: Any, texts: Collection[str], words: Iterable[str]) -> None:
    """Raise SettingsError if one of `words` is in none of the texts, unless there are no texts."""
    for each in missing_weights(encoder, texts, words):
        dropped = any(_drops(encoder, text) for text in texts)
        raise SettingsError("token_weights", each, _LEGAL_OLD if dropped else _LEGAL)


def missing_weights(encoder: Any, texts: Collection[str], words: Iterable[str]) -> list[str]:
    """Return those of `words` that are in none of the texts as the encoder reads them; none if
    there are no texts."""
    return [
        each
        for each in words
        if texts and not any(find_words(encoder, text, each) for text in texts)
    ]


def token_weights(
    encoder: Any, prompt: str, word_weights: Sequence[tuple[str, float]]
) -> dict[int, float]:
    """Return token index -> factor for those of the words that the prompt has."""
    return {
        index: factor
        for words, factor in word_weights
        for index in find_words(encoder, prompt, words)
    }


def read_chunks(encoder: Any, text: str) -> list[list[object]]:
    """Return the places between beginning and end of each chunk, without padding: token ids, and
    (name, number of the vector) for each vector of an embedding."""
    padding, read = _padding(encoder), _chunks(encoder, text)
    for places in read:
        while places and places[-1] == padding:
            places.pop()
    return read


def _places(encoder: Any, text: str) -> list[object]:
    """Return the places between beginning and end of all chunks, joined."""
    return [place for places in _chunks(encoder, text) for place in places]


def _chunks(encoder: Any, text: str) -> list[list[object]]:
    chunks, _count = encoder.tokenize_line(text)
    read = []
    for chunk in chunks:
        tokens: list[object] = list(chunk.tokens)
        for offset, embedding in chunk.fixes:
            for vector in range(min(embedding.vectors, CHUNK - 2 - offset)):
                tokens[offset + 1 + vector] = (embedding.name, vector)
        read.append(tokens[1:-1])
    return read


def _drops(encoder: Any, text: str) -> bool:
    """Whether the encoder drops the end of the text because it is too long."""
    return isinstance(encoder, OldEmphasis) and encoder.tokenize_line(text)[1] > CHUNK - 2


def _padding(encoder: Any) -> int:
    """Return the token that fills up a chunk."""
    chunk = encoder.empty_chunk()
    return int(chunk.tokens[-2])


def _index(place: int) -> int:
    chunk, within = divmod(place, CHUNK - 2)
    return chunk * CHUNK + 1 + within
