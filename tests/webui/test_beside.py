"""Beside other people's extensions; each test needs one of them installed on the live WebUI."""

import numpy as np
import pytest

from webui.client import ON, PAPER, ZERO, RefusedError, alike, apart, differ, same
from webui.conftest import checkpoint
from webui.neighbours import arguments, incantations, reference_only, regional, tiled

A, B = "a red car", "a blue crown"
BOTH = f"{A} AND {B}"
UPDATE = {"gamma_attn": 0.02, "gamma_norm": 0.01, **PAPER}
BAD = {"gamma_attn": 99}


def on(scripts, **ebca):
    return {"alwayson_scripts": scripts, "ebca": ebca}


# ControlNet


@pytest.mark.parametrize("kind", ["sd1", "sdxl"])
def test_a_prompt_and_itself_is_the_prompt_beside_controlnet(host, sketch, kind):
    host.load(checkpoint(host, kind))
    scripts = reference_only(host, sketch)
    beside = on(scripts, **ZERO)
    one, plain = host.txt2img(prompt=A, **beside), host.txt2img(prompt=A)
    if not same(host.txt2img(prompt=A, alwayson_scripts=scripts), plain):
        assert differ(one, plain)  # reForge's does nothing in so narrow a model
    assert alike(host.txt2img(prompt=f"{A} AND {A} :0.5", **beside), one)
    assert differ(host.txt2img(prompt=f"{A} AND {B} :0.5", **beside), one)


def test_hires_fix_and_a_schedule_beside_controlnet(webui, sketch):
    hires = {"enable_hr": True, "hr_scale": 1.5, "hr_upscaler": "Latent", "denoising_strength": 0.7}
    beside = {**on(reference_only(webui, sketch), **ZERO), **hires}
    one = webui.txt2img(prompt=f"[{A}:{B}:0.5]", **beside)
    twice = webui.txt2img(prompt=f"[{A}:{B}:0.5] AND [{A}:{B}:0.5] :0.5", **beside)
    assert alike(one, twice)


# A refusal


@pytest.mark.parametrize("job", [{"ebca": BAD}, {"ebca": ON, "prompt": "a :-1 AND b"}])
def test_a_refusal_beside_controlnet_leaves_nothing(webui, sketch, job):
    before = webui.txt2img(prompt=A)
    beside = {"alwayson_scripts": reference_only(webui, sketch)}
    with_it = webui.txt2img(prompt=A, **beside)
    webui.txt2img(prompt=B)
    with pytest.raises(RefusedError) as error:
        webui.txt2img(**{"prompt": A, **beside, **job})
    assert error.value.status == 422
    assert same(webui.txt2img(prompt=A), before)
    with pytest.raises(RefusedError):
        webui.txt2img(**{"prompt": A, **beside, **job})
    assert same(webui.txt2img(prompt=A, **beside), with_it)


@pytest.mark.parametrize("job", [{"ebca": BAD}, {"ebca": ON, "prompt": "a :-1 AND b"}])
@pytest.mark.parametrize(
    "wanted",
    [
        {"Active__3": True, "PAG_Scale": 3, "Use_Saliency_Adaptive_Noise_Fusion": True},
        {"Active__2": True, "SCFG_R": 1},
    ],
    ids=["SANF", "S-CFG"],
)
def test_a_refusal_beside_incantations_leaves_nothing(webui, job, wanted):
    before = webui.txt2img(prompt=A)
    with pytest.raises(RefusedError) as error:
        webui.txt2img(**{"prompt": A, "alwayson_scripts": incantations(webui, **wanted), **job})
    assert error.value.status == 422
    assert same(webui.txt2img(prompt=A), before)


@pytest.mark.parametrize("job", [{"ebca": BAD}, {"ebca": ON, "prompt": "a :-1 AND b"}])
def test_a_refusal_beside_those_who_begin_early_leaves_nothing(webui, job):
    size = {"width": 192, "height": 192}
    before = webui.txt2img(prompt=A, **size)
    job = {"prompt": A, **size, **job}
    for scripts in (tiled(webui), regional(webui, "Attention")):
        with pytest.raises(RefusedError):
            webui.txt2img(**{**job, "alwayson_scripts": scripts})
        assert same(webui.txt2img(prompt=A, **size), before)


