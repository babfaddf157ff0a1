"""Contrast: away from the subjects of a prompt, each alone."""

import pytest

from webui.client import SUM, ZERO, alike, differ, same

PROMPT = "a red car and a blue crown"
WRITTEN_OUT = f"{PROMPT} AND {PROMPT} :0.66 AND a red car :-0.33 AND a blue crown :-0.33"
"""The same with weights that cancel, which sum and average compose alike."""


@pytest.mark.parametrize("zero", [SUM, ZERO], ids=["sum", "average"])
def test_a_contrast_is_what_it_would_be_written_out(any_webui, zero):
    ebca = {**zero, "contrast": 0.66, "contrast_stop": 1}
    contrasted = any_webui.txt2img(prompt=PROMPT, ebca=ebca)
    assert alike(contrasted, any_webui.txt2img(prompt=WRITTEN_OUT, ebca=zero))
    assert differ(contrasted, any_webui.txt2img(prompt=PROMPT))


def test_it_is_a_preset(webui):
    job = {"prompt": PROMPT}
    preset = webui.txt2img(ebca={"preset": "contrast"}, **job)
    assert same(preset, webui.txt2img(ebca={**SUM, "contrast": 1.3, "contrast_stop": 0.3}, **job))
    assert differ(preset, webui.txt2img(**job))
    assert same(webui.txt2img(ebca={**ZERO, "contrast": 1, "contrast_stop": 0}), webui.txt2img())


@pytest.mark.parametrize("prompt", ["a red car", "car, crown", "a photo of a red car"])
def test_where_there_is_one_subject_nothing_changes(webui, prompt):
    on = webui.txt2img(prompt=prompt, ebca={**ZERO, "contrast": 1})
    assert same(on, webui.txt2img(prompt=prompt))


def test_subjects_of_a_list_of_tags_can_be_named(webui):
    prompt = "masterpiece, (red car:1.2), crown"
    ebca = {**ZERO, "contrast": 1, "contrast_stop": 1, "subjects": "red car, crown"}
    named = webui.txt2img(prompt=prompt, ebca=ebca)
    written_out = f"{prompt} AND {prompt} :1 AND red car :-0.5 AND crown :-0.5"
    assert alike(named, webui.txt2img(prompt=written_out, ebca=ZERO))
    assert differ(named, webui.txt2img(prompt=prompt))
    assert named.labels["subjects"] == "red car, crown"


def test_emphasis_is_no_part_of_a_subject(webui):
    weighted = webui.txt2img(
        prompt="a (red:1.4) car and [a blue crown]",
        ebca={**ZERO, "contrast": 1, "contrast_stop": 1},
    )
    written_out = (
        "a (red:1.4) car and [a blue crown] AND a (red:1.4) car and [a blue crown] :1"
        " AND a red car :-0.5 AND a blue crown :-0.5"
    )
    assert alike(weighted, webui.txt2img(prompt=written_out, ebca=ZERO))


@pytest.mark.parametrize("name", ["DDIM", "Euler a", "DPM++ 2M", "UniPC", "DPM adaptive"])
def test_with_every_kind_of_sampler(webui, name):
    job = {"prompt": PROMPT, "sampler_name": name}
    contrasted = webui.txt2img(ebca={**ZERO, "contrast": 0.66}, **job)
    assert differ(contrasted, webui.txt2img(**job))
    assert same(webui.txt2img(**job), webui.txt2img(ebca=ZERO, **job))


def test_in_batches_and_hires(webui):
    batch = webui.txt2img(prompt=PROMPT, ebca={}, batch_size=2)
    second = webui.txt2img(prompt=PROMPT, ebca={}, seed=8)
    off = batch.pictures[1].astype(int) - second.picture.astype(int)
    assert abs(off).max() <= 2  # levels
    job = {"prompt": PROMPT, "enable_hr": True, "hr_upscaler": "Latent", "hr_scale": 2}
    job |= {"denoising_strength": 0.7}
    contrast = {**ZERO, "contrast": 0.66, "hires": "only"}
    only = webui.txt2img(ebca={**contrast, "contrast_stop": 1}, **job)
    assert differ(only, webui.txt2img(**job))
    early = webui.txt2img(ebca={**contrast, "contrast_stop": 0.2}, **job)
    assert same(early, webui.txt2img(**job))  # the first pass has made the layout


def test_a_subject_that_the_prompt_does_not_have_stops_nothing(webui):
    ebca = {**ZERO, "contrast": 1, "contrast_stop": 1, "subjects": "red car, tree"}
    assert same(webui.txt2img(prompt=PROMPT, ebca=ebca), webui.txt2img(prompt=PROMPT, ebca=ZERO))
