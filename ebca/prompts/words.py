"""Words of a prompt: factors on them, and the tokens that they are."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

from ebca.settings.checks import TOKEN_WEIGHT, SettingsError, check_number
from ebca.subjects.grammar import ENGLISH

_MARKS = re.compile(r"[()\[\]{}\\]|:\s*[\d.]+")
"""The WebUI's emphasis."""
_IDEOGRAPHS = r"\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff66-\uff9f"
"""Scripts that write words without spaces between them: Chinese, Japanese, and Korean, where
particles follow a word without one."""

UNIT = re.compile(rf"[{_IDEOGRAPHS}]|(?:(?![{_IDEOGRAPHS}])[^\W_])(?:(?![{_IDEOGRAPHS}])[\w'-])*")
"""A word, or a single character where there are no spaces between words."""

_IDEOGRAPH = re.compile(rf"[{_IDEOGRAPHS}]")
_WORD = re.compile(r"[^\W_][\w'-]*")


def plain(text: str) -> str:
    """`text` without the WebUI's emphasis, its words one space apart."""
    return " ".join(_MARKS.sub(" ", text).split())


def has_words(text: str, words: str) -> bool:
    """Whether `words` stand in `text`, as they are and as whole words, in any case."""
    if not words:
        return False
    before = "" if _IDEOGRAPH.match(words[0]) else r"(?<!\w)"
    after = "" if _IDEOGRAPH.match(words[-1]) else r"(?!\w)"
    return bool(re.search(before + re.escape(words) + after, plain(text), re.IGNORECASE))


def noun_of(words: str) -> str:
    """What a subject's words name: the last of them."""
    return words.split()[-1]


def without_spaces(text: str) -> bool:
    """Whether a text begins in a script without spaces between words."""
    return bool(_IDEOGRAPH.match(text))


def read_list(text: str) -> tuple[str, ...]:
    """Read `cat, red hat` as ("cat", "red hat"); each once."""
    return tuple(dict.fromkeys(filter(None, map(plain, text.split(",")))))


def telling_words(text: str) -> list[str]:
    """The words of a prompt in order, each once, without small ones (`and`, `the`)."""
    words = dict.fromkeys(_WORD.findall(plain(text)))
    return [each for each in words if each.lower() not in ENGLISH]


def missing_words(texts: Collection[str], words: Sequence[str]) -> list[str]:
    """Those of `words` that are in none of the texts."""
    return [each for each in words if not any(has_words(text, each) for text in texts)]


def read_word_weights(text: str) -> list[tuple[str, float]]:
    """Read `crown:2.5, red hat:1.5` as [("crown", 2.5), ("red hat", 1.5)]; empty text as []."""
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
    """Every index of `tokens` that belongs to an occurrence of the sequence `wanted`."""
    length = len(wanted)
    seen: set[int] = set()
    for first in range(len(tokens) - length + 1 if length else 0):
        if list(tokens[first : first + length]) == list(wanted):
            seen.update(range(first, first + length))
    yield from sorted(seen)
