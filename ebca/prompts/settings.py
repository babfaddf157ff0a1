"""Settings on what the words of a prompt are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from ebca.prompts.prompt import checked_token_weights
from ebca.prompts.words import has_words, read_list, read_word_weights
from ebca.settings.checks import SettingsError, check_text
from ebca.settings.declaration import check_settings, setting
from ebca.subjects import read_subjects


def _check_token_weights(value: Any) -> Any:
    if isinstance(value, Mapping):
        return checked_token_weights(value) if value else ""
    read_word_weights(check_text("token_weights", value))
    return value


def _check_subjects(value: Any) -> str:
    if len(read_list(check_text("subjects", value))) == 1:
        raise SettingsError("subjects", value, "two or more, such as 'cat, red hat', or none")
    return str(value)


@lru_cache(maxsize=256)
def _found(text: str) -> tuple[tuple[str, str], ...]:
    return tuple((subject.text, subject.noun) for subject in read_subjects(text))


@dataclass(frozen=True)
class Words:
    """What the user says of the prompt's words."""

    subjects: str = setting(
        "",
        "What the picture must show, in the prompt's own words: 'cat, red hat'. Leave it empty and"
        " EBCA finds the subjects itself.",
        label="Subjects",
        neutral="",
        hint="as found in the prompt",
        check=_check_subjects,
    )
    token_weights: Any = field(
        default="",
        hash=False,
        metadata={
            "help": "Makes gamma_attn stronger or weaker for single words of the prompt:"
            " 'crown:2.5, red hat:1.5'; 0 leaves a word out. This is not the prompt's (crown:1.2).",
            "label": "Words to bring out more or less",
            "group": "update",
            "neutral": "",
            "hint": "crown:2.5, red hat:1.5",
            "check": _check_token_weights,
        },
    )

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def named(self) -> tuple[str, ...]:
        """The subjects that the user named."""
        return read_list(self.subjects)

    def subjects_of(self, text: str) -> dict[str, str]:
        """Those of a main prompt with their nouns: of the named ones those that it has, or else
        as found; none if they are fewer than two."""
        if not self.named:
            return dict(_found(text))
        there = [each for each in self.named if has_words(text, each)]
        return {each: each.split()[-1] for each in there} if len(there) > 1 else {}

    @property
    def word_weights(self) -> list[tuple[str, float]]:
        """Words and their factors; none where `token_weights` names tokens by their index."""
        by_index = isinstance(self.token_weights, Mapping)
        return [] if by_index else read_word_weights(self.token_weights)

    @property
    def index_weights(self) -> Mapping[int, float]:
        """Token index -> factor, where `token_weights` is such a mapping."""
        by_index = isinstance(self.token_weights, Mapping)
        return checked_token_weights(self.token_weights) if by_index else {}
