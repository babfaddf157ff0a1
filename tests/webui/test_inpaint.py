"""Inpainting: masked BCU sees the pixels that are repainted, at any shape and size."""

import numpy as np
import pytest

from webui.client import ON, PAPER, PROMPT, ZERO, alike, differ, distance, same
from webui.conftest import checkpoint

MASKED, UNMASKED = {**ON, "mask": True}, {**ON, "mask": False}
KINDS = ["sd1", "inpaint", "sdxl"]


@pytest.fixture(scope="session", params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def paint(host, kind, sketch, half):
    """A picture repainted in its right half."""
    host.load(checkpoint(host, kind))

    def paint(picture=sketch, mask=half, **job):
        return host.img2img(picture, **{"mask": mask, "inpaint_full_res": False, **job})

    return paint


def test_the_mask_counts(paint):
    assert differ(paint(), paint(ebca=MASKED), paint(ebca=UNMASKED))


def test_what_is_kept_is_kept(paint, sketch):
    kept = paint(ebca=MASKED, mask_blur=0).picture[:, :28]
    assert distance(kept, paint(mask_blur=0).picture[:, :28]) == 0


def test_a_mask_of_everything_is_no_mask(paint):
    everything = np.full((64, 64), 255, np.uint8)
    assert alike(paint(mask=everything, ebca=MASKED), paint(mask=everything, ebca=UNMASKED))


def test_in_the_paper_s_formulation_too(paint):
    everything = np.full((64, 64), 255, np.uint8)
    paper = {"formulation": "paper"}
    masked, unmasked = {**MASKED, **paper}, {**UNMASKED, **paper}
    assert differ(paint(ebca=masked), paint(ebca=unmasked), paint(ebca=MASKED))
    assert alike(paint(mask=everything, ebca=masked), paint(mask=everything, ebca=unmasked))


def test_a_mask_of_nothing_updates_nothing_but_the_prior(paint):
    nothing = np.zeros((64, 64), np.uint8)
    attention = {"gamma_attn": 0.05, "gamma_norm": 0, "mask": True}
    assert alike(paint(mask=nothing, ebca=attention), paint(mask=nothing))


def test_an_inverted_mask_is_the_other_half(paint, half):
    assert same(
        paint(ebca=MASKED, inpainting_mask_invert=1),
        paint(ebca=MASKED, mask=255 - half),
    )


@pytest.mark.parametrize("blur", [0, 4, 12])
def test_mask_blur(paint, blur):
    job = {"mask_blur": blur}
    assert differ(paint(**job), paint(**job, ebca=MASKED))


@pytest.mark.parametrize("fill", [0, 1, 2, 3])
def test_every_fill(paint, fill):
    job = {"inpainting_fill": fill}
    assert differ(paint(**job), paint(**job, ebca=MASKED))
    assert same(paint(**job), paint(**job, ebca=ZERO))


@pytest.mark.parametrize("padding", [0, 16])
def test_only_masked(paint, padding):
    job = {"inpaint_full_res": True, "inpaint_full_res_padding": padding}
    off = paint(**job)
    assert differ(off, paint(**job, ebca=MASKED), paint(ebca=MASKED))
    assert same(off, paint(**job, ebca=ZERO))


@pytest.mark.parametrize(("width", "height"), [(72, 104), (104, 72), (136, 64)])
@pytest.mark.parametrize("full", [True, False], ids=["only masked", "whole picture"])
def test_sizes_that_are_not_square(paint, width, height, full):
    job = {"width": width, "height": height, "inpaint_full_res": full}
    job |= {"picture": np.full((height, width, 3), 90, np.uint8)}
    job |= {"mask": np.zeros((height, width), np.uint8)}
    job["mask"][height // 3 : height // 2, width // 4 : width // 2] = 255
    masked, unmasked = paint(**job, ebca=MASKED), paint(**job, ebca=UNMASKED)
    assert masked.picture.shape == (height, width, 3)
    repainted = job["mask"] > 0  # a small part of the picture
    assert distance(paint(**job).picture[repainted], masked.picture[repainted]) > 0.1
    assert not same(masked, unmasked)


def test_the_position_in_the_batch_does_not_matter(paint, kind):
    if kind == "inpaint":
        pytest.skip("the WebUI itself gives every image of a batch another encoding")
    batch = paint(ebca=MASKED, batch_size=3, steps=3)
    apart = {"override_settings": {"batch_cond_uncond": False}}
    assert alike(batch, paint(ebca=MASKED, batch_size=3, steps=3, **apart))


def test_cacao_of_a_prompt_and_itself_is_the_prompt(paint):
    steps = {"gamma_attn": 0.01, "gamma_norm": 0, "edit_gamma_attn": 0.01, **PAPER}
    assert alike(paint(prompt=f"{PROMPT} AND {PROMPT}", ebca=steps), paint(ebca=steps))


# Soft inpainting


@pytest.fixture
def soft(webui):
    names = webui.get("/sdapi/v1/scripts")["img2img"]
    if "soft inpainting" not in names:
        pytest.skip("the WebUI has no soft inpainting")
    return {"alwayson_scripts": {"soft inpainting": {"args": [True, 1, 0.5, 4, 0, 0.5, 2]}}}


@pytest.mark.parametrize("full", [True, False], ids=["only masked", "whole picture"])
def test_soft_inpainting(paint, soft, full):
    job = {**soft, "inpaint_full_res": full, "mask_blur": 8}
    off = paint(**job)
    if same(off, paint(**job, seed=987)):
        pytest.skip("the host's own soft inpainting gives back what it is given, whatever the seed")
    assert differ(off, paint(**job, ebca=MASKED), paint(inpaint_full_res=full, ebca=MASKED))
    assert same(off, paint(**job, ebca=ZERO))
    assert same(off, paint(**job))
