"""Every subject its own place, on a real host."""

import pytest

from webui.client import SUM, RefusedError, apart, differ, distance, same

PROMPT = "a red car and a blue crown"
ONLY = {**SUM, "regions": 1}


def test_they_are_on_by_default(webui):
    default = webui.txt2img(prompt=PROMPT, ebca={})
    assert same(default, webui.txt2img(prompt=PROMPT, ebca={"regions": 1, "regions_stop": 0.7}))
    assert differ(default, webui.txt2img(prompt=PROMPT, ebca={"regions": 0}))
    assert same(webui.txt2img(prompt=PROMPT, ebca={**ONLY, "regions_stop": 0}), webui.txt2img())


def test_they_change_every_model_and_are_repeatable(any_webui):
    on = any_webui.txt2img(prompt=PROMPT, ebca=ONLY)
    assert differ(on, any_webui.txt2img(prompt=PROMPT))
    assert same(on, any_webui.txt2img(prompt=PROMPT, ebca=ONLY))


@pytest.mark.parametrize("prompt", ["a red car", "masterpiece, best quality", ""])
def test_without_two_subjects_nothing_changes(webui, prompt):
    assert same(webui.txt2img(prompt=prompt, ebca=ONLY), webui.txt2img(prompt=prompt))


@pytest.mark.parametrize(
    "name", ["DDIM", "Euler a", "Heun", "DPM++ 2M", "DPM++ SDE", "UniPC", "PLMS", "DPM adaptive"]
)
def test_with_every_kind_of_sampler(webui, name):
    job = {"prompt": PROMPT, "sampler_name": name}
    try:
        off = webui.txt2img(**job)
    except RefusedError:
        pytest.skip(f"the host fails with {name} without EBCA (Forge 2.0.1 with UniPC)")
    assert differ(webui.txt2img(ebca=ONLY, **job), off)


@pytest.mark.parametrize("together", [True, False])
def test_images_of_a_batch_have_regions_of_their_own(webui, together):
    job = {"prompt": PROMPT, "ebca": ONLY}
    setting = {"override_settings": {"batch_cond_uncond": together}}
    batch = webui.txt2img(**job, **setting, batch_size=3)
    for index, picture in enumerate(batch.pictures):
        assert distance(picture, webui.txt2img(**job, seed=7 + index).picture) < 0.5


@pytest.mark.parametrize("size", [(64, 128), (136, 72), (200, 64)])
def test_in_every_shape(webui, size):
    job = {"prompt": PROMPT, "width": size[0], "height": size[1]}
    assert differ(webui.txt2img(ebca=ONLY, **job), webui.txt2img(**job))


def test_with_what_follows_and_and_with_emphasis(webui):
    job = {"prompt": "a (red:1.3) car and a [blue] crown AND a green hat :0.5"}
    assert differ(webui.txt2img(ebca=ONLY, **job), webui.txt2img(ebca=SUM, **job))


def test_in_img2img_only_below_its_noise_level(webui, sketch):
    job = {"prompt": PROMPT, "steps": 10}
    strong, weak = ({**job, "denoising_strength": each} for each in (0.9, 0.2))
    assert differ(webui.img2img(sketch, ebca=ONLY, **strong), webui.img2img(sketch, **strong))
    assert same(webui.img2img(sketch, ebca=ONLY, **weak), webui.img2img(sketch, **weak))


def test_inpainting_divides_what_is_repainted(webui, sketch, half):
    job = {"prompt": PROMPT, "mask": half, "denoising_strength": 1, "inpaint_full_res": False}
    on, off = webui.img2img(sketch, ebca=ONLY, **job), webui.img2img(sketch, **job)
    assert apart(on, off) > 0.1


def test_hires_and_a_refiner(webui, other):
    hires = {"enable_hr": True, "hr_upscaler": "Latent", "hr_scale": 1.5}
    refiner = {"refiner_checkpoint": other, "refiner_switch_at": 0.5}
    for job in ({**hires, "denoising_strength": 0.7}, refiner):
        on = webui.txt2img(prompt=PROMPT, ebca=ONLY, **job)
        assert differ(on, webui.txt2img(prompt=PROMPT, **job))
        assert same(on, webui.txt2img(prompt=PROMPT, ebca=ONLY, **job))
