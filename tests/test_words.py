"""Words of a prompt among the WebUI's chunks of tokens, with an encoder that knows letters."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebca.settings import SettingsError
from ebca.webui.words import OldEmphasis, check_words, find_words, token_weights

START, END = 1000, 1001


class Embedding(NamedTuple):
    name: str
    vectors: int


class Fix(NamedTuple):
    offset: int
    embedding: Embedding


@dataclass
class Chunk:
    tokens: list[int]
    fixes: list[Fix] = field(default_factory=list)


class Encoder:
    """One token a letter; `*` is an embedding of 3 vectors, `|` begins another chunk."""

    def __init__(self, padding: int = END, embedding: Embedding | None = None) -> None:
        self.padding = padding  # SD2 fills up with another token than the end's
        self.embedding = embedding or Embedding("car", 3)

    def _chunk(self, tokens: list[int], fixes: list[Fix]) -> Chunk:
        filled = tokens + [self.padding] * (75 - len(tokens))
        return Chunk([START, *filled, END], fixes)

    def empty_chunk(self) -> Chunk:
        return self._chunk([], [])

    def tokenize_line(self, text: str) -> tuple[list[Chunk], int]:
        chunks, tokens, fixes = [], list[int](), list[Fix]()
        for letter in text:
            width = self.embedding.vectors if letter == "*" else 1
            if letter == "|" or len(tokens) + width > 75:
                chunks.append(self._chunk(tokens, fixes))
                tokens, fixes = [], []
            if letter == "*":
                fixes.append(Fix(len(tokens), self.embedding))
                tokens += [0] * width
            elif letter not in "| ":
                tokens.append(ord(letter))
        if tokens or not chunks:
            chunks.append(self._chunk(tokens, fixes))
        return chunks, 0


def test_a_word_is_found_behind_the_start_token() -> None:
    assert find_words(Encoder(), "abc", "a") == [1]
    assert find_words(Encoder(), "abc", "bc") == [2, 3]


def test_all_occurrences_are_found_and_overlaps_are_counted_once() -> None:
    assert find_words(Encoder(), "abcab", "ab") == [1, 2, 4, 5]
    assert find_words(Encoder(), "aaa", "aa") == [1, 2, 3]


def test_an_absent_word_is_found_nowhere() -> None:
    assert find_words(Encoder(), "abc", "d") == []
    assert find_words(Encoder(), "abc", "ac") == []


@pytest.mark.parametrize("padding", [END, 0])
def test_nothing_is_found_nowhere_and_not_in_the_padding(padding: int) -> None:
    assert find_words(Encoder(padding), "abc", "") == []
    assert find_words(Encoder(padding), "abc", "  ") == []
    assert find_words(Encoder(padding), "", "a") == []


def test_words_of_later_chunks_count_the_marks_of_the_earlier() -> None:
    assert find_words(Encoder(), "a|b", "b") == [78]
    assert find_words(Encoder(), "a" * 75 + "b", "b") == [78]
    assert find_words(Encoder(), "b|a|b", "b") == [1, 77 * 2 + 1]


def test_a_word_across_two_full_chunks_is_found_in_both() -> None:
    assert find_words(Encoder(), "a" * 74 + "bcd", "bc") == [75, 78]


def test_an_embedding_takes_as_many_places_as_it_has_vectors() -> None:
    assert find_words(Encoder(), "a*b", "b") == [5]
    assert find_words(Encoder(), "a*b", "*") == [2, 3, 4]
    assert find_words(Encoder(), "a*b", "a*") == [1, 2, 3, 4]


def test_an_embedding_is_not_the_token_that_holds_its_place() -> None:
    assert find_words(Encoder(padding=0), "a*b", "**") == []
    assert find_words(Encoder(), "*", "*") == [1, 2, 3]


def test_two_embeddings_side_by_side_are_two_words() -> None:
    assert find_words(Encoder(), "**", "*") == [1, 2, 3, 4, 5, 6]


def test_an_embedding_longer_than_a_chunk_ends_with_it() -> None:
    long = Encoder(embedding=Embedding("long", 90))
    chunk = long._chunk([0] * 75, [Fix(0, long.embedding)])
    long.tokenize_line = lambda text: ([chunk], 0)  # type: ignore[method-assign]
    assert find_words(long, "*", "*") == list(range(1, 76))


def test_weights_are_by_token_and_the_last_word_goes_before() -> None:
    weights = token_weights(Encoder(), "abca", [("a", 2.0), ("bc", 0.5), ("c", 3.0), ("x", 9.0)])
    assert weights == {1: 2.0, 4: 2.0, 2: 0.5, 3: 3.0}


def test_no_words_are_no_weights() -> None:
    assert token_weights(Encoder(), "abc", []) == {}


def old(encoder: Encoder, texts: list[str]) -> tuple[object, ...]:
    """As the WebUI's old implementation: one chunk, and embeddings also where they are dropped."""
    (text,) = texts
    tokens, fixes = list[int](), list[Fix]()
    for letter in text.replace(" ", ""):
        if letter == "*":
            fixes.append(Fix(len(tokens), encoder.embedding))
            tokens += [0] * encoder.embedding.vectors
        else:
            tokens.append(ord(letter))
    chunk = encoder._chunk(tokens[:75], fixes)
    return [], [chunk.tokens], [], [], [chunk.fixes], len(tokens)


def test_the_old_implementation_has_one_chunk_and_drops_the_rest() -> None:
    encoder = OldEmphasis(Encoder(), old)
    assert find_words(encoder, "a|b", "b") == [3]
    assert find_words(encoder, "b" + "a" * 74 + "b", "b") == [1]
    assert find_words(encoder, "a" * 74 + "bc", "bc") == []
    assert find_words(encoder, "a" * 74 + "*b*", "*") == []
    assert token_weights(encoder, "a" * 80 + "b", [("a", 2.0), ("b", 3.0)]).keys() == {
        *range(1, 76)
    }


def test_a_word_that_is_dropped_is_refused_with_the_reason() -> None:
    encoder, long = OldEmphasis(Encoder(), old), "a" * 75 + "b"
    check_words(encoder, [long, "b"], ["a", "b"])
    reason = "among its first 75 tokens: the WebUI drops the rest while its setting 'Use old"
    with pytest.raises(SettingsError, match=f"token_weights is 'b', .* {reason}"):
        check_words(encoder, [long, "a"], ["a", "b"])
    with pytest.raises(SettingsError, match=r"as they stand there\.$"):
        check_words(encoder, ["a" * 75], ["b"])


@given(st.text("ab", max_size=200), st.sampled_from("ab"))
def test_single_letters_are_found_where_they_stand(text: str, letter: str) -> None:
    expected = [n // 75 * 77 + 1 + n % 75 for n, each in enumerate(text) if each == letter]
    assert find_words(Encoder(), text, letter) == expected
