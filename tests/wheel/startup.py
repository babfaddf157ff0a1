"""Starting the WebUI's modules as its `launch.py` and `webui.py` do, as far as a job needs it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import standins

ROOT = Path(__file__).parents[2]
SCRIPTS = (ROOT / "scripts" / "ebca.py", Path(__file__).with_name("xyz_grid.py"))
SETTINGS = {
    "samples_save": False,
    "grid_save": False,
    "return_grid": False,
    "live_previews_enable": False,
    "multiple_tqdm": False,
    "randn_source": "CPU",
}


def start(folder: Path, swallowed: list[str]) -> None:
    """Import and set up everything; `swallowed` takes the errors that the host only reports."""
    standins.stand_in_for_unused_packages()
    spec = find_spec("auto1111sdk")
    assert spec is not None
    (wheel,) = spec.submodule_search_locations or ()
    sys.path.insert(0, str(wheel))
    with _arguments("--use-cpu", "all", "--no-half", "--data-dir", str(folder)):
        import_module("modules.shared_init").initialize()
    import_module("modules.processing")  # first of those that import each other
    from modules import errors, shared

    shared.opts.data.update(SETTINGS)
    shared.cmd_opts.disable_console_progressbars = True
    report = errors.report

    def note(message: str, **kwargs: Any) -> None:
        swallowed.append(f"{message}: {sys.exc_info()[1]!r}")
        report(message, **kwargs)

    errors.report = note
    standins.stand_in_for_ui_components()
    standins.undo_what_the_wheel_changed()
    standins.tell_the_release(folder)
    _load_scripts()
    before_ui()


def _load_scripts() -> None:
    from modules import (
        script_callbacks,
        script_loading,
        scripts,
        sd_hijack,
        sd_hijack_optimizations,
    )

    script_callbacks.on_list_optimizers(sd_hijack_optimizations.list_optimizers)
    sd_hijack.list_optimizers()
    for path in SCRIPTS:
        module = script_loading.load_module(str(path))
        scripts.scripts_data += [
            scripts.ScriptClassData(each, str(path), str(path.parent), module)
            for each in standins.script_classes(module, scripts.Script)
        ]


def before_ui() -> None:
    """What happens before the pages are made; the wheel gives the callbacks an argument."""
    from modules import script_callbacks

    for each in script_callbacks.callback_map["callbacks_before_ui"]:
        each.callback()


def scripts_of(tab: str) -> Any:
    """The script runner of a tab, with the scripts' controls."""
    import gradio as gr
    from modules import scripts

    runner = scripts.ScriptRunner()
    runner.initialize_scripts(tab == "img2img")
    with gr.Blocks():
        runner.prepare_ui()
        runner.setup_ui()
    return runner


@contextlib.contextmanager
def _arguments(*arguments: str) -> Iterator[None]:
    before, sys.argv = sys.argv, ["webui", *arguments]
    try:
        yield
    finally:
        sys.argv = before
