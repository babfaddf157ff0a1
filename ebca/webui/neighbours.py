"""Other people's extensions: how they are recognised, and what is theirs.

Nothing of theirs is imported. They are known by what they put into a job's parameters, or by what
they put in the place of the WebUI's own functions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from modules import prompt_parser  # type: ignore[import-not-found]

Parser = Callable[[Sequence[str]], Any]

_KEYWORD = re.compile(r"\bAND_[A-Z]+\b")
"""Neutral Prompt's: AND_PERP, AND_SALT, AND_TOPK."""

_NESTED = re.compile(r"\[[^\]]*\bAND\b")
"""AND inside brackets, which Neutral Prompt reads and the WebUI does not know."""

_NAMES = {"lib_neutral_prompt": "Neutral Prompt"}
"""Package of an extension that is known -> its name."""


def owner_of_and(p: Any) -> str | None:
    """The extension for which every AND of the job `p` is, if there is one: it counts rows."""
    told = p.extra_generation_params
    if told.get("RP Calc Mode") == "Latent":
        return "Regional Prompter in its Latent mode"
    if told.get("Latent Couple"):
        return "Latent Couple"
    tiled = told.get("Tiled Diffusion")
    if isinstance(tiled, dict) and "Region control" in tiled:
        return "the region control of Tiled Diffusion"
    return None


def owner_of_prompt(prompt: str) -> str | None:
    """The extension for which the AND of one prompt is, if there is one."""
    if keyword := _KEYWORD.search(prompt):
        return _name(_parser()) or f"the extension that knows {keyword[0]}"
    name = _name(_parser())
    if name is None or (_behind(_parser()) and not _NESTED.search(prompt)):
        return None
    return name


def read_and(prompts: Sequence[str]) -> Any:
    """What the WebUI's `get_multicond_prompt_list` makes of the prompts, with other people's
    keywords as ANDs. Who has replaced that function remembers what it is called with, so that it
    is not called."""
    parser = _parser()
    if _behind(parser):
        prompts = [_KEYWORD.sub("AND", prompt) for prompt in prompts]
    while behind := _behind(parser):
        parser = behind
    return parser(list(prompts))


def tell_reader(prompts: Sequence[str]) -> None:
    """Let who remembers the prompts that were read (Neutral Prompt) remember these."""
    if _name(_parser()) is not None:
        _parser()(list(prompts))


def _parser() -> Parser:
    parser: Parser = prompt_parser.get_multicond_prompt_list
    return parser


def _behind(parser: Parser) -> Parser | None:
    """What stood in the place of a `functools.partial` of Neutral Prompt's."""
    return getattr(parser, "keywords", {}).get("original_function")


def _name(parser: Parser) -> str | None:
    """Whose the parser is, if it is not the WebUI's."""
    module = str(getattr(parser, "func", parser).__module__)
    if module.endswith("prompt_parser"):
        return None
    return _NAMES.get(module.partition(".")[0], module)
