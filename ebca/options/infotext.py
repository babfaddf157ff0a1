"""Write settings into a picture's infotext and read them back.

An infotext has `EBCA: on`, the version, and the settings that differ from the preset. Reading
returns the values that made the picture, whatever the defaults are now: a setting that is not
written has the value of its preset in the version that wrote the infotext, or its neutral value if
that version had no such setting. 0.1.0 wrote all of its settings, and `EBCA enabled`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ebca.options import legacy
from ebca.options.presets import DEFAULT, PRESETS
from ebca.settings.checks import SettingsError
from ebca.settings.declaration import Declaration, release
from ebca.version import VERSION

ON = "EBCA"
PREFIX = "EBCA "
_VERSION, _PRESET, _ENABLED_IN_0_1 = PREFIX + "version", PREFIX + "preset", PREFIX + "enabled"


def write(
    values: Mapping[str, Any], known: Mapping[str, Declaration], preset: str = DEFAULT
) -> dict[str, str]:
    """Return label -> text for settings that are on; `known` has the settings' declarations."""
    usual = _usual(known, preset, VERSION)
    texts = {ON: "on", _VERSION: VERSION, **({_PRESET: preset} if preset != DEFAULT else {})}
    for name, value in values.items():
        if name in usual and value != usual[name]:
            texts[PREFIX + name] = written(value)
    return texts


def read(
    parameters: Mapping[str, str], known: Mapping[str, Declaration]
) -> tuple[str, dict[str, Any]] | None:
    """Return preset and settings from the labels of an infotext; None without EBCA.

    A value that is not legal now is ignored, as if it had not been written.
    """
    if parameters.get(_ENABLED_IN_0_1) == "True":
        version, preset = "0.1.0", parameters.get(_PRESET, DEFAULT)
        values = {name: each.neutral for name, each in known.items()}
    elif parameters.get(ON) == "on":
        version = parameters.get(_VERSION, VERSION)
        preset = parameters.get(_PRESET, DEFAULT)
        values = _usual(known, preset, version)
    else:
        return None
    for name, text in _named(parameters).items():
        try:
            values[name] = known[name].read(text)
        except (KeyError, SettingsError):
            continue
    return preset, values


def written(value: object) -> str:
    """Return the shortest text that reads back as `value`."""
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)


def is_label(label: str) -> bool:
    """Return whether `label` of an infotext is one of EBCA's."""
    return label == ON or label.startswith(PREFIX)


def _usual(known: Mapping[str, Declaration], preset: str, version: str) -> dict[str, Any]:
    """Return the values of a preset in a version."""
    which = release(version) or release(VERSION)
    defaults = {name: each.default_of(which) for name, each in known.items()}
    return {**defaults, **{n: v for n, v in PRESETS.get(preset, {}).items() if n in known}}


def _named(parameters: Mapping[str, str]) -> dict[str, str]:
    """Return setting -> text, under today's names."""
    texts = {
        label.removeprefix(PREFIX): text
        for label, text in parameters.items()
        if label.startswith(PREFIX)
    }
    try:
        return {name: str(value) for name, value in legacy.modern(texts).items()}
    except SettingsError:  # both names of one setting, or a value that never was
        return {name: text for name, text in texts.items() if name not in legacy.RENAMED}
