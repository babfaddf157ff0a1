"""The accordion: one control for each field of `Options`, in a group for first-time users and a
folded one for the rest, and a line that says how the prompt as it stands will be composed."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any, NamedTuple

import gradio as gr  # type: ignore[import-not-found]
from modules.ui_components import InputAccordion  # type: ignore[import-not-found]

from ebca.infotext import PREFIX
from ebca.settings import SettingsError
from ebca.webui import infotext
from ebca.webui.composing import describe
from ebca.webui.options import FIELDS, Options, preset_values

FIRST = ("preset", "gamma_attn", "gamma_norm", "compose", "token_weights")
ADVANCED = (
    ("start", "stop"),
    ("max_relative_update", "layers"),
    ("formulation", "hires"),
    ("scale_with_depth", "update_unconditional", "mask"),
    ("edit_gamma_attn", "edit_gamma_norm"),
    ("edit_start", "edit_stop"),
)
"""The folded controls, by row."""

PRESET_FIELDS = tuple(preset_values("multi-concept"))
"""The fields that choosing a preset sets."""


class Accordion(NamedTuple):
    """What the WebUI wants from a script's `ui()`."""

    controls: list[Any]  # in the order of the fields
    infotext_fields: list[tuple[Any, Any]]
    paste_field_names: list[str]


def build(tab: str) -> Accordion:
    """Make the accordion of a tab, `txt2img` or `img2img`."""
    made: dict[str, Any] = {}
    with InputAccordion(False, label="EBCA", elem_id=_elem_id(tab, "enabled")) as made["enabled"]:
        with gr.Row():
            _control(tab, made, "preset")
            _control(tab, made, "compose")
        with gr.Row():
            _control(tab, made, "gamma_attn")
            _control(tab, made, "gamma_norm")
        _control(tab, made, "token_weights")
        line = gr.HTML(value="", elem_id=_elem_id(tab, "line"))
        with gr.Accordion("Advanced", open=False, elem_id=_elem_id(tab, "advanced")):
            for names in ADVANCED:
                with gr.Row():
                    for name in names:
                        _control(tab, made, name)
        prompt = gr.Textbox(visible=False, elem_id=_elem_id(tab, "prompt"))
        tell = gr.Button(visible=False, elem_id=_elem_id(tab, "tell"))
    prompt.do_not_save_to_config = True
    controls = [made[name] for name in FIELDS]
    quick = {"queue": False, "show_progress": False}
    made["preset"].input(
        _on_preset, [made["preset"]], [made[name] for name in PRESET_FIELDS], **quick
    )
    tell.click(_line, [prompt, *controls], [line], _js=f"ebcaLineInputs_{tab}", **quick)
    pasted = [(made[name], _reader(name)) for name in FIELDS]
    return Accordion(controls, pasted, [PREFIX + name for name in FIELDS])


def _control(tab: str, made: dict[str, Any], name: str) -> None:
    field = FIELDS[name]
    common = {"label": name, "elem_id": _elem_id(tab, name), "tooltip": field.metadata["help"]}
    if "range" in field.metadata:
        low, high, step = field.metadata["range"].slider
        control = gr.Slider(low, high, field.default, step=step, **common)
    elif name == "preset":
        control = gr.Dropdown(list(field.metadata["choices"]), value=field.default, **common)
    elif "choices" in field.metadata:
        control = gr.Radio(list(field.metadata["choices"]), value=field.default, **common)
    elif isinstance(field.default, bool):
        control = gr.Checkbox(field.default, **common)
    else:
        hint = {"token_weights": "crown:2.5, red hat:1.5", "layers": "all"}[name]
        control = gr.Textbox(field.default, placeholder=hint, **common)
    made[name] = control


def _elem_id(tab: str, name: str) -> str:
    return f"ebca_{tab}_{name}"


def _reader(name: str) -> Any:
    return lambda parameters: infotext.read(parameters, name)


def _on_preset(preset: str) -> list[Any]:
    values = preset_values(preset)
    return [gr.update(value=values[name]) if values else gr.update() for name in PRESET_FIELDS]


def _line(prompt: str, *values: Any) -> str:
    """How `prompt` will be composed, or what is wrong with it or with a value."""
    try:
        return f"<div>{html.escape(describe(prompt, _options(values)))}</div>"
    except SettingsError as error:
        return f"<div class='error'>{html.escape(str(error))}</div>"


def _options(values: Sequence[Any]) -> Options:
    return Options(**dict(zip(FIELDS, values, strict=True)))
