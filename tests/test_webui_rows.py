"""Rows and progress of the WebUI's evaluations, without a WebUI."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ebca.composition import Row
from ebca.hosts.contexts import rows_of_batch
from ebca.hosts.schedule import Schedule
from ebca.hosts.views import place

# Where a slice of a batch begins


def batch(rows: int = 6) -> Tensor:
    return torch.randn(rows, 4, 3, 5)


@given(st.integers(1, 8), st.data())
def test_a_slice_is_found_where_it_was_cut(rows: int, data: st.DataObject) -> None:
    whole = batch(rows)
    first = data.draw(st.integers(0, rows - 1))
    last = data.draw(st.integers(first + 1, rows))
    assert place(whole[first:last], whole) == first


def test_a_batch_begins_at_its_own_first_row() -> None:
    whole = batch()
    assert place(whole, whole) == 0
    assert place(whole[:-2][-1:], whole) == 3  # a slice of a slice


def test_a_batch_that_is_itself_a_slice_is_no_matter() -> None:
    whole = batch()[2:]
    assert place(whole[1:3], whole) == 1


def strangers(whole: Tensor) -> dict[str, Any]:
    return {
        "a copy": whole[1:3].clone(),
        "another batch": batch(),
        "rows of the storage before it": whole,
        "every other row": whole[::2],
        "other channels": whole[:, 1:],
        "another view": whole.transpose(-1, -2),
        "more rows than it has": torch.cat([whole, whole]),
        "no rows": whole[:0],
        "no tensor": None,
    }


@pytest.mark.parametrize("name", strangers(batch()))
def test_what_is_no_slice_has_noplace(name: str) -> None:
    whole = batch()
    announced = whole[1:] if name == "rows of the storage before it" else whole
    assert place(strangers(whole)[name], announced) is None


def test_nothing_has_a_place_in_nothing() -> None:
    assert place(batch(), None) is None
    assert place(batch(), batch(0)) is None


# Which rows a batch has


def told(rows: list[Row] | None) -> list[tuple[int, bool]]:
    assert rows is not None
    return [(row.image, row.conditional) for row in rows]


def test_one_row_an_image_and_one_unconditional_one() -> None:
    assert told(rows_of_batch([1, 1], 4)) == [(0, True), (1, True), (0, False), (1, False)]


def test_and_gives_an_image_several_rows_and_one_unconditional_one() -> None:
    assert told(rows_of_batch([2, 1, 3], 9)) == [
        *((row, True) for row in range(6)),
        (0, False),
        (2, False),
        (3, False),
    ]


def test_instruct_pix2pix_has_two_unconditional_rows_an_image() -> None:
    assert told(rows_of_batch([1, 1], 6))[2:] == [(0, False), (1, False)] * 2


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 7, 8])
def test_other_sizes_are_not_the_webuis(count: int) -> None:
    assert rows_of_batch([1, 1], count) is None


# How far a sampling has come


def karras(steps: int, low: float = 0.03, high: float = 14.6) -> Tensor:
    ramp = torch.linspace(0, 1, steps)
    ends = (high ** (1 / 7), low ** (1 / 7))
    levels = (ends[0] + ramp * (ends[1] - ends[0])) ** 7
    return torch.cat([levels, levels.new_zeros(1)])


def exponential(steps: int) -> Tensor:
    levels = torch.linspace(math.log(14.6), math.log(0.03), steps).exp()
    return torch.cat([levels, levels.new_zeros(1)])


@pytest.mark.parametrize("levels", [karras(10), exponential(10)], ids=["karras", "exponential"])
@pytest.mark.parametrize("name", ["sigmas", "sigma_sched"])
def test_a_step_begins_at_its_fraction_of_the_steps(levels: Tensor, name: str) -> None:
    schedule = Schedule({name: levels})
    found = [schedule.progress(float(level)) for level in levels[:-1]]
    assert found == pytest.approx([step / 10 for step in range(10)])


def test_an_evaluation_between_two_levels_belongs_to_the_step_under_way() -> None:
    levels = karras(8)
    schedule = Schedule({"sigmas": levels})
    for step, (high, low) in enumerate(pairwise(map(float, levels[:-1]))):
        middle = math.sqrt(high * low)
        assert schedule.progress(middle) == pytest.approx(step / 8)


def test_noise_above_the_first_level_is_the_beginning() -> None:
    """Samplers with churn add some."""
    levels = karras(8)
    assert Schedule({"sigmas": levels}).progress(float(levels[0]) * 1.4) == 0.0


def test_churn_within_the_schedule_is_at_most_a_step_back() -> None:
    levels = karras(8)
    found = Schedule({"sigmas": levels}).progress(float(levels[4]) * 1.01)
    assert found == pytest.approx(3 / 8)


def test_rounding_of_a_level_is_no_other_step() -> None:
    levels = karras(8)
    schedule = Schedule({"sigmas": levels})
    for step in range(8):
        for error in (1 - 1e-6, 1 + 1e-6):
            assert schedule.progress(float(levels[step]) * error) == pytest.approx(step / 8)


def test_img2img_goes_through_its_own_part_of_the_schedule() -> None:
    levels = karras(20)[10:]
    schedule = Schedule({"sigmas": levels})
    found = [schedule.progress(float(level)) for level in levels[:-1]]
    assert found == pytest.approx([step / 10 for step in range(10)])


def test_one_step_is_the_beginning() -> None:
    levels = torch.tensor([14.6, 0.0])
    assert Schedule({"sigmas": levels}).progress(14.6) == 0.0
    assert Schedule({"sigmas": levels}).progress(1.0) == 0.0


def timesteps(steps: int) -> Tensor:
    return torch.tensor([step * (1000 // steps) + 1 for step in range(steps)])


def test_timesteps_are_gone_through_from_the_last() -> None:
    """The WebUI's DDIM and PLMS take no step at the first, as no sampler does at noise level 0."""
    schedule = Schedule({"timesteps": timesteps(10)})
    found = [schedule.progress(float(t)) for t in reversed(timesteps(10)[1:])]
    assert found == pytest.approx([step / 9 for step in range(9)])


def test_a_schedule_without_a_step_tells_nothing() -> None:
    """DDIM of one step."""
    assert Schedule({"timesteps": timesteps(1)}).progress(1.0) is None


def test_timesteps_beside_the_schedule_tell_nothing() -> None:
    """Those of UniPC."""
    schedule = Schedule({"timesteps": timesteps(10)})
    assert schedule.progress(930.0) is None
    assert schedule.progress(901.3) == schedule.progress(901.0)


def test_samplers_that_choose_their_steps_go_through_the_logarithm_of_the_noise() -> None:
    schedule = Schedule({"sigma_min": torch.tensor(0.1), "sigma_max": torch.tensor(10.0)})
    found = [schedule.progress(level) for level in (10.0, 1.0, 0.1, 20.0)]
    assert found == pytest.approx([0.0, 0.5, 1.0, 0.0])
    assert schedule.progress(0.0) is None


@pytest.mark.parametrize("arguments", [{}, {"n": 5}, {"sigma_min": 0.1}])
def test_an_unknown_schedule_tells_nothing(arguments: dict[str, Any]) -> None:
    assert Schedule(arguments).progress(1.0) is None


@given(st.integers(1, 60), st.floats(0.001, 50.0), st.floats(0.001, 50.0))
def test_less_noise_is_never_less_progress(steps: int, one: float, other: float) -> None:
    schedule = Schedule({"sigmas": karras(steps)})
    more, less = schedule.progress(max(one, other)), schedule.progress(min(one, other))
    assert more is not None
    assert less is not None
    assert 0.0 <= more <= less < 1.0
