"""What votes say, against published examples and against votes of a known preference."""

from __future__ import annotations

import itertools
from fractions import Fraction
from math import comb
from pathlib import Path

import numpy as np
import pytest
from votes import ask, poll_of, service

from ebca.vote.results import result
from ebca.vote.statistics import Tally, alpha, alpha_interval, majority
from ebca.vote.store import CHOICES, Store


def units(*observers: str) -> list[list[str]]:
    """What observers said of each unit, a character each; `.` is nothing."""
    return [[value for value in said if value != "."] for said in zip(*observers, strict=True)]


# The examples A, B and C of Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011)
BINARY = units("0100000010", "1110010000")
NOMINAL = units("aabbdcccedda", "babbbccceddd")
MISSING = units("123321412...", "1233224125.3", ".3332342251.", "12332441251.")


@pytest.mark.parametrize(
    ("said", "published"), [(BINARY, 0.095), (NOMINAL, 0.692), (MISSING, 0.743)]
)
def test_alpha_is_krippendorffs(said, published):
    assert round(alpha(said), 3) == published


def slow_alpha(said: list[list[str]]) -> float:
    """From the definition: observed over expected disagreement, pair by pair."""
    said = [unit for unit in said if len(unit) > 1]
    given = [value for unit in said for value in unit]
    observed = sum(
        sum(a != b for a, b in itertools.permutations(unit, 2)) / (len(unit) - 1) for unit in said
    )
    expected = sum(a != b for a, b in itertools.permutations(given, 2)) / (len(given) - 1)
    return 1 - observed / expected


def test_alpha_is_what_its_definition_says():
    rng = np.random.default_rng(0)
    for _ in range(50):
        said = [list(rng.choice(CHOICES, rng.integers(0, 5))) for _ in range(30)]
        assert alpha(said) == pytest.approx(slow_alpha(said))


def test_alpha_is_one_for_full_agreement_and_none_where_nothing_can_be_compared():
    assert alpha([["a", "a"], ["b", "b", "b"], ["same"]]) == 1.0
    assert alpha([["a", "a"], ["a", "a"]]) is None
    assert alpha([["a"], ["b"]]) is None
    assert alpha([]) is None
    assert alpha_interval([["a"]]) is None


def test_voters_who_guess_agree_by_chance_and_the_interval_says_how_sure_that_is():
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(40):
        said = [list(rng.choice(["a", "b"], 3)) for _ in range(60)]
        value, low, high = alpha_interval(said, draws=400)
        assert low <= value <= high
        covered += low <= 0.0 <= high
    assert covered >= 35


def binomial(a: int, b: int) -> Fraction:
    """Two-sided p of the sign test: all outcomes that are no likelier."""
    count = a + b
    likely = [Fraction(comb(count, k), 2**count) for k in range(count + 1)]
    return sum((p for p in likely if p <= likely[b]), Fraction(0))


def test_the_sign_test_is_exact_and_leaves_ties_out():
    assert Tally(a=2, b=8, same=90).p == pytest.approx(0.109375)
    for a, b in itertools.product(range(12), repeat=2):
        assert Tally(a, b, same=3, bad=2).p == pytest.approx(float(binomial(a, b)))
    assert Tally(same=5).p == 1.0


def test_the_preference_is_of_what_is_decided_and_the_difference_of_all():
    tally = Tally(a=81, b=182, same=30, bad=7)
    assert (tally.count, tally.decided) == (300, 263)
    share, low, high = tally.preference
    assert share == 182 / 263
    assert (low, high) == (pytest.approx(1 - 0.3662, abs=5e-5), pytest.approx(1 - 0.2553, abs=5e-5))
    assert tally.difference == pytest.approx(101 / 300)


def test_the_votes_that_are_needed_find_a_difference_of_ten_points():
    assert Tally().needed == 783  # all decided: 55 against 45
    tally = Tally(a=9, b=21, same=70)
    assert tally.needed == 234  # Connor 1987, of 30 % that are decided
    assert tally.more == 134
    assert Tally(a=450, b=450).more == 0
    rng, found = np.random.default_rng(0), 0
    for _ in range(300):
        a, b, same = rng.multinomial(234, [0.1, 0.2, 0.7])
        found += Tally(int(a), int(b), int(same)).p < 0.05
    assert 0.72 < found / 300 < 0.88


@pytest.mark.parametrize(
    ("choices", "all_together"),
    [("a", "a"), ("ab", "same"), ("abb", "b"), ("asb", "same"), ("xx", "bad"), ("ass", "a"),
     ("sx", "same"), ("sxx", "bad")],
)  # fmt: skip
def test_several_voters_say_of_a_pair_what_most_of_them_say(choices, all_together):
    words = {"s": "same", "x": "bad"}
    assert majority([words.get(each, each) for each in choices]) == all_together


