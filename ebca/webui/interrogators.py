"""The host's own interrogators, as buttons beside the box for what the picture shows.

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
"""The element ids of the host's pictures in img2img, in the order of its tabs."""

_ICONS = {"CLIP": "📎", "DeepBooru": "📦"}  # the host's own

_ONLY_IN_FRONT = """(...all) => {
    const front = get_tab_index("mode_img2img");
    return [front, ...all.slice(1, %d).map((picture, tab) => tab === front ? picture : null)];
}"""
"""In the place of the text box: the tab. The pictures of other tabs stay in the page, since reForge
cannot read the one of Inpaint before something is drawn on it."""

_BEHIND = "logical_image_background"
"""The class of what has the picture in a canvas of Forge, under what is drawn on it."""

_seen: dict[str, Any] = {}
_canvases: list[str] = []  # the last one, until its picture comes


def note(component: Any, **kwargs: Any) -> None:
    """The host has made a component; keep it if it is one of the pictures. Forge makes a canvas
    first, and then what has its picture."""
    name = kwargs.get("elem_id")
    if name in _PICTURES and isinstance(component, gr.Image):
        _seen[name] = component
    elif name in _PICTURES:
        _canvases[:] = [name]
    elif _canvases and _BEHIND in (kwargs.get("elem_classes") or ()):
        _seen[_canvases.pop()] = component


class Buttons(NamedTuple):
    """One for each interrogator, beside the text box that gets the answer."""

    box: Any
    each: dict[str, Any]

    def connect(self) -> None:
        """Below them comes a line for what goes wrong."""
        from modules import call_queue  # of hosts with a page alone

        line = gr.HTML(elem_classes=["ebca-asked"])
        pictures = [_seen[name] for name in _PICTURES]
        count = 1 + len(pictures)  # the gradio of these hosts sends what it writes to as well
        for name, button in self.each.items():
            asked = call_queue.wrap_queued_call(functools.partial(_on_ask, name))
            script = _ONLY_IN_FRONT % count
            button.click(asked, [self.box, *pictures], [self.box, line], _js=script)


def buttons(box: Any) -> Buttons | None:
    """Made where this is called; None in a host whose pictures are of another kind."""
    if not all(name in _seen for name in _PICTURES):
        return None
    from modules.ui_components import ToolButton  # type: ignore[import-not-found]  # of a page

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
