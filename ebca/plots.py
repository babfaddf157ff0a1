"""Pictures of pictures: comparisons with labels, and curves of the energies."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image, ImageDraw, ImageFont

_TILE = 320
_MARGIN = 12
_LABEL_SIZE = 17


class Labelled(NamedTuple):
    """A picture and what to write above it."""

    label: str
    picture: Image.Image


def side_by_side(rows: Sequence[Sequence[Labelled]]) -> Image.Image:
    """A sheet of labelled pictures, row by row; small pictures are enlarged to be seen."""
    font = ImageFont.load_default(_LABEL_SIZE)
    columns = _TILE // (_LABEL_SIZE // 2)
    height = max(
        _LABEL_SIZE * 5 // 4 * len(textwrap.wrap(tile.label, columns))
        for row in rows
        for tile in row
    )
    cell = (_TILE + _MARGIN, _TILE + height + _MARGIN)
    sheet = Image.new(
        "RGB",
        (cell[0] * max(map(len, rows)) + _MARGIN, cell[1] * len(rows) + _MARGIN),
        "white",
    )
    draw = ImageDraw.Draw(sheet)
    for y, row in enumerate(rows):
        for x, (label, picture) in enumerate(row):
            corner = (_MARGIN + x * cell[0], _MARGIN + y * cell[1])
            text = "\n".join(textwrap.wrap(label, columns))
            draw.multiline_text(corner, text, fill="black", font=font)
            sheet.paste(_fitted(picture), (corner[0], corner[1] + height))
    return sheet


def _fitted(picture: Image.Image) -> Image.Image:
    scale = _TILE / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    small = scale >= 2
    return picture.resize(size, Image.Resampling.NEAREST if small else Image.Resampling.LANCZOS)


def plot_energies(table: list[dict[str, Any]], path: Path) -> None:
    """Draw the rows of `Trace.table`: energies per step and layer, and what the updates did.

    Layers differ by orders of magnitude, so each one's energies are divided by its largest.
    """
    from matplotlib.figure import Figure  # slow to import, and only needed here

    layers = sorted({row["layer"] for row in table})
    curves = {layer: [row for row in table if row["layer"] == layer] for layer in layers}
    figure = Figure(figsize=(11, 7.5), layout="constrained")
    axes = figure.subplots(2, 2)
    panels: tuple[tuple[str, Callable[[dict[str, Any], float], float | None], str], ...] = (
        ("E(Q; K) before the update", lambda row, size: row["conditional"] / size, "conditional"),
        ("E(K) before the update", lambda row, size: row["prior"] / size, "prior"),
        ("change of E(Q; K) + E(K) by the update", _change, "conditional"),
        ("|dC| / |C| of the update, %", _percent, "relative_update"),
    )
    for axis, (title, value, name) in zip(axes.flat, panels, strict=True):
        for layer, rows in curves.items():
            size = max(abs(row[name] or 0.0) for row in rows) or 1.0
            points = [(row["evaluation"] + 1, value(row, size)) for row in rows]
            points = [point for point in points if point[1] is not None]
            colour = _shade(layer / max(1, layers[-1]))
            if points:
                axis.plot(*zip(*points, strict=True), color=colour, label=f"layer {layer}")
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("UNet evaluation")
        axis.grid(alpha=0.3)
        axis.axhline(0, color="gray", linewidth=0.8)
    if len(layers) <= 20:
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside right center", fontsize=8)
    figure.suptitle("Energies of the updated rows; each layer relative to its largest |E|")
    figure.savefig(path, dpi=120)


def _change(row: dict[str, Any], size: float) -> float | None:
    if row["conditional_after"] is None:
        return None
    before, after = row["conditional"] + row["prior"], row["conditional_after"] + row["prior_after"]
    return float(after - before) / size


def _percent(row: dict[str, Any], _size: float) -> float | None:
    return None if row["relative_update"] is None else 100 * float(row["relative_update"])


def _shade(place: float) -> tuple[float, float, float]:
    """From dark blue to light orange as `place` goes from 0 (first layer) to 1 (last)."""
    return (0.1 + 0.85 * place, 0.2 + 0.45 * place, 0.5 - 0.2 * place)
