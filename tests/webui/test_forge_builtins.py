"""Beside each extension that Forge and reForge bring along: both act, and off is off."""

import pytest

from webui.client import ON, ONLY_PLACES, RefusedError, alike, differ, same
from webui.conftest import checkpoint

CHANGES_NOTHING = ("never oom", "stylealign", "latentmodifier", "dynamicthresholding", "hypertile")
"""As they are when they are only switched on, or with one small picture."""

TILES = {"Tile Width": 64, "Tile Height": 64, "Tile Overlap": 16}
"""Smaller than the picture."""

JOB = {"prompt": "a cat and a dog", "sampler_name": "Euler", "width": 128, "height": 128}
"""Large enough for attention in the middle of the UNet, which two of them change."""


@pytest.fixture
def small(host):
    """With the small model: some of them make random weights explode."""
    host.load(checkpoint(host, "small"))
    return host


@pytest.fixture
def switched_on(small, integrated):
    """What a job needs for it to be on, with its own defaults."""
    listed = small.get("/sdapi/v1/script-info")
    (controls,) = [s["args"] for s in listed if s["name"] == integrated and not s["is_img2img"]]
    values = [TILES.get(control["label"], control["value"]) for control in controls]
    assert values[0] is False
    return {"alwayson_scripts": {integrated: {"args": [True, *values[1:]]}}}


def test_both_act(small, integrated, switched_on):
    alone, theirs = small.txt2img(**JOB), small.txt2img(**JOB, **switched_on)
    both = small.txt2img(**JOB, **switched_on, ebca=ON)
    assert differ(theirs, both)
    if not integrated.startswith(CHANGES_NOTHING):
        assert differ(both, small.txt2img(**JOB, ebca=ON))
        assert differ(alone, theirs)
    assert same(both, small.txt2img(**JOB, **switched_on, ebca=ON))
    assert same(theirs, small.txt2img(**JOB, **switched_on))
    assert same(alone, small.txt2img(**JOB))


def test_places_do_nothing_in_the_first_step(small, switched_on):
    """However often it is evaluated: places are found in it, and act from the next one on."""
    job = {**JOB, **switched_on, "steps": 1}
    assert same(small.txt2img(**job), small.txt2img(**job, ebca=ONLY_PLACES))


def test_with_and(small, switched_on):
    """A prompt and itself is the prompt, whoever calls the model."""
    steps = {**ON, "edit_gamma_attn": ON["gamma_attn"], "edit_gamma_norm": ON["gamma_norm"]}
    prompt = JOB["prompt"]
    twice = small.txt2img(**{**JOB, "prompt": f"{prompt} AND {prompt}"}, **switched_on, ebca=steps)
    assert alike(twice, small.txt2img(**JOB, **switched_on, ebca=steps))


def test_nothing_is_left(small, switched_on):
    try:
        small.get("/ebca-testing/left")
    except RefusedError:
        pytest.skip("the WebUI lacks tests/webui/testing_extension, which tells what is left")
    small.txt2img(**JOB, **switched_on)
    before = small.get("/ebca-testing/left")
    small.txt2img(**JOB, **switched_on, ebca=ON)
    assert small.get("/ebca-testing/left") == before
