"""Inversion: the flow backwards, and the moves that hold a sampler on a picture's path."""

import itertools
import math

import pytest
import torch
from models import context, noise, tiny_unet

from ebca.editing.flow import between, step_back
from ebca.editing.holding import Recording, Replay
from ebca.editing.paths import Flow, Scattered

LEVELS = [0.1, 0.4, 1.0, 3.0, 9.0]
CLEAN = noise(2, 4, 8, 8, dtype=torch.float64)
SPREAD = 0.7


def linear(x, sigma):
    """D(x, sigma) of a model that has seen normal pictures of deviation SPREAD: what it is known to
    be (Karras et al., arXiv 2206.00364, appendix)."""
    return x * SPREAD**2 / (SPREAD**2 + sigma**2)


def euler(start, levels, denoise):
    x, falling = start, [*levels[::-1], 0.0]
    for level, after in itertools.pairwise(falling):
        x = x + (after - level) * (x - denoise(x, level)) / level
    return x


def error(denoise, iterations, clean=CLEAN, levels=LEVELS):
    found = step_back(clean, levels, denoise, iterations)[-1]
    return float((euler(found, levels, denoise) - clean).norm() / clean.norm())


def test_the_step_back_undoes_eulers_step_exactly_where_that_is_known():
    points = step_back(CLEAN, LEVELS, linear, iterations=400)
    x, below = CLEAN, 0.0
    for level, point in zip(LEVELS, points, strict=True):
        # x_r = x_s + (r - s) d(x_s, s) is linear in x_s
        step = 1.0 + (below - level) / level * (1.0 - SPREAD**2 / (SPREAD**2 + level**2))
        assert torch.allclose(point, x / step, rtol=1e-9)
        x, below = point, level
    assert error(linear, 400) < 1e-12


def test_with_every_iteration_the_error_falls():
    errors = [error(linear, count) for count in (1, 2, 4, 8, 16)]
    assert all(more > fewer for more, fewer in itertools.pairwise(errors))
    assert errors[-1] < 0.1 * errors[0]


@torch.no_grad()
def test_with_every_iteration_the_error_falls_on_a_unet():
    unet, text, clean = tiny_unet(), context(1), noise(1, 4, 8, 8)

    def denoise(x, sigma):
        scaled = x / math.sqrt(1.0 + sigma**2)
        return x - sigma * unet(scaled, 100.0 * sigma, text, return_dict=False)[0]

    levels = [0.1 * (place + 1) for place in range(10)]
    errors = [error(denoise, count, clean, levels) for count in (1, 3, 9)]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.1 * errors[0]


def test_the_flow_of_a_known_model_is_met_with_many_steps():
    """d(log x) = sigma d(sigma) / (SPREAD^2 + sigma^2), so x grows as sqrt(SPREAD^2 + sigma^2)."""
    levels = [9.0 * (place + 1) / 2000 for place in range(2000)]
    found = step_back(CLEAN, levels, linear, iterations=4)[-1]
    known = CLEAN * math.sqrt(SPREAD**2 + 81.0) / SPREAD
    assert float((found - known).norm() / known.norm()) < 5e-3


def test_one_evaluation_a_level_and_iteration():
    calls = []
    step_back(CLEAN, LEVELS, lambda x, s: calls.append(s) or linear(x, s), iterations=3)
    assert calls == [level for level in LEVELS for _ in range(3)]


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, LEVELS), (5, LEVELS), (1, [9.0]), (3, [0.1, 1.0, 9.0]), (2, [0.1, 9.0])],
)
def test_levels_between(count, expected):
    assert between(LEVELS, count) == pytest.approx(expected)
    assert between(LEVELS, 9)[::2] == pytest.approx(LEVELS)


# Paths


def test_a_flow_goes_straight_between_its_points():
    path = Flow(CLEAN, [1.0, 3.0], [CLEAN + 1.0, CLEAN + 2.0])
    for level, offset in {0.0: 0.0, 0.5: 0.5, 1.0: 1.0, 2.0: 1.5, 3.0: 2.0, 5.0: 3.0}.items():
        assert torch.allclose(path.at(level), CLEAN + offset)


