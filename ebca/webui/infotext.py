"""Write the options into a picture's infotext, and read them back for the accordion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ebca.options import infotext
from ebca.options.job import Options, fields

_OWN_LABELS = ("enabled", "preset")
"""Fields that the infotext writes in a form of their own."""


def write(options: Options) -> dict[str, str]:
    """Return the options as labels and texts of an infotext."""
    values = {name: value for name, value in options.values().items() if name not in _OWN_LABELS}
    return infotext.write(values, fields(), options.page.preset)


def label(name: str, text: str) -> dict[str, str]:
    """Return the label for something that was done otherwise than the options say."""
    return {infotext.PREFIX + name: text}


def clear(parameters: dict[str, Any]) -> None:
    """Take EBCA's labels out of a job's parameters, which the cells of an X/Y/Z plot share."""
    for each in [each for each in parameters if infotext.is_label(each)]:
        del parameters[each]


def read(parameters: Mapping[str, str], name: str) -> Any:
    """Return the value of a field from the labels of an infotext.

    An infotext without EBCA gives False for `enabled`, and None for every other field.
    """
    known = {key: each for key, each in fields().items() if key not in _OWN_LABELS}
    found = infotext.read(parameters, known)
    if name == "enabled":
        return found is not None
    if found is None:
        return None
    preset, values = found
    if name == "preset":
        return preset if preset in fields()["preset"].choices else fields()["preset"].default
    return values[name]
