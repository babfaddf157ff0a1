"""The declarations of all settings, in the order in which they are shown."""

from __future__ import annotations

from ebca.options.keeping import Keeping
from ebca.options.page import PageSettings
from ebca.options.values import all_declarations
from ebca.settings.declaration import Declaration, declarations


def declared(*, page: bool = True) -> dict[str, Declaration]:
    """Return every declaration by name; with `page` also the settings of a page with jobs."""
    of_page = declarations(PageSettings) if page else ()
    return {
        **{each.name: each for each in of_page},
        **all_declarations(),
        **{each.name: each for each in declarations(Keeping)},
    }
