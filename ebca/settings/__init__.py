"""Settings: their declarations, values, presets, and how they are written into pictures."""

from ebca.settings.checks import Range, SettingsError
from ebca.settings.declaration import Declaration, declarations, setting
from ebca.settings.values import Settings, all_declarations

__all__ = [
    "Declaration",
    "Range",
    "Settings",
    "SettingsError",
    "all_declarations",
    "declarations",
    "setting",
]