PREFERENCE, TIES = 0.62, 0.2
"""Of the voter who is a script: the share of B among what it decides, and how often it does not."""


def vote(store: Store, count: int, rng: np.random.Generator) -> list[float]:
    """A vote of `count` pairs by a script; the preference that is shown, with its interval."""
    poll, me = poll_of(store, count), store.voter("script")
    for pair in store.pairs(poll.id):
        b_is = "right" if store.a_is_left(pair.id, me) else "left"
        a_is = {"left": "right", "right": "left"}[b_is]
        said = b_is if rng.random() < PREFERENCE else a_is
        store.cast(pair.id, me, str(rng.choice(["same", "bad"])) if rng.random() < TIES else said)
    return result(store, poll)["together"]["preference"]


def test_the_interval_of_300_votes_covers_the_preference_in_95_of_100_repetitions(tmp_path: Path):
    rng, covered = np.random.default_rng(2026), 0
    for repetition in range(100):
        store = Store(tmp_path / str(repetition))
        with store.together():  # one write, or the disk would be what this test tests
            share, low, high = vote(store, 300, rng)
        assert low <= share <= high
        covered += low <= PREFERENCE <= high
        store.close()
    assert covered >= 95


def test_the_intervals_are_neither_too_narrow_nor_too_wide():
    """The same without a store, often enough to tell 95 from 93 or 97 percent."""
    rng = np.random.default_rng(7)
    draws = rng.multinomial(
        300, [(1 - TIES) * (1 - PREFERENCE), (1 - TIES) * PREFERENCE, TIES], 4000
    )
    covered = [
        low <= PREFERENCE <= high
        for _, low, high in (Tally(int(a), int(b), int(same)).preference for a, b, same in draws)
    ]
    assert 0.942 < np.mean(covered) < 0.96


def test_left_and_right_say_nothing_of_a_and_b(tmp_path: Path):
    store = Store(tmp_path)
    poll = poll_of(store, 400)
    sides = [
        [store.a_is_left(pair.id, voter) for pair in store.pairs(poll.id)]
        for voter in (store.voter("me"), store.voter("you"))
    ]
    for each in sides:
        assert 150 < sum(each) < 250
    assert 150 < sum(one == other for one, other in zip(*sides, strict=True)) < 250


def test_the_result_has_kinds_voters_ties_and_agreement(tmp_path: Path):
    store = Store(tmp_path)
    poll, me, you = poll_of(store, 4, kinds=2), store.voter("me"), store.voter("you")
    for pair in store.pairs(poll.id):
        shown = {"prompt 0": "same", "prompt 2": "bad"}.get(pair.prompt, "left")
        store.cast(pair.id, me, shown)
        store.cast(pair.id, you, "bad")
    shown = result(store, poll)
    assert [each["name"] for each in shown["voters"]] == ["me", "you"]
    assert [each["kind"] for each in shown["kinds"]] == ["kind 0", "kind 1"]
    first, second = shown["kinds"]
    assert (first["same"], first["bad"], first["preference"]) == (1, 1, None)
    assert second["a"] + second["b"] == 2
    assert shown["together"]["count"] == 4
    assert shown["shared"] == 4
    assert shown["alpha"][0] == pytest.approx(
        alpha([["same", "bad"], ["bad", "bad"], ["x", "bad"], ["y", "bad"]]), abs=0.2
    )
    assert shown["over_prompts"] is None


def test_seeds_of_one_prompt_count_as_alike(tmp_path: Path):
    store = Store(tmp_path)
    poll, me = poll_of(store, 6), store.voter("me")
    store.add_pairs(poll.id, [("k", f"prompt {n}", seed) for n in range(6) for seed in range(2, 9)])
    for pair in store.pairs(poll.id):
        store.set_state(pair.id, "ready")
        b_is = "right" if store.a_is_left(pair.id, me) else "left"
        a_is = {"left": "right", "right": "left"}[b_is]
        store.cast(pair.id, me, b_is if pair.prompt in ("prompt 0", "prompt 1") else a_is)
    shown = result(store, poll)
    _, low, high = shown["together"]["preference"]
    _, wide_low, wide_high = shown["over_prompts"]
    assert wide_low < low
    assert wide_high > high


def test_the_result_of_nothing_can_be_shown(tmp_path: Path):
    one = service(tmp_path)
    poll = one.add({"name": "", "prompts": "own", "list": "a cat", "a": "off", "b": "defaults"})
    shown = ask(one, f"polls/{poll.id}/result")
    assert shown["together"]["count"] == 0
    assert shown["together"]["more"] == 783
    assert shown["kinds"] == []
    assert one.answer("GET", f"api/polls/{poll.id}/result.png", {}, {}).body.startswith(b"\x89PNG")
