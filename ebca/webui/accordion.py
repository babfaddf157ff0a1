"""EBCA's accordion: a control for each declared setting, the main ones in sight and the others
folded under the titles of their groups, and a line that says what EBCA will do with the prompt."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import gradio as gr  # type: ignore[import-not-found]
from modules.ui_components import InputAccordion  # type: ignore[import-not-found]

from ebca.options import declared
from ebca.options.infotext import PREFIX
from ebca.options.job import fields
from ebca.options.presets import PRESETS, preset_values
from ebca.settings import Declaration, Range
from ebca.settings.declaration import GROUPS
from ebca.webui import infotext, interrogators
from ebca.webui.status import status

_PAIR = 2
"""The most controls in a row."""

_ASKED = "keep_source"
"""The field that the host's interrogators can fill in."""

_OF_A_PICTURE = ("keep",)
"""Groups shown in img2img only, where a job begins with a picture."""


class Accordion(NamedTuple):
    """The controls that a script's `ui()` returns, and the attributes that it sets."""

    controls: list[Any]  # in the order of the fields
    infotext_fields: list[tuple[Any, Any]]
    paste_field_names: list[str]


def build(tab: str) -> Accordion:
    """Make the accordion of a tab, `txt2img` or `img2img`."""
    known = fields()
    label = known["enabled"].label
    made: dict[str, Any] = {
        "enabled": InputAccordion(False, label=label, elem_id=_elem_id(tab, "enabled"))
    }
    with made["enabled"]:
        line = None
        for group, title in GROUPS.items():
            if not title:
                made |= _controls(tab, group)
                line = gr.HTML(elem_id=_elem_id(tab, "line"), elem_classes=["ebca-line"])
                continue
            shown = group not in _OF_A_PICTURE or tab == "img2img"
            elem_id = _elem_id(tab, f"group_{group}")
            with gr.Accordion(title, open=False, visible=shown, elem_id=elem_id):
                made |= _controls(tab, group)
        page = gr.Textbox(visible=False, elem_id=_elem_id(tab, "page"))
        tell = gr.Button("Tell", visible=False, elem_id=_elem_id(tab, "tell"))
    page.do_not_save_to_config = tell.do_not_save_to_config = True
    controls = [made[name] for name in known]
    at_once = {"queue": False, "show_progress": False}
    set_by_presets = [made[name] for name in _preset_fields()]
    made["preset"].input(
        None, [made["preset"], *set_by_presets], set_by_presets, _js=_choose_preset(), **at_once
    )
    with_page = f"(...values) => ebcaWithPage('{tab}', values)"
    answered = tell.click(_on_tell, [page, *controls], [line], _js=with_page, **at_once)
    answered.then(None, None, None, _js=f"() => ebcaAnswered('{tab}')", **at_once)
    labels = [_Label(PREFIX + name) for name in known]
    return Accordion(controls, list(zip(controls, labels, strict=True)), [*labels])


class _Label(str):
    """A field's label in the infotext. The WebUI compares it as a string, and calls it to get the
    field's value from the parameters of an infotext."""

    def __call__(self, parameters: Mapping[str, str]) -> Any:
        return infotext.read(parameters, self.removeprefix(PREFIX))


def _members(group: str) -> list[Declaration]:
    """Return the settings of a group in the order in which they are shown."""
    shown = declared().values()
    return [each for each in shown if each.group == group and each.name != "enabled"]


def _controls(tab: str, group: str) -> dict[str, Any]:
    """Make the controls of a group, in rows."""
    rows: list[list[Declaration]] = []
    for each in _members(group):
        if not rows or each.new_row or len(rows[-1]) == _PAIR:
            rows.append([])
        rows[-1].append(each)
    made: dict[str, Any] = {}
    for row in rows:
        asked = None
        with gr.Row():
            for each in row:
                made[each.name] = _control(tab, each)
                if each.name == _ASKED and tab == "img2img":
                    asked = interrogators.buttons(made[each.name])
        if asked is not None:
            asked.connect()
    return made


def _control(tab: str, field: Declaration) -> Any:
    tooltip = f"{field.help} ({field.name})"
    common = {"label": field.label, "elem_id": _elem_id(tab, field.name), "tooltip": tooltip}
    if isinstance(field.legal, Range):
        low, high, step = field.legal.slider
        return gr.Slider(low, high, field.default, step=step, **common)
    if field.name == "preset":
        return gr.Dropdown(list(field.choices), value=field.default, **common)
    if field.choices:
        return gr.Radio(list(field.choices), value=field.default, **common)
    if field.is_flag:
        return gr.Checkbox(field.default, **common)
    return gr.Textbox(field.default, placeholder=field.hint, max_lines=1, **common)


def _elem_id(tab: str, name: str) -> str:
    return f"ebca_{tab}_{name}"


def _preset_fields() -> Iterator[str]:
    """Yield the fields that a preset sets."""
    yield from preset_values(next(iter(PRESETS)))


def _choose_preset() -> str:
    """Return JavaScript that fills in a preset: in the browser, no late answer of the server can
    overwrite what was typed after the choice."""
    values = {preset: list(preset_values(preset).values()) for preset in PRESETS}
    count = len(list(_preset_fields()))
    return f"(preset, ...now) => ({json.dumps(values)})[preset] ?? now.slice(0, {count})"


def _on_tell(page: str, *values: Any) -> str:
    return status(page, dict(zip(fields(), values, strict=True)))
