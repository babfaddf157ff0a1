"""Rows told by their contexts."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ebca.composition import Row
from ebca.hosts.contexts import KnownContexts

ROWS = [Row(0, True), Row(1, True), Row(0, False), Row(1, False)]


def contexts(*seeds: int, tokens: int = 5) -> Tensor:
    made = [torch.randn(tokens, 3, generator=torch.Generator().manual_seed(each)) for each in seeds]
    return torch.stack(made)


@pytest.fixture
def known() -> KnownContexts:
    known = KnownContexts()
    known.learn(0, ROWS[:2], contexts(1, 2))
    known.learn(2, ROWS[2:], contexts(3, 3))
    return known


@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_batch_may_be_repeated(known: KnownContexts, times: int) -> None:
    assert known.rows(contexts(1, 2, 3, 3).repeat(times, 1, 1)) == ROWS * times


def test_rows_may_come_in_another_order(known: KnownContexts) -> None:
    assert known.rows(contexts(2, 1)) == [ROWS[1], ROWS[0]]


def test_equal_contexts_take_turns() -> None:
    known = KnownContexts()
    known.learn(0, ROWS[:2], contexts(1, 1))
    assert known.rows(contexts(1, 1, 1)) == [ROWS[0], ROWS[1], ROWS[0]]


def test_a_stranger_makes_all_unknown(known: KnownContexts) -> None:
    assert known.rows(contexts(1, 9)) is None
    assert known.rows(contexts(1, tokens=4)) is None
    assert known.rows(None) is None
    assert KnownContexts().rows(contexts(1)) is None


def test_a_context_that_was_padded_takes_the_place_of_the_first(known: KnownContexts) -> None:
    known.learn(0, ROWS[:2], contexts(7, 8))
    assert known.rows(contexts(7, 8)) == ROWS[:2]
    assert known.rows(contexts(1)) is None


def test_what_does_not_fit_the_rows_tells_nothing(known: KnownContexts) -> None:
    known.learn(0, ROWS[:2], contexts(7, 8, 9))
    known.learn(0, ROWS[:2], None)
    assert known.rows(contexts(1, 2)) == ROWS[:2]
