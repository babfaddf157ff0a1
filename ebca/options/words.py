"""The settings on the words of a prompt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from ebca.prompts.prompt import checked_token_weights
from ebca.prompts.words import has_words, noun_of, read_list, read_word_weights
from ebca.settings.checks import SettingsError, check_text
from ebca.settings.declaration import check_settings, setting
from ebca.subjects import read_subjects


def _check_token_weights(value: Any) -> Any:
    if isinstance(value, Mapping):
        return checked_token_weights(value) if value else ""
    read_word_weights(check_text("token_weights", value))
    return value


@lru_cache(maxsize=256)
def _found(text: str) -> tuple[tuple[str, str], ...]:
    return tuple((subject.text, subject.noun) for subject in read_subjects(text))


@dataclass(frozen=True)
class Words:
    """The user's settings on the words of the prompt."""

    subjects: str = setting(
        "",
        "What the picture must show, in the prompt's own words: 'cat, red hat'. Leave it empty and"
        " EBCA finds the subjects itself.",
        label="Subjects",
        neutral="",
        hint="as found in the prompt",
    )
    token_weights: Any = field(
        default="",
        hash=False,
        metadata={
            "help": "Makes gamma_attn stronger or weaker for single words of the prompt:"
            " 'crown:2.5, red hat:1.5'; 0 leaves a word out. Unlike emphasis, (crown:1.2), it"
            " affects this update only.",
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

    def check_count(self) -> None:
        """Raise SettingsError if a single subject is named.

        A page has that for a moment, while two are typed; whoever writes the list at once forgot
        one.
        """
        if len(self.named) == 1:
            legal = "two or more, such as 'cat, red hat', or none"
            raise SettingsError("subjects", self.subjects, legal)

    def named_in(self, text: str) -> tuple[str, ...]:
        """Return the named subjects that occur in a main prompt."""
        return tuple(each for each in self.named if has_words(text, each))

    def subjects_of(self, text: str) -> dict[str, str]:
        """Return subject -> noun for a main prompt; empty if there are fewer than two subjects.

        The subjects are the named ones that occur in the prompt. If none of them does, they are
        found in the prompt, as if none were named.
        """
        there = self.named_in(text)
        if not there:
            return dict(_found(text))
        return {each: noun_of(each) for each in there} if len(there) > 1 else {}

    @property
    def word_weights(self) -> list[tuple[str, float]]:
        """Words and their factors; empty if `token_weights` has token indices."""
        by_index = isinstance(self.token_weights, Mapping)
        return [] if by_index else read_word_weights(self.token_weights)

    @property
    def index_weights(self) -> Mapping[int, float]:
        """Token index -> factor, if `token_weights` is such a mapping; else empty."""
        by_index = isinstance(self.token_weights, Mapping)
        return checked_token_weights(self.token_weights) if by_index else {}
