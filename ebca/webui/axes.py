"""Axes of the WebUI's X/Y/Z plot, one for each field of `Options`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from modules import scripts  # type: ignore[import-not-found]

from ebca.settings import SettingsError
from ebca.webui.job import AXES
from ebca.webui.options import FIELDS, read_object
from ebca.webui.refusal import JobRefusedError

_TRUTH = {"True": True, "False": False}


def register() -> None:
    """Add the axes to the plot that the WebUI has loaded; those that are there are kept."""
    plot = next((data.module for data in scripts.scripts_data if _is_plot(data.script_class)), None)
    if plot is None:
        return
    known = {option.label for option in plot.axis_options}
    axes = (_axis(plot.AxisOption, name) for name in FIELDS)
    plot.axis_options.extend(axis for axis in axes if axis.label not in known)


def _is_plot(script_class: Any) -> bool:
    return str(script_class.__module__) == "xyz_grid.py"


def _axis(option: Callable[..., Any], name: str) -> Any:
    field = FIELDS[name]
    kind: Callable[[str], Any] = float if "range" in field.metadata else str
    choices: Sequence[str] | None = None
    if isinstance(field.default, bool):
        choices = tuple(_TRUTH)
    elif "choices" in field.metadata:
        choices = tuple(field.metadata["choices"])

    def value_of(given: Any) -> Any:
        truth = isinstance(field.default, bool)
        return _TRUTH.get(str(given).strip().capitalize(), given) if truth else given

    def confirm(_p: Any, values: Sequence[Any]) -> None:
        """Refuse a bad value before the first cell."""
        window = {"start": {"stop": 1.0}, "edit_start": {"edit_stop": 1.0}}.get(name, {})
        try:
            for value in values:
                read_object({**window, name: value_of(value)})
        except SettingsError as error:
            raise JobRefusedError(str(error)) from None

    def apply(p: Any, value: Any, _values: Sequence[Any]) -> None:
        setattr(p, AXES, {**getattr(p, AXES, {}), name: value_of(value)})

    listed = None if choices is None else lambda: list(choices)
    return option(f"[EBCA] {name}", kind, apply, confirm=confirm, choices=listed)
