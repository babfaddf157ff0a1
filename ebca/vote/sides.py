"""The two settings that a vote compares, A and B, read from a user's text."""

from __future__ import annotations

import re
from typing import Any

from ebca.infotext import read_parameters
from ebca.options import Settings, all_declarations
from ebca.options.infotext import ON, PREFIX, read
from ebca.options.presets import PRESETS
from ebca.settings import SettingsError

OFF, DEFAULTS = "off", "defaults"
NAMED = (OFF, DEFAULTS, *(name for name, values in PRESETS.items() if values))
"""Names for a side that need no values."""

_OF_A_PROMPT = ("subjects", "token_weights")
_VALUE = re.compile(r"(?:^|[,;\n])\s*(?:EBCA )?(\w+)\s*[=:]")

Values = dict[str, Any]
"""Every setting by name, or `{"enabled": False}`."""


def read_side(field: str, text: str) -> Values:
    """Read a side from `off`, `defaults`, the name of a preset, `regions=0.5, contrast=1` (others
    as in the defaults), or a picture's infotext. Raises SettingsError, naming the field, or the
    setting whose value cannot be used."""
    text = text.strip()
    if text == OFF:
        return {"enabled": False}
    if text in ("", DEFAULTS):
        return on(Settings())
    if text in PRESETS:
        return on(Settings(**PRESETS[text]))
    if f"{PREFIX}version: " in text or f", {ON}: on" in text:
        return _of_infotext(text)
    return on(_of_values(field, text))


def on(settings: Settings) -> Values:
    """Return all values of settings. Raises SettingsError if one that belongs to a prompt is
    set."""
    known = all_declarations()
    for name in _OF_A_PROMPT:
        if settings[name] != known[name].neutral:
            raise SettingsError(name, settings[name], "left out: a vote has many prompts")
    return {"enabled": True, **{n: v for n, v in settings.items() if n not in _OF_A_PROMPT}}


def settings_of(values: Values) -> Settings | None:
    """Return the settings of a side; None where EBCA is off."""
    if not values["enabled"]:
        return None
    return Settings(**{name: value for name, value in values.items() if name != "enabled"})


def _of_infotext(text: str) -> Values:
    parameters = read_parameters(text)[2]
    found = read(parameters, all_declarations())
    if found is None:
        return {"enabled": False}
    return on(Settings(**{n: v for n, v in found[1].items() if n not in _OF_A_PROMPT}))


def _of_values(field: str, text: str) -> Settings:
    starts = list(_VALUE.finditer(text))
    if not starts or text[: starts[0].start()].strip():
        legal = f"one of {', '.join(NAMED)}, or values such as 'regions=0.5, contrast=1'"
        raise SettingsError(field, text[:80], legal)
    ends = [each.start() for each in starts[1:]] + [len(text)]
    known, values = all_declarations(), {}
    for start, end in zip(starts, ends, strict=True):
        if start[1] not in known:
            raise SettingsError(field, start[1], "one of the settings " + ", ".join(known))
        values[start[1]] = known[start[1]].read(text[start.end() : end].strip(" \t\r\n,;"))
    return Settings(**values)
