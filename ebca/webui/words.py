"""Words of a prompt as token indices of its context, as the WebUI's text encoders place them.

The WebUI encodes a prompt in chunks of 77 tokens, of which the first and the last mark its
beginning and end; a textual inversion embedding takes as many places as it has vectors.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from ebca.prompts import find_tokens
from ebca.settings import SettingsError

CHUNK = 77
"""Tokens that the WebUI encodes at once."""


def text_encoder(model: Any) -> Any:
    """Who tells where the words of a prompt are; the two encoders of SDXL agree on that."""
    encoders = getattr(model.cond_stage_model, "embedders", [model.cond_stage_model])
    return next(each for each in encoders if hasattr(each, "tokenize_line"))


def find_words(encoder: Any, prompt: str, words: str) -> list[int]:
    """Token indices of all occurrences of `words` in the context of `prompt`.

    encoder: the WebUI's text encoder, which has `tokenize_line`.
    """
    wanted = _places(encoder, words)
    while wanted and wanted[-1] == _padding(encoder):
        wanted.pop()
    return [_index(place) for place in find_tokens(wanted, _places(encoder, prompt))]


def check_words(encoder: Any, texts: Collection[str], words: Iterable[str]) -> None:
    """Raise SettingsError for one of `words` that is in none of the texts, if there are any."""
    for each in words:
        if texts and not any(find_words(encoder, text, each) for text in texts):
            raise SettingsError("token_weights", each, "words of the prompt, as they stand there")


def token_weights(
    encoder: Any, prompt: str, word_weights: Sequence[tuple[str, float]]
) -> dict[int, float]:
    """Token index -> factor, for those words that the prompt has."""
    return {
        index: factor
        for words, factor in word_weights
        for index in find_words(encoder, prompt, words)
    }


def _places(encoder: Any, text: str) -> list[object]:
    """What stands between beginning and end of all chunks: token ids, vectors of embeddings."""
    chunks, _count = encoder.tokenize_line(text)
    places: list[object] = []
    for chunk in chunks:
        tokens: list[object] = list(chunk.tokens)
        for offset, embedding in chunk.fixes:
            for vector in range(min(embedding.vectors, CHUNK - 2 - offset)):
                tokens[offset + 1 + vector] = (embedding.name, vector)
        places += tokens[1:-1]
    return places


def _padding(encoder: Any) -> int:
    """The token that fills a chunk up."""
    chunk = encoder.empty_chunk()
    return int(chunk.tokens[-2])


def _index(place: int) -> int:
    chunk, within = divmod(place, CHUNK - 2)
    return chunk * CHUNK + 1 + within
