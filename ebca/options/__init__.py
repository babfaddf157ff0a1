"""All that can be set, and all ways in which it is written: values, presets, names of earlier
versions, infotexts, and what a job of a page is given."""

from ebca.options.declared import declared
from ebca.options.values import Settings, all_declarations

__all__ = ["Settings", "all_declarations", "declared"]
