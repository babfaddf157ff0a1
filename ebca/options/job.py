"""The settings of a WebUI job, the same in the accordion, the API, the X/Y/Z plot and the infotext.

The order of `fields` is the order of the accordion's values and of the API's positional list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ebca.options import Settings
from ebca.options.declared import declared
from ebca.options.keeping import Keeping
from ebca.options.legacy import LIST_OF_0_1, RENAMED, is_list_of_0_1, modern
from ebca.options.page import PageSettings
from ebca.options.presets import preset_values
from ebca.settings import Declaration, SettingsError
from ebca.settings.declaration import release


def fields() -> dict[str, Declaration]:
    """Return every field by name: those of 0.1.0 in its order, then each version's new ones."""
    known = declared()
    first = (RENAMED.get(name, name) for name in LIST_OF_0_1)
    since = sorted(known, key=lambda name: release(known[name].since))
    return {name: known[name] for name in dict.fromkeys([*first, *since]) if name in known}


def labels() -> dict[str, str]:
    """Return every field's label on the page."""
    return {name: each.label for name, each in fields().items()}


@dataclass(frozen=True)
class Options:
    """The validated values of all fields of the accordion."""

    page: PageSettings = field(default_factory=PageSettings)
    settings: Settings = field(default_factory=Settings)
    keeping: Keeping = field(default_factory=Keeping)

    def values(self) -> dict[str, Any]:
        """Return all fields by name, in the order of `fields`."""
        known = {**vars(self.page), **self.settings, **vars(self.keeping)}
        return {name: known[name] for name in fields()}


def options_of(values: Mapping[str, Any]) -> Options:
    """Return options from fields by name; missing ones get their defaults.

    Raises SettingsError, naming the field, for a value that cannot be used or an unknown name.
    """
    values, known = modern(values), fields()
    for name in values:
        if name not in known:
            raise SettingsError("field", name, "one of " + ", ".join(known))
    page, keeping = (
        {name: value for name, value in values.items() if name in vars(owner())}
        for owner in (PageSettings, Keeping)
    )
    rest = {name: value for name, value in values.items() if name not in {**page, **keeping}}
    return Options(PageSettings(**page), Settings(**rest), Keeping(**keeping))


def read_object(values: Mapping[str, Any]) -> Options:
    """Return options from fields by name; missing ones get the preset's value or the default."""
    values = modern(values)
    preset = values.get("preset")
    return options_of({**(preset_values(preset) if isinstance(preset, str) else {}), **values})


def read_arguments(arguments: Sequence[Any], axes: Mapping[str, Any]) -> Options:
    """Return options from the arguments of a WebUI script and the axes of an X/Y/Z plot.

    `arguments` lists all values in the order of the fields; or its first item is an object of
    fields, as sent through the API.
    """
    axes = modern(axes)
    if arguments and isinstance(arguments[0], Mapping):
        return read_object({**modern(arguments[0]), **axes})
    values = {**_by_name(arguments), **axes}
    if values.get("enabled", False) is False:
        return Options()  # switched off: the other values do not matter
    changed = preset_values(axes["preset"]) if "preset" in axes else {}
    return options_of({**values, **changed, **axes})


def _by_name(arguments: Sequence[Any]) -> dict[str, Any]:
    """Return a list's values by field. For a list of 0.1.0, newer fields get neutral values."""
    if not is_list_of_0_1(arguments):
        return dict(zip(fields(), arguments, strict=False))
    newer = {n: each.neutral for n, each in fields().items() if release(each.since) > (0, 1, 0)}
    return {**newer, **modern(dict(zip(LIST_OF_0_1, arguments, strict=False)))}
