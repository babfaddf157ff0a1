"""Ask an interrogator of the host what a picture shows, or say why there is no answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

BATCH = "A batch has many pictures: write what all of them show."
NO_PICTURE = "There is no picture in this tab yet."
NOBODY = "This WebUI has no interrogator {}."
FAILED = "The WebUI's interrogator {} failed; the WebUI's console says why."
_MARK = "<error>"  # the WebUI's interrogator ends with this when it fails


class Answer(NamedTuple):
    """A description of the picture, None if there is none, and a line for the user, if any."""

    text: str | None
    line: str = ""


def answer(
    pictures: Sequence[Any],
    number: int,
    name: str,
    interrogate: Callable[[Any], Any] | None,
    report: Callable[[], object],
) -> Answer:
    """Describe the picture of tab `number`, counting only the tabs that have a picture.

    pictures: a PIL picture, a dict with `image` and its mask, or None for each of those tabs.
    name, interrogate: the interrogator's name and function; None if the host lacks it.
    report: called while an exception of the interrogator is handled.
    """
    if number >= len(pictures):
        return Answer(None, BATCH)
    picture = pictures[number]
    if isinstance(picture, dict):
        picture = picture.get("image")
    if picture is None:
        return Answer(None, NO_PICTURE)
    if interrogate is None:
        return Answer(None, NOBODY.format(name))
    try:
        said = str(interrogate(picture.convert("RGB")) or "")
    except Exception:  # from the host's model or its download; told to the user below
        report()
        said = _MARK
    text = said.replace(_MARK, "").strip(" ,\n")
    return Answer(text or None, "" if text and _MARK not in said else FAILED.format(name))
