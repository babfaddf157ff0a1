"""Presets: starting values. A preset never changes its meaning; a better one gets a new name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ebca.options.values import all_declarations

DEFAULT = "multi-concept"
CUSTOM = "custom"

_PAPER = {"gamma_spread": 0.0, "centered": False, "and_means": "average", "regions": 0.0}
PRESETS: Mapping[str, Mapping[str, Any]] = {
    DEFAULT: {},  # the defaults, which docs/alignment.md measured
    "contrast": {"gamma_attn": 0.0, "regions": 0.0, "contrast": 1.3},
    # subjects keep the places that they have in the picture, see docs/editing.md
    "edit a picture": {"gamma_attn": 0.0, "regions": 0.0},
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
"""Preset -> the settings that differ from the defaults."""


def preset_values(preset: str) -> dict[str, Any]:
    """Return the settings that choosing `preset` sets; none for `custom`.

    They are the preset's own settings, and those of all other presets at their defaults.
    """
    if preset not in PRESETS:
        return {}
    known = all_declarations()
    touched = {name: known[name].default for values in PRESETS.values() for name in values}
    return {**touched, **PRESETS[preset]}
