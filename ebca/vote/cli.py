"""The command line of `python -m ebca vote`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ebca.settings import SettingsError
from ebca.vote.prompts import SETS

PORT = 7865


def add_vote(commands: Any) -> argparse.ArgumentParser:
    """Add the command to the subparsers of `python -m ebca`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "vote",
        help="let people judge, blind",
        description="Open a page in the browser on which people say which of two pictures fits a"
        " prompt better, without seeing which is which. With --prompts, begin a vote (or go on with"
        " the one of the same prompts, seeds and settings); without, begin one on the page."
        " Everything stays on this machine.",
    )
    add = parser.add_argument
    add("--prompts", metavar="SET", help=f"{', '.join(SETS)}, or a file with a prompt a line")
    add("--count", type=int, help="so many of the prompts; default: all")
    add("--seeds", type=int, default=1, help="pictures of each prompt (default %(default)s)")
    add("--seed", type=int, default=1, help="the first seed (default %(default)s)")
    add("--a", default="off", metavar="SETTINGS", help="off, defaults, a preset, or values such as"
        " 'regions=0.5, contrast=1' (default %(default)s)")  # fmt: skip
    add("--b", default="defaults", metavar="SETTINGS", help="the same (default %(default)s)")
    add("--name", default="", help="what the vote is called")
    add("--negative", default="", help="what should not be in the pictures")
    add("--model", help="diffusers folder, .safetensors file or hub id; default: the small model")
    add("--model-config", help="folder or hub id that has the configuration of a single file")
    add("--steps", type=int, default=20, help="denoising steps (default %(default)s)")
    add("--cfg", type=float, help="guidance scale (default 4 for the small model, else 7.5)")
    add("--sampler", choices=("ddim", "euler", "pndm"), help="default: the model's own")
    add("--width", type=int, help="in pixels; default: the model's own")
    add("--height", type=int, help="in pixels; default: the model's own")
    add("--data", type=Path, default=Path("outputs/vote"), metavar="DIR",
        help="where votes and pictures are kept (default %(default)s)")  # fmt: skip
    add("--port", type=int, default=PORT, help="0 takes one that is free (default %(default)s)")
    add("--no-browser", action="store_true", help="open no browser, print the address alone")
    add("--device", help="cuda, mps or cpu; default: the best there is")
    return parser


def given(options: argparse.Namespace) -> dict[str, Any] | None:
    """Return the options as values of the page's form; None without --prompts. Raises SettingsError
    for a file that cannot be read."""
    if options.prompts is None:
        return None
    values = {name: getattr(options, name) for name in ("name", "a", "b", "seeds", "seed")}
    values |= {} if options.count is None else {"count": options.count}
    if options.prompts in SETS:
        return {**values, "prompts": options.prompts}
    try:
        text = Path(options.prompts).read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        legal = f"one of {', '.join(SETS)}, or a text file that can be read"
        raise SettingsError("prompts", options.prompts, legal) from error
    return {**values, "prompts": "own", "list": text}