def test_scattered_noise_is_new_at_every_level_and_stays():
    generator = torch.Generator().manual_seed(0)
    clean = torch.zeros(1, 4, 64, 64)
    path = Scattered(clean, lambda: torch.randn(clean.shape, generator=generator))
    one, other = path.at(2.0) / 2.0, path.at(3.0) / 3.0
    assert torch.equal(path.at(2.0) / 2.0, one)
    assert torch.equal(path.at(0.0), clean)
    assert abs(float(one.std()) - 1.0) < 0.02
    assert abs(float((one * other).mean())) < 0.02


# Holding

STEPS = [9.0, 3.0, 1.0, 0.4, 0.1, 0.0]


def ancestral(start, move, denoise, draw):
    """A stochastic sampler, moved before each step and at its end."""
    x = start
    for level, after in itertools.pairwise(STEPS):
        x = move(x, level)
        up = min(after, (after**2 * (level**2 - after**2) / level**2) ** 0.5)
        down = (after**2 - up**2) ** 0.5
        x = x + (down - level) * (x - denoise(x, level)) / level + up * draw(x)
    return move(x, 0.0)


def recorded(denoise=linear):
    generator = torch.Generator().manual_seed(3)
    path = Scattered(CLEAN, lambda: torch.randn(CLEAN.shape, generator=generator).double())
    recording, start = Recording(), path.at(STEPS[0])
    ancestral(start, lambda x, s: recording.move(x, path.at(s)), denoise, torch.zeros_like)
    return start, recording, path


def other(x, sigma):
    """Another prompt: everything is a little brighter."""
    return linear(x, sigma) + 0.3


def replayed(denoise, **how):
    start, recording, _ = recorded()
    replay = Replay(recording, **how)
    return ancestral(start, lambda x, s: replay.move(x), denoise, torch.zeros_like)


def test_the_source_comes_back_exactly():
    assert torch.allclose(replayed(linear), CLEAN, atol=1e-12)
    assert not torch.allclose(replayed(other), CLEAN, atol=0.1)


def test_the_moves_are_the_noise_maps_of_edit_friendly_inversion():
    """z = (x_(t-1) - mu(x_t)) / sigma_t (arXiv 2304.06140, eq. 5), for the ancestral sampler."""
    _, recording, path = recorded()
    moves = iter(recording.moves[1:])
    for level, after in itertools.pairwise(STEPS):
        x = path.at(level)
        up = min(after, (after**2 * (level**2 - after**2) / level**2) ** 0.5)
        down = (after**2 - up**2) ** 0.5
        mean = x + (down - level) * (x - linear(x, level)) / level
        assert torch.allclose(next(moves), path.at(after) - mean, atol=1e-12)


def test_more_holds_back_and_at_one_nothing_changes():
    far = [float((replayed(other, more=more) - CLEAN).norm()) for more in (0.0, 0.3, 0.6, 1.0)]
    assert far == sorted(far, reverse=True)
    assert far[-1] < 1e-9


def test_what_the_first_step_changes_fades_by_more():
    _, recording, _ = recorded()
    n = len(recording.moves)
    replay = Replay(recording, more=0.75)
    x = recording.targets[0] + 1.0 - recording.moves[0]
    for place in range(n):
        x = replay.move(x)
        if place + 1 < n:
            x = (
                recording.targets[place + 1]
                - recording.moves[place + 1]
                + (x - recording.targets[place])
            )
    assert torch.allclose(x - CLEAN, torch.full_like(CLEAN, 0.25), atol=1e-9)


def test_it_stops():
    _, recording, _ = recorded()
    replay = Replay(recording, stop=0.5)
    held = []
    for _ in range(len(recording.moves) + 2):
        held.append(replay.holds)
        x = replay.move(CLEAN)
        assert torch.equal(x, CLEAN) == (not held[-1] or not recording.moves[len(held) - 1].any())
    assert held == [True] * 3 + [False] * 5
    assert not Replay(recording, stop=0.0).holds


def test_one_recording_holds_a_batch_of_the_same_picture():
    start, recording, _ = recorded()
    move = Replay(recording).move
    assert move(torch.cat([start, start])).shape[0] == 2 * len(start)
