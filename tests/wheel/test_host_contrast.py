"""Contrast in the WebUI: away from the things of a prompt, each alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from host import Host, Result
from test_host_off import PICTURE, same

STILL = {"enabled": True, "gamma_attn": 0.0, "gamma_norm": 0.0, "regions": 0.0}
CONTRAST = {**STILL, "contrast": 0.66, "contrast_stop": 1.0}
NONE = {**STILL, "contrast": 0.0}
PROMPT = "a cat and a dog"
WRITTEN_OUT = f"{PROMPT} AND {PROMPT} :0.66 AND a cat :-0.33 AND a dog :-0.33"
"""The same with weights that cancel, which sum and average compose alike."""


def close(one: Result, other: Result) -> bool:
    return torch.allclose(one.pictures, other.pictures, atol=1e-5)


@pytest.mark.parametrize("composition", ["sum", "average"])
def test_a_contrast_is_what_it_would_be_written_out(each_model: Host, composition: str) -> None:
    options = {**CONTRAST, "composition": composition}
    result = each_model.txt2img([options], prompt=PROMPT)
    written_out = each_model.txt2img([{**options, "contrast": 0.0}], prompt=WRITTEN_OUT)
    assert close(result, written_out)
    assert not close(result, each_model.txt2img(prompt=PROMPT))
    assert [call.changed() for call in result.calls] == [[True, False]] * 3


def test_a_refiner_encodes_the_things_itself(host: Host) -> None:
    refiner = host.load("sd1", seed=1, current=False)
    job = {"refiner_checkpoint": refiner, "refiner_switch_at": 0.5, "steps": 4}
    result = host.txt2img([CONTRAST], prompt=PROMPT, **job)
    assert close(result, host.txt2img([NONE], prompt=WRITTEN_OUT, **job))


@pytest.mark.parametrize("prompt", ["a cat", "cats everywhere, 4k", "", "a photo of a cat"])
def test_where_there_is_one_thing_nothing_changes(host: Host, prompt: str) -> None:
    assert same(host.txt2img([CONTRAST], prompt=prompt), host.txt2img(prompt=prompt))


@pytest.mark.parametrize("stated", ["cat, dog, masterpiece", "a cat with a dog", "(cat:1) and dog"])
def test_things_can_be_named(each_model: Host, stated: str) -> None:
    named = each_model.txt2img([{**CONTRAST, "things": "cat, dog"}], prompt=stated)
    written_out = f"{stated} AND {stated} :0.66 AND cat :-0.33 AND dog :-0.33"
    assert close(named, each_model.txt2img([NONE], prompt=written_out))
    assert not close(named, each_model.txt2img(prompt=stated))
    assert named.parameters["EBCA subjects"] == "cat, dog"


def test_things_that_are_named_act_where_the_prompt_has_them(host: Host) -> None:
    on = {**CONTRAST, "things": "cat, dog"}
    prompts = ["a frog and a dog", "a frog and a cat", "cat dog"]
    batch = host.txt2img([on], prompt=prompts, negative_prompt=[""] * 3, batch_size=3)
    assert [call.changed() for call in batch.calls] == [[False, False, True, *[False] * 3]] * 3
    late = host.txt2img([on], prompt="[cat:cat, dog:0.5]", steps=4)
    assert [call.changed() for call in late.calls] == [[False, False]] * 3 + [[True, False]]


def test_the_editorial_prompts_stay_as_they_are(each_model: Host) -> None:
    both = each_model.txt2img([CONTRAST], prompt=f"{PROMPT} AND a bird :0.5")
    written_out = each_model.txt2img([NONE], prompt=f"{WRITTEN_OUT} AND a bird :0.5")
    assert close(both, written_out)


def test_it_follows_the_schedule_of_the_prompt(host: Host) -> None:
    job: dict[str, Any] = {"prompt": "[a frog:a cat and a dog:0.5]", "steps": 4}
    off, on = host.txt2img(**job), host.txt2img([CONTRAST], **job)
    frog = host.encode("a frog")
    for one, other in zip(off.calls, on.calls, strict=True):
        alike = torch.allclose(one.output, other.output, atol=1e-6)
        assert alike == torch.allclose(one.context[0], frog, atol=1e-5)
        if not alike:
            break  # from here on the latents differ
    assert not close(off, on)


@pytest.mark.parametrize(("stop", "steps"), [(0.0, 0), (0.3, 1), (0.5, 2), (1.0, 4)])
def test_it_ends_where_it_is_told(host: Host, stop: float, steps: int) -> None:
    on = host.txt2img([{**CONTRAST, "contrast_stop": stop}], prompt=PROMPT, steps=4)
    assert [call.changed() for call in on.calls] == [[True, False]] * steps + [[False, False]] * (
        4 - steps
    )


def test_images_of_a_batch_have_things_of_their_own(host: Host) -> None:
    prompts = ["a cat", PROMPT, "a frog, a tree and a chair"]
    job = {"negative_prompt": ["a rat"] * 3, "batch_size": 3}
    batch = host.txt2img([CONTRAST], prompt=prompts, **job)
    for index, prompt in enumerate(prompts):
        single = host.txt2img([CONTRAST], prompt=prompt, seed=7 + index)
        assert torch.allclose(batch.pictures[index], single.pictures[0], atol=1e-5)


def test_the_webuis_own_and_is_not_contrasted(host: Host) -> None:
    prompt = f"{PROMPT} AND a bird"
    left = host.txt2img([{**CONTRAST, "compose": "webui"}], prompt=prompt)
    assert same(left, host.txt2img(prompt=prompt))


def test_it_is_in_the_infotext(host: Host) -> None:
    told = host.txt2img([CONTRAST], prompt=PROMPT).parameters
    assert (told["EBCA contrast"], told["EBCA contrast_stop"]) == ("0.66", "1")


def test_the_layout_of_img2img_and_of_the_hires_pass_is_there_already(host: Host) -> None:
    """The contrast ends at a noise level, so that what begins below it has none."""
    on = {**CONTRAST, "contrast_stop": 0.3}
    hires = {"enable_hr": True, "hr_upscaler": "Latent", "denoising_strength": 0.6}
    changed = [any(call.changed()) for call in host.txt2img([on], prompt=PROMPT, **hires).calls]
    assert changed[0]
    assert not any(changed[3:])
    job = {"init_images": [PICTURE], "prompt": PROMPT, "steps": 10}
    for strength, acts in ((0.6, False), (0.9, True)):
        calls = host.img2img([on], denoising_strength=strength, **job).calls
        assert any(call.changed()[0] for call in calls) == acts


def test_a_subject_that_the_prompt_does_not_have_is_said_and_stops_nothing(host: Host) -> None:
    result = host.txt2img([{**CONTRAST, "subjects": "cat, cow"}], prompt=PROMPT)
    told = "EBCA: Without effect: “cow” in “Subjects”, not in the prompt."
    assert result.comments == [told]
    assert same(result, host.txt2img([NONE], prompt=PROMPT))
