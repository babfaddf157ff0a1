"""Hires fix: same, off and only; its own prompt; any size and upscaler."""

import pytest

from webui.client import ON, PAPER, PROMPT, ZERO, alike, apart, differ, distance, same
from webui.conftest import checkpoint

B = "a green hat"
HIRES = {
    "enable_hr": True,
    "hr_scale": 1.5,
    "hr_upscaler": "Latent",
    "denoising_strength": 0.7,
    "hr_second_pass_steps": 4,
    "steps": 4,
}
WHEN = ["same", "off", "only"]


@pytest.fixture
def draw(webui):
    def draw(ebca=None, **job):
        return webui.txt2img(ebca=ebca, **{**HIRES, **job})

    return draw


def test_each_choice_is_another_picture(any_webui):
    results = [any_webui.txt2img(**HIRES, ebca={**ON, "hires": when}) for when in WHEN]
    assert differ(any_webui.txt2img(**HIRES), *results)


@pytest.mark.parametrize("when", WHEN)
def test_zero_step_sizes_are_off(draw, when):
    assert same(draw(), draw({**ZERO, "hires": when}))


@pytest.mark.parametrize("when", WHEN)
def test_nothing_is_left_behind(webui, draw, when):
    plain, hires = webui.txt2img(), draw()
    draw({**ON, "hires": when})
    assert same(plain, webui.txt2img())
    assert same(hires, draw())


def test_only_leaves_the_first_pass_alone(host):
    """A hires pass of one tiny step shows what the first pass has made, if the model is trained."""
    host.load(checkpoint(host, "small"))
    job = {**HIRES, "sampler_name": "Euler", "steps": 8, "hr_upscaler": "Nearest"}
    job |= {"hr_second_pass_steps": 1, "denoising_strength": 0.01}
    off, first, only, both = (
        host.txt2img(**job, ebca=ebca)
        for ebca in (None, {**ON, "hires": "off"}, {**ON, "hires": "only"}, ON)
    )
    assert apart(off, only) < 0.2 * apart(off, first)
    assert apart(first, both) < 0.2 * apart(only, both)


def test_without_hires_fix_only_is_off_and_off_is_on(webui):
    assert same(webui.txt2img(), webui.txt2img(ebca={**ON, "hires": "only"}))
    assert same(webui.txt2img(ebca=ON), webui.txt2img(ebca={**ON, "hires": "off"}))


# Prompts of its own


def test_the_hires_prompt_has_its_own_and(draw):
    steps = {"gamma_attn": 0.01, "gamma_norm": 0, "edit_gamma_attn": 0.01, **PAPER}
    composed = draw(steps, hr_prompt=f"{PROMPT} AND {B}")
    assert differ(composed, draw(steps), draw(hr_prompt=f"{PROMPT} AND {B}"))
    assert alike(draw(steps, hr_prompt=f"{PROMPT} AND {PROMPT}"), draw(steps))


def test_in_a_pass_without_ebca_and_is_the_core_and(draw):
    hires = {"hr_prompt": f"{PROMPT} AND {B}"}
    assert same(draw({**ZERO, "hires": "off"}, **hires), draw(**hires))
    first = {"prompt": f"{PROMPT} AND {B}", "hr_prompt": PROMPT}
    assert same(draw({**ZERO, "hires": "only"}, **first), draw(**first))


def test_the_first_prompt_s_and_is_the_hires_pass_s_too(draw):
    steps = {"gamma_attn": 0.01, "gamma_norm": 0, "edit_gamma_attn": 0.01, **PAPER}
    assert alike(draw(steps, prompt=f"{PROMPT} AND {PROMPT}"), draw(steps))


def test_the_hires_prompt_may_have_another_number_of_parts_and_a_schedule(draw):
    job = {
        "prompt": f"{PROMPT} AND {B}",
        "hr_prompt": f"{B} AND [:{PROMPT}:0.5] :0.5 AND crown :-0.3",
    }
    assert differ(draw(ON, **job), draw(**job))
    assert same(draw(ON, **job), draw(ON, **job))
    batch = draw(ON, **job, batch_size=2)
    assert distance(batch.pictures[0], draw(ON, **job).picture) < 0.05


def test_the_infotext_keeps_both_prompts(draw):
    job = {"prompt": f"{PROMPT} AND {B}", "hr_prompt": f"{B} AND crown :0.4"}
    infotext = draw({**ON, "hires": "only"}, **job).infotext
    assert infotext.startswith(f"{PROMPT} AND {B}\n")
    assert f'Hires prompt: "{B} AND crown :0.4",' in infotext
    assert "EBCA hires: only" in infotext


# Sizes, upscalers, samplers, checkpoints


@pytest.mark.parametrize(
    "size",
    [{"hr_scale": 1.3}, {"hr_scale": 2}, {"hr_resize_x": 72, "hr_resize_y": 104}],
    ids=["1.3", "2", "72x104"],
)
def test_any_size(draw, size):
    assert differ(draw(**size), draw({**ON, "hires": "only"}, **size))


@pytest.mark.parametrize("upscaler", ["Latent", "Latent (nearest-exact)", "Lanczos", "None"])
def test_any_upscaler(draw, upscaler):
    job = {"hr_upscaler": upscaler}
    assert differ(draw(**job), *(draw({**ON, "hires": when}, **job) for when in WHEN))


def test_another_sampler_for_the_hires_pass(draw):
    job = {"sampler_name": "DPM++ SDE", "hr_sampler_name": "Euler", "hr_scheduler": "Karras"}
    composed = {"prompt": f"{PROMPT} AND [:{B}:0.3]", "hr_prompt": f"{PROMPT} AND [:{B}:0.5]"}
    assert differ(draw(**job), *(draw({**ON, "hires": when}, **job) for when in WHEN))
    assert differ(draw(ON, **job, **composed), draw(ON, **job))


def test_another_checkpoint_for_the_hires_pass(webui, draw, other):
    plain, job = webui.txt2img(), {"hr_checkpoint_name": other}
    assert differ(draw(**job), *(draw({**ON, "hires": when}, **job) for when in WHEN))
    assert same(draw(**job), draw(ZERO, **job))
    assert same(plain, webui.txt2img())


def test_the_first_pass_s_conds_may_serve_for_both(draw):
    job = {"prompt": f"{PROMPT} AND [:{B}:0.3]"}
    job["override_settings"] = {"hires_fix_use_firstpass_conds": True}
    assert differ(draw(ON, **job), draw(**job), draw(ON))
    assert same(draw({**ZERO, "and_means": "webui"}, **job), draw(**job))


def test_windows_are_of_each_pass(draw):
    strong = {"gamma_attn": 0.3, "hires": "only"}
    windows = [strong, {**strong, "stop": 0.5}, {**strong, "start": 0.5}]
    assert differ(draw(), *(draw(window) for window in windows))
