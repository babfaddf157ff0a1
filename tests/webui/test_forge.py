"""What Forge and its relatives do with a batch, by themselves and with EBCA: what `Denoiser` in
`tests/test_forge_host.py` stands for."""

import pytest

from webui.client import ON, RefusedError, alike, differ, same
from webui.conftest import checkpoint

LONG = ", ".join(["a red car"] * 30)  # two chunks of 77 tokens


@pytest.fixture
def calls(webui):
    """calls(**job): the calls of the UNet in a job of one step, on Forge."""

    def calls(**job):
        webui.txt2img(steps=1, sampler_name="Euler", **job)
        try:
            told = webui.get("/ebca-testing/calls")
        except RefusedError:
            pytest.skip("the WebUI lacks tests/webui/testing_extension, which tells of calls")
        if told[0]["order"] is None:
            pytest.skip("the WebUI is not of Forge's family")
        return [(call["rows"], call["tokens"], call["order"]) for call in told]

    return calls


def test_the_unconditional_rows_come_first(calls):
    assert calls(prompt="a cat") == [(2, 77, [1, 0])]
    assert calls(prompt="a cat", batch_size=3) == [(6, 77, [1, 0])]
    assert calls(prompt="a cat AND a dog AND a hat") == [(4, 77, [1, 0, 0, 0])]


def test_at_cfg_1_there_are_none(calls):
    assert calls(prompt="a cat", cfg_scale=1) == [(1, 77, [0])]
    assert calls(prompt="a cat", cfg_scale=1, ebca=ON) == [(1, 77, [0])]


def test_the_host_repeats_a_shorter_context_and_ebca_keeps_it_apart(calls):
    assert calls(prompt="a cat", negative_prompt=LONG) == [(2, 154, [1, 0])]
    assert calls(prompt="a cat", negative_prompt=LONG, ebca=ON) == [(1, 77, [0]), (1, 154, [1])]


def test_and_takes_one_row_with_ebca(calls):
    assert calls(prompt="a cat AND a dog", ebca=ON) == [(2, 77, [1, 0])]


def test_a_long_negative_prompt_changes_nothing_about_the_prompt_s_update(webui, calls):
    long = {"prompt": "a cat", "negative_prompt": LONG}
    calls(**long)  # or skips
    off, on = webui.txt2img(**long), webui.txt2img(ebca=ON, **long)
    nothing = {"gamma_attn": 0, "gamma_norm": 0, "gamma_spread": 0, "regions": 0, "contrast": 0}
    assert differ(off, on)
    assert alike(off, webui.txt2img(ebca=nothing, **long))


def test_nothing_is_left_on_the_model(webui):
    try:
        before = webui.get("/ebca-testing/left")
    except RefusedError:
        pytest.skip("the WebUI lacks tests/webui/testing_extension, which tells what is left")
    hires = {"enable_hr": True, "hr_scale": 1.5, "hr_upscaler": "Latent", "denoising_strength": 0.7}
    webui.txt2img(ebca=ON, prompt="a cat AND a dog", **hires)
    assert webui.get("/ebca-testing/left") == before


def test_ngms_leaves_out_the_unconditional_rows(webui):
    job = {"sampler_name": "Euler", "steps": 6}
    with webui.options(s_min_uncond=3.0):
        off, on = webui.txt2img(**job), webui.txt2img(ebca=ON, **job)
        assert differ(off, on)
        assert same(on, webui.txt2img(ebca=ON, **job))


@pytest.mark.parametrize("kind", ["sd2", "sdxl", "small"])
def test_every_kind_is_updated(host, kind):
    host.load(checkpoint(host, kind))
    assert differ(host.txt2img(), host.txt2img(ebca=ON))