# incantations


def test_s_cfg_beside_the_sum_and_the_contrast(webui):
    scripts = incantations(webui, Active__2=True, SCFG_R=1)
    alone = webui.txt2img(prompt=BOTH)
    beside = on(scripts)
    one = webui.txt2img(prompt=f"{A} and {B} AND a hat", **beside)
    assert same(one, webui.txt2img(prompt=f"{A} and {B} AND a hat", **beside))
    assert same(webui.txt2img(prompt=BOTH), alone)
    twice = webui.txt2img(prompt=f"{A} AND {A} :0.5", **on(scripts, **ZERO))
    theirs = webui.txt2img(prompt=A, alwayson_scripts=scripts)
    assert apart(twice, theirs) < 0.3  # its maps have an argmax
    assert apart(theirs, webui.txt2img(prompt=A)) > 1


def test_pag_does_not_multiply_what_ebca_does(webui):
    """Perturbed or not, EBCA is in both evaluations, so that their difference is PAG's alone."""

    def effect(scale):
        scripts = incantations(webui, Active__3=True, PAG_Scale=scale)
        without = webui.txt2img(prompt=A, alwayson_scripts=scripts)
        return apart(webui.txt2img(prompt=A, **on(scripts, **UPDATE)), without)

    assert effect(8) < 1.5 * effect(0.0001)


# Regional Prompter


def test_regional_prompter_keeps_its_regions_in_latent_mode(webui):
    prompt = f"{A} BREAK {B}"
    beside = regional(webui, "Latent")
    theirs = webui.txt2img(prompt=prompt, alwayson_scripts=beside)
    assert differ(theirs, webui.txt2img(prompt=prompt))
    left = webui.txt2img(prompt=prompt, **on(beside, **ZERO))
    assert same(left, theirs)
    assert left.labels["and_means"] == "webui"
    assert differ(webui.txt2img(prompt=prompt, **on(beside, **UPDATE)), theirs)


def test_a_prompt_and_itself_is_the_prompt_in_every_region(webui):
    words = "disable convert 'AND' to 'BREAK'"
    beside = on(regional(webui, "Attention", Options=[words]), **ZERO)
    one = webui.txt2img(prompt=f"{A} BREAK {A}", **beside)
    assert differ(one, webui.txt2img(prompt=f"{A} BREAK {B}", **beside))
    assert alike(webui.txt2img(prompt=f"{A} BREAK {A} AND {A} :0.5", **beside), one)


def test_latent_couple_keeps_its_prompts(webui):
    scripts = arguments(webui, "latent couple extension", Enabled=True)
    prompt = f"a house AND {A} AND {B}"
    theirs = webui.txt2img(prompt=prompt, alwayson_scripts=scripts)
    left = webui.txt2img(prompt=prompt, **on(scripts, **ZERO))
    assert differ(theirs, webui.txt2img(prompt=prompt))
    assert same(left, theirs)
    assert left.labels["compose"] == "webui"


# Neutral Prompt


def test_and_is_cacao_beside_neutral_prompt(webui):
    arguments(webui, "neutral prompt")
    one = webui.txt2img(prompt=A, ebca=ZERO)
    assert alike(webui.txt2img(prompt=f"{A} AND {A} :0.5", ebca=ZERO), one)
    batch = {"batch_size": 2, "prompt": f"{A} AND {A} :0.5"}
    assert alike(webui.txt2img(**batch, ebca=ZERO), webui.txt2img(**{**batch, "prompt": A}))
    both = webui.txt2img(prompt=BOTH, ebca=ZERO)
    assert differ(both, one, webui.txt2img(prompt=BOTH))
    assert both.labels.get("and_means") != "webui"


def test_its_own_keywords_stay_neutral_prompts(webui):
    arguments(webui, "neutral prompt")
    for prompt in (f"{A} AND_PERP {B}", f"[{A} AND {B}] AND {B}"):
        theirs = webui.txt2img(prompt=prompt)
        left = webui.txt2img(prompt=prompt, ebca=ZERO)
        assert same(left, theirs)
        assert left.labels["and_means"] == "webui"
        assert same(webui.txt2img(prompt=prompt), theirs)


