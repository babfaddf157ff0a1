"""The accordion: one control for each field of `Options`, in a group for first-time users and a
folded one for the rest, and a line that says how the prompt as it stands will be composed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import gradio as gr  # type: ignore[import-not-found]
from modules.ui_components import InputAccordion  # type: ignore[import-not-found]

from ebca.infotext import PREFIX
from ebca.webui import infotext
from ebca.webui.options import FIELDS, PRESETS, preset_values
from ebca.webui.status import status

FIRST = (
    ("preset", "compose"),
    ("gamma_attn", "gamma_norm", "gamma_spread"),
    ("contrast", "contrast_stop"),
    ("things", "token_weights"),
)
ADVANCED = (
    ("start", "stop"),
    ("max_relative_update", "layers"),
    ("composition", "formulation"),
    ("hires",),
    ("centered", "scale_with_depth"),
    ("update_unconditional", "mask"),
    ("edit_gamma_attn", "edit_gamma_norm"),
    ("edit_start", "edit_stop"),
)
"""The folded controls, by row."""

LABELS = {
    "enabled": "EBCA",
    "preset": "Preset",
    "compose": "What AND means",
    "gamma_attn": "gamma_attn",
    "gamma_norm": "gamma_norm",
    "token_weights": "Token weights",
    "start": "Start (0 = first step)",
    "stop": "Stop (1 = last step)",
    "max_relative_update": "Cap on the relative update (0 = none)",
    "layers": "Layers",
    "formulation": "Formulation",
    "hires": "Hires pass",
    "scale_with_depth": "Scale with depth",
    "update_unconditional": "Update unconditional",
    "mask": "Inpaint mask",
    "edit_gamma_attn": "Editorial gamma_attn",
    "edit_gamma_norm": "Editorial gamma_norm",
    "edit_start": "Editorial start",
    "edit_stop": "Editorial stop",
    "gamma_spread": "gamma_spread",
    "centered": "Centered updates",
    "composition": "Composition",
    "contrast": "Contrast",
    "contrast_stop": "Contrast stop",
    "things": "Things",
}
"""What is written at the controls; the WebUI keys a user's own defaults by it."""

HINTS = {
    "things": "as found in the prompt",
    "token_weights": "crown:2.5, red hat:1.5",
    "layers": "all",
}

PRESET_FIELDS = tuple(preset_values("multi-concept"))
"""The fields that choosing a preset sets."""


class Accordion(NamedTuple):
    """What the WebUI wants from a script's `ui()`."""

    controls: list[Any]  # in the order of the fields
    infotext_fields: list[tuple[Any, Any]]
    paste_field_names: list[str]


def build(tab: str) -> Accordion:
    """Make the accordion of a tab, `txt2img` or `img2img`."""
    enabled = InputAccordion(False, label=LABELS["enabled"], elem_id=_elem_id(tab, "enabled"))
    made: dict[str, Any] = {"enabled": enabled}
    with enabled:
        _rows(tab, made, FIRST)
        line = gr.HTML(elem_id=_elem_id(tab, "line"), elem_classes=["ebca-line"])
        with gr.Accordion("Advanced", open=False, elem_id=_elem_id(tab, "advanced")):
            _rows(tab, made, ADVANCED)
        page = gr.Textbox(visible=False, elem_id=_elem_id(tab, "page"))
        tell = gr.Button("Tell", visible=False, elem_id=_elem_id(tab, "tell"))
    page.do_not_save_to_config = tell.do_not_save_to_config = True
    controls = [made[name] for name in FIELDS]
    at_once = {"queue": False, "show_progress": False}
    set_by_presets = [made[name] for name in PRESET_FIELDS]
    made["preset"].input(
        None, [made["preset"], *set_by_presets], set_by_presets, _js=_choose_preset(), **at_once
    )
    with_page = f"(...values) => ebcaWithPage('{tab}', values)"
    tell.click(_on_tell, [page, *controls], [line], _js=with_page, **at_once)
    labels = [_Label(PREFIX + name) for name in FIELDS]
    return Accordion(controls, list(zip(controls, labels, strict=True)), [*labels])


class _Label(str):
    """A field's label in the infotext, as the WebUI compares it, and what reads the field from
    there, as the WebUI calls it."""

    def __call__(self, parameters: Mapping[str, str]) -> Any:
        return infotext.read(parameters, self.removeprefix(PREFIX))


def _rows(tab: str, made: dict[str, Any], rows: tuple[tuple[str, ...], ...]) -> None:
    for names in rows:
        with gr.Row():
            for name in names:
                made[name] = _control(tab, name)


def _control(tab: str, name: str) -> Any:
    field = FIELDS[name]
    tooltip = f"{name}. {field.metadata['help']}"
    common = {"label": LABELS[name], "elem_id": _elem_id(tab, name), "tooltip": tooltip}
    if "range" in field.metadata:
        low, high, step = field.metadata["range"].slider
        return gr.Slider(low, high, field.default, step=step, **common)
    if name == "preset":
        return gr.Dropdown(list(field.metadata["choices"]), value=field.default, **common)
    if "choices" in field.metadata:
        return gr.Radio(list(field.metadata["choices"]), value=field.default, **common)
    if isinstance(field.default, bool):
        return gr.Checkbox(field.default, **common)
    return gr.Textbox(field.default, placeholder=HINTS[name], max_lines=1, **common)


def _elem_id(tab: str, name: str) -> str:
    return f"ebca_{tab}_{name}"


def _choose_preset() -> str:
    """In the browser, so that no late answer overwrites what was typed after the choice."""
    values = {preset: list(preset_values(preset).values()) for preset in PRESETS}
    return (
        f"(preset, ...now) => ({json.dumps(values)})[preset] ?? now.slice(0, {len(PRESET_FIELDS)})"
    )


def _on_tell(page: str, *values: Any) -> str:
    return status(page, dict(zip(FIELDS, values, strict=True)))
