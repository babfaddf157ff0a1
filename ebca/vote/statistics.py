"""Statistics of votes: a preference with its interval, a test, votes still needed, agreement."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from ebca.align.statistics import Floats, Interval, mcnemar, pairs_needed, quantiles, wilson

POINTS = 0.10
"""The difference that a vote should detect: the share of B minus the share of A."""

Unit = Sequence[Hashable]
"""The choices of several voters for one pair; voters without a vote on it are left out."""


@dataclass(frozen=True)
class Tally:
    """How often A and B were preferred, and the ties: `same`, both good enough; `bad`, neither."""

    a: int = 0
    b: int = 0
    same: int = 0
    bad: int = 0

    @classmethod
    def of(cls, choices: Sequence[str]) -> Tally:
        """Count choices that are `a`, `b`, `same` or `bad`."""
        counted = Counter(choices)
        return cls(counted["a"], counted["b"], counted["same"], counted["bad"])

    @property
    def count(self) -> int:
        return self.a + self.b + self.same + self.bad

    @property
    def decided(self) -> int:
        """The number of votes that are no ties."""
        return self.a + self.b

    @property
    def preference(self) -> Interval:
        """The share of B among the decided votes, with Wilson's 95 % interval."""
        return wilson(self.b, self.decided)

    @property
    def p(self) -> float:
        """Two-sided p of the exact sign test; ties say nothing and are left out."""
        return mcnemar(self.b, self.a)

    @property
    def difference(self) -> float:
        """The share of B minus the share of A, ties counted; 0 without votes."""
        return (self.b - self.a) / self.count if self.count else 0.0

    @property
    def needed(self) -> int:
        """The total number of votes that finds a difference of `POINTS` at p < .05 with 80 % power
        if the share of ties stays the same; without votes, if there are no ties."""
        decided = self.decided / self.count if self.count else 1.0
        return pairs_needed(POINTS, max(POINTS, decided))

    @property
    def more(self) -> int:
        """The number of needed votes that are still missing."""
        return max(0, self.needed - self.count)


def majority(choices: Sequence[str]) -> str:
    """Return the joint choice of several voters on one pair: the side with more votes, or else a
    tie, which is `bad` if more said that than `same`."""
    tally = Tally.of(choices)
    if tally.a != tally.b:
        return "a" if tally.a > tally.b else "b"
    return "bad" if tally.bad > tally.same else "same"


def alpha(units: Sequence[Unit]) -> float | None:
    """Return Krippendorff's alpha for nominal data (Krippendorff 2011): 1 is full agreement, 0 is
    chance. Units with one value are left out, as he does. None where all values are the same or no
    unit has two, so that there is nothing to compare with."""
    table = _table(units)
    if not table.size:
        return None
    found = _alphas(table[None])[0]
    return None if np.isnan(found) else float(found)


def alpha_interval(units: Sequence[Unit], draws: int = 2000, seed: int = 0) -> Interval | None:
    """Return alpha and its 95 % percentile interval over units drawn with replacement."""
    value, table = alpha(units), _table(units)
    if value is None:
        return None
    drawn = np.random.default_rng(seed).integers(0, len(table), (draws, len(table)))
    found = _alphas(table[drawn])
    return quantiles(value, found[~np.isnan(found)])


def _table(units: Sequence[Unit]) -> Floats:
    """Count each value, [units, values], in the units with two values or more."""
    names = {value: place for place, value in enumerate(dict.fromkeys(v for u in units for v in u))}
    table = np.zeros((len(units), len(names)))
    for row, unit in enumerate(units):
        for value in unit:
            table[row, names[value]] += 1
    several: Floats = table[table.sum(1) > 1]
    return several


def _alphas(tables: Floats) -> Floats:
    """Return alpha of each table, [tables, units, values]; nan where it is not defined."""
    given = tables.sum(2)
    unlike = (given**2 - (tables**2).sum(2)) / (given - 1)
    totals = tables.sum(1)
    count = totals.sum(1)
    expected = (count**2 - (totals**2).sum(1)) / (count - 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = np.where(expected > 0, 1 - unlike.sum(1) / expected, np.nan)
    return found
