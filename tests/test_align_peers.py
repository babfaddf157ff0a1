"""What the benchmark compares with: columns by hand, and Attend-and-Excite."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ebca.align.attend_and_excite import AttendAndExcite, _least_attended
from ebca.align.cases import Case, Source, Thing
from ebca.align.halves import SHARE, Halves, halves
from ebca.align.methods import Method, methods
from ebca.align.painter import Painter, Sampling
from ebca.align.run import check_others
from ebca.core.method import Clock, Moment
from ebca.hosts.diffusers import places_of
from ebca.options import Settings
from ebca.prompts import Prompt
from ebca.settings import SettingsError

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")

TEXT = "a cat and a red bow"
CAT, BOW = Thing("cat"), Thing("bow", "red")
CASES = [Case("held-out", TEXT, TEXT, "a cat AND a red bow", seed, (CAT, BOW)) for seed in (3, 4)]
OFF = Method("joint")


@pytest.fixture(scope="module")
def painter():
    return Painter(Sampling(steps=4, cfg=7.0, sampler="ddim"))


def test_every_pixel_is_the_whole_prompts_and_its_own_columns():
    mix = Halves().mix(Prompt("m", subjects=("a", "b", "c")), Moment(Clock(lambda: (0.0, 0.0))))
    assert mix.main == pytest.approx(1 - SHARE)
    assert [branch.source for branch in mix.branches] == ["a", "b", "c"]
    columns = torch.cat([branch.weight for branch in mix.branches])
    assert torch.equal(columns, torch.eye(3) * SHARE)


def test_columns_of_the_prompt_itself_change_nothing(painter):
    off, _ = painter.paint(CASES, OFF)
    engine = halves(painter.pipe, [TEXT, TEXT], [(TEXT, TEXT)] * 2)
    same, _ = painter.paint(CASES, OFF)
    engine.remove()
    on, _ = painter.paint(CASES, Method("halves"))
    assert np.abs(same.astype(int) - off).max() <= 1
    assert (on != off).any()
    assert (painter.paint(CASES, OFF)[0] == off).all()


def test_columns_stand_side_by_side(painter):
    """What is asked of a column changes its own half of the picture most."""
    changed = []
    for columns in [("a blue car", "a red bow"), ("a cat", "a blue car")]:
        engine = halves(painter.pipe, [TEXT, TEXT], [columns] * 2)
        changed.append(painter.paint(CASES, OFF)[0].astype(int))
        engine.remove()
    usual = painter.paint(CASES, Method("halves"))[0]
    left, right = (np.abs(picture - usual).mean((0, 1, 3)) for picture in changed)
    half = len(left) // 2
    assert left[:half].sum() > left[half:].sum()
    assert right[:half].sum() < right[half:].sum()


def test_a_subject_that_nobody_attends_to_is_what_counts():
    share = torch.zeros(25, 3)
    share[12, 0] = 1.0  # the middle pixel sees the first word, none sees the third
    there = _least_attended(share, [[1]], 5)
    missing = _least_attended(share, [[1], [3]], 5)
    assert there < missing
    assert missing == pytest.approx(1 - 1 / 3, abs=1e-4)  # all words alike


@pytest.fixture
def excite(painter):
    def excite(scale):
        tokens = [[places_of(painter.pipe, TEXT, word) for word in ("cat", "bow")]] * 2
        return AttendAndExcite(painter.pipe, [TEXT] * 2, tokens, 4, scale)

    return excite


@torch.no_grad()
def test_latents_move_to_where_the_loss_is_less(excite, painter):
    excite = excite(1.0)
    latents = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    painter.pipe.scheduler.set_timesteps(4)
    losses, gradient = excite._pull(latents, 1)
    step = 1e-3
    moved, _ = excite._pull(latents - step * gradient, 1)
    expected = losses - step * gradient.square().sum((1, 2, 3))
    torch.testing.assert_close(moved, expected, atol=2e-6, rtol=0)
    assert (moved < losses).all()


def test_steps_of_no_size_change_nothing(painter):
    off, _ = painter.paint(CASES, OFF)
    still, _ = painter.paint(CASES, Method("attend-and-excite", alpha=0.0))
    moved, _ = painter.paint(CASES, Method("attend-and-excite"))
    assert (still == off).all()
    assert (moved != off).any()
    assert (painter.paint(CASES, OFF)[0] == off).all()


def test_only_the_first_half_of_the_steps_is_moved(excite):
    excite = excite(0.0)
    latents = torch.zeros(2, 4, 8, 8)
    excite.first(latents)
    counts = [excite.gradients]
    for step in range(3):
        excite.after_step(None, step, None, {"latents": latents})
        counts.append(excite.gradients)
    assert counts[0] >= 1
    assert counts[1] > counts[0]
    assert counts[1:] == [counts[1]] * 3


@pytest.mark.parametrize("kind", ["halves", "attend-and-excite"])
@pytest.mark.parametrize(
    "case",
    [
        Case("single", "a cat", "a cat", "a cat", 0, (CAT,)),
        Case("scene", "a cat", "a cat at night", "a cat AND at night", 0, (CAT,), "night"),
        Case(
            "edit", TEXT, TEXT, "a cat AND a red bow", 0, (CAT, BOW), source=Source((CAT,), 0, 0.5)
        ),
    ],
    ids=lambda case: case.task,
)
def test_they_are_refused_where_they_have_no_answer(kind, case):
    with pytest.raises(SettingsError, match=f"methods is '{kind}'.*several things"):
        check_others([case], methods([kind], Settings(), []))
    check_others(CASES, methods([kind], Settings(), []))
