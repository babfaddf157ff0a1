"""Split a prompt at `AND` into a main prompt and the prompts joined to it. Knows no host.

`AND` and `:weight` are read exactly as the WebUI reads them (modules/prompt_parser.py):
case-sensitive whole word, weight default 1.0, negative allowed, no exponent.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ebca.prompts.prompt import ALPHA, Edit, Prompt
from ebca.settings.checks import SettingsError

_AND = re.compile(r"\bAND\b")
_WEIGHTED = re.compile(r"(.*?)(?:\s*:\s*([-+]?(?:\d+\.?|\d*\.\d+)))?\s*", re.DOTALL)


class Subprompt(NamedTuple):
    """One of the `AND`-separated parts of a prompt, and its weight."""

    text: str
    weight: float


def split_prompt(prompt: str) -> list[Subprompt]:
    """Return the `AND`-separated parts of `prompt` in order; at least one."""
    parts = []
    for part in _AND.split(prompt):
        match = _WEIGHTED.fullmatch(part)
        assert match is not None  # the expression matches every text
        parts.append(Subprompt(match[1], 1.0 if match[2] is None else float(match[2])))
    return parts


@dataclass(frozen=True)
class Composed:
    """A prompt, or a list of them, split at AND: the `prompt` argument of `apply_patch`.

    Attributes:
        prompts: One `Prompt` for each prompt.
        listed: Whether a list of prompts was given.
        main: The part before AND, for the pipeline: a text, or a list of texts if `listed`.
        edits: The prompts after AND: a tuple of `Edit`, or one such tuple for each prompt if
            `listed`.
    """

    prompts: tuple[Prompt, ...]
    listed: bool = False

    @property
    def main(self) -> str | list[str]:
        mains = [prompt.main for prompt in self.prompts]
        return mains if self.listed else mains[0]

    @property
    def edits(self) -> tuple[Edit, ...] | tuple[tuple[Edit, ...], ...]:
        edits = tuple(prompt.edits for prompt in self.prompts)
        return edits if self.listed else edits[0]


def compose(prompt: str | Sequence[str], **edit: Any) -> Composed:
    """Split `main :w AND other :v AND ...` at AND; each other prompt's alpha is v / w.

    Args:
        prompt: A prompt, or a list of them. Empty prompts after AND are left out.
        edit: Arguments for every `Edit` (gamma_attn, gamma_norm, start, stop) in place of the
            settings'.

    Returns:
        A `Composed`; its `main` is for the pipeline.

    Raises:
        SettingsError: The main weight is not above 0, or a value is out of range.
    """
    if isinstance(prompt, str):
        return Composed((_read(prompt, edit),))
    return Composed(tuple(_read(each, edit) for each in prompt), listed=True)


def _read(prompt: str, edit: dict[str, Any]) -> Prompt:
    main, *others = split_prompt(prompt)
    if others:
        check_main_weight(*main)
    edits = tuple(
        weighed_edit(other.text.strip(), other.weight, main.weight, **edit)
        for other in others
        if other.text.strip()
    )
    text = main.text if others else prompt
    return Prompt(text, edits, blank=not text.strip())


def weighed_edit(text: str, weight: float, main: float, **more: Any) -> Edit:
    """Return the edit `text :weight`, given the main prompt's weight `main` (above 0).

    `more` are further arguments of `Edit`. Raises SettingsError in terms of the prompt.
    """
    alpha = weight / main
    if not ALPHA.low <= alpha <= ALPHA.high:
        raise SettingsError(
            "prompt", f"{text.strip()} :{weight:g}",
            f"a prompt whose weight, divided by the main prompt's ({main:g}), is {ALPHA}",
        )  # fmt: skip
    return Edit(text, alpha=alpha, **more)


def check_main_weight(text: str, weight: float) -> None:
    """Raise SettingsError unless a main prompt's weight is above 0: it divides the others."""
    if weight <= 0.0:
        raise SettingsError(
            "prompt", f"{text.strip()} :{weight:g}",
            "a main prompt (the first of those joined by AND) with a weight above 0",
        )  # fmt: skip
