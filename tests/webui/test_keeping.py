"""Keep the picture: inversion before img2img and inpaint, with every sampler, model and mask."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from webui.client import JOB, RefusedError, alike, apart, differ, distance, encoded, same
from webui.conftest import checkpoint

STILL = {"gamma_attn": 0, "gamma_norm": 0, "regions": 0}
KEEP = {**STILL, "keep": True}
BACK = {**KEEP, "keep_from_source": True}  # with which the source prompt is the picture
NOTHING_CHANGES = {**KEEP, "keep_more": 1}
EDIT = "a red car AND a dog :1 AND a red car :-0.6"
SOURCE = {"prompt": "a red car"}
AS_GOOD_AS_SAME = 0.3  # levels of 255: rounding, through the decoder
ENCODED_ANEW = 2.0  # the WebUI encodes a picture a little differently every time
FIND = "ebca.webui.inversion:InversionRun.find"


@pytest.fixture
def small(host):
    """With the small model: random weights encode the same picture in another way every time."""
    host.load(checkpoint(host, "small"))
    return host


@pytest.fixture
def paint(small, sketch):
    def paint(picture=sketch, **job):
        return small.img2img(picture, **{**SOURCE, **job})

    return paint


def chooses_its_steps(sampler):
    """Of such a one only the beginning is found."""
    return sampler == "DPM adaptive" or sampler.startswith("ODE")


def need_picture(made):
    """What is no number is shown black."""
    if np.ptp(made.picture) == 0:
        pytest.skip("the host's own sampler makes no picture of this model")


def test_every_sampler_gives_the_picture_back(paint, sampler, comments):
    job = {"sampler_name": sampler, "steps": 8, "denoising_strength": 0.8}
    plain = paint(ebca=STILL, **job)
    need_picture(plain)
    back, kept = paint(ebca=BACK, **job), paint(ebca=NOTHING_CHANGES, **job)
    told = comments()
    if told is not None:
        assert any("chooses its steps" in each for each in told) == chooses_its_steps(sampler)
    if chooses_its_steps(sampler):
        assert apart(back, kept) < apart(plain, kept)
        return
    assert apart(back, kept) < AS_GOOD_AS_SAME
    assert apart(plain, kept) > 10 * AS_GOOD_AS_SAME


def test_every_sampler_edits(paint, sampler):
    job = {"sampler_name": sampler, "steps": 8, "prompt": EDIT}
    plain = paint(ebca=STILL, **job)
    need_picture(plain)
    edited = paint(ebca={**KEEP, "keep_source": "a red car"}, **job)
    assert differ(edited, plain)
    if not chooses_its_steps(sampler):
        assert differ(edited, paint(ebca={**NOTHING_CHANGES, "keep_source": "a red car"}, **job))


@pytest.mark.parametrize("kind", ["sd1", "sd2", "sdxl", "inpaint"], scope="session")
@pytest.mark.parametrize("noise", ["scattered", "flow"])
def test_every_model_gives_the_picture_back(host, kind, sketch, noise):
    host.load(checkpoint(host, kind))
    job = {**SOURCE, "denoising_strength": 0.8}
    back = host.img2img(sketch, ebca={**BACK, "keep_noise": noise}, **job)
    kept = host.img2img(sketch, ebca={**NOTHING_CHANGES, "keep_noise": noise}, **job)
    assert apart(back, kept) < AS_GOOD_AS_SAME


@pytest.mark.parametrize("strength", [0, 0.3, 1])
@pytest.mark.parametrize("steps", [1, 5])
@pytest.mark.parametrize("cfg", [1, 4])
def test_any_strength_steps_and_cfg(paint, strength, steps, cfg):
    job = {"steps": steps, "denoising_strength": strength, "cfg_scale": cfg}
    assert apart(paint(ebca=BACK, **job), paint(ebca=NOTHING_CHANGES, **job)) < AS_GOOD_AS_SAME


def test_off_is_off_afterwards(paint):
    before = paint(ebca=STILL)
    assert differ(paint(ebca=KEEP, prompt=EDIT), before)
    assert same(paint(ebca=STILL), before)
    assert same(paint(), before)


# Masks, batches, sizes


@pytest.mark.parametrize("full", [True, False], ids=["only masked", "whole picture"])
def test_a_mask(paint, sketch, half, full):
    job = {"mask": half, "mask_blur": 0, "inpaint_full_res": full, "prompt": EDIT}
    edited = paint(ebca=KEEP, inpainting_fill=1, **job)
    plain = paint(ebca=STILL, inpainting_fill=1, **job)
    assert distance(edited.picture[:, :28], plain.picture[:, :28]) == 0
    assert differ(edited, plain)


@pytest.mark.parametrize("level", [0, 255])
def test_a_mask_of_nothing_or_everything(paint, level):
    job = {"inpaint_full_res": False, "inpainting_fill": 1, "mask_blur": 0}
    mask = np.full((64, 64), level, np.uint8)
    back, kept = (paint(ebca=each, mask=mask, **job) for each in (BACK, NOTHING_CHANGES))
    assert apart(back, kept) < AS_GOOD_AS_SAME


@pytest.mark.parametrize("fill", [0, 1, 2, 3], ids=["fill", "original", "noise", "nothing"])
def test_masked_content(paint, half, fill):
    paint(ebca=KEEP, mask=half, inpainting_fill=fill, prompt=EDIT)


@pytest.mark.parametrize("by", ["Euler a", "DPM++ 2M SDE", "DDIM"])
def test_the_position_in_the_batch_does_not_matter(paint, by):
    job = {"ebca": KEEP, "prompt": EDIT, "sampler_name": by}
    batch = paint(batch_size=2, seed=7, **job)
    alone = [paint(seed=seed, **job).picture for seed in (7, 8)]
    pairs = zip(batch.pictures, alone, strict=True)
    assert max(distance(*pair) for pair in pairs) < 2 * ENCODED_ANEW
    assert distance(*batch.pictures) > 3 * ENCODED_ANEW  # their seeds differ


@pytest.mark.parametrize("mode", [0, 1, 2, 3], ids=["resize", "crop", "fill", "latent"])
@pytest.mark.parametrize("size", [(64, 96), (128, 64)])
def test_resize_modes_and_sizes(paint, mode, size):
    width, height = size
    job = {"width": width, "height": height, "resize_mode": mode}
    back, kept = paint(ebca=BACK, **job), paint(ebca=NOTHING_CHANGES, **job)
    assert back.picture.shape == (height, width, 3)
    assert apart(back, kept) < AS_GOOD_AS_SAME


@pytest.mark.parametrize("mode", ["RGBA", "L", "LA", "P", "1", "I;16"])
def test_pictures_of_any_mode(small, sketch, mode):
    if mode == "I;16":
        picture = Image.fromarray(sketch[..., 0].astype(np.uint16) * 257)
    else:
        picture = Image.fromarray(sketch).convert(mode)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    init = {"init_images": [base64.b64encode(buffer.getvalue()).decode()]}
    job = {**JOB, **SOURCE, **init, "denoising_strength": 0.7}
    back, kept = (small.job("img2img", job, each) for each in (BACK, NOTHING_CHANGES))
    assert apart(back, kept) < ENCODED_ANEW


# What it costs, and what is remembered


def test_a_second_edit_costs_no_inversion(host, paint, fault, other, sketch):
    count = fault(FIND, "nothing", after=0)
    first = paint(ebca=KEEP, prompt=EDIT, seed=1234)
    assert count()["calls"] == 1
    again = paint(ebca=KEEP, prompt="a red car AND a crown", seed=1234)
    assert count()["calls"] == 1
    assert differ(first, again)
    assert alike(paint(ebca=KEEP, prompt=EDIT, seed=1234), first)
    assert count()["calls"] == 1
    paint(255 - sketch, ebca=KEEP, prompt=EDIT, seed=1234)
    assert count()["calls"] == 2
    host.load(other)
    host.img2img(sketch, ebca=KEEP)
    host.load(checkpoint(host, "small"))
    paint(ebca=KEEP, prompt=EDIT, seed=1234)
    assert count()["calls"] == 4


def test_the_seed_does_not_matter_along_the_flow(paint, fault):
    job = {"ebca": {**KEEP, "keep_noise": "flow"}, "prompt": EDIT}
    count = fault(FIND, "nothing", after=0)
    paint(seed=4321, **job)
    first = count()["calls"]
    paint(seed=4322, **job)
    assert count()["calls"] == first


def test_one_evaluation_a_step(paint, fault):
    count = fault("ebca.webui.inversion:InversionRun.evaluate", "nothing", after=0)
    paint(ebca=KEEP, steps=10, denoising_strength=1, seed=99, sampler_name="Euler")
    assert count()["calls"] == 10


# When something goes wrong


@pytest.mark.parametrize("what", ["interrupt", "skip"])
def test_an_interrupted_inversion_gives_the_picture(paint, fault, what):
    kept = paint(ebca=NOTHING_CHANGES, seed=55)
    fault("ebca.webui.inversion:InversionRun.evaluate", what, after=2)
    seed = {"interrupt": 56, "skip": 57}[what]  # which nothing was found for yet
    stopped = paint(ebca=KEEP, prompt=EDIT, seed=seed)
    assert apart(stopped, kept) < ENCODED_ANEW
    assert apart(paint(ebca=NOTHING_CHANGES, seed=58), kept) < ENCODED_ANEW
    assert apart(paint(ebca=KEEP, prompt=EDIT, seed=seed), kept) > 3 * ENCODED_ANEW


def test_after_an_error_nothing_is_left(paint, fault):
    before = paint(ebca=STILL)
    fault("ebca.webui.inversion:InversionRun.evaluate", "error", after=2)
    with pytest.raises(RefusedError):
        paint(ebca=KEEP, seed=59)
    assert same(paint(ebca=STILL), before)


def test_without_any_words_it_is_refused(paint):
    with pytest.raises(RefusedError, match="keep_source is '', but must be what the picture"):
        paint(ebca=KEEP, prompt="")
    paint(ebca={**KEEP, "keep_source": "a car"}, prompt="")


def test_an_editing_model_is_refused(host, sketch):
    host.load(checkpoint(host, "edit"))
    job = {**JOB, **SOURCE, "init_images": [encoded(sketch)]}  # alone: Forge fails at any other
    with pytest.raises(RefusedError, match="InstructPix2Pix"):
        host.job("img2img", job, KEEP)


def test_txt2img_says_that_there_is_no_picture(webui, comments):
    plain = webui.txt2img(ebca=STILL)
    kept = webui.txt2img(ebca=KEEP)
    assert same(plain, kept)
    assert "keep" not in kept.labels
    if (told := comments()) is not None:
        assert any("works in img2img" in line for line in told)


# Infotext, axes


def test_the_infotext_says_it(small, paint, sketch):
    ebca = {**KEEP, "keep_source": "a blue car", "keep_more": 0.2}
    made = paint(ebca=ebca, prompt=EDIT)
    assert made.labels["keep"] == "True"
    assert made.labels["keep_source"] == "a blue car"
    assert made.labels["keep_more"] == "0.2"
    small.need_infotext()
    again = paint(infotext=made.infotext, prompt=EDIT)
    assert again.labels == made.labels
    assert alike(again, made)


def test_an_axis_of_the_plot(webui, sketch):
    names = webui.get("/sdapi/v1/scripts")["img2img"]
    if "x/y/z plot" not in names:
        pytest.skip("the WebUI has no X/Y/Z plot")
    assert differ(*(webui.img2img(sketch, ebca={**KEEP, "keep_more": more}, prompt=EDIT)
                    for more in (0, 0.5, 0.9)))  # fmt: skip
