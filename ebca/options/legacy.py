"""Names and forms of earlier versions, which keep working."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ebca.settings.checks import SettingsError

RENAMED = {"things": "subjects", "composition": "and_means", "compose": "and_means"}
"""Old name -> new. In 0.1.0 `compose` said who joins prompts, `composition` how CACAO does it."""

LIST_OF_0_1 = (
    "enabled", "preset", "gamma_attn", "gamma_norm", "start", "stop", "formulation",
    "update_unconditional", "scale_with_depth", "max_relative_update", "layers", "token_weights",
    "compose", "edit_gamma_attn", "edit_gamma_norm", "edit_start", "edit_stop", "mask", "hires",
    "gamma_spread", "centered", "composition", "contrast", "contrast_stop", "things",
)  # fmt: skip
"""The order of a list of arguments in 0.1.0."""

_COMPOSE = ("cacao", "webui")


def modern(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return `values` under today's names. Raises SettingsError for a name and its old one."""
    new = {name: value for name, value in values.items() if name not in RENAMED}
    for old, name in RENAMED.items():
        if old not in values:
            continue
        if name in values:
            raise SettingsError(old, values[old], f"left out where {name}, its new name, is given")
        value = values[old]
        if old == "compose":
            if value not in _COMPOSE:
                raise SettingsError(old, value, "one of " + ", ".join(_COMPOSE))
            if value == "cacao":  # composition says how
                continue
        new[name] = value
    if new.get("max_relative_update", 0.0) is None:
        new["max_relative_update"] = 0.0
    return new


def named(positional: Sequence[Any]) -> dict[str, Any]:
    """Return name -> value for unnamed values, in 0.1.0's order: two step sizes, start, stop."""
    order = LIST_OF_0_1[LIST_OF_0_1.index("gamma_attn") :][:4]
    if len(positional) > len(order):
        raise SettingsError("settings", positional, f"named after the first {len(order)}")
    return dict(zip(order, positional, strict=False))


def is_list_of_0_1(arguments: Sequence[Any]) -> bool:
    """Return whether arguments are in the order of 0.1.0, told by its values for AND."""
    compose, composition = map(LIST_OF_0_1.index, ("compose", "composition"))
    has = [*arguments, *[None] * len(LIST_OF_0_1)]
    return has[compose] == "cacao" or (
        has[compose] == "webui" and has[composition] in ("sum", "average")
    )
