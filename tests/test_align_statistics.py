"""Intervals and tests against published values and against simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ebca.align.statistics import (
    bootstrap,
    corrected,
    mcnemar,
    pairs_needed,
    quantiles,
    resampled_means,
    wilson,
)


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718),
    ],
)  # fmt: skip
def test_wilson_gives_newcombes_values(count, of, low, high):
    interval = wilson(count, of)
    assert interval.value == count / of
    assert interval.low == pytest.approx(low, abs=5e-5)
    assert interval.high == pytest.approx(high, abs=5e-5)


def test_a_share_of_nothing_may_be_anything():
    interval = wilson(0, 0)
    assert math.isnan(interval.value)
    assert interval[1:] == (0.0, 1.0)


@pytest.mark.parametrize(
    ("gained", "lost", "p"),
    [(0, 0, 1.0), (1, 0, 1.0), (5, 0, 0.0625), (10, 2, 0.038574), (2, 10, 0.038574), (6, 6, 1.0)],
)
def test_mcnemar_is_the_exact_binomial_test(gained, lost, p):
    assert mcnemar(gained, lost) == pytest.approx(p, abs=1e-6)


def test_mcnemar_does_not_overflow():
    assert 0.0 < mcnemar(900, 1100) < 1e-4


def test_the_sample_size_has_the_power_that_it_claims():
    assert pairs_needed(0.1, 0.3) == 234  # Connor 1987, by hand
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(400):
        lost, gained, _ = rng.multinomial(234, [0.1, 0.2, 0.7])
        found += mcnemar(int(gained), int(lost)) < 0.05
    assert 0.7 < found / 400 < 0.87


@pytest.mark.parametrize(("detect", "changed"), [(0.0, 0.1), (0.2, 0.1), (0.1, 1.1)])
def test_a_difference_that_cannot_be_is_refused(detect, changed):
    with pytest.raises(ValueError, match="Expected 0 < detect <= changed <= 1"):
        pairs_needed(detect, changed)


def test_the_bootstrap_covers_the_truth_as_often_as_it_says():
    rng, covered = np.random.default_rng(1), 0
    for trial in range(200):
        changes = rng.choice([-1.0, 0.0, 1.0], 150, p=[0.1, 0.7, 0.2])
        interval = bootstrap(changes, range(150), 500, seed=trial)
        covered += interval.low <= 0.1 <= interval.high
    assert 0.9 <= covered / 200 <= 0.99


def test_all_seeds_of_a_prompt_are_drawn_together():
    """Eight copies of every value are no more than one of it."""
    rng = np.random.default_rng(2)
    values = rng.normal(size=40)
    once = bootstrap(values, range(40))
    copies = bootstrap(np.repeat(values, 8), np.repeat(range(40), 8).tolist())
    naive = bootstrap(np.repeat(values, 8), range(320))
    assert copies == pytest.approx(once)
    assert naive.high - naive.low < 0.5 * (copies.high - copies.low)


def test_resampling_is_the_same_every_time_and_in_any_number_of_pieces(monkeypatch):
    values = np.arange(30.0)
    assert np.array_equal(resampled_means(values, range(30)), resampled_means(values, range(30)))
    monkeypatch.setattr("ebca.align.statistics._CHUNK", 300)
    assert resampled_means(values, range(30), 95).shape == (95,)


def test_the_judges_error_is_taken_out():
    """A judge that sees 5 % of what is not there sees 5 % when nothing is there."""
    assert corrected(np.array([0.05]), np.array([0.9]), np.array([0.95])) == pytest.approx(0.0)
    observed = 0.4 * 0.9 + 0.6 * (1 - 0.95)
    assert corrected(np.array([observed]), np.array([0.9]), np.array([0.95]))[0] == pytest.approx(
        0.4
    )
    assert corrected(np.array([1.0]), np.array([0.9]), np.array([0.95]))[0] == 1.0


def test_quantiles_hold_95_percent():
    interval = quantiles(0.5, np.linspace(0.0, 1.0, 1001))
    assert interval == pytest.approx((0.5, 0.025, 0.975))
