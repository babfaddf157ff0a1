"""What an interrogator of the host says of a picture, or why it says nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

BATCH = "A batch has many pictures: write what all of them show."
NO_PICTURE = "There is no picture in this tab yet."
NOBODY = "This WebUI has no interrogator {}."
FAILED = "The WebUI's interrogator {} failed; the WebUI's console says why."
_MARK = "<error>"  # which the WebUI's interrogator puts behind what it had, when it fails


class Answer(NamedTuple):
    """What the picture shows, None where nobody said it, and a line for the user, if any."""

    text: str | None
    line: str = ""


def answer(
    pictures: Sequence[Any],
    number: int,
    name: str,
    interrogate: Callable[[Any], Any] | None,
    report: Callable[[], object],
) -> Answer:
    """Of the picture in the tab `number` of those that have one.

    pictures: PIL pictures, dicts with such an `image` beside its mask, or None.
    name, interrogate: the interrogator; None if the host has it not.
    report: called while its exception is handled.
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
    except Exception:  # of a host's model or its download: told below, and with its traceback
        report()
        said = _MARK
    text = said.replace(_MARK, "").strip(" ,\n")
    return Answer(text or None, "" if text and _MARK not in said else FAILED.format(name))
