"""The declaration of a setting, and the checks of its values. Imports no other part of EBCA."""

from ebca.settings.checks import Range, SettingsError
from ebca.settings.declaration import Declaration, declarations, setting

__all__ = ["Declaration", "Range", "SettingsError", "declarations", "setting"]
