"""Checks of values: errors written for the user, legal ranges, windows."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from typing import NamedTuple


class SettingsError(ValueError):
    """Raised for a value that cannot be used; names the field, the value and the legal values.

    Args:
        field: The name of the setting or argument.
        value: The value that was given.
        legal: The legal values in words; `{other}` in it stands for the name of another field.
        other: The name of that other field.
    """

    def __init__(self, field: str, value: object, legal: str, other: str = "") -> None:
        self.field, self.value, self._legal, self._other = field, value, legal, other
        self.legal = legal.replace("{other}", other)
        super().__init__(f"EBCA: {field} is {value!r}, but must be {self.legal}.")

    def with_labels(self, labels: Mapping[str, str]) -> str:
        """Return the message with `labels` (field -> label) in place of the fields' names."""
        shown = {name: f"“{label}”" for name, label in labels.items()}
        legal = self._legal.replace("{other}", shown.get(self._other, self._other))
        return f"EBCA: {shown.get(self.field, self.field)} is {self.value!r}, but must be {legal}."


class Range(NamedTuple):
    """The legal values `low..high` of a number, and the part of them that a slider shows."""

    low: float
    high: float
    slider: tuple[float, float, float] = (0.0, 1.0, 0.01)  # low, high, step

    def __str__(self) -> str:
        return f"a number from {self.low:g} to {self.high:g}"


FRACTION = Range(0.0, 1.0)
"""A fraction of a run's steps, or of the way from noise to the picture."""

TOKEN_WEIGHT = Range(0.0, 100.0, slider=(0.0, 10.0, 0.1))


def check_number(field: str, value: object, legal: Range) -> float:
    """Return `value` as a float; raise SettingsError unless it is a number within `legal`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise SettingsError(field, value, str(legal))
    number = float(value)
    if math.isnan(number) or not legal.low <= number <= legal.high:
        raise SettingsError(field, value, str(legal))
    return number


def check_flag(field: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise SettingsError(field, value, "true or false")
    return value


def check_choice(field: str, value: object, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise SettingsError(field, value, "one of " + ", ".join(choices))
    return str(value)


def check_text(field: str, value: object) -> str:
    if not isinstance(value, str):
        raise SettingsError(field, value, "a text")
    return value


def check_window(start_field: str, start: float, stop_field: str, stop: float) -> None:
    if start >= stop:
        legal = f"less than {{other}}, which is {stop:g}"
        raise SettingsError(start_field, start, legal, stop_field)


def in_window(progress: float, start: float, stop: float) -> bool:
    """Return whether a step at `progress` is in [start, stop); a stop of 1 has no end."""
    return start <= progress < stop or (stop == 1.0 and progress >= 1.0)
