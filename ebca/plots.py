"""Drawings: labelled pictures side by side, curves of the energies, and curves of edits."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image, ImageDraw, ImageFont

_TILE = 320
_MARGIN = 12
_LABEL_SIZE = 17


class Labelled(NamedTuple):
    """A picture and the text above it."""

    label: str
    picture: Image.Image


def side_by_side(rows: Sequence[Sequence[Labelled]]) -> Image.Image:
    """Draw a sheet of labelled pictures, row by row; small pictures are enlarged."""
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


class Panel(NamedTuple):
    """One panel of the energies: its question, a caption, and the percentage that it draws."""

    question: str
    drawn: str
    percent: Callable[[dict[str, Any], dict[str, Any]], float | None]
    """(row of the table, first row of its layer) -> percent; None draws nothing."""
    logarithmic: bool = False


PANELS = (
    Panel(
        "Does an update make the text fit the picture better?",
        "change of E(Q; K) by it, % of |E|; below 0: it does",
        lambda row, _: _change(row["conditional"], row["conditional_after"]),
    ),
    Panel(
        "Does it make the strongest words stronger?",
        "change of E(K) by it, % of |E|; above 0: it does",
        lambda row, _: _change(row["prior"], row["prior_after"]),
    ),
    Panel(
        "How does the fit change from step to step?",
        "E(Q; K) before the update, % above or below the first step's; lower: fits better",
        lambda row, first: _change(first["conditional"], row["conditional"]),
    ),
    Panel(
        "How far does an update move the text?",
        "|dC| / |C|: length of the change / length of the encoded prompt, %",
        lambda row, _: 100 * row["relative_update"] if row["relative_update"] else None,
        logarithmic=True,
    ),
)


def plot_energies(table: list[dict[str, Any]], path: Path) -> None:
    """Draw the rows of `Trace.table`: what the updates of each layer changed, step by step."""
    energies_figure(table).savefig(path, dpi=120)


def energies_figure(table: list[dict[str, Any]]) -> Any:
    """Return the matplotlib figure of `plot_energies`, with one axis for each of `PANELS`.

    Energies of layers differ by orders of magnitude and change only a little, so changes are drawn,
    in percent of the layer's own energy.
    """
    from matplotlib import colormaps  # slow to import, and only needed here
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    layers = sorted({row["layer"] for row in table})
    shades = colormaps["viridis"]
    figure = Figure(figsize=(12, 8.5), layout="constrained")
    axes = list(figure.subplots(2, 2).flat)
    for axis, panel in zip(axes, PANELS, strict=True):
        for layer in layers:
            rows = [row for row in table if row["layer"] == layer]
            points = [(row["evaluation"] + 1, panel.percent(row, rows[0])) for row in rows]
            seen = [point for point in points if point[1] is not None]
            if seen:
                colour = shades(0.92 * layer / max(1, layers[-1]))
                label = f"{layer} ({rows[0]['place']})"
                axis.plot(*zip(*seen, strict=True), ".-", color=colour, label=label)
        axis.set_title(panel.question, fontsize=12, loc="left", pad=22)
        axis.text(0, 1.02, panel.drawn, transform=axis.transAxes, fontsize=9, color="dimgray")
        axis.set_xlabel("UNet evaluation (most samplers: the step)")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.grid(alpha=0.3)
        if not axis.lines:
            axis.text(0.5, 0.5, "nothing was updated", transform=axis.transAxes, ha="center")
        elif panel.logarithmic:
            axis.set_yscale("log")
            axis.yaxis.set_major_formatter("{x:g}")
        else:
            axis.axhline(0, color="gray", linewidth=0.8)
    labelled = max(axes, key=lambda axis: len(axis.lines)).get_legend_handles_labels()
    if len(layers) <= 20:
        figure.legend(*labelled, loc="outside right center", fontsize=9, title="layer")
    figure.suptitle(
        "What the updates did, layer by layer (dark: the first layer, light: the last)\n"
        "E(Q; K) is low where the words find pixels that are like them;"
        " E(K) is high where some words are much stronger than the others",
        fontsize=11,
    )
    return figure


def _change(before: float, after: float | None) -> float | None:
    """Return the change from one energy to another, in percent."""
    return None if after is None or not before else 100 * (after - before) / abs(before)


_DISTANCES = {
    "structure": "distance in structure to the picture",
    "rest": "mean change of what is to stay, % of the range",
}


def plot_curves(
    curves: Sequence[Any], perfect: Mapping[str, Mapping[str, float]], path: Path
) -> None:
    """Draw `ebca.align.curves.Curve`s: right edits against each distance, a row of panels for each
    distance, a column for each task. `perfect`: task -> distance -> its value for perfect edits."""
    from matplotlib.figure import Figure

    tasks = list(dict.fromkeys(curve.task for curve in curves))
    labels = list(dict.fromkeys(curve.method for curve in curves))
    colours = {label: f"C{place}" for place, label in enumerate(labels)}
    figure = Figure(figsize=(3.6 * max(2, len(tasks)), 7.2), layout="constrained")
    axes = figure.subplots(2, max(1, len(tasks)), sharey=True, squeeze=False)
    for column, task in enumerate(tasks):
        for axis, (name, said) in zip(axes[:, column], _DISTANCES.items(), strict=True):
            scale = 100.0 if name == "rest" else 1.0
            for curve in (each for each in curves if each.task == task):
                across = scale * _means(curve.distances[name])
                up = 100.0 * _means(curve.right)
                axis.plot(across, up, ".-", color=colours[curve.method], label=curve.method)
                ends = zip(curve.strengths[:: max(1, len(across) - 1)], (0, -1), strict=False)
                for strength, place in ends:
                    axis.annotate(
                        f"{strength:g}", (across[place], up[place]), (3, 3),
                        textcoords="offset points", fontsize=7, color="dimgray",
                    )  # fmt: skip
            if task in perfect:
                axis.plot([scale * perfect[task][name]], [100], "k*", markersize=10,
                          label="a perfect edit")  # fmt: skip
            axis.set_title(task if name == "structure" else "", fontsize=11, loc="left")
            axis.set_xlabel(said, fontsize=9)
            axis.grid(alpha=0.3)
            axis.set_ylim(0, 104)
    for axis in axes[:, 0]:
        axis.set_ylabel("edits that are right, %", fontsize=9)
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3, fontsize=9)
    figure.savefig(path, dpi=110)


def _means(rows: Any) -> Any:
    import numpy as np

    return np.nanmean(rows, 1)
