"""The tables: a line for every task, method and figure, paired with another method's."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ebca.align.cases import Case
from ebca.align.score import MAIN, YES_OR_NO, column, reliability
from ebca.align.statistics import (
    Interval,
    bootstrap,
    corrected,
    mcnemar,
    pairs_needed,
    quantiles,
    resampled_means,
    wilson,
)

_DRAWS = 4000


class Line(NamedTuple):
    """One figure of a method in a task, which is named by the title of its cases. `difference` is
    the paired one to the method compared with; `true` and `true_difference` are corrected for the
    judge's error, with its uncertainty in their intervals."""

    task: str
    method: str
    figure: str
    pictures: int
    value: Interval
    true: Interval | None
    difference: Interval | None
    true_difference: Interval | None
    gained: int
    lost: int
    p: float | None


def lines(
    cases: Sequence[Case],
    saws: dict[str, list[dict[str, Any]]],
    against: str | None,
    error: dict[str, Any],
) -> Iterator[Line]:
    """Yield all lines. `saws` has what the judge saw of every method, in the order of `cases`."""
    for task in dict.fromkeys(case.title for case in cases):
        places = [place for place, case in enumerate(cases) if case.title == task]
        asked = [cases[place] for place in places]
        columns = {
            label: column([saw[place] for place in places], asked) for label, saw in saws.items()
        }
        base = columns.get(against or "")
        for label, figures in columns.items():
            for figure, values in figures.items():
                other = base.get(figure) if base is not None and label != against else None
                yield _line(task, label, figure, values, other, asked, error)


def _line(
    task: str, label: str, figure: str, values: list[float], other: list[float] | None,
    cases: Sequence[Case], error: dict[str, Any],
) -> Line:  # fmt: skip
    groups = [case.joint for case in cases]
    counted = [(v, g) for v, g in zip(values, groups, strict=True) if not math.isnan(v)]
    own = [value for value, _ in counted]
    yes_or_no = figure in YES_OR_NO
    several = len(set(groups)) < len(groups)
    if not counted:
        value = Interval(math.nan, math.nan, math.nan)
    elif yes_or_no and not several:
        value = wilson(int(sum(own)), len(own))
    else:
        value = bootstrap(own, [group for _, group in counted], _DRAWS)
    trust = reliability(error, cases[0], figure, _DRAWS)
    true = None
    if trust is not None and counted:
        drawn = resampled_means(own, [group for _, group in counted], _DRAWS, seed=2)
        point = corrected(np.array([value.value]), trust[0].mean(), trust[1].mean())
        true = quantiles(float(point[0]), corrected(drawn, *trust))
    difference, true_difference, p, gained, lost = None, None, None, 0, 0
    if other is not None:
        both = [
            (v - o, g)
            for v, o, g in zip(values, other, groups, strict=True)
            if not (math.isnan(v) or math.isnan(o))
        ]
        changes, names = [change for change, _ in both], [name for _, name in both]
        gained, lost = sum(c > 0 for c in changes), sum(c < 0 for c in changes)
        if changes:
            means = resampled_means(changes, names, _DRAWS)
            difference = quantiles(float(np.mean(changes)), means)
            if trust is not None:
                youden = trust[0] + trust[1] - 1
                point_difference = difference.value / float(youden.mean())
                shuffled = resampled_means(changes, names, _DRAWS, seed=3)
                true_difference = quantiles(
                    min(1.0, max(-1.0, point_difference)), np.clip(shuffled / youden, -1.0, 1.0)
                )
        p = mcnemar(gained, lost) if yes_or_no else None
    return Line(task, label, figure, len(own), value, true, difference, true_difference,
                gained, lost, p)  # fmt: skip


def table(rows: Sequence[Line], figures: Sequence[str] | None = None) -> Iterator[str]:
    """Yield the lines as a Markdown table."""
    names = ("task", "method", "figure", "n", "value", "difference", "without the judge's error")
    yield "| " + " | ".join([*names, "+ / -", "p"]) + " |"
    yield "|---" * 9 + "|"
    for row in rows:
        if figures and row.figure not in figures:
            continue
        percent = row.figure not in ("structure", "whole", "rest", "clip", "clip-least")
        changed = f"{row.gained} / {row.lost}" if row.difference else ""
        yield (
            f"| {row.task} | {row.method} | {row.figure} | {row.pictures} |"
            f" {_shown(row.value, percent)} | {_shown(row.difference, percent, sign=True)} |"
            f" {_shown(row.true_difference, percent, sign=True)} | {changed} |"
            f" {'' if row.p is None else f'{row.p:.2g}'} |"
        )


def _shown(value: Interval | None, percent: bool, sign: bool = False) -> str:
    if value is None or math.isnan(value.value):
        return ""
    scale, form = (100, "+.1f" if sign else ".1f") if percent else (1, "+.4f" if sign else ".4f")
    middle, low, high = (format(scale * number, form) for number in value)
    return f"{middle} [{low}, {high}]"


def sizes(rows: Sequence[Line], detect: float) -> Iterator[str]:
    """Tell for every compared line how many pairs it takes to find an effect of `detect`."""
    for row in rows:
        if row.figure in MAIN and row.p is not None and row.pictures:
            changed = max(detect, (row.gained + row.lost) / row.pictures)
            needed = pairs_needed(detect, min(1.0, changed))
            yield (
                f"{row.task}, {row.method}, {row.figure}: {changed:.1%} of the pairs differ;"
                f" to find {detect:+.1%} at p < .05 with 80 % power, n = {needed}"
                f" (here {row.pictures})"
            )


def as_json(rows: Sequence[Line]) -> list[dict[str, Any]]:
    def plain(value: Any) -> Any:
        if isinstance(value, Interval):
            return dict(zip(Interval._fields, map(plain, value), strict=True))
        return None if isinstance(value, float) and math.isnan(value) else value

    return [{name: plain(value) for name, value in row._asdict().items()} for row in rows]
