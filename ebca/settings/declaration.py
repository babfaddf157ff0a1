"""The declaration of a setting, written once, in the method that uses the setting.

A setting is a field of a frozen dataclass, made by `setting`. All code that shows, reads or writes
settings (accordion, API, X/Y/Z plot, infotext, command line, docs/controls.md) loops over the
`declarations` of these classes.
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
"""Key -> title, in the order of the accordion. The group `sight` is always visible, not folded."""

_TRUTH = {"true": True, "on": True, "false": False, "off": False}


@dataclass(frozen=True)
class Declaration:
    """All facts on one setting.

    neutral: the value that switches off the setting's effect; pictures from before the setting
        existed (`since`) have it.
    legal: the range of a number, the choices of a text, or None.
    was: (last version, default) for each earlier default, oldest first.
    new_row: whether the setting's control begins a row of the accordion.
    check: returns the value in the form that is kept, where range or choices are not enough; raises
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
        """The legal values of a text setting with fixed choices; empty for every other setting."""
        return () if self.legal is None or isinstance(self.legal, Range) else self.legal

    @property
    def command_line_flag(self) -> str:
        return self.flag or "--" + self.name.replace("_", "-")

    def checked(self, value: Any) -> Any:
        """Return `value` in the form that is kept. Raises SettingsError if it is not legal."""
        if self.check is not None:
            return self.check(value)
        if isinstance(self.legal, Range):
            return check_number(self.name, value, self.legal)
        if self.choices:
            return check_choice(self.name, value, self.choices)
        return check_flag(self.name, value) if self.is_flag else check_text(self.name, value)

    def read(self, text: str) -> Any:
        """Parse the text of a value, from an infotext or anywhere else. Raises SettingsError."""
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
        """Return the default in a version; the neutral value in versions without the setting."""
        if version < release(self.since):
            return self.neutral
        return next((old for last, old in self.was if version <= release(last)), self.default)


def setting(default: Any, help_text: str, **facts: Any) -> Any:
    """Return a dataclass field that is a setting; `facts` are fields of `Declaration`."""
    return dataclasses.field(default=default, metadata={"help": help_text, **facts})


def declarations(owner: type) -> tuple[Declaration, ...]:
    """Return the declarations of a dataclass's settings, in order."""
    return tuple(
        Declaration(field.name, field.default, **field.metadata)
        for field in dataclasses.fields(owner)
        if "help" in field.metadata
    )


def check_settings(holder: Any) -> None:
    """Check every setting of a new dataclass instance and store the checked values."""
    for each in declarations(type(holder)):
        object.__setattr__(holder, each.name, each.checked(getattr(holder, each.name)))


def release(version: str) -> tuple[int, ...]:
    """Return `0.2.1` as the comparable (0, 2, 1); an empty tuple if it cannot be parsed."""
    numbers = version.split("+")[0].split(".")
    return tuple(map(int, numbers)) if all(part.isdigit() for part in numbers) else ()
