"""Models without cross-attention, where a host has them: a line, and nothing else happens."""

import pytest

from webui.client import ON, RefusedError, differ, labels, same
from webui.conftest import checkpoint

HIRES = {
    "enable_hr": True,
    "hr_scale": 1.5,
    "hr_upscaler": "Latent",
    "hr_prompt": "a dog",
    "denoising_strength": 0.7,
}
LINE = "EBCA does nothing with this model"
EULER = {"sampler_name": "Euler", "cfg_scale": 1}
EVERYTHING = {**ON, "regions": 1, "contrast": 1, "token_weights": "car:3"}
EVERYTHING |= {"show_attention": True, "also_off": True}


@pytest.fixture
def flux(host):
    """With a model of Flux's kind, on a host that goes on without EBCA."""
    host.load(checkpoint(host, "flux"))
    try:
        host.txt2img(**EULER, ebca=ON)
    except RefusedError as error:
        if "has no cross-attention" not in str(error):
            raise
        pytest.skip("this WebUI stops such a job")
    return host


def untouched(one, other):
    return same(one, other) and not any(labels(each) for each in one.infotexts)


@pytest.mark.parametrize("ebca", [{}, ON, EVERYTHING], ids=["defaults", "on", "everything"])
def test_nothing_happens_but_a_line(flux, comments, ebca):
    one = flux.txt2img(**EULER, ebca=ebca)
    told = comments()
    assert untouched(one, flux.txt2img(**EULER))
    assert told is None or [LINE in each for each in told] == [True]


@pytest.mark.parametrize(
    "job",
    [
        {"prompt": "a cat AND a dog AND a hat"},
        {"prompt": "a [cat:dog:0.5] and a (red:1.3) hat BREAK a car"},
        {"batch_size": 2, "n_iter": 2},
        {"cfg_scale": 4, "negative_prompt": "a tree"},
        HIRES,
        {"distilled_cfg_scale": 2.0},
    ],
    ids=["AND", "schedule", "batches", "negative", "hires", "distilled CFG"],
)
def test_in_every_job(flux, job):
    job = {**EULER, **job}
    assert untouched(flux.txt2img(**job, ebca=EVERYTHING), flux.txt2img(**job))


def test_img2img_and_inpaint(flux, sketch, half):
    for job in ({}, {"mask": half, "inpainting_fill": 1}):
        job = {**EULER, **job}
        assert untouched(flux.img2img(sketch, **job, ebca=ON), flux.img2img(sketch, **job))


def test_a_bad_value_stops_no_job_that_it_does_not_change(flux):
    job = {**EULER, "ebca": {**ON, "layers": "90-99"}}
    assert untouched(flux.txt2img(**job), flux.txt2img(**EULER))


def test_a_model_with_it_is_updated_again(flux, webui):
    assert differ(webui.txt2img(), webui.txt2img(ebca=ON))


def test_no_picture_is_kept(flux, comments, sketch):
    job = {**EULER, "prompt": "a cat"}
    one = flux.img2img(sketch, **job, ebca={**ON, "keep": True})
    told = comments()
    assert untouched(one, flux.img2img(sketch, **job))
    assert told is None or [LINE in each for each in told] == [True]
