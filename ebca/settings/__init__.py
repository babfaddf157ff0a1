"""What a setting is: its declaration, and the checks of its values. Imports nothing of EBCA."""

from ebca.settings.checks import Range, SettingsError
from ebca.settings.declaration import Declaration, declarations, setting

__all__ = ["Declaration", "Range", "SettingsError", "declarations", "setting"]
