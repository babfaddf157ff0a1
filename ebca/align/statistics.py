"""Intervals and tests for shares, alone and in pairs. Needs numpy only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_NORMAL = NormalDist()
_CHUNK = 1_000_000  # resampled numbers held at a time


class Interval(NamedTuple):
    """An estimate and its 95 % interval."""

    value: float
    low: float
    high: float


def wilson(count: int, of: int, level: float = 0.95) -> Interval:
    """Return the score interval of a share (Wilson 1927)."""
    if of < 1:
        return Interval(math.nan, 0.0, 1.0)
    z, share = _NORMAL.inv_cdf(0.5 + level / 2), count / of
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    spread = z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of)) / (1 + z * z / of)
    return Interval(share, max(0.0, middle - spread), min(1.0, middle + spread))


def mcnemar(gained: int, lost: int) -> float:
    """Return the exact two-sided p of McNemar's test: is half of the changed pairs gained?"""
    changed = gained + lost
    if changed == 0:
        return 1.0
    tail: int = sum(math.comb(changed, k) for k in range(min(gained, lost) + 1))
    return min(1.0, float(2 * tail / 2**changed))


def resampled_means(
    values: Sequence[float] | Floats, groups: Sequence[object], draws: int = 4000, seed: int = 0
) -> Floats:
    """Return means of bootstrap samples of whole groups (all seeds of a prompt), [draws]."""
    names = {group: index for index, group in enumerate(dict.fromkeys(groups))}
    index = np.array([names[group] for group in groups])
    sums = np.bincount(index, np.asarray(values, float), len(names))
    counts = np.bincount(index, minlength=len(names)).astype(float)
    rng = np.random.default_rng(seed)
    means: list[Floats] = []
    while len(means) * max(1, _CHUNK // len(names)) < draws:
        some = min(draws, max(1, _CHUNK // len(names)))
        drawn = rng.integers(0, len(names), (some, len(names)))
        means.append(sums[drawn].sum(1) / counts[drawn].sum(1))
    return np.concatenate(means)[:draws]


def bootstrap(
    values: Sequence[float] | Floats, groups: Sequence[object], draws: int = 4000, seed: int = 0
) -> Interval:
    """Return the mean of `values`, with the percentile interval over groups."""
    return quantiles(float(np.mean(values)), resampled_means(values, groups, draws, seed))


def quantiles(value: float, draws: Floats) -> Interval:
    low, high = np.quantile(draws, [0.025, 0.975])
    return Interval(value, float(low), float(high))


def beta_draws(share: float, of: int, draws: int, seed: int) -> Floats:
    """Draw plausible values of a share measured on `of` observations (Jeffreys' posterior)."""
    rng = np.random.default_rng(seed)
    return rng.beta(share * of + 0.5, (1 - share) * of + 0.5, draws)


def corrected(observed: Floats, sensitivity: Floats, specificity: Floats) -> Floats:
    """Return the true shares behind observed ones (Rogan and Gladen 1978), clipped to 0..1:
    (observed + specificity - 1) / (sensitivity + specificity - 1)."""
    youden = np.maximum(sensitivity + specificity - 1, 1e-3)
    return np.clip((observed + specificity - 1) / youden, 0.0, 1.0)


def pairs_needed(detect: float, changed: float, power: float = 0.8, level: float = 0.05) -> int:
    """Return how many pairs McNemar's test needs to find a difference of `detect` with that power,
    where the share `changed` of all pairs differs (Connor 1987)."""
    if not 0 < abs(detect) <= changed <= 1:
        raise ValueError("Expected 0 < detect <= changed <= 1.")
    z_level, z_power = _NORMAL.inv_cdf(1 - level / 2), _NORMAL.inv_cdf(power)
    root = z_level * math.sqrt(changed) + z_power * math.sqrt(changed - detect * detect)
    return math.ceil((root / detect) ** 2)
