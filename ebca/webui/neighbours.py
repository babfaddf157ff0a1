"""Recognise other people's extensions, and which ANDs belong to them.

Nothing is imported from these extensions. They are recognised by their entries in a job's
parameters, or by the functions that they put in the place of the WebUI's own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from modules import prompt_parser  # type: ignore[import-not-found]

Parser = Callable[[Sequence[str]], Any]

_KEYWORD = re.compile(r"\bAND_[A-Z]+\b")
"""Neutral Prompt's keywords: AND_PERP, AND_SALT, AND_TOPK."""

_NESTED = re.compile(r"\[[^\]]*\bAND\b")
"""AND inside brackets, which Neutral Prompt reads and the WebUI does not know."""

_NAMES = {"lib_neutral_prompt": "Neutral Prompt"}
"""Package of a known extension -> name of the extension."""


def owner_of_and(p: Any) -> str | None:
    """Return the extension that every AND of the job `p` belongs to, if any: it counts rows."""
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
    """Return the extension that the ANDs of one prompt belong to, if any."""
    if keyword := _KEYWORD.search(prompt):
        return _name(_parser()) or f"the extension that knows {keyword[0]}"
    name = _name(_parser())
    if name is None or (_behind(_parser()) and not _NESTED.search(prompt)):
        return None
    return name


def read_and(prompts: Sequence[str]) -> Any:
    """Parse prompts as the WebUI's `get_multicond_prompt_list` does, with other people's keywords
    as ANDs. A replacement by another extension remembers the prompts it is called with, so the
    function that it replaced is called instead."""
    parser = _parser()
    if _behind(parser):
        prompts = [_KEYWORD.sub("AND", prompt) for prompt in prompts]
    while behind := _behind(parser):
        parser = behind
    return parser(list(prompts))


def tell_reader(prompts: Sequence[str]) -> None:
    """Let an extension that remembers the prompts last parsed (Neutral Prompt) remember these."""
    if _name(_parser()) is not None:
        _parser()(list(prompts))


def _parser() -> Parser:
    parser: Parser = prompt_parser.get_multicond_prompt_list
    return parser


def _behind(parser: Parser) -> Parser | None:
    """Return the function that a `functools.partial` of Neutral Prompt's replaced, if it is one."""
    return getattr(parser, "keywords", {}).get("original_function")


def _name(parser: Parser) -> str | None:
    """Return the extension that the parser comes from; None if it is the WebUI's own."""
    module = str(getattr(parser, "func", parser).__module__)
    if module.endswith("prompt_parser"):
        return None
    return _NAMES.get(module.partition(".")[0], module)
