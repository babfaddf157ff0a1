"""Nothing is left behind by a job that ends in the middle of its sampling."""

import contextlib
import threading

import pytest

from webui.client import ON, RefusedError, differ, distance, same
from webui.conftest import checkpoint

LONG = {"steps": 80}


def interrupted(webui, how, **job):
    """The result of a job that is told to stop while it samples."""
    results = []
    job = {**LONG, **job, "ebca": ON}
    thread = threading.Thread(target=lambda: results.append(webui.txt2img(**job)))
    thread.start()
    while webui.get("/sdapi/v1/progress?skip_current_image=true")["state"]["sampling_step"] < 3:
        assert thread.is_alive(), "the job was over before it could be stopped"
    webui.post(f"/sdapi/v1/{how}")
    thread.join()
    return results[0]


@pytest.fixture
def before(webui):
    return webui.txt2img(), webui.txt2img(ebca=ON)


def assert_clean(webui, before):
    off, on = before
    assert same(off, webui.txt2img())
    assert same(on, webui.txt2img(ebca=ON))


@pytest.mark.parametrize("how", ["interrupt", "skip"])
def test_an_interrupt_leaves_nothing_behind(webui, before, how):
    halfway = interrupted(webui, how)
    assert differ(halfway, webui.txt2img(**LONG, ebca=ON)), "it was not interrupted"
    assert_clean(webui, before)


def test_an_interrupt_of_cacao_leaves_nothing_behind(webui, before):
    both = {"prompt": "a red car AND a blue crown"}
    core = webui.txt2img(**both)
    interrupted(webui, "interrupt", **both)
    assert same(core, webui.txt2img(**both))
    assert_clean(webui, before)


def test_an_interrupt_with_a_refiner_leaves_nothing_behind(webui, before, other):
    refiner = {"refiner_checkpoint": other, "refiner_switch_at": 0.01}
    interrupted(webui, "interrupt", **refiner)
    assert_clean(webui, before)


def test_a_skipped_batch_does_not_change_the_next(webui):
    whole = webui.txt2img(**LONG, ebca=ON, n_iter=2)
    skipped = interrupted(webui, "skip", n_iter=2)
    assert distance(skipped.pictures[0], whole.pictures[0]) > 0.4
    assert distance(skipped.pictures[1], whole.pictures[1]) == 0


def test_an_exception_in_the_middle_of_sampling_leaves_nothing_behind(host, sketch, half):
    """The WebUI itself fails with a 9-channel checkpoint where it skips the unconditional rows."""
    host.load(checkpoint(host, "inpaint"))
    job = {"mask": half}
    before = host.img2img(sketch, **job), host.img2img(sketch, **job, ebca=ON)
    fails = {"s_min_uncond": 1e6}  # from the second step on
    with contextlib.suppress(RefusedError):
        host.img2img(sketch, **job, **fails, ebca=ON)
        pytest.skip("this WebUI does not fail there")
    assert same(before[0], host.img2img(sketch, **job))
    assert same(before[1], host.img2img(sketch, **job, ebca=ON))


def test_step_sizes_that_destroy_the_picture_leave_nothing_behind(webui, before):
    webui.txt2img(ebca={"gamma_attn": 10, "gamma_norm": 10, "scale_with_depth": False})
    assert_clean(webui, before)
