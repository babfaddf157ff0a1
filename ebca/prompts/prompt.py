"""What one image is asked to be: its main prompt, those joined to it by AND, and its subjects."""

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
"""What an error calls it."""
EDIT_GAMMA = Range(0.0, 10.0, slider=(0.0, 0.02, 0.0001))


@dataclass(frozen=True)
class Edit:
    """One prompt after AND (or its encoding): an *editorial* prompt, in the paper's words.

    `prompt` is encoded by the host; `context` [t tokens, c channels] is taken as it is. Give one
    of them. `alpha` is its weight relative to the main prompt's, which is 1; it may be negative.
    Step sizes and window that are None are those of the settings (`edit_gamma_attn` and so on).
    `token_weights`, token index -> factor on gamma_attn. Raises `SettingsError` on construction
    if a value cannot be used.
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
        """What has to be encoded, or the encoding."""
        return str(self.prompt) if self.context is None else self.context

    @property
    def empty(self) -> bool:
        """Whether it says nothing, as a prompt before its schedule begins: it takes no part."""
        return not self.alpha or (self.prompt is not None and not self.prompt.strip())


@dataclass(frozen=True)
class Prompt:
    """What one image is asked to be at one step.

    `subjects` are what the main prompt asks to see as separate things: none, or two and more;
    `nouns` what each of them is in a word.
    `single` is false for a part of what its image is asked for (a prompt joined by the WebUI's
    own AND, which has a row of its own). `blank` is true if the main prompt is known to be empty;
    where a host does not tell what the main prompt is, it is not.
    """

    main: str = ""
    edits: tuple[Edit, ...] = ()
    subjects: tuple[str, ...] = ()
    nouns: tuple[str, ...] = ()
    single: bool = True
    blank: bool = False

    def with_subjects(self, subjects: Mapping[str, str]) -> Prompt:
        """The same with subjects and their nouns."""
        return dataclasses.replace(self, subjects=tuple(subjects), nouns=tuple(subjects.values()))


def noun_tokens(prompt: Prompt, tokens: Callable[[str], Sequence[int]]) -> list[list[int]]:
    """Token indices of each subject's noun in the main prompt: within the subject's own words if
    they stand together, else anywhere. `tokens(words)` finds words there."""
    found = []
    for place, subject in enumerate(prompt.subjects):
        noun = prompt.nouns[place] if prompt.nouns else subject.split()[-1]
        own, anywhere = tokens(subject), tokens(noun)
        found.append([index for index in anywhere if index in own] or [*anywhere] or [*own])
    return found


def checked_token_weights(weights: object) -> Mapping[int, float]:
    """A mapping of token index to factor. Raises SettingsError for anything else."""
    wanted = f"a mapping of token index (0 or more) to {TOKEN_WEIGHT}"
    if not isinstance(weights, Mapping):
        raise SettingsError("token_weights", weights, wanted)
    checked: dict[int, float] = {}
    for index, weight in sorted(weights.items()):
        if isinstance(index, bool) or not isinstance(index, numbers.Integral) or index < 0:
            raise SettingsError("token_weights", index, wanted)
        checked[int(index)] = check_number(f"token_weights[{index}]", weight, TOKEN_WEIGHT)
    return MappingProxyType(checked)
