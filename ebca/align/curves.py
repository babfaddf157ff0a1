"""Edits at several denoising strengths: the share of right edits against the distance to the
picture.

Two methods are compared at the same distance to the picture. The share of right edits of the other
method is read off the line through its points, where a point counts as the best of itself and all
nearer points. At distances below its nearest point the other method is given that point's share, so
that the benefit goes to whichever method keeps a picture less well.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ebca.align.cases import Case
from ebca.align.judges import structure_distance
from ebca.align.score import column
from ebca.align.sources import draw_edited, draw_source, outside
from ebca.align.statistics import Floats, Interval, quantiles

DISTANCES = ("structure", "rest")
_DRAWS = 2000


class Curve(NamedTuple):
    """A method in a task; the arrays [strengths, cases] have a row for each strength."""

    task: str
    method: str
    strengths: tuple[float, ...]
    right: Floats
    distances: dict[str, Floats]


class Equal(NamedTuple):
    """A method at one strength against another method at the same distance to the picture. Without
    a strength, the mean over all strengths."""

    task: str
    method: str
    strength: float | None
    distance: str
    at: float
    right: float
    other: float
    difference: Interval


def curves(cases: Sequence[Case], saws: dict[str, list[dict[str, Any]]]) -> Iterator[Curve]:
    """Yield the curve of every method in every editing task. `saws` is as for `report.lines`."""
    for task in dict.fromkeys(case.task for case in cases if case.edited):
        strengths = sorted({case.strength or 0.0 for case in cases if case.task == task})
        for label, saw in saws.items():
            rows = []
            for strength in strengths:
                places = [
                    place
                    for place, case in enumerate(cases)
                    if case.task == task and case.strength == strength
                ]
                rows.append(column([saw[place] for place in places], [cases[p] for p in places]))
            if not all({"right", *DISTANCES} <= {*row} for row in rows):
                continue
            known = {name: np.array([row[name] for row in rows]) for name in ("right", *DISTANCES)}
            right = known.pop("right")
            yield Curve(task, label, tuple(strengths), right, known)


def at_equal(
    cases: Sequence[Case], saws: dict[str, list[dict[str, Any]]], against: str
) -> Iterator[Equal]:
    """Compare every point of every method with the line of the method `against`, with 95 %
    intervals over the cases. Yields nothing for a task with only one strength."""
    known = [curve for curve in curves(cases, saws) if len(curve.strengths) > 1]
    base = {curve.task: curve for curve in known if curve.method == against}
    for curve in known:
        other = base.get(curve.task)
        if other is None or other.method == curve.method:
            continue
        count = curve.right.shape[1]
        draws = np.random.default_rng(0).integers(0, count, (_DRAWS, count))
        for name in DISTANCES:
            points, resampled = [], []
            for place, strength in enumerate(curve.strengths):
                right, at = curve.right[place], curve.distances[name][place]
                there = read_off(other.distances[name], other.right, at)
                drawn = [
                    right[d].mean()
                    - read_off(other.distances[name][:, d], other.right[:, d], at[d])
                    for d in draws
                ]
                resampled.append(np.array(drawn))
                difference = quantiles(float(right.mean() - there), resampled[-1])
                points.append(
                    Equal(
                        curve.task, curve.method, strength, name, float(np.nanmean(at)),
                        float(right.mean()), there, difference,
                    )
                )  # fmt: skip
            yield from points
            at, right, there = (
                float(np.mean([getattr(each, what) for each in points]))
                for what in ("at", "right", "other")
            )
            mean = quantiles(right - there, np.mean(resampled, axis=0))
            yield Equal(curve.task, curve.method, None, name, at, right, there, mean)


def read_off(distance: Floats, right: Floats, at: Floats) -> float:
    """Read the share of right edits at the mean distance `at` [cases] off rows [points, cases]."""
    across, up = np.nanmean(distance, 1), right.mean(1)
    order = np.argsort(across)
    best = np.maximum.accumulate(up[order])
    return float(np.interp(float(np.nanmean(at)), across[order], best))


def equal_table(rows: Sequence[Equal], against: str) -> Iterator[str]:
    """Yield the rows as a Markdown table; nothing if there are none."""
    if not rows:
        return
    names = ("task", "method", "strength", "distance", "right", f"{against} there", "difference")
    yield f"\nAt the same distance to the picture, against {against}:\n"
    yield "| " + " | ".join(names) + " |"
    yield "|---" * len(names) + "|"
    for row in rows:
        value, low, high = (100 * each for each in row.difference)
        strength = "mean" if row.strength is None else f"{row.strength:g}"
        yield (
            f"| {row.task} | {row.method} | {strength} | {row.distance} {row.at:.4f} |"
            f" {100 * row.right:.1f} | {100 * row.other:.1f} |"
            f" {value:+.1f} [{low:+.1f}, {high:+.1f}] |"
        )
    yield ""


def perfect(cases: Sequence[Case]) -> dict[str, dict[str, float]]:
    """Return the mean of each distance between perfect edits and their pictures, by task."""
    found: dict[str, dict[str, list[float]]] = {}
    for case in cases:
        if case.source is None or not case.edited:
            continue
        source, edited = (
            np.asarray(picture, float) / 255
            for picture in (draw_source(case.source, 64), draw_edited(case, 64))
        )
        each = found.setdefault(case.task, {name: [] for name in DISTANCES})
        each["structure"].append(structure_distance(source, edited))
        rest = np.abs(source - edited)[outside(case, 64)]
        each["rest"].append(float(rest.mean()) if rest.size else math.nan)
    return {
        task: {name: float(np.nanmean(values)) for name, values in each.items()}
        for task, each in found.items()
    }
