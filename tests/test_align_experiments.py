"""The candidates do what their names say."""

from __future__ import annotations

import numpy as np
import pytest

from ebca.align.candidates import CANDIDATES
from ebca.align.cases import Case, Thing
from ebca.align.experiments import words_of
from ebca.align.methods import Method
from ebca.align.painter import Painter, Sampling
from ebca.settings import Settings

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")

CASE = Case(
    "multi", "", "a red car and a blue crown", "", 3, (Thing("car", "red"), Thing("crown", "blue"))
)


@pytest.fixture(scope="module")
def painter() -> Painter:
    return Painter(Sampling(steps=1))


def bcu(experiment: str = "", gamma: float = 0.01) -> Method:
    settings = Settings(gamma, 0.0, gamma_spread=0.0, centered=False)
    return Method("bcu", settings, experiment=experiment)


@pytest.mark.parametrize("name", CANDIDATES)
def test_every_candidate_changes_pictures_and_leaves_nothing_behind(painter, name):
    before, _ = painter.paint([CASE], bcu())
    changed, traced = painter.paint([CASE], bcu(name), traced=True)
    assert changed.shape == before.shape
    assert not np.array_equal(changed, before)
    assert traced["relative_update"] > 0.0
    after, _ = painter.paint([CASE], bcu())
    assert np.array_equal(after, before)
    assert not painter.pipe.unet._forward_pre_hooks


def test_tokens_are_told_apart(painter):
    words = words_of(painter.pipe, [CASE.joint, "a clock"], [CASE, CASE])
    assert words.begin[0].nonzero().flatten().tolist() == [0]
    assert words.text[0].nonzero().flatten().tolist() == list(range(1, 8))
    assert words.end[1].nonzero().flatten().tolist() == list(range(3, 77))
    assert words.subject[0].nonzero().flatten().tolist() == [2, 3, 6, 7]
    assert not words.subject[1].any()


def test_steps_have_the_size_that_is_asked_for(painter):
    _, traced = painter.paint([CASE], bcu("relative:0.03"), traced=True)
    assert traced["relative_update"] == pytest.approx(0.03, rel=1e-3)


def test_uphill_raises_the_energy(painter):
    _, down = painter.paint([CASE], bcu(), traced=True)
    _, up = painter.paint([CASE], bcu("backwards"), traced=True)
    assert down["conditional_change"] < 0.0 < up["conditional_change"]


def test_candidates_act_one_after_the_other(painter):
    _, traced = painter.paint([CASE], bcu("apart+relative:0.02"), traced=True)
    assert traced["relative_update"] == pytest.approx(0.02, rel=1e-3)
