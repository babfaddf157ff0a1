"""The declaration of a setting: said once, where the method that uses it is.

A setting is a field of a frozen dataclass, made by `setting`. Everything that shows, reads or
writes settings (accordion, API, X/Y/Z plot, infotext, command line, docs/controls.md) loops over
`declarations` of the classes that have some.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ebca.settings.checks import (
    Range,
    SettingsError,
    check_choice,
    check_flag,
    check_number,
    check_text,
)

GROUPS = {
    "sight": "",
    "subjects": "Subjects: details",
    "update": "The paper's update: details",
    "and": "Prompts after AND",
    "keep": "Keep the picture (img2img)",
    "when": "When and where",
    "see": "See what it does",
}
"""Key -> title, in the order of the accordion. What is in `sight` is not folded away."""

_TRUTH = {"true": True, "on": True, "false": False, "off": False}


@dataclass(frozen=True)
class Declaration:
    """All that is known of one setting.

    neutral: its value when what it controls is off, which is what pictures have that were made
        before the setting existed (`since`).
    legal: the range of a number, the choices of a text, or None.
    was: (last version, default) of earlier defaults, oldest first.
    new_row: whether its control begins a row of the accordion.
    check: gives the value as it is kept, where range or choices do not say it all; raises
        SettingsError.
    """

    name: str
    default: Any
    help: str
    label: str
    group: str = "sight"
    neutral: Any = None
    since: str = "0.1.0"
    legal: Range | tuple[str, ...] | None = None
    hint: str = ""
    flag: str = ""
    new_row: bool = False
    was: tuple[tuple[str, Any], ...] = ()
    check: Callable[[Any], Any] | None = None

    @property
    def is_number(self) -> bool:
        return isinstance(self.legal, Range)

    @property
    def is_flag(self) -> bool:
        return isinstance(self.default, bool)

    @property
    def choices(self) -> tuple[str, ...]:
        """Of a text that is one of several; empty for all others."""
        return () if self.legal is None or isinstance(self.legal, Range) else self.legal

    @property
    def command_line_flag(self) -> str:
        return self.flag or "--" + self.name.replace("_", "-")

    def checked(self, value: Any) -> Any:
        """`value` as it is kept. Raises SettingsError, naming the setting, if it is not legal."""
        if self.check is not None:
            return self.check(value)
        if isinstance(self.legal, Range):
            return check_number(self.name, value, self.legal)
        if self.choices:
            return check_choice(self.name, value, self.choices)
        return check_flag(self.name, value) if self.is_flag else check_text(self.name, value)

    def read(self, text: str) -> Any:
        """The value that a text stands for, from wherever people write it. Raises SettingsError."""
        if isinstance(self.legal, Range):
            try:
                return self.checked(float(text))
            except SettingsError:
                raise
            except ValueError:
                raise SettingsError(self.name, text, str(self.legal)) from None
        if self.is_flag:
            return self.checked(_TRUTH.get(text.strip().lower(), text))
        return self.checked(text)

    def default_of(self, version: tuple[int, ...]) -> Any:
        """The default in a version of the extension; neutral in one before the setting existed."""
        if version < release(self.since):
            return self.neutral
        return next((old for last, old in self.was if version <= release(last)), self.default)


def setting(default: Any, help_text: str, **facts: Any) -> Any:
    """A dataclass field that is a setting; `facts` as in `Declaration`."""
    return dataclasses.field(default=default, metadata={"help": help_text, **facts})


def declarations(owner: type) -> tuple[Declaration, ...]:
    """The settings of a dataclass, in order."""
    return tuple(
        Declaration(field.name, field.default, **field.metadata)
        for field in dataclasses.fields(owner)
        if "help" in field.metadata
    )


def check_settings(holder: Any) -> None:
    """Check every setting of a dataclass instance and keep it as checked, on construction."""
    for each in declarations(type(holder)):
        object.__setattr__(holder, each.name, each.checked(getattr(holder, each.name)))


def release(version: str) -> tuple[int, ...]:
    """`0.2.1` as something that can be compared; empty if it cannot be read."""
    numbers = version.split("+")[0].split(".")
    return tuple(map(int, numbers)) if all(part.isdigit() for part in numbers) else ()
