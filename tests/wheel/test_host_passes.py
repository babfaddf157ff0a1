"""Hires fix, inpainting, the refiner, and jobs within jobs."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from host import Host
from PIL import Image
from test_host_off import same

ON = {"enabled": True, "gamma_attn": 0.1, "gamma_norm": 0.1}
HIRES = {"enable_hr": True, "hr_upscaler": "Latent", "hr_scale": 2.0, "hr_second_pass_steps": 2}
TALL = Image.effect_noise((64, 96), 80).convert("RGB")
SIZE = {"width": 64, "height": 96}


def mask(box: tuple[int, int, int, int]) -> Image.Image:
    """White, to be repainted, within `box`."""
    made = Image.new("L", TALL.size)
    made.paste(255, box)
    return made


def inpainting(box: tuple[int, int, int, int], **job: Any) -> dict[str, Any]:
    whole = {"mask_blur_x": 0, "mask_blur_y": 0, "inpaint_full_res": False, "inpainting_fill": 1}
    return {"init_images": [TALL], "mask": mask(box), **SIZE, **whole, **job}


@pytest.mark.parametrize(
    ("hires", "passes"),
    [("same", (True, True)), ("off", (True, False)), ("only", (False, True))],
)
def test_hires_says_in_which_passes_it_takes_part(
    each_model: Host, hires: str, passes: tuple[bool, bool]
) -> None:
    result = each_model.txt2img([{**ON, "hires": hires}], **HIRES)
    for call in result.calls:
        second = call.sample.shape[-1] == 16
        assert call.changed() == [passes[second], False]


def test_the_hires_prompt_has_an_and_of_its_own(each_model: Host) -> None:
    job = {**HIRES, "prompt": "a cat", "hr_prompt": "a dog AND a bird AND a frog"}
    result = each_model.txt2img(
        [{**ON, "gamma_attn": 0.0, "gamma_norm": 0.0, "gamma_spread": 0.0}], **job
    )
    for call in result.calls:
        assert call.changed() == [call.sample.shape[-1] == 16, False]


def test_the_hires_pass_follows_the_schedule_of_its_own_steps(host: Host) -> None:
    still = {"enabled": True, "gamma_attn": 0.0, "gamma_norm": 0.0, "gamma_spread": 0.0}
    job = {**HIRES, "hr_second_pass_steps": 8, "denoising_strength": 0.9, "steps": 4}
    plain = host.txt2img(prompt="[a cat:a dog:0.5]", **job)
    composed = host.txt2img([still], prompt="a frog AND [:a dog:0.5]", **job)
    cat = host.encode("a cat")
    first = [torch.allclose(call.context[0], cat, atol=1e-5) for call in plain.calls]
    assert [not any(call.changed()) for call in composed.calls] == first


def test_only_hires_without_hires_fix_says_so(host: Host) -> None:
    result = host.txt2img([{**ON, "hires": "only"}])
    assert same(result, host.txt2img())
    assert any("hires" in comment for comment in result.comments)


def test_only_the_repainted_pixels_pull(each_model: Host) -> None:
    whole, half = inpainting((0, 0, 64, 96)), inpainting((0, 0, 64, 48))
    masked, free = ({**ON, "mask": mask} for mask in (True, False))
    everywhere = each_model.img2img([masked], **whole)
    assert torch.allclose(everywhere.pictures, each_model.img2img([free], **whole).pictures)
    first = each_model.img2img([masked], **half).calls[0]
    unmasked = each_model.img2img([free], **half).calls[0]
    assert first.changed() == [True, False]
    assert not torch.equal(first.output, unmasked.output)


def test_masks_lie_where_the_webui_repaints(host: Host) -> None:
    """The upper half of the picture is another mask than its left half."""
    firsts = [
        host.img2img([ON], **inpainting(box)).calls[0].output
        for box in ((0, 0, 64, 48), (0, 0, 32, 96), (0, 48, 64, 96))
    ]
    assert not torch.equal(firsts[0], firsts[1])
    assert not torch.equal(firsts[0], firsts[2])


@pytest.mark.parametrize("job", [{"inpaint_full_res": True}, {"inpainting_fill": 2}])
def test_every_kind_of_inpainting_works(each_model: Host, job: dict[str, Any]) -> None:
    for sampler in ("Euler", "DDIM"):
        made = inpainting((0, 0, 40, 40), sampler_name=sampler, batch_size=2, **job)
        result = each_model.img2img([ON], **made)
        assert [call.changed() for call in result.calls] == (
            [[True, True, False, False]] * len(result.calls)
        )


def test_a_refiner_is_updated_from_its_first_call_on(host: Host) -> None:
    refiner = host.load("sd1", seed=1, current=False)
    job = {"refiner_checkpoint": refiner, "refiner_switch_at": 0.5, "steps": 4}
    unets = [host.checkpoints[name].model.diffusion_model for name in ("sd1-0", refiner)]
    options = {**ON, "edit_gamma_attn": 0.01}
    result = host.txt2img([options], prompt="a cat AND a dog", **job)
    assert [call.unet is unets[n >= 2] for n, call in enumerate(result.calls)] == [True] * 4
    assert [call.changed() for call in result.calls] == [[True, False]] * 4
    assert same(host.txt2img(**job), host.txt2img([{**options, "enabled": False}], **job))


def test_a_refiner_has_an_empty_prompt_of_its_own(host: Host) -> None:
    """To an empty main prompt a prompt of weight 1 adds all that it says."""
    refiner = host.load("sd1", seed=1, current=False)
    job = {"refiner_checkpoint": refiner, "refiner_switch_at": 0.5, "steps": 4}
    still = {"enabled": True, "gamma_attn": 0.0, "gamma_spread": 0.0}
    summed = host.txt2img([still], prompt=" AND a dog", **job)
    plain = host.txt2img(prompt="a dog", **job)
    assert torch.allclose(summed.pictures, plain.pictures, atol=1e-5)


def test_a_job_within_a_job_stays_off(host: Host) -> None:
    inner: list[Any] = []

    def postprocess_image(_script: Any, p: Any, _image: Any) -> None:
        if not inner:
            inner.append(None)  # this is called for the inner job as well
            inner[0] = host.run(host.job(prompt="a face AND a nose"))

    with host.another_script(postprocess_image=postprocess_image):
        outer = host.txt2img([ON])
    assert same(inner[0], host.txt2img(prompt="a face AND a nose"))
    assert any(any(call.changed()) for call in outer.calls[:3])


def test_a_job_between_the_passes_of_another_stays_off(host: Host) -> None:
    inner: list[Any] = []

    def before_hr(_script: Any, p: Any) -> None:
        plain = host.job(prompt="a face")
        plain.scripts = None
        images = host.process(plain).images
        inner.append(torch.tensor(list(images[0].getdata())))

    with host.another_script(before_hr=before_hr):
        outer = host.txt2img([ON], **HIRES)
    assert any(outer.calls[-1].changed())
    alone = host.job(prompt="a face")
    alone.scripts = None
    assert torch.equal(inner[0], torch.tensor(list(host.process(alone).images[0].getdata())))
