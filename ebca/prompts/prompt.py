"""The prompt of one image: the main prompt, the prompts joined to it by AND, and the subjects."""

from __future__ import annotations

import dataclasses
import numbers
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from ebca.settings.checks import (
    FRACTION,
    TOKEN_WEIGHT,
    Range,
    SettingsError,
    check_number,
    check_window,
)

if TYPE_CHECKING:
    from torch import Tensor

ALPHA = Range(-100.0, 100.0, slider=(-2.0, 2.0, 0.05))
WEIGHTS_AFTER_AND = "the sum of the weights after AND"
"""The field name in errors on this sum."""
EDIT_GAMMA = Range(0.0, 10.0, slider=(0.0, 0.02, 0.0001))


@dataclass(frozen=True)
class Edit:
    """One prompt after AND, or its encoding: an *editorial* prompt in the paper (arXiv 2306.09869).

    Args:
        prompt: The text, which the host encodes. Give this or `context`, not both.
        context: The encoding, [t tokens, c channels].
        alpha: The weight relative to the main prompt's 1, from -100 to 100.
        gamma_attn, gamma_norm: Step sizes, from 0 to 10; None for the settings' `edit_gamma_attn`
            and `edit_gamma_norm`.
        start, stop: The window in which the prompt acts, as fractions of the steps from 0 to 1;
            None for the settings' `edit_start` and `edit_stop`.
        token_weights: Token index of this prompt -> factor on gamma_attn, from 0 to 100.

    Raises:
        SettingsError: A value cannot be used.
    """

    prompt: str | None = None
    context: Tensor | None = field(default=None, compare=False)
    alpha: float = 1.0
    gamma_attn: float | None = None
    gamma_norm: float | None = None
    start: float | None = None
    stop: float | None = None
    token_weights: Mapping[int, float] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        legal = {"alpha": ALPHA, "gamma_attn": EDIT_GAMMA, "gamma_norm": EDIT_GAMMA}
        for name, span in {**legal, "start": FRACTION, "stop": FRACTION}.items():
            value = getattr(self, name)
            if value is not None or name == "alpha":
                object.__setattr__(self, name, check_number(name, value, span))
        if self.start is not None and self.stop is not None:
            check_window("start", self.start, "stop", self.stop)
        object.__setattr__(self, "token_weights", checked_token_weights(self.token_weights))
        if (self.prompt is None) == (self.context is None):
            raise SettingsError("prompt", self.prompt, "given, or else context (one of the two)")
        if self.prompt is not None and not isinstance(self.prompt, str):
            raise SettingsError("prompt", self.prompt, "a text")
        if self.context is not None and getattr(self.context, "ndim", None) != 2:
            shape = tuple(getattr(self.context, "shape", ())) or type(self.context).__name__
            raise SettingsError("context", shape, "a tensor of shape [tokens, channels]")

    @property
    def source(self) -> str | Tensor:
        """The text to encode, or the encoding."""
        return str(self.prompt) if self.context is None else self.context

    @property
    def empty(self) -> bool:
        """Whether the edit takes no part: alpha is 0, or its schedule gives no text yet."""
        return not self.alpha or (self.prompt is not None and not self.prompt.strip())


@dataclass(frozen=True)
class Prompt:
    """The prompt of one image at one step.

    `subjects` are the separate things that the main prompt asks for: none, or two and more; `nouns`
    names each in one word. `single` is false if this is only a part of the image's prompt (joined
    by the WebUI's own AND, with a row of its own). `blank` is true if the main prompt is known to
    be empty; it is false where a host does not tell the main prompt.
    """

    main: str = ""
    edits: tuple[Edit, ...] = ()
    subjects: tuple[str, ...] = ()
    nouns: tuple[str, ...] = ()
    single: bool = True
    blank: bool = False

    def with_subjects(self, subjects: Mapping[str, str]) -> Prompt:
        """Return a copy with `subjects`, a mapping of subject to noun."""
        return dataclasses.replace(self, subjects=tuple(subjects), nouns=tuple(subjects.values()))


def noun_tokens(prompt: Prompt, tokens: Callable[[str], Sequence[int]]) -> list[list[int]]:
    """Return the token indices of each subject's noun in the main prompt.

    They are within the subject's own words if these stand together, else anywhere. `tokens(words)`
    finds words in the main prompt.
    """
    found = []
    for place, subject in enumerate(prompt.subjects):
        noun = prompt.nouns[place] if prompt.nouns else subject.split()[-1]
        own, anywhere = tokens(subject), tokens(noun)
        found.append([index for index in anywhere if index in own] or [*anywhere] or [*own])
    return found


def checked_token_weights(weights: object) -> Mapping[int, float]:
    """Return a checked mapping of token index to factor. Raises SettingsError for others."""
    wanted = f"a mapping of token index (0 or more) to {TOKEN_WEIGHT}"
    if not isinstance(weights, Mapping):
        raise SettingsError("token_weights", weights, wanted)
    checked: dict[int, float] = {}
    for index, weight in sorted(weights.items()):
        if isinstance(index, bool) or not isinstance(index, numbers.Integral) or index < 0:
            raise SettingsError("token_weights", index, wanted)
        checked[int(index)] = check_number(f"token_weights[{index}]", weight, TOKEN_WEIGHT)
    return MappingProxyType(checked)
