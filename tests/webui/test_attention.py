"""Every attention optimisation of the host, token merging, hypertile, storage and precision."""

import pytest

from webui.client import ON, PROMPT, ZERO, alike, apart, differ, same

BOTH = f"{PROMPT} AND a green hat :0.5"
EBCA = {**ON, "edit_gamma_attn": 0.01}
LONG = ", ".join([PROMPT] * 14)


def test_every_attention_optimisation_gives_the_same(any_webui, attention):
    jobs = [
        {"ebca": None},
        {"ebca": ON},
        {"ebca": EBCA, "prompt": BOTH},
        {"ebca": {**EBCA, "and_means": "webui"}, "prompt": BOTH},
        {"ebca": EBCA, "prompt": f"{BOTH} AND {LONG} :0.3"},
    ]
    before = [any_webui.txt2img(**job) for job in jobs]
    with any_webui.options(cross_attention_optimization=attention):
        now = [any_webui.txt2img(**job) for job in jobs]
    after = [any_webui.txt2img(**job) for job in jobs]
    assert list(map(apart, before, now)) == pytest.approx([0] * len(jobs), abs=0.05)
    assert list(map(apart, before, after)) == pytest.approx([0] * len(jobs), abs=0.05)


def test_every_attention_optimisation_leaves_the_mask_alone(webui, attention, sketch, half):
    job = {"mask": half, "inpaint_full_res": False, "ebca": ON}
    before = webui.img2img(sketch, **job)
    with webui.options(cross_attention_optimization=attention):
        assert alike(before, webui.img2img(sketch, **job))


def with_settings(webui, **settings):
    """A function that makes a picture under settings."""
    return lambda **job: webui.txt2img(**job, override_settings=settings)


def assert_works(draw):
    """EBCA does what it does without settings: something; nothing at zero; an average."""
    off = draw()
    assert differ(off, draw(ebca=ON), draw(ebca=EBCA, prompt=BOTH))
    assert same(off, draw(ebca=ZERO))
    assert alike(off, draw(ebca=ZERO, prompt=f"{PROMPT} AND {PROMPT}"))


def test_token_merging(any_webui):
    plain = any_webui.txt2img(ebca=ON)
    draw = with_settings(any_webui, token_merging_ratio=0.5)
    assert_works(draw)
    assert same(plain, any_webui.txt2img(ebca=ON))


def test_token_merging_is_at_work_in_every_tab(webui, sketch):
    merged = webui.txt2img(ebca=ON, override_settings={"token_merging_ratio": 0.5})
    assert differ(merged, webui.txt2img(ebca=ON))
    job = {"override_settings": {"token_merging_ratio_img2img": 0.5}, "ebca": ON}
    assert differ(webui.img2img(sketch, **job), webui.img2img(sketch, ebca=ON))
    hires = {"enable_hr": True, "hr_scale": 1.5, "hr_upscaler": "Latent", "ebca": ON}
    hires["denoising_strength"] = 0.7
    merged = webui.txt2img(**hires, override_settings={"token_merging_ratio_hr": 0.5})
    assert differ(merged, webui.txt2img(**hires))


def test_hypertile(webui):
    if "hypertile_enable_unet" not in webui.get("/sdapi/v1/options"):
        pytest.skip("the WebUI has no hypertile")
    size = {"width": 256, "height": 128, "steps": 3}
    draw = with_settings(webui, hypertile_enable_unet=True, hypertile_max_tile_unet=128)
    assert_works(lambda **job: draw(**size, **job))
    assert differ(draw(**size, ebca=ON), webui.txt2img(**size, ebca=ON))


@pytest.mark.parametrize("emphasis", ["None", "Ignore", "Original", "No norm"])
def test_emphasis(webui, emphasis):
    draw = with_settings(webui, emphasis=emphasis)
    prompt = "a (red:1.5) car and a [blue] crown"
    assert differ(draw(prompt=prompt), draw(prompt=prompt, ebca=ON))
    twice = draw(prompt=f"{prompt} AND {prompt}", ebca=ZERO)
    assert alike(draw(prompt=prompt), twice)


@pytest.mark.parametrize(
    "settings",
    [
        {"upcast_attn": True},
        {"comma_padding_backtrack": 0},
        {"use_old_scheduling": True},
        {"use_old_emphasis_implementation": True},
        {"sdxl_crop_left": 8},
        {"eta_noise_seed_delta": 31337},
        {"enable_batch_seeds": False},
        {"persistent_cond_cache": False},
        {"randn_source": "CPU"},
        {"sgm_noise_multiplier": True},
        {"always_discard_next_to_last_sigma": True},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_other_settings(webui, settings):
    draw = with_settings(webui, **settings)
    assert_works(draw)
    job = {"prompt": f"{PROMPT} AND [:a green hat:0.3]", "batch_size": 2}
    assert differ(draw(**job, ebca=ON), draw(**job))
    assert same(webui.txt2img(ebca=ON), webui.txt2img(ebca=ON, override_settings={}))


def test_fp8_storage(webui):
    """Its rounding is rough (two attention optimisations of the WebUI are a level apart), and
    some of it stays when it is switched off again."""
    before = webui.txt2img(), webui.txt2img(ebca=ON)
    with webui.options(fp8_storage="Enable"):
        if "FP8 weight: Enable" not in webui.txt2img().infotext:
            pytest.skip("the WebUI stores no weights in fp8 on this device")
        off = webui.txt2img()
        assert differ(off, webui.txt2img(ebca=ON), webui.txt2img(ebca=EBCA, prompt=BOTH))
        assert same(off, webui.txt2img(ebca=ZERO))
        weighed = {**ON, "token_weights": "red:3"}
        assert differ(webui.txt2img(ebca=weighed), webui.txt2img(ebca=ON))
    assert alike(before[0], webui.txt2img())
    assert alike(before[1], webui.txt2img(ebca=ON))
