"""`Settings`: the values of all settings, each checked by its declaration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from ebca import methods
from ebca.core.method import Method
from ebca.options import legacy
from ebca.options.words import Words
from ebca.settings.checks import SettingsError
from ebca.settings.declaration import Declaration, declarations

Part = TypeVar("Part")


def owners() -> tuple[type, ...]:
    """Return the classes that declare the settings: `Words`, then every method."""
    return (Words, *methods.METHODS)


def all_declarations() -> dict[str, Declaration]:
    """Return every setting's declaration by name, in the order in which they are shown."""
    return {each.name: each for owner in owners() for each in declarations(owner)}


class Settings(Mapping[str, Any]):
    """The values of all settings, readable by name or as attributes; immutable.

    `Settings(gamma_attn=0.003)["gamma_attn"]` is 0.003. Names of earlier versions still work.

    Args:
        positional: Up to four values without names: gamma_attn, gamma_norm, start, stop, as in
            0.1.0.
        values: Settings by name; docs/controls.md lists all, with ranges. Missing ones get their
            defaults.

    Raises:
        SettingsError: A name is unknown, or a value cannot be used.
    """

    __slots__ = ("_parts", "_values")

    def __init__(self, *positional: Any, **values: Any) -> None:
        values = {**legacy.named(positional), **values}
        known, given = all_declarations(), legacy.modern(values)
        for name in given:
            if name not in known:
                raise SettingsError("setting", name, "one of " + ", ".join(known))
        self._parts: dict[type, Any] = {}
        self._values: dict[str, Any] = {}
        for owner in owners():
            names = [each.name for each in declarations(owner)]
            part = owner(**{name: given[name] for name in names if name in given})
            self._parts[owner] = part
            self._values |= {name: getattr(part, name) for name in names}

    def replace(self, **changes: Any) -> Settings:
        """Return new `Settings` with some values changed.

        Args:
            changes: Settings by name.

        Raises:
            SettingsError: A name is unknown, or a value cannot be used.
        """
        return Settings(**{**self._values, **legacy.modern(changes)})

    def off(self) -> Settings:
        """Return a copy with all settings of methods neutral; settings on words stay."""
        owned = (each for owner in methods.METHODS for each in declarations(owner))
        return self.replace(**{each.name: each.neutral for each in owned})

    def part(self, owner: type[Part]) -> Part:
        """Return the part of the settings that `owner` declares, as an `owner`."""
        part: Part = self._parts[owner]
        return part

    @property
    def methods(self) -> tuple[Method, ...]:
        """The methods that do something with these settings."""
        parts = (part for part in self._parts.values() if isinstance(part, Method))
        return tuple(part for part in parts if part.active)

    @property
    def words(self) -> Words:
        return self.part(Words)

    def __getattr__(self, name: str) -> Any:
        if name in Settings.__slots__:  # while copying, before the slots are set
            raise AttributeError(name)
        try:
            return self._values[legacy.RENAMED.get(name, name)]
        except KeyError:
            raise AttributeError(f"there is no setting {name}") from None

    def __getitem__(self, name: str) -> Any:
        return self._values[legacy.RENAMED.get(name, name)]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __hash__(self) -> int:
        return hash(tuple(self._parts.values()))

    def __repr__(self) -> str:
        default = {name: each.default for name, each in all_declarations().items()}
        changed = {name: value for name, value in self._values.items() if value != default[name]}
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in changed.items())})"
