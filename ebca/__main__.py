"""The command line: `python -m ebca generate "a red car AND at night :0.8" --out outputs`, `python
-m ebca bench`, `python -m ebca align`, `python -m ebca subjects` and `python -m ebca vote`."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ebca.align.cli import add_align, checked
from ebca.core.maps import WHEN
from ebca.options import Settings, all_declarations, declared
from ebca.options.keeping import Keeping
from ebca.options.legacy import RENAMED
from ebca.options.presets import DEFAULT, PRESETS
from ebca.prompts import compose
from ebca.prompts.words import missing_words
from ebca.settings import Declaration, Range, SettingsError, declarations
from ebca.settings.declaration import GROUPS
from ebca.subjects.cli import add_subjects
from ebca.vote.cli import add_vote

EXIT_BAD_INPUT, EXIT_NO_MODEL, EXIT_OUT_OF_MEMORY, EXIT_INTERRUPTED = 2, 3, 4, 130


def build_parser() -> argparse.ArgumentParser:
    """Return the parser, in which every setting's declaration makes its flag."""
    parser = argparse.ArgumentParser(
        prog="ebca", description="Energy-Based Cross-Attention: images that follow their prompts."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    generate = commands.add_parser(
        "generate",
        help="make pictures",
        description="Make pictures. `AND` joins prompts: the first is the main one, the others are"
        " composed into it with the weight after their colon.",
    )
    add = generate.add_argument
    add("prompt", help="e.g. 'a red car and a blue crown AND at night :0.8'")
    add("--negative", default="", help="what should not be there")
    add("--model", help="diffusers folder, .safetensors file or hub id; default: the small model")
    add("--model-config", help="folder or hub id that has the configuration of a single file")
    add("--steps", type=int, default=20, help="denoising steps (default %(default)s)")
    add("--cfg", type=float, help="guidance scale (default 4 for the small model, else 7.5)")
    add("--seed", type=int, default=0, help="seed of the first image (default %(default)s)")
    add("--images", type=int, default=1, help="number of images, with seeds one apart")
    add("--width", type=int, help="in pixels; default: the model's own")
    add("--height", type=int, help="in pixels; default: the model's own")
    add("--init", type=Path, metavar="IMAGE", help="start from this image")
    add("--strength", type=float, default=0.6, help="how much of it to change (%(default)s)")
    add("--mask", type=Path, metavar="IMAGE", help="repaint only where this image is white")
    add("--compare", action="store_true", help="also write off | on side by side, same seed")
    add("--energies", action="store_true", help="also draw what updates changed, layer by layer")
    add(
        "--maps",
        nargs="?",
        const="all",
        choices=WHEN,
        help="also show where the model put each subject: in all steps, or the early or late third",
    )
    add("--maps-of", default="", metavar="WORDS", help="which words to show: 'cat, red hat'")
    add("--out", type=Path, default=Path("outputs"), metavar="DIR", help="where to write")
    add("--device", help="cuda, mps or cpu; default: the best there is")
    _add_settings(generate)
    generate.set_defaults(run=_generate)
    _add_bench(commands)
    add_align(commands).set_defaults(run=_align)
    add_subjects(commands)
    add_vote(commands).set_defaults(run=_vote)
    return parser


def _add_bench(commands: Any) -> None:
    bench = commands.add_parser(
        "bench",
        help="measure what it costs",
        description="Measure time and memory of one UNet evaluation: stock, with EBCA, with the"
        " WebUI's AND, and with a naive implementation of the same.",
    )
    add = bench.add_argument
    add(
        "--size", default="sd15", choices=("sd15", "sdxl", "tiny"), help="of the UNet (%(default)s)"
    )
    add("--latent", type=int, default=64, help="height and width in latent pixels (%(default)s)")
    add("--images", type=int, default=1, help="images, of two rows each (%(default)s)")
    add("--prompts", type=int, default=3, help="prompts an image for CACAO (%(default)s)")
    add("--repeats", type=int, default=5, help="turns that count (%(default)s)")
    add("--device", help="cuda, mps or cpu; default: the best there is")
    add(
        "--dtype", choices=("float32", "float16", "bfloat16"), help="default: the device's fast one"
    )
    add("--ebca-only", action="store_true", help="leave out the WebUI's AND and the naive cases")
    add(
        "--only", nargs="+", default=(), metavar="CASE",
        help="beside stock, only cases with one of these texts in their names: off defaults",
    )  # fmt: skip
    add("--no-memory", action="store_true", help="leave the peak memory out")
    add("--json", type=Path, metavar="FILE", help="also write the figures there")
    bench.set_defaults(run=_bench)


def _add_settings(parser: argparse.ArgumentParser) -> None:
    """Add a flag for every setting; flags that are not given stay out of the parsed options."""
    groups = {key: parser.add_argument_group(title or "EBCA") for key, title in GROUPS.items()}
    groups["sight"].add_argument(
        "--preset", default=DEFAULT, choices=tuple(PRESETS), help="starting values (%(default)s)"
    )
    for each in declared(page=False).values():
        _add_setting(groups[each.group], each)


def _add_setting(group: Any, setting: Declaration) -> None:
    old = ["--" + name for name, new in RENAMED.items() if new == setting.name]
    default = "none" if setting.default == "" else setting.default
    shown: dict[str, Any] = {
        "dest": _dest(setting.name),
        "default": argparse.SUPPRESS,
        "help": f"{setting.help} (default {default})".replace("%", "%%"),
    }
    if setting.is_flag:
        shown["action"] = argparse.BooleanOptionalAction
    elif isinstance(setting.legal, Range):
        shown["metavar"] = f"{setting.legal.low:g}..{setting.legal.high:g}"
        shown["type"] = float
    elif setting.choices:
        shown["choices"] = setting.choices
    else:
        shown["metavar"] = setting.name.upper()
    group.add_argument(setting.command_line_flag, *old, **shown)


def _dest(setting: str) -> str:
    return "ebca_" + setting


def _settings(options: argparse.Namespace) -> Settings:
    """Return the preset's settings with the changes that flags make to them."""
    return Settings(**{**PRESETS[options.preset], **_given(options, all_declarations())})


def _given(options: argparse.Namespace, names: Iterable[str]) -> dict[str, Any]:
    """Return the values of those of the settings `names` that have been given as flags."""
    dests = {name: _dest(name) for name in names}
    return {name: getattr(options, dest) for name, dest in dests.items() if hasattr(options, dest)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code; an error is reported in one line on stderr."""
    options = build_parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except SettingsError as error:
        return _fail(str(error).removeprefix("EBCA: "), EXIT_BAD_INPUT)
    except KeyboardInterrupt:
        return _fail("interrupted", EXIT_INTERRUPTED)


def _generate(options: argparse.Namespace) -> int:
    settings, prompt = _settings(options), compose(options.prompt)
    for method in settings.methods:  # before anything is loaded
        for each in prompt.prompts:
            method.check(each)
    settings.words.check_count()
    for words in missing_words([str(prompt.main)], settings.words.named):
        print(f"ebca: note: the prompt does not have the subject {words!r}", file=sys.stderr)

    import torch
    from tqdm import tqdm

    from ebca.generate import ModelError, PictureRequest, load_pipeline, run

    names = {field.name for field in dataclasses.fields(PictureRequest)} - {"settings", "keeping"}
    keeping = _given(options, (each.name for each in declarations(Keeping)))
    job = PictureRequest(
        settings=settings,
        keeping=Keeping(**keeping),
        **{name: getattr(options, name) for name in names - {"cfg"}},
        cfg=options.cfg if options.cfg is not None else 7.5 if options.model else 4.0,
    )
    _quiet_libraries()
    device = options.device or _best_device()
    dtype = torch.float16 if device.startswith("cuda") else torch.float32
    try:
        pipe = load_pipeline(options.model, options.model_config, device, dtype)
        # nothing before the first step, and nothing at all where stderr is no terminal
        with tqdm(unit="step", leave=False, delay=1e-3, disable=None) as bar:

            def show(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            for path in run(pipe, job, show):
                bar.clear()  # the next step draws it again, below the path
                print(path, flush=True)  # at once, so that it is known even if the rest fails
    except ModelError as error:
        return _fail(str(error), EXIT_NO_MODEL)
    except torch.cuda.OutOfMemoryError as error:
        hint = "smaller --width and --height, or --device cpu, need less"
        return _fail(f"out of memory: {str(error).splitlines()[0]}; {hint}", EXIT_OUT_OF_MEMORY)
    return 0


def _bench(options: argparse.Namespace) -> int:
    for name, low in {"latent": 8, "images": 1, "prompts": 1, "repeats": 1}.items():
        if getattr(options, name) < low:
            raise SettingsError(name, getattr(options, name), f"a number of at least {low}")

    import json

    from tqdm import tqdm

    from ebca.bench import Setup, fast_dtype, machine, measure, table, ticks

    _quiet_libraries()
    device = options.device or _best_device()
    setup = Setup(
        options.size, device, options.dtype or fast_dtype(device),
        options.latent, options.images, options.prompts, not options.ebca_only,
        tuple(options.only),
    )  # fmt: skip
    memory = not options.no_memory
    with tqdm(total=ticks(setup, options.repeats, memory), unit="evaluation", leave=False) as bar:
        measured = measure(setup, options.repeats, memory, bar.update)
    print(machine(setup))
    print(*table(measured), sep="\n")
    if options.json:
        figures = {"setup": vars(setup), "cases": [row._asdict() for row in measured]}
        options.json.write_text(json.dumps(figures, indent=1))
    return 0


def _align(options: argparse.Namespace) -> int:
    methods = checked(options)  # before anything is loaded

    import torch

    from ebca.align.run import run
    from ebca.generate import ModelError

    _quiet_libraries()
    options.device = options.device or _best_device()
    try:
        return run(options, methods)
    except ModelError as error:
        return _fail(str(error), EXIT_NO_MODEL)
    except torch.cuda.OutOfMemoryError as error:
        return _fail(f"out of memory: {error}; a smaller --batch needs less", EXIT_OUT_OF_MEMORY)


def _vote(options: argparse.Namespace) -> int:
    from ebca.generate import ModelError
    from ebca.vote.database import StoreError
    from ebca.vote.pipeline import run

    _quiet_libraries()
    options.device = options.device or _best_device()
    try:
        return run(options, "float16" if options.device.startswith("cuda") else "float32")
    except ModelError as error:
        return _fail(str(error), EXIT_NO_MODEL)
    except StoreError as error:
        return _fail(str(error), EXIT_BAD_INPUT)


def _best_device() -> str:
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _quiet_libraries() -> None:
    """Silence the libraries' advice to developers, which does not help the user."""
    import diffusers
    import transformers

    warnings.simplefilter("ignore")
    for library in (diffusers, transformers):
        library.utils.logging.set_verbosity_error()
        library.utils.logging.disable_progress_bar()


def _fail(message: str, code: int) -> int:
    print(f"ebca: error: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
