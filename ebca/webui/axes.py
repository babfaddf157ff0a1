"""Axes of the WebUI's X/Y/Z plot, one for each field of `Options`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from modules import scripts  # type: ignore[import-not-found]

from ebca.options.job import fields, read_object
from ebca.settings import Declaration, SettingsError
from ebca.webui.job import AXES
from ebca.webui.refusal import refused_job, worded


def register() -> None:
    """Add the axes to the X/Y/Z plot that the WebUI has loaded, except those it already has."""
    plot = next((data.module for data in scripts.scripts_data if _is_plot(data.script_class)), None)
    if plot is None:
        return
    known = {option.label for option in plot.axis_options}
    axes = (_axis(plot.AxisOption, each) for each in fields().values())
    plot.axis_options.extend(axis for axis in axes if axis.label not in known)


def label(name: str) -> str:
    """Return what the plot calls the axis of a field: its control's label, and its name."""
    shown = fields()[name].label.removesuffix(f" ({name})")
    return f"[EBCA] {shown} ({name})"


def _is_plot(script_class: Any) -> bool:
    return str(script_class.__module__) == "xyz_grid.py"


def _axis(option: Callable[..., Any], field: Declaration) -> Any:
    choices: Sequence[str] = ("True", "False") if field.is_flag else field.choices

    def value_of(given: Any) -> Any:
        return field.read(str(given))

    def confirm(p: Any, values: Sequence[Any]) -> None:
        """Refuse a bad value before the first cell."""
        try:
            for value in values:
                options = read_object({**_room(field.name), field.name: value_of(value)})
                options.settings.words.check_count()
        except SettingsError as error:
            raise refused_job(worded(error, p)) from None

    def apply(p: Any, value: Any, _values: Sequence[Any]) -> None:
        setattr(p, AXES, {**getattr(p, AXES, {}), field.name: value_of(value)})

    listed = (lambda: list(choices)) if choices else None
    kind = float if field.is_number else str
    return option(label(field.name), kind, apply, confirm=confirm, choices=listed)


def _room(name: str) -> dict[str, float]:
    """Return an end of 1 for the window that the field `name` begins, so that `confirm` accepts a
    late start whatever end the accordion has; empty for other fields."""
    stop = name.replace("start", "stop")
    return {stop: 1.0} if stop != name and stop in fields() else {}
