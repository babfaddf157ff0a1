"""The methods, one module for each. A new method is a module and an entry in `METHODS`."""

from __future__ import annotations

from ebca.core.method import Method
from ebca.methods.bcu import BCU
from ebca.methods.cacao import Cacao
from ebca.methods.contrast import Contrast
from ebca.methods.regions import Regions

METHODS: tuple[type[Method], ...] = (Regions, BCU, Cacao, Contrast)
"""All methods, in the order in which their settings are shown."""
