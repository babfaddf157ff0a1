"""Stand-ins against the real WebUI: run where EBCA_WEBUI_SOURCE names a checkout of it."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import pytest

SOURCE = os.environ.get("EBCA_WEBUI_SOURCE", "")
pytestmark = pytest.mark.skipif(
    not SOURCE, reason="EBCA_WEBUI_SOURCE names no checkout of the WebUI to compare with"
)
HERE = Path(__file__).parent


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def real(path: str) -> ast.Module:
    return tree(Path(SOURCE, path))


def class_of(module: ast.AST, name: str) -> ast.ClassDef:
    return next(
        node for node in ast.walk(module) if isinstance(node, ast.ClassDef) and node.name == name
    )


def arguments(node: ast.AST, name: str) -> list[str]:
    function = next(
        each for each in ast.walk(node) if isinstance(each, ast.FunctionDef) and each.name == name
    )
    return [each.arg for each in function.args.args]


def test_axes_take_what_the_webuis_take() -> None:
    ours, theirs = tree(HERE / "xyz_grid.py"), real("scripts/xyz_grid.py")
    assert arguments(class_of(ours, "AxisOption"), "__init__") == arguments(
        class_of(theirs, "AxisOption"), "__init__"
    )
    text = ast.unparse(theirs)
    assert "axis_options = [" in text
    assert "opt.confirm(p, valslist)" in text
    assert "pc = copy(p)" in text


def test_the_accordion_is_a_hidden_checkbox_around_components() -> None:
    theirs = class_of(real("modules/ui_components.py"), "InputAccordion")
    assert [ast.unparse(base) for base in theirs.bases] == ["gr.Checkbox"]
    assert arguments(theirs, "__init__") == ["self", "value"]
    assert arguments(theirs, "__enter__") == ["self"]


def test_components_take_a_tooltip() -> None:
    assert "kwargs.pop('tooltip', None)" in ast.unparse(real("modules/gradio_extensons.py"))


def test_what_the_wheel_changed_is_as_the_harness_undoes_it() -> None:
    processing = real("modules/processing.py")
    assert arguments(processing, "process_images") == ["p"]
    assert "return shared.sd_model" in ast.unparse(
        class_of(processing, "StableDiffusionProcessing")
    )
    assert arguments(real("modules/sd_samplers.py"), "create_sampler") == ["name", "model"]
    sampler = class_of(real("modules/sd_samplers_common.py"), "Sampler")
    assert arguments(sampler, "__init__") == ["self", "funcname"]
    assert arguments(sampler, "launch_sampling") == ["self", "steps", "func"]
    for path in ("modules/sd_samplers_kdiffusion.py", "modules/sd_samplers_timesteps.py"):
        text = ast.unparse(real(path))
        assert "CFGDenoiserKDiffusion(self)" in text or "CFGDenoiserTimesteps(self)" in text
        assert "self.launch_sampling(steps, lambda: self.func(self.model_wrap_cfg" in text
    assert arguments(real("modules/sd_models.py"), "reload_model_weights") == [
        "sd_model",
        "info",
        "forced_reload",
    ]


def test_callbacks_before_the_pages_take_nothing() -> None:
    assert arguments(real("modules/script_callbacks.py"), "before_ui_callback") == []


def test_rows_of_a_batch_are_in_the_order_that_is_told() -> None:
    text = ast.unparse(class_of(real("modules/sd_samplers_cfg_denoiser.py"), "CFGDenoiser"))
    stacked = "torch.cat([torch.stack([x[i] for _ in range(n)]) for i, n in enumerate(repeats)]"
    assert f"x_in = {stacked} + [x])" in text
    assert f"x_in = {stacked} + [x] + [x])" in text
