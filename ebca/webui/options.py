"""What a user of the WebUI can set: the accordion, the API, the X/Y/Z plot and the infotext agree.

The fields of `Options` are those of `ebca.settings`, with the same defaults, ranges and help, and
what only the extension has. Their order is the order of the accordion's values and of the API's
positional list. Neither torch nor gradio is imported.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ebca.prompts import read_things, read_word_weights
from ebca.settings import (
    CONTRAST_OPTION,
    CONTRAST_STOP_OPTION,
    THINGS_OPTION,
    Edit,
    Settings,
    SettingsError,
    check_choice,
    check_flag,
    check_number,
    check_window,
)

COMPOSE = ("cacao", "webui")
HIRES = ("same", "off", "only")
CUSTOM = "custom"

_PAPER = {"gamma_spread": 0.0, "centered": False, "composition": "average", "contrast": 0.0}
PRESETS: Mapping[str, Mapping[str, Any]] = {
    "multi-concept": {},  # the defaults, which docs/alignment.md measured
    "contrast": {"gamma_attn": 0.0},
    # step sizes and windows from the commands of the authors' code, one for each of its tasks
    "paper: multi-concept": {**_PAPER, "gamma_attn": 0.01, "gamma_norm": 0.02},
    "paper: inpainting": {**_PAPER, "gamma_attn": 0.025, "gamma_norm": 0.025, "mask": True},
    "paper: compose / edit": {
        **_PAPER,
        "gamma_attn": 0.0,
        "gamma_norm": 0.0,
        "edit_gamma_attn": 0.0005,
        "edit_gamma_norm": 0.0005,
        "edit_start": 0.3,
    },
    "paper: stylise": {
        **_PAPER,
        "gamma_attn": 0.0,
        "gamma_norm": 0.0,
        "edit_gamma_attn": 0.0004,
        "edit_gamma_norm": 0.0004,
        "edit_start": 0.2,
    },
}
"""Preset -> the fields in which it differs from the defaults."""


def _field(default: Any, help_text: str, **facts: Any) -> Any:
    return dataclasses.field(default=default, metadata={"help": help_text, **facts})


def _like(owner: type[Settings] | type[Edit], name: str, default: Any = None) -> Any:
    """A field with the default, range and help of a field of the core."""
    (field,) = (field for field in dataclasses.fields(owner) if field.name == name)
    facts = dict(field.metadata)
    return _field(field.default if default is None else default, facts.pop("help"), **facts)


def _edit(name: str) -> Any:
    """A field for all editorial prompts together."""
    field = _like(Edit, name)
    facts = {**field.metadata, "of": name}
    text = facts.pop("help").replace("this context's", "the").removesuffix(".")
    return _field(field.default, f"Prompts after AND: {text[0].lower()}{text[1:]}.", **facts)


@dataclass(frozen=True)
class Options:
    """Everything in the accordion, validated.

    Raises `SettingsError`, naming the field, on construction if a value cannot be used.
    """

    enabled: bool = _field(False, "Whether EBCA takes part at all.")
    preset: str = _field(
        "multi-concept",
        "Starting values: what was measured for several concepts, contrast alone, or the paper's."
        " Sets the fields below, which can then be changed.",
        choices=(CUSTOM, *PRESETS),
    )
    gamma_attn: float = _like(Settings, "gamma_attn")
    gamma_norm: float = _like(Settings, "gamma_norm")
    start: float = _like(Settings, "start")
    stop: float = _like(Settings, "stop")
    formulation: str = _like(Settings, "formulation")
    update_unconditional: bool = _like(Settings, "update_unconditional")
    scale_with_depth: bool = _like(Settings, "scale_with_depth")
    max_relative_update: float = _like(Settings, "max_relative_update", 0.0)
    layers: str = _like(Settings, "layers")
    token_weights: str = _field(
        "",
        "Factors on gamma_attn for single words, as they stand in the prompt:"
        " 'crown:2.5, red hat:1.5'. A factor of 0 takes that term off a word.",
    )
    compose: str = _field(
        "cacao",
        "What AND means. cacao: the first prompt is the main one, the others are composed into it"
        " inside cross-attention, each weighing its weight over the main one's. webui: the WebUI's"
        " own AND, one evaluation for each.",
        choices=COMPOSE,
    )
    edit_gamma_attn: float = _edit("gamma_attn")
    edit_gamma_norm: float = _edit("gamma_norm")
    edit_start: float = _edit("start")
    edit_stop: float = _edit("stop")
    mask: bool = _like(Settings, "mask")
    hires: str = _field(
        "same",
        "The pass of hires fix. same: as the first pass. off: first pass only. only: hires only.",
        choices=HIRES,
    )
    gamma_spread: float = _like(Settings, "gamma_spread")
    centered: bool = _like(Settings, "centered")
    composition: str = _like(Settings, "composition")
    contrast: float = CONTRAST_OPTION
    contrast_stop: float = CONTRAST_STOP_OPTION
    things: str = THINGS_OPTION

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if "range" in field.metadata:
                number = check_number(field.name, value, field.metadata["range"])
                object.__setattr__(self, field.name, number)
            elif "choices" in field.metadata:
                check_choice(field.name, value, field.metadata["choices"])
            elif isinstance(field.default, bool):
                check_flag(field.name, value)
            elif not isinstance(value, str):
                raise SettingsError(field.name, value, "a text")
        check_window("edit_start", self.edit_start, "edit_stop", self.edit_stop)
        read_word_weights(self.token_weights)
        read_things(self.things)
        self.settings()  # what fields mean together is checked where they are used

    def settings(self) -> Settings:
        """The update's part of the options, for the core."""
        names = {field.name for field in dataclasses.fields(Settings)} - {"token_weights"}
        return Settings(**{name: getattr(self, name) for name in names})

    def edit(self, **fields: Any) -> Edit:
        """An editorial prompt with the options' step sizes and window."""
        mine = {
            field.metadata["of"]: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if "of" in field.metadata
        }
        return Edit(**mine, **fields)

    def values(self) -> dict[str, Any]:
        """All fields by name, in order."""
        return dataclasses.asdict(self)


FIELDS = {field.name: field for field in dataclasses.fields(Options)}


def preset_values(preset: str) -> dict[str, Any]:
    """What choosing `preset` sets: its own fields, and those of other presets to the defaults."""
    if preset not in PRESETS:
        return {}
    presets = {name: FIELDS[name].default for fields in PRESETS.values() for name in fields}
    return {**presets, **PRESETS[preset]}


def read_object(values: Mapping[str, Any]) -> Options:
    """Options from a mapping of field names: what is missing takes the preset's or the default.

    Raises `SettingsError` for a key that is no field.
    """
    for name in values:
        if name not in FIELDS:
            raise SettingsError("field", name, "one of " + ", ".join(FIELDS))
    preset = values.get("preset")
    return Options(**{**(preset_values(preset) if isinstance(preset, str) else {}), **values})


def read_arguments(arguments: Sequence[Any], axes: Mapping[str, Any]) -> Options:
    """Options from what the WebUI hands to a script, and from the axes of an X/Y/Z plot.

    `arguments` is the list of all values in the order of the fields; or its first item is an
    object of fields, as sent through the API.
    """
    if arguments and isinstance(arguments[0], Mapping):
        return read_object({**arguments[0], **axes})
    values = {**dict(zip(FIELDS, arguments, strict=False)), **axes}
    if values.get("enabled", False) is False:
        return Options()  # closed is closed, whatever was typed into it
    changed = preset_values(axes["preset"]) if "preset" in axes else {}
    return Options(**{**values, **changed, **axes})
