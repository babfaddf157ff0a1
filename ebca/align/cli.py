"""The command line of `python -m ebca align`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ebca.align.methods import KINDS, Method, methods, read_grid
from ebca.options import Settings
from ebca.settings import SettingsError

TASK_NAMES = (
    "single", "multi", "held-out", "three", "binding", "in-scene", "wearing", "scene", "style",
    "attribute", "negation", "inpaint", "edit", "dressing", "edit-colour", "edit-scene",
)  # fmt: skip
FIGURES = (
    "present", "right", "clean", "recall", "binding", "doubled", "odd", "scene", "removed",
    "structure", "whole", "rest", "clip", "clip-least",
)  # fmt: skip
_AT_LEAST = {"count": 1, "seeds": 1, "seed": 0, "steps": 1, "batch": 1, "cfg": 0}

_PAPER = ("gamma_attn=0.01", "gamma_norm=0.02")
_CONTRAST = ("gamma_attn=0", "contrast=1.3")
ABLATION: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("bcu", ("gamma_attn=0.0005,0.001,0.002,0.005,0.01,0.02,0.05,0.1", "gamma_norm=0")),
    ("bcu", ("gamma_attn=0", "gamma_norm=0.01,0.02,0.05,0.2,1")),
    ("bcu", _PAPER),
    ("bcu", (*_PAPER, "update_unconditional=on")),
    ("bcu", (*_PAPER, "formulation=paper")),
    ("bcu", (*_PAPER, "layers=down,mid,up")),
    ("bcu", (*_PAPER, "stop=0.2,0.4")),
    ("bcu", (*_PAPER, "start=0.4")),
    ("bcu", (*_PAPER, "max_relative_update=0.005,0.02")),
    ("bcu", ("gamma_attn=0.002,0.01", "centered=on")),
    ("bcu", ("gamma_attn=0", "gamma_spread=0.0125,0.05")),
    ("bcu", ("gamma_attn=0", "contrast=0.33,0.66,1,1.3,2,2.64", "contrast_stop=0.2,0.3,0.5,1")),
    ("bcu", ("gamma_attn=0.001,0.002,0.005,0.01", "contrast=1.3", "centered=off,on")),
    ("bcu", ("gamma_attn=0", "gamma_norm=0.02", "contrast=1.3")),
    ("bcu", ("gamma_attn=0", "gamma_spread=0.0125", "contrast=1.3")),
    ("cacao", ("composition=sum,average",)),
    ("both", _PAPER),
    ("both", _CONTRAST),
)
"""(kind of method, grid) pairs: each term of the update alone, from far too small to breaking; the
paper's step sizes for several concepts, varied one setting at a time; the contrast alone, long and
short, and with each term."""


def add_align(commands: Any) -> Any:
    """Add the sub-command with its flags and their help, and return it."""
    align = commands.add_parser(
        "align",
        help="measure whether it helps",
        description="Make the same pictures, prompt by prompt and seed by seed, with and without"
        " EBCA, have a judge look at them, and count. Methods: "
        + "; ".join(f"{name}: {text}" for name, text in KINDS.items()) + ".",
    )  # fmt: skip
    add = align.add_argument
    add("--task", nargs="+", default=["held-out"], choices=TASK_NAMES, metavar="TASK",
        help=f"built-in prompts: {', '.join(TASK_NAMES)} (default held-out)")  # fmt: skip
    add("--split", default="development", choices=("development", "test"),
        help="choose settings on development, look at test once")  # fmt: skip
    add("--count", type=int, default=200, help="prompts a task (default %(default)s)")
    add("--strength", type=float, nargs="+", default=[], metavar="S", help="denoising strengths of"
        " the tasks that edit a picture (default 0.7); of several it also says which method is"
        " right more often at the same distance to the picture")  # fmt: skip
    add("--prompts", type=Path, metavar="FILE", help="prompts of your own, one a line; what must"
        " be there is named after | or else by a, an, the")  # fmt: skip
    add("--seeds", type=int, default=1, help="seeds a prompt of the file (default %(default)s)")
    add("--seed", type=int, default=0, help="the first seed (default %(default)s)")
    add("--methods", nargs="+", default=["off", "on"], metavar="METHOD", help=", ".join(KINDS))
    add("--grid", nargs="+", default=[], metavar="FIELD=A,B", help="settings to try, e.g."
        " gamma_attn=0.002,0.005 layers=all,down+mid; all combinations. Where it names a step size,"
        " those that it does not name are 0")  # fmt: skip
    add("--ablation", action="store_true", help="instead of methods and grid: both terms, each"
        " alone, step sizes, rows, layers, windows, caps, formulations, composition")  # fmt: skip
    add("--against", default="off", metavar="METHOD", help="what to compare with, in pairs"
        " (default %(default)s)")  # fmt: skip
    add("--figures", nargs="+", choices=FIGURES, metavar="FIGURE", help="to print; JSON has all:"
        f" {', '.join(FIGURES)} (default all)")  # fmt: skip
    add("--detect", type=float, metavar="SHARE", help="print how many pairs are needed to find a"
        " difference of this size, e.g. 0.1")  # fmt: skip
    add("--energies", action="store_true", help="how large the updates are and whether energies"
        " fall, on the first batch of every method")  # fmt: skip
    add("--judge", default="world", choices=("world", "clip"), help="(default %(default)s)")
    add("--clip", metavar="MODEL", help="folder or hub id of the CLIP model that judges")
    add("--model", help="diffusers folder, .safetensors file or hub id; default: the small model")
    add("--model-config", help="folder or hub id that has the configuration of a single file")
    add("--steps", type=int, default=20, help="denoising steps (default %(default)s)")
    add("--cfg", type=float, help="guidance scale (default 4 for the small model, else 7.5)")
    add("--sampler", choices=("ddim", "euler", "pndm"), help="default: the model's own")
    add("--size", type=int, help="width and height in pixels; default: the model's own")
    add("--batch", type=int, default=16, help="pictures at a time (default %(default)s)")
    add("--device", help="cuda, mps or cpu; default: the best there is")
    add("--out", type=Path, default=Path("outputs/align"), metavar="DIR", help="keeps pictures and"
        " results; a second run continues there (default %(default)s)")  # fmt: skip
    add("--json", type=Path, metavar="FILE", help="also write the figures there")
    add("--picture", type=Path, metavar="FILE", help="also draw prompts x methods")
    add("--curves", type=Path, metavar="FILE", help="also draw how often edits are right against"
        " their distance to the picture, a line a method, a point a strength")  # fmt: skip
    add("--rows", type=int, default=8, help="prompts in that picture (default %(default)s)")
    add("--ray", nargs="?", const="local", metavar="ADDRESS", help="spread the work over a Ray"
        " cluster, one painter a GPU; without an address, over this machine")  # fmt: skip
    add("--workers", type=int, help="painters on the cluster; default: its GPUs, or one")
    return align


def checked(options: argparse.Namespace) -> list[Method]:
    """Return the methods that the options name. Raises SettingsError before anything is loaded."""
    if options.cfg is None:
        options.cfg = 7.5 if options.model else 4.0
    _check(options)
    return chosen_methods(options)


def chosen_methods(options: argparse.Namespace) -> list[Method]:
    """Return the methods that the options name, with the one compared with among them."""
    grid = read_grid(options.grid)
    if options.ablation:
        found = methods(["off"], Settings(), [])
        for kind, axes in ABLATION:
            found += methods([kind], Settings(), read_grid(axes))
    else:
        found = methods(options.methods, Settings(), grid)
    labels = [method.label for method in found]
    kinds = [method.kind for method in found]
    if options.against in KINDS and options.against not in kinds:
        found = [*methods([options.against], Settings(), []), *found]
    elif options.against not in labels and kinds.count(options.against) != 1:
        legal = "one of " + ", ".join(dict.fromkeys([*labels, *KINDS]))
        raise SettingsError("against", options.against, legal)
    once: dict[str, Method] = {}
    for method in found:
        once.setdefault(str(method.facts()), method)
    return list(once.values())


def _check(options: argparse.Namespace) -> None:
    for name, low in _AT_LEAST.items():
        if not low <= getattr(options, name) < 2**63:
            raise SettingsError(name, getattr(options, name), f"a number of at least {low}")
    for strength in options.strength:
        if not 0 < strength <= 1:
            raise SettingsError("strength", strength, "a number above 0 and at most 1")
    if options.detect is not None and not 0 < options.detect < 1:
        raise SettingsError("detect", options.detect, "a share between 0 and 1, such as 0.1")
    if options.workers is not None and options.workers < 1:
        raise SettingsError("workers", options.workers, "a number of at least 1")
    if options.size is not None and (options.size < 8 or options.size % 8):
        raise SettingsError("size", options.size, "a multiple of 8 pixels")
    if "core-and" in options.methods and options.cfg <= 1:
        raise SettingsError("cfg", options.cfg, "above 1 for core-and, which guides every prompt")
    if options.judge == "clip" and not options.clip:
        raise SettingsError("clip", None, "given with --judge clip: a folder or hub id")
