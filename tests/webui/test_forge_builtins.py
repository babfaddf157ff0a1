"""Beside each extension that Forge and reForge bring along: both act, and off is off."""

import pytest

from webui.client import ON, RefusedError, alike, differ, same

CHANGES_NOTHING = ("never oom", "multidiffusion", "stylealign", "latentmodifier")
"""As they are when they are only switched on, at this size and with one picture."""

JOB = {"prompt": "a cat and a dog", "sampler_name": "Euler"}


@pytest.fixture
def switched_on(webui, integrated):
    """What a job needs for it to be on, with its own defaults."""
    listed = webui.get("/sdapi/v1/script-info")
    (controls,) = [s["args"] for s in listed if s["name"] == integrated and not s["is_img2img"]]
    values = [control["value"] for control in controls]
    assert values[0] is False
    return {"alwayson_scripts": {integrated: {"args": [True, *values[1:]]}}}


def test_both_act(webui, integrated, switched_on):
    alone, theirs = webui.txt2img(**JOB), webui.txt2img(**JOB, **switched_on)
    both = webui.txt2img(**JOB, **switched_on, ebca=ON)
    assert differ(theirs, both)
    if not integrated.startswith(CHANGES_NOTHING):
        assert differ(both, webui.txt2img(**JOB, ebca=ON))
        assert differ(alone, theirs)
    assert same(both, webui.txt2img(**JOB, **switched_on, ebca=ON))
    assert same(theirs, webui.txt2img(**JOB, **switched_on))
    assert same(alone, webui.txt2img(**JOB))


def test_with_and(webui, switched_on):
    """A prompt and itself is the prompt, whoever calls the model."""
    steps = {**ON, "edit_gamma_attn": ON["gamma_attn"], "edit_gamma_norm": ON["gamma_norm"]}
    prompt = JOB["prompt"]
    twice = webui.txt2img(**{**JOB, "prompt": f"{prompt} AND {prompt}"}, **switched_on, ebca=steps)
    assert alike(twice, webui.txt2img(**JOB, **switched_on, ebca=steps))


def test_nothing_is_left(webui, switched_on):
    try:
        webui.get("/ebca-testing/left")
    except RefusedError:
        pytest.skip("the WebUI lacks tests/webui/testing_extension, which tells what is left")
    webui.txt2img(**JOB, **switched_on)
    before = webui.get("/ebca-testing/left")
    webui.txt2img(**JOB, **switched_on, ebca=ON)
    assert webui.get("/ebca-testing/left") == before
