"""Every sampler and scheduler of the host; windows follow the schedule as the user sees it."""

import pytest

from webui.client import ON, PROMPT, ZERO, RefusedError, alike, apart, differ, same

FULL, FIRST, LAST = ON, {**ON, "stop": 0.5}, {**ON, "start": 0.5}
FAR = {"gamma_attn": 0.2, "gamma_norm": 0.02, "regions": 0}
"""For windows at the end, where a step is small."""

NEARLY_ALL_AT_FIRST = {"Euler SMEA DY CFG++", "DPM++ 2S Ancestral CFG++ Dyn", "ODE Custom"}
"""Of reForge; the second half of their steps moves a picture by 0.02 to 0.2 levels."""

OTHER_STEPS = {"ODE (Bosh3)", "ODE Custom"}
"""Of reForge; after another rounding these solvers take other steps."""


def job_of(sampler):
    return {"sampler_name": sampler, "steps": 6}


def test_a_window_of_all_steps_is_no_window(webui, sampler):
    """Editorial prompts' window makes EBCA look at the time, but there are none."""
    timed = {**FULL, "edit_start": 0.3, "edit_stop": 0.7}
    one = webui.txt2img(**job_of(sampler), ebca=timed)
    assert same(one, webui.txt2img(**job_of(sampler), ebca=FULL))


def test_each_half_of_the_steps_counts(webui, sampler):
    off = webui.txt2img(**job_of(sampler))
    if not max(picture.std() for picture in off.pictures):
        pytest.skip(f"{sampler} makes an empty picture of this model")
    windows = FAR, {**FAR, "stop": 0.5}, {**FAR, "start": 0.5}
    try:
        whole, early, late = (webui.txt2img(**job_of(sampler), ebca=each) for each in windows)
    except RefusedError as error:
        if "max_num_steps exceeded" in str(error):
            pytest.skip(f"{sampler} gives up by itself")
        raise
    if sampler in NEARLY_ALL_AT_FIRST:
        assert differ(off, whole)
        assert differ(off, early)
        assert not same(whole, early)
        assert not same(off, late)
    else:
        assert differ(off, whole, early, late)
    assert same(off, webui.txt2img(**job_of(sampler), ebca=ZERO))


def test_a_window_after_the_last_step_has_begun_is_off(webui, sampler):
    if sampler in ("DPM adaptive", "DPM fast"):
        pytest.skip(f"{sampler} chooses its steps by itself")
    late = webui.txt2img(sampler_name=sampler, steps=4, ebca={**FAR, "start": 0.99})
    assert same(late, webui.txt2img(sampler_name=sampler, steps=4))


def test_two_halves_of_a_window_are_told_apart_step_by_step(webui, sampler):
    """Six steps: a window from 0.5 on and one from just before the fourth step are the same."""
    if sampler in ("DPM adaptive", "DPM fast"):
        pytest.skip(f"{sampler} chooses its steps by itself")
    one = webui.txt2img(**job_of(sampler), ebca={**FAR, "start": 0.5})
    assert same(one, webui.txt2img(**job_of(sampler), ebca={**FAR, "start": 0.4}))


def test_cacao_of_a_prompt_and_itself_is_the_prompt(webui, sampler):
    twice = webui.txt2img(**job_of(sampler), prompt=f"{PROMPT} AND {PROMPT}", ebca=ZERO)
    once = webui.txt2img(**job_of(sampler))
    if sampler in OTHER_STEPS:
        assert apart(twice, once) < 1  # a far update moves their pictures by 40
    else:
        assert alike(twice, once)


def test_rows_together_or_apart(webui, sampler):
    apart = {"override_settings": {"batch_cond_uncond": False}}
    job = {**job_of(sampler), "ebca": FIRST}
    assert alike(webui.txt2img(**job), webui.txt2img(**job, **apart))


def test_every_scheduler_has_windows(webui, scheduler):
    job = {"sampler_name": "Euler", "scheduler": scheduler, "steps": 6}
    off = webui.txt2img(**job)
    windows = FAR, {**FAR, "stop": 0.5}, {**FAR, "start": 0.5}
    whole, early, late = (webui.txt2img(**job, ebca=window) for window in windows)
    assert differ(off, whole)
    assert differ(off, early)
    assert not same(whole, early)  # some schedulers do nearly all at the beginning
    assert not same(off, late)
    assert same(off, webui.txt2img(**job, ebca={**FAR, "start": 0.99}))


@pytest.mark.parametrize("sampler_name", ["DDIM", "Euler", "DPM++ 2M"])
def test_windows_of_one_step_are_where_they_should_be(any_webui, sampler_name):
    def draw(**window):
        return any_webui.txt2img(**job_of(sampler_name), ebca={**FAR, **window})

    first = draw(stop=0.01)
    assert same(first, draw(stop=0.16))
    assert not same(first, draw(stop=0.17))
    last = draw(start=0.83)
    assert same(last, draw(start=0.67))
    assert not same(last, draw(start=0.66))
    assert not same(last, draw(start=0.84))


@pytest.mark.parametrize("steps", [1, 2])
def test_few_steps(webui, steps):
    job = {"steps": steps, "sampler_name": "Euler"}
    assert differ(webui.txt2img(**job), webui.txt2img(**job, ebca=ON))


# img2img


@pytest.mark.parametrize("sampler_name", ["DDIM", "Euler", "DPM++ SDE", "UniPC"])
@pytest.mark.parametrize("denoising", [0, 0.3, 1])
def test_img2img_at_any_strength(webui, sketch, sampler_name, denoising):
    job = {"denoising_strength": denoising, "sampler_name": sampler_name, "steps": 12}
    if denoising == 0 and sampler_name in ("DDIM", "UniPC"):
        pytest.skip(f"{sampler_name} of the WebUI takes no step, or fails, at denoising 0")
    off, on = webui.img2img(sketch, **job), webui.img2img(sketch, **job, ebca=FAR)
    assert not same(off, on)
    assert same(off, webui.img2img(sketch, **job, ebca=ZERO))


@pytest.mark.parametrize("sampler_name", ["DDIM", "Euler", "DPM++ SDE"])
def test_windows_of_img2img_are_of_the_steps_that_are_done(webui, sketch, sampler_name):
    job = {"denoising_strength": 0.5, "sampler_name": sampler_name, "steps": 12}
    windows = [FAR, {**FAR, "stop": 0.5}, {**FAR, "start": 0.5}, ZERO]
    assert differ(*(webui.img2img(sketch, **job, ebca=window) for window in windows))
