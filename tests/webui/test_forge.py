"""What Forge and its relatives do with a batch, by themselves and with EBCA: what `Denoiser` in
`tests/test_forge_host.py` stands for."""

import pytest

from webui.client import ON, ZERO, RefusedError, alike, differ, same
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
    assert differ(off, on)
    assert same(off, webui.txt2img(ebca=ZERO, **long))


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


# Weights in 8 bits, and LoRAs on the fly

LORA = "ebca-test"


@pytest.fixture
def stored(host):
    """stored(how) loads the SD1 checkpoint as Forge is to store its UNet."""
    name, other = "forge_unet_storage_dtype", checkpoint(host, "other")
    if not host.has_setting(name):
        pytest.skip(f"the WebUI has no setting {name}")

    def stored(how):
        host.set_options(**{name: how})
        host.load(other)  # a model is loaded anew only when another one is wanted
        host.load(checkpoint(host, "sd1"))
        return host

    yield stored
    stored("Automatic")


@pytest.mark.parametrize("how", ["float8-e4m3fn", "float8-e5m2"])
def test_weights_in_8_bits(stored, how):
    full = stored("Automatic").txt2img()
    webui = stored(how)
    off, on = webui.txt2img(), webui.txt2img(ebca=ON)
    assert differ(full, off, on)
    assert same(off, webui.txt2img(ebca=ZERO))
    both = {**ON, "edit_gamma_attn": ON["gamma_attn"], "edit_gamma_norm": ON["gamma_norm"]}
    twice = webui.txt2img(ebca=both, prompt="a cat AND a cat")
    assert alike(twice, webui.txt2img(ebca=ON, prompt="a cat"))


def test_a_lora_on_the_fly(stored):
    webui = stored("float8-e4m3fn (fp16 LoRA)")
    if LORA not in webui.names("loras"):
        pytest.skip(f"the WebUI has no lora {LORA}")
    tagged = {"prompt": f"a cat and a dog <lora:{LORA}:1>"}
    plain = {"prompt": "a cat and a dog"}
    before = webui.txt2img(ebca=ON, **plain)
    assert differ(
        webui.txt2img(**tagged), webui.txt2img(ebca=ON, **tagged), before, webui.txt2img(**plain)
    )
    assert same(webui.txt2img(**tagged), webui.txt2img(ebca=ZERO, **tagged))
    assert same(before, webui.txt2img(ebca=ON, **plain))
