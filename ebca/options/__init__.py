"""All settings and their written forms: values, presets, old names, infotexts, arguments."""

from ebca.options.declared import declared
from ebca.options.values import Settings, all_declarations

__all__ = ["Settings", "all_declarations", "declared"]