def test_ebca_does_not_change_what_neutral_prompt_has_read(webui):
    arguments(webui, "neutral prompt")
    job = {"prompt": f"{A} AND_PERP {B} :0.7", "batch_size": 2}
    theirs = webui.txt2img(**job)
    webui.txt2img(prompt=BOTH, ebca=ON)
    assert same(webui.txt2img(**job, ebca=ZERO), theirs)
    assert same(webui.txt2img(**job), theirs)


# Tiled Diffusion, Kohya hires.fix


SIZE = {"width": 192, "height": 192, "sampler_name": "Euler"}


@pytest.mark.parametrize("method", ["MultiDiffusion", "Mixture of Diffusers"])
@pytest.mark.parametrize("tiles", [1, 2, 4])
def test_a_prompt_and_itself_is_the_prompt_in_every_tile(webui, method, tiles):
    scripts = tiled(webui, Method=method, Latent_tile_batch_size=tiles)
    job = {**SIZE, "batch_size": 2, "steps": 3}
    one = webui.txt2img(prompt=A, alwayson_scripts=scripts, **job)
    twice = webui.txt2img(prompt=f"{A} AND {A} :0.5", **job, **on(scripts, **ZERO))
    assert alike(twice, one)
    other = webui.txt2img(prompt=f"{A} AND {B} :0.5", **job, **on(scripts, **ZERO))
    assert differ(other, one)


def test_the_number_of_tiles_at_once_does_not_matter(webui):
    """Nor does it whether the last group is full."""
    pictures = [
        webui.txt2img(prompt=BOTH, **SIZE, **on(tiled(webui, Latent_tile_batch_size=n), **UPDATE))
        for n in (1, 2, 5)
    ]
    assert alike(pictures[0], pictures[1])
    assert alike(pictures[0], pictures[2])


def test_subjects_get_no_regions_in_tiles_and_the_job_says_so(webui, comments):
    regions = {"regions": 1, "gamma_attn": 0, "contrast": 0}
    prompt = f"{A} and {B}"
    job = {**SIZE, "prompt": prompt, "steps": 4}
    assert differ(webui.txt2img(**job, ebca=regions), webui.txt2img(**job))
    scripts = tiled(webui)
    theirs = webui.txt2img(**job, alwayson_scripts=scripts)
    assert same(webui.txt2img(**job, **on(scripts, **regions)), theirs)
    if (lines := comments()) is not None:
        assert any("in pieces" in line for line in lines), lines


def larger(picture, times):
    return np.kron(picture, np.ones((times, times, 1)[: picture.ndim], np.uint8))


def test_tiles_beside_a_mask(webui, sketch, half):
    picture, mask = larger(sketch, 3), larger(half, 3)
    job = {"mask": mask, **SIZE, "inpaint_full_res": False, "mask_blur": 0}
    on_tiles = webui.img2img(picture, **job, **on(tiled(webui), **UPDATE))
    assert on_tiles.labels["mask"] == "False"
    assert differ(on_tiles, webui.img2img(picture, **job, alwayson_scripts=tiled(webui)))


def test_regions_of_tiled_diffusion_keep_their_prompts(webui):
    region = {"Enable_Control": True, "Draw_full_canvas_background": True, "Enable_Region_1": True}
    scripts = tiled(webui, **region)
    theirs = webui.txt2img(prompt=BOTH, **SIZE, alwayson_scripts=scripts)
    left = webui.txt2img(prompt=BOTH, **SIZE, **on(scripts, **ZERO))
    assert same(left, theirs)
    assert left.labels["and_means"] == "webui"


def test_kohya_hires_fix_beside_a_mask(webui, sketch, half):
    scales = {"Downsampling_scale": 0.75, "Upsampling_scale": 1.34}
    scripts = arguments(webui, "kohya hires.fix", first=True, **scales)
    job = {"mask": larger(half, 2), "width": 128, "height": 128, "inpaint_full_res": False}
    result = webui.img2img(larger(sketch, 2), **job, **on(scripts, **UPDATE))
    assert result.labels["mask"] == "partly"
