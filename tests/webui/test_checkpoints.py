"""Checkpoints that change: refiner, override_settings, SD1, SD2 and SDXL in turn."""

import pytest

from webui.client import ON, PAPER, PROMPT, ZERO, Result, alike, differ, same
from webui.conftest import checkpoint

B = "a green hat"
STEPS = {"gamma_attn": 0.01, "gamma_norm": 0, "edit_gamma_attn": 0.01, **PAPER}


@pytest.fixture
def refined(webui, other):
    """Pictures whose second half another checkpoint makes."""

    def refined(ebca=None, **job):
        job = {"refiner_checkpoint": other, "refiner_switch_at": 0.5, "steps": 6, **job}
        return webui.txt2img(ebca=ebca, **job)

    return refined


def test_both_halves_of_a_refined_picture_are_updated(refined):
    strong = {**ON, "gamma_attn": 0.1}
    windows = [strong, {**strong, "stop": 0.5}, {**strong, "start": 0.5}]
    assert differ(refined(), *(refined(window) for window in windows))


def test_a_refined_picture_without_step_sizes_is_the_webui_s(refined):
    assert same(refined(), refined(ZERO))
    both = f"{PROMPT} AND {B} :0.5"
    assert same(refined(prompt=both), refined({**ZERO, "and_means": "webui"}, prompt=both))


def test_the_refiner_composes_too(refined):
    assert alike(refined(STEPS, prompt=f"{PROMPT} AND {PROMPT}"), refined(STEPS))
    composed = refined(STEPS, prompt=f"{PROMPT} AND {B} :0.5")
    late = {**STEPS, "edit_start": 0.5}
    assert differ(composed, refined(STEPS))
    assert not same(refined(STEPS), refined(late, prompt=f"{PROMPT} AND {B} :0.5"))


def test_a_refiner_leaves_nothing_behind(webui, refined, other):
    before = webui.txt2img(), webui.txt2img(ebca=ON)
    refined(ON, prompt=f"{PROMPT} AND {B}")
    assert same(before[0], webui.txt2img())
    assert same(before[1], webui.txt2img(ebca=ON))
    override = {"override_settings": {"sd_model_checkpoint": other}}
    theirs = webui.txt2img(**override)
    refined(ON)
    assert same(theirs, webui.txt2img(**override))


def test_batches_of_a_refined_picture_are_alike(refined):
    one, two = refined(ON, n_iter=2).pictures, refined(ON, batch_size=2).pictures
    assert alike(Result(one, []), Result(two, []))


def test_a_refiner_in_the_hires_pass(refined):
    hires = {"enable_hr": True, "hr_scale": 1.5, "hr_upscaler": "Latent"}
    job = {**hires, "denoising_strength": 0.7}
    assert differ(refined(**job), refined(ON, **job), refined({**ON, "hires": "only"}, **job))
    assert same(refined(**job), refined(ZERO, **job))


def test_a_refiner_of_another_depth(webui):
    """The small model has fewer layers, of another width."""
    theirs, job = checkpoint(webui, "small"), {"refiner_switch_at": 0.5, "steps": 6}
    off = webui.txt2img(refiner_checkpoint=theirs, **job)
    assert differ(off, webui.txt2img(refiner_checkpoint=theirs, **job, ebca=ON))
    assert same(off, webui.txt2img(refiner_checkpoint=theirs, **job))


@pytest.mark.parametrize("theirs", ["other", "sd2", "sdxl", "small"])
def test_an_override_of_the_checkpoint_is_as_a_switch(webui, theirs):
    mine, name = checkpoint(webui, "sd1"), checkpoint(webui, theirs)
    before = webui.txt2img(ebca=ON), webui.txt2img()
    override = {"override_settings": {"sd_model_checkpoint": name}}
    overridden = webui.txt2img(**override, ebca=ON), webui.txt2img(**override)
    assert same(before[0], webui.txt2img(ebca=ON))
    assert same(before[1], webui.txt2img())
    webui.load(name)
    assert same(overridden[0], webui.txt2img(ebca=ON))
    assert same(overridden[1], webui.txt2img())
    webui.load(mine)


def test_the_checkpoint_that_is_overridden_is_the_one_that_is_checked(webui):
    """SDXL has 70 layers, SD1 sixteen."""
    name, last = checkpoint(webui, "sdxl"), {**ON, "layers": "0-69"}
    override = {"override_settings": {"sd_model_checkpoint": name}}
    assert differ(webui.txt2img(**override), webui.txt2img(**override, ebca=last))


def test_all_kinds_in_turn(host):
    kinds = ["sd1", "sdxl", "sd2", "small", "other", "sd1"]
    results = []
    for kind in kinds:
        host.load(checkpoint(host, kind))
        results.append((host.txt2img(), host.txt2img(ebca=ON)))
        assert differ(*results[-1])
    assert same(results[0][0], results[-1][0])
    assert same(results[0][1], results[-1][1])


def test_steps_mean_the_same_at_any_depth(host):
    """SDXL's 70 layers take 16/70 of the step each, unless they are told otherwise."""
    host.load(checkpoint(host, "sdxl"))
    scaled = host.txt2img(ebca={"gamma_attn": 0.07, "gamma_norm": 0.035, **PAPER})
    sizes = {"gamma_attn": 0.016, "gamma_norm": 0.008, "scale_with_depth": False, **PAPER}
    assert alike(scaled, host.txt2img(ebca=sizes))
    assert differ(scaled, host.txt2img(ebca={**sizes, "scale_with_depth": True}))


def test_clip_skip(any_webui):
    job = {"override_settings": {"CLIP_stop_at_last_layers": 2}}
    off = any_webui.txt2img(**job)
    assert differ(off, any_webui.txt2img(**job, ebca=ON))
    twice = any_webui.txt2img(**job, prompt=f"{PROMPT} AND {PROMPT}", ebca=ZERO)
    assert alike(off, twice)
