"""Pictures of what was collected; the only module that needs matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def plot_energies(table: list[dict[str, Any]], path: Path) -> None:
    """Draw the rows of `Trace.table` and write them to `path`."""
    raise NotImplementedError
