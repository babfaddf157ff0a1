"""Words of a prompt: their factors and their tokens."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

from ebca.settings.checks import TOKEN_WEIGHT, SettingsError, check_number
from ebca.subjects.grammar import ENGLISH

_MARKS = re.compile(r"[()\[\]{}\\]|:\s*[\d.]+")
"""Matches the WebUI's emphasis."""
_IDEOGRAPHS = r"\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff66-\uff9f"
"""Scripts without spaces between words: Chinese and Japanese; and Korean, where a particle follows
its word without a space."""

UNIT = re.compile(rf"[{_IDEOGRAPHS}]|(?:(?![{_IDEOGRAPHS}])[^\W_])(?:(?![{_IDEOGRAPHS}])[\w'-])*")
"""Matches a word, or one character in a script without spaces."""

_IDEOGRAPH = re.compile(rf"[{_IDEOGRAPHS}]")
_WORD = re.compile(r"[^\W_][\w'-]*")


def plain(text: str) -> str:
    """Return `text` without the WebUI's emphasis, with single spaces."""
    return " ".join(_MARKS.sub(" ", text).split())


def has_words(text: str, words: str) -> bool:
    """Return whether `words` occur in `text` as they are and as whole words, ignoring case."""
    if not words:
        return False
    before = "" if _IDEOGRAPH.match(words[0]) else r"(?<!\w)"
    after = "" if _IDEOGRAPH.match(words[-1]) else r"(?!\w)"
    return bool(re.search(before + re.escape(words) + after, plain(text), re.IGNORECASE))


def noun_of(words: str) -> str:
    """Return the noun of a subject: its last word."""
    return words.split()[-1]


def without_spaces(text: str) -> bool:
    """Return whether a text begins in a script without spaces between words."""
    return bool(_IDEOGRAPH.match(text))


def read_list(text: str) -> tuple[str, ...]:
    """Parse `cat, red hat` as ("cat", "red hat"), without repetitions."""
    return tuple(dict.fromkeys(filter(None, map(plain, text.split(",")))))


def telling_words(text: str) -> list[str]:
    """Return the words of a prompt in order, each once, without small ones (`and`, `the`)."""
    words = dict.fromkeys(_WORD.findall(plain(text)))
    return [each for each in words if each.lower() not in ENGLISH]


def missing_words(texts: Collection[str], words: Sequence[str]) -> list[str]:
    """Return the members of `words` that occur in none of the texts."""
    return [each for each in words if not any(has_words(text, each) for text in texts)]


def read_word_weights(text: str) -> list[tuple[str, float]]:
    """Parse `crown:2.5, red hat:1.5` as [("crown", 2.5), ("red hat", 1.5)]; empty text as []."""
    weights = []
    for item in filter(None, (item.strip() for item in text.split(","))):
        word, colon, number = item.rpartition(":")
        legal = f"words with factors such as 'crown:2.5, red hat:1.5', each {TOKEN_WEIGHT}"
        try:
            factor = float(number)
        except ValueError:
            raise SettingsError("token_weights", item, legal) from None
        if not (colon and word.strip()):
            raise SettingsError("token_weights", item, legal)
        weights.append((word.strip(), check_number("token_weights", factor, TOKEN_WEIGHT)))
    return weights


def find_tokens(wanted: Sequence[object], tokens: Sequence[object]) -> Iterator[int]:
    """Yield every index of `tokens` that belongs to an occurrence of the sequence `wanted`."""
    length = len(wanted)
    seen: set[int] = set()
    for first in range(len(tokens) - length + 1 if length else 0):
        if list(tokens[first : first + length]) == list(wanted):
            seen.update(range(first, first + length))
    yield from sorted(seen)
