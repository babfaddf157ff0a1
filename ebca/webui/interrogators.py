"""Buttons for the host's own interrogators, beside the text box “The picture shows”.

Their models, settings and downloads are the host's.
"""

from __future__ import annotations

import functools
import html
from collections.abc import Callable
from typing import Any, NamedTuple

import gradio as gr  # type: ignore[import-not-found]
from modules import errors, shared  # type: ignore[import-not-found]

from ebca.webui.asking import answer

_PICTURES = (
    "img2img_image", "img2img_sketch", "img2maskimg", "inpaint_sketch", "img_inpaint_base"
)  # fmt: skip
"""The element ids of the host's input pictures in img2img, in the order of its tabs."""

_ICONS = {"CLIP": "📎", "DeepBooru": "📦"}  # those of the host's own buttons

_ONLY_IN_FRONT = """(...all) => {
    const front = get_tab_index("mode_img2img");
    return [front, ...all.slice(1, %d).map((picture, tab) => tab === front ? picture : null)];
}"""
"""JavaScript that sends the open tab's number in the place of the text box, and this tab's picture
alone, since reForge cannot read the picture of Inpaint before something is drawn on it."""

_BEHIND = "logical_image_background"
"""The class of the component that has the picture in Forge's canvas, under the drawing on it."""

_seen: dict[str, Any] = {}
_canvases: list[str] = []  # the last canvas, until its picture's component is made


def note(component: Any, **kwargs: Any) -> None:
    """Remember a component that the host has made, if it is one of the pictures. Forge makes a
    canvas first, and then the component that has its picture."""
    name = kwargs.get("elem_id")
    if name in _PICTURES and isinstance(component, gr.Image):
        _seen[name] = component
    elif name in _PICTURES:
        _canvases[:] = [name]
    elif _canvases and _BEHIND in (kwargs.get("elem_classes") or ()):
        _seen[_canvases.pop()] = component


class Buttons(NamedTuple):
    """A button for each interrogator, and the text box that gets the answers."""

    box: Any
    each: dict[str, Any]

    def connect(self) -> None:
        """Make the buttons work, and add a line for errors below them."""
        from modules import call_queue  # absent from hosts without a page

        line = gr.HTML(elem_classes=["ebca-asked"])
        pictures = [_seen[name] for name in _PICTURES]
        count = 1 + len(pictures)  # these hosts' gradio sends the values of outputs as well
        for name, button in self.each.items():
            asked = call_queue.wrap_queued_call(functools.partial(_on_ask, name))
            script = _ONLY_IN_FRONT % count
            button.click(asked, [self.box, *pictures], [self.box, line], _js=script)


def buttons(box: Any) -> Buttons | None:
    """Make the buttons at this place of the page; None if the host has other kinds of pictures."""
    if not all(name in _seen for name in _PICTURES):
        return None
    from modules.ui_components import ToolButton  # type: ignore[import-not-found]  # needs a page

    made = {
        name: ToolButton(
            icon,
            elem_id=f"ebca_img2img_ask_{name.lower()}",
            tooltip=f"Asks the WebUI's own interrogator, {name}, what the picture shows. The WebUI"
            " downloads a model for it when it is first used.",
        )
        for name, icon in _ICONS.items()
    }
    return Buttons(box, made)


def _on_ask(name: str, tab: Any, *pictures: Any) -> tuple[Any, str]:
    def report() -> None:
        errors.report("EBCA: the WebUI's interrogator failed", exc_info=True)

    text, line = answer(pictures, int(tab), name, _interrogator(name), report)
    told = f"<div class='error'>{html.escape(line)}</div>" if line else ""
    return (gr.update() if text is None else text), told


def _interrogator(name: str) -> Callable[[Any], Any] | None:
    if name == "CLIP":
        return getattr(getattr(shared, "interrogator", None), "interrogate", None)
    try:
        from modules import deepbooru
    except ImportError:
        return None
    return getattr(getattr(deepbooru, "model", None), "tag", None)
