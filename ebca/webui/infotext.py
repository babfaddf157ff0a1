"""The options in a picture's infotext, and back into the accordion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ebca.infotext import PREFIX, read_fields, write_fields
from ebca.settings import SettingsError, check_choice, check_number
from ebca.webui.options import FIELDS, Options


def write(options: Options) -> dict[str, str]:
    """All values as `{label: text}`; empty texts, which the WebUI cannot read, are left out."""
    return {label: text for label, text in write_fields(options.values()).items() if text}


def label(name: str, text: str) -> dict[str, str]:
    """One field's label."""
    return {f"{PREFIX}{name}": text}


def clear(parameters: dict[str, Any]) -> None:
    """Take EBCA's labels out of a job's parameters, which the cells of an X/Y/Z plot share."""
    for label in [label for label in parameters if label.startswith(PREFIX)]:
        del parameters[label]


def read(parameters: Mapping[str, str], name: str) -> Any:
    """The value of a field, from the labels of an infotext.

    An infotext without EBCA switches it off and says nothing (None) of the other fields. In one
    of an older version a field that is missing, or whose value is not legal now, is the default.
    """
    texts, field = read_fields(parameters), FIELDS[name]
    if name == "enabled":
        return texts.get(name) == "True"
    if not texts:
        return None
    text = texts.get(name, "" if field.default == "" else str(field.default))
    try:
        if "range" in field.metadata:
            return check_number(name, float(text), field.metadata["range"])
        if "choices" in field.metadata:
            return check_choice(name, text, field.metadata["choices"])
    except (SettingsError, ValueError):
        return field.default
    return text == "True" if isinstance(field.default, bool) else text
