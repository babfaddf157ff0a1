"""BCU on the right rows, however the WebUI batches them."""

import pytest

from webui.client import ON, PAPER, PROMPT, Result, alike, differ, same

BOTH = f"{PROMPT} AND a green hat :0.5"
LONG = ", ".join(["one blurry ugly thing on the grass"] * 14)
EBCA = {**ON, "edit_gamma_attn": 0.005}


@pytest.fixture(params=["one prompt", "cacao", "core and"])
def job(request):
    prompt = PROMPT if request.param == "one prompt" else BOTH
    means = "webui" if request.param == "core and" else "average"
    return {"prompt": prompt, "ebca": {**EBCA, "and_means": means}}


@pytest.mark.parametrize("negative", ["", LONG], ids=["short", "long"])
def test_rows_together_or_apart(any_webui, job, negative):
    job = {**job, "negative_prompt": negative, "batch_size": 2}
    apart = any_webui.txt2img(**job, override_settings={"batch_cond_uncond": False})
    assert alike(any_webui.txt2img(**job), apart)


@pytest.mark.parametrize("padding", ["pad_cond_uncond", "pad_cond_uncond_v0"])
@pytest.mark.parametrize("lengths", ["long prompt", "long negative prompt"])
def test_padded_rows_together_or_apart(webui, job, padding, lengths):
    if lengths == "long prompt":
        job = {**job, "prompt": f"{LONG} {job['prompt']}"}
    else:
        job = {**job, "negative_prompt": LONG}
    padded = {padding: True, "batch_cond_uncond": True}
    together = webui.txt2img(**job, override_settings=padded)
    apart = webui.txt2img(**job, override_settings={**padded, "batch_cond_uncond": False})
    assert alike(together, apart)
    assert differ(together, webui.txt2img(**{**job, "ebca": None}, override_settings=padded))


@pytest.mark.parametrize("padding", ["pad_cond_uncond", "pad_cond_uncond_v0"])
def test_padding_options_change_nothing_where_lengths_agree(webui, job, padding):
    assert same(webui.txt2img(**job), webui.txt2img(**job, override_settings={padding: True}))


def test_the_position_in_the_batch_does_not_matter(any_webui, job):
    batch = any_webui.txt2img(**job, batch_size=4)
    for position in (0, 3):
        alone = any_webui.txt2img(**job, seed=7 + position)
        assert alike(alone, Result([batch.pictures[position]], []))


def test_the_size_of_the_batch_does_not_matter(webui, job):
    """Eight at once, four at once, one by one."""
    eight = webui.txt2img(**job, batch_size=8)
    assert alike(eight, webui.txt2img(**job, batch_size=4, n_iter=2))
    assert alike(eight, webui.txt2img(**job, n_iter=8))


# Unconditional rows that are not computed


NGMS = {"s_min_uncond": 1e6}
"""As a setting: reForge does not take it from the job."""


def need_skipping(webui, **skip):
    """Skip the test on a host that does not do it."""
    if same(webui.txt2img(**skip), webui.txt2img()):
        pytest.skip("the host leaves no unconditional row out for a job that asks for it")


def test_without_guidance_the_unconditional_row_does_not_count(any_webui, job):
    """NGMS in all steps leaves the row out, CFG 1 multiplies it by nothing: the same picture."""
    left_out = {"override_settings": {**NGMS, "s_min_uncond_all": True}}
    need_skipping(any_webui, **left_out)
    if job["ebca"]["and_means"] == "webui":
        job = {**job, "prompt": f"{PROMPT} :0.5 AND {PROMPT} :0.5"}
    assert alike(any_webui.txt2img(**job, **left_out), any_webui.txt2img(**job, cfg_scale=1))


@pytest.mark.parametrize(
    "skip",
    [NGMS, {"skip_early_cond": 0.4}],
    ids=["NGMS", "skip early CFG"],
)
def test_skipped_unconditional_rows_are_no_trouble(any_webui, job, skip):
    skip = {"override_settings": skip}
    need_skipping(any_webui, **skip)
    on, off = any_webui.txt2img(**job, **skip), any_webui.txt2img(**{**job, "ebca": None}, **skip)
    assert differ(on, off, any_webui.txt2img(**job))
    batch = any_webui.txt2img(**job, **skip, batch_size=2)
    assert alike(on, Result(batch.pictures[:1], []))
    assert same(off, any_webui.txt2img(**{**job, "ebca": None}, **skip))


def test_at_cfg_1_the_update_counts(any_webui, job):
    job = {**job, "cfg_scale": 1}
    assert differ(any_webui.txt2img(**job), any_webui.txt2img(**{**job, "ebca": None}))


# The context of the negative prompt


def test_the_unconditional_context_is_updated_only_if_asked(any_webui):
    without, with_it = EBCA, {**EBCA, "update_unconditional": True}
    assert differ(any_webui.txt2img(ebca=without), any_webui.txt2img(ebca=with_it))


def test_the_unconditional_update_does_not_reach_the_conditional_row(any_webui):
    """At CFG 1 the unconditional row counts for nothing."""
    without, with_it = EBCA, {**EBCA, "update_unconditional": True}
    one = any_webui.txt2img(ebca=without, cfg_scale=1)
    assert alike(one, any_webui.txt2img(ebca=with_it, cfg_scale=1))


def test_the_unconditional_update_is_the_same_in_rows_apart(webui, job):
    job = {**job, "ebca": {**job["ebca"], "update_unconditional": True}, "batch_size": 2}
    apart = webui.txt2img(**job, override_settings={"batch_cond_uncond": False})
    assert alike(webui.txt2img(**job), apart)


def test_the_negative_prompt_counts(webui):
    assert differ(webui.txt2img(ebca=EBCA), webui.txt2img(ebca=EBCA, negative_prompt="blue"))


# InstructPix2Pix: a conditional row and two unconditional ones


@pytest.fixture
def pix2pix(edits, sketch):
    return lambda **job: edits.img2img(sketch, denoising_strength=1, **job)


def test_instruct_pix2pix_has_its_conditional_rows_updated(pix2pix):
    job = {"image_cfg_scale": 1.5, "ebca": EBCA}
    one = pix2pix(**job)
    assert differ(one, pix2pix(image_cfg_scale=1.5))
    assert alike(one, pix2pix(**job, override_settings={"batch_cond_uncond": False}))
    assert differ(one, pix2pix(image_cfg_scale=1.5, ebca={**EBCA, "update_unconditional": True}))


def test_instruct_pix2pix_composes_where_core_and_cannot(pix2pix):
    job = {"image_cfg_scale": 1.5}
    steps = {"gamma_attn": 0.01, "edit_gamma_attn": 0.01, "gamma_norm": 0, **PAPER}
    one = pix2pix(**job, prompt=f"{PROMPT} AND {PROMPT}", ebca=steps)
    assert alike(one, pix2pix(**job, ebca=steps))
    assert differ(one, pix2pix(**job, prompt=BOTH, ebca=steps))


def test_instruct_pix2pix_at_image_cfg_1_is_like_any_other(pix2pix):
    one = pix2pix(image_cfg_scale=1.0, ebca=EBCA)
    assert differ(one, pix2pix(image_cfg_scale=1.0))
