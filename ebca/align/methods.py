"""How pictures are made: without anything, with BCU, CACAO, the WebUI's own AND, and grids."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ebca.settings import (
    CONTRAST,
    CONTRAST_OPTION,
    CONTRAST_STOP_OPTION,
    EDIT_GAMMA,
    FRACTION,
    Range,
    Settings,
    SettingsError,
    check_number,
    number_ranges,
)

KINDS = {
    "off": "the main prompt, nothing else",
    "joint": "everything in one prompt, nothing else",
    "bcu": "everything in one prompt, with BCU and contrast",
    "cacao": "joined by AND, composed by CACAO without BCU",
    "both": "joined by AND, composed by CACAO with BCU and contrast",
    "core-and": "joined by AND, as the WebUI composes: one UNet row a prompt",
}
UPDATING = ("bcu", "both")
COMPOSING = ("cacao", "both", "core-and")
PATCHED = ("bcu", "cacao", "both")

_NO_STEP: dict[str, Any] = {
    "gamma_attn": 0.0,
    "gamma_norm": 0.0,
    "gamma_spread": 0.0,
    "centered": False,
}
_OFF = Settings(**_NO_STEP)
_EXTRA = {
    "alpha": Range(0.0, 100.0),
    "edit_gamma_attn": EDIT_GAMMA,
    "edit_gamma_norm": EDIT_GAMMA,
}
_OF_UPDATES = ("experiment", "contrast", "contrast_stop")
_GRID_LEGAL = (
    "a field and its values, such as gamma_attn=0.002,0.005; a list of layers is joined by +."
    " Fields: "
)


@dataclass(frozen=True)
class Method:
    """One column of the table. `alpha` multiplies the weights of what follows AND; `experiment`
    is a change of the update that is being tried, see `ebca.align.experiments`; `named` are the
    fields that the grid names, which the label then tells whatever their values."""

    kind: str
    settings: Settings = _OFF
    alpha: float = 1.0
    edit_gamma_attn: float = 0.0
    edit_gamma_norm: float = 0.0
    experiment: str = ""
    contrast: float = 0.0
    contrast_stop: float = CONTRAST_STOP_OPTION.default
    named: frozenset[str] = dataclasses.field(default=frozenset(), compare=False)

    def facts(self) -> dict[str, Any]:
        """What it does, as JSON has it; settings only where they act."""
        facts: dict[str, Any] = {"kind": self.kind}
        if self.kind in UPDATING:
            facts |= {
                field.name: getattr(self.settings, field.name)
                for field in dataclasses.fields(Settings)
                if field.name != "token_weights"
            }
            facts |= {"experiment": self.experiment, "contrast": self.contrast}
            facts |= {"contrast_stop": self.contrast_stop} if self.contrast else {}
        elif self.kind in PATCHED:
            facts["composition"] = self.settings.composition
        if self.kind in COMPOSING:
            facts |= {name: getattr(self, name) for name in _EXTRA}
        return facts

    @property
    def label(self) -> str:
        """A short name: the kind, the step sizes, and what else is named or not the default."""
        usual = Method(self.kind, Settings(), contrast=CONTRAST_OPTION.default).facts()
        shown = self.named | ({"gamma_attn", "gamma_norm"} if self.kind in UPDATING else set())
        parts = [
            f"{name}={_shown(value)}"
            for name, value in self.facts().items()
            if name != "kind" and (name in shown or value != usual[name])
        ]
        return " ".join([self.kind, *parts])


def _shown(value: Any) -> str:
    if value in (None, ""):
        return "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def grid_fields() -> list[str]:
    return [f.name for f in dataclasses.fields(Settings) if f.name != "token_weights"] + [
        *_EXTRA,
        *_OF_UPDATES,
    ]


def read_grid(axes: Sequence[str]) -> list[dict[str, Any]]:
    """`gamma_attn=0.002,0.005 layers=all,mid` as one dict for every combination."""
    read: dict[str, list[Any]] = {}
    for axis in axes:
        name, equals, values = axis.partition("=")
        if name not in grid_fields() or not equals or not values.strip(","):
            raise SettingsError("grid", axis, _GRID_LEGAL + ", ".join(grid_fields()))
        read[name] = [_value(name, text.strip()) for text in values.split(",") if text.strip()]
    return [dict(zip(read, values, strict=True)) for values in itertools.product(*read.values())]


def _value(name: str, text: str) -> Any:
    ranges = {**number_ranges(Settings), **_EXTRA}
    ranges |= {"contrast": CONTRAST, "contrast_stop": FRACTION}
    if name == "layers":
        return text.replace("+", ",")
    if name == "max_relative_update" and text == "none":
        return None
    if name in ranges:
        try:
            return check_number(name, float(text), ranges[name])
        except ValueError as error:
            if isinstance(error, SettingsError):
                raise
            raise SettingsError(name, text, str(ranges[name])) from None
    if name in ("formulation", "composition", "experiment"):
        return "" if text == "none" else text
    flags = {"true": True, "on": True, "false": False, "off": False}
    if text.lower() not in flags:
        raise SettingsError(name, text, "true or false")
    return flags[text.lower()]


def methods(kinds: Sequence[str], base: Settings, grid: Sequence[dict[str, Any]]) -> list[Method]:
    """Every method of `kinds` under every point of the grid where it makes a difference.

    A point that names a step size names them all: the others are zero, as is the contrast, and the
    update is not centered.
    """
    found: dict[str, Method] = {}
    for kind in kinds:
        if kind not in KINDS:
            raise SettingsError("methods", kind, "one of " + ", ".join(KINDS))
        for point in grid or [{}]:
            found.setdefault(str(_at(kind, base, point).facts()), _at(kind, base, point))
    return list(found.values())


def _at(kind: str, base: Settings, point: dict[str, Any]) -> Method:
    changes = {n: value for n, value in point.items() if n not in (*_EXTRA, *_OF_UPDATES)}
    names_steps = any(name.startswith("gamma") for name in changes)
    own = {name: value for name, value in point.items() if kind in COMPOSING and name in _EXTRA}
    if kind in UPDATING:
        own["contrast"] = 0.0 if names_steps else CONTRAST_OPTION.default
        own |= {name: value for name, value in point.items() if name in _OF_UPDATES}
    settings = dataclasses.replace(base, **({**_NO_STEP, **changes} if names_steps else changes))
    if kind not in UPDATING:
        settings = dataclasses.replace(_OFF, composition=settings.composition)
    return Method(kind, settings, **own, named=frozenset(point))
