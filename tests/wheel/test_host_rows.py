"""The update acts on the conditional rows, all of them and no others, however the WebUI cuts up
its batches."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from calls import Call
from host import Host, Result
from PIL import Image

BCU = {"enabled": True, "gamma_attn": 0.1, "gamma_norm": 0.1}
WEBUI = {**BCU, "compose": "webui"}
AND = "a cat AND a dog :0.5 AND a bird"
LONG = ", ".join(["a cat on a mat with a hat"] * 15)
"""More than one chunk of tokens."""

BATCHES: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    # name: the job, the WebUI's settings, the options
    "one image": ({}, {}, BCU),
    "three images": ({"batch_size": 3}, {}, BCU),
    "one image, row by row": ({}, {"batch_cond_uncond": False}, BCU),
    "three images, halved": ({"batch_size": 3}, {"batch_cond_uncond": False}, BCU),
    "long prompt": ({"prompt": LONG}, {}, BCU),
    "long prompt, padded": ({"prompt": LONG}, {"pad_cond_uncond": True}, BCU),
    "long negative prompt": ({"negative_prompt": LONG, "batch_size": 2}, {}, BCU),
    "long negative prompt, padded": ({"negative_prompt": LONG}, {"pad_cond_uncond": True}, BCU),
    "long prompt, row by row": ({"prompt": LONG}, {"batch_cond_uncond": False}, BCU),
    "no negative prompt": ({"negative_prompt": ""}, {}, BCU),
    "guidance of 1": ({"cfg_scale": 1.0}, {}, BCU),
    "core AND": ({"prompt": AND}, {}, WEBUI),
    "core AND, three images": ({"prompt": AND, "batch_size": 3}, {}, WEBUI),
    "core AND, row by row": ({"prompt": AND}, {"batch_cond_uncond": False}, WEBUI),
    "core AND, cut within images": (
        {"prompt": AND, "batch_size": 2},
        {"batch_cond_uncond": False},
        WEBUI,
    ),
    "core AND, long": ({"prompt": f"{AND} AND {LONG}", "batch_size": 2}, {}, WEBUI),
    "images with different numbers of prompts": (
        {"prompt": ["a cat", AND], "negative_prompt": ["a rat"] * 2, "batch_size": 2},
        {},
        WEBUI,
    ),
}


def is_conditional(host: Host, call: Call, negative: str) -> list[bool]:
    """Row by row, told by the context that the host has given."""
    unconditional = host.encode(negative)
    if host.model.is_sdxl and not negative:
        unconditional = torch.zeros_like(unconditional)
    size = min(len(unconditional), call.context.shape[1])
    return [not torch.allclose(row[:size], unconditional[:size], atol=1e-5) for row in call.context]


def check(host: Host, result: Result, negative: str = "a rat") -> list[list[bool]]:
    """Of every call, which rows are conditional, after checking that those were changed."""
    conditional = [is_conditional(host, call, negative) for call in result.calls]
    for rows, call in zip(conditional, result.calls, strict=True):
        assert call.changed() == rows
    return conditional


@pytest.mark.parametrize("name", BATCHES)
def test_update_acts_on_exactly_the_conditional_rows(each_model: Host, name: str) -> None:
    job, settings, options = BATCHES[name]
    with each_model.settings(**settings):
        result = each_model.txt2img([options], **{"steps": 2, **job})
    negative = job.get("negative_prompt", "a rat")
    rows = check(each_model, result, negative if isinstance(negative, str) else negative[0])
    seen = [each for call in rows for each in call]
    assert any(seen)
    assert not all(seen)


@pytest.mark.parametrize("sampler", ["Euler", "Heun", "DDIM"])
@pytest.mark.parametrize(("prompt", "rows"), [("a cat", 1), (AND, 3)])
def test_rows_are_right_when_the_unconditional_ones_are_skipped(
    host: Host, sampler: str, prompt: str, rows: int
) -> None:
    result = host.txt2img(
        [WEBUI], prompt=prompt, s_min_uncond=2000.0, batch_size=2, steps=4, sampler_name=sampler
    )
    conditional = [True] * rows * 2
    skipped = [conditional, [*conditional, False, False]]  # every other call
    assert check(host, result) == [skipped[n % 2 == 0] for n in range(len(result.calls))]


SAMPLERS = (
    "Euler", "Euler a", "Heun", "LMS", "DPM2", "DPM2 a", "DPM++ 2S a", "DPM++ 2M", "DPM++ SDE",
    "DPM++ 2M Karras", "DPM++ 2M SDE Heun", "DPM++ 3M SDE Exponential", "DPM fast",
    "DPM adaptive", "Restart", "DDIM", "PLMS", "UniPC",
)  # fmt: skip


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_rows_are_right_for_every_sampler(host: Host, sampler: str) -> None:
    result = host.txt2img([BCU], sampler_name=sampler, batch_size=2)
    assert len(result.calls) >= 3
    assert check(host, result) == [[True, True, False, False]] * len(result.calls)


@pytest.mark.parametrize("sampler", ["Euler", "Heun", "DDIM", "DPM adaptive"])
def test_rows_are_right_in_img2img(host: Host, sampler: str) -> None:
    picture = Image.effect_noise((64, 64), 80).convert("RGB")
    result = host.img2img(
        [BCU], init_images=[picture], denoising_strength=0.5, steps=6, sampler_name=sampler
    )
    assert check(host, result) == [[True, False]] * len(result.calls)


@pytest.mark.parametrize("together", [True, False])
def test_instruct_pix2pix_has_one_conditional_row_of_three(host: Host, together: bool) -> None:
    host.load("edit")
    picture = Image.effect_noise((64, 64), 80).convert("RGB")
    with host.settings(batch_cond_uncond=together):
        result = host.img2img([BCU], init_images=[picture], image_cfg_scale=1.5)
    rows = [each for call in check(host, result) for each in call]
    assert rows == [True, False, False] * 3


@pytest.mark.parametrize("masked", [True, False])
def test_rows_are_right_on_an_inpainting_checkpoint(host: Host, masked: bool) -> None:
    host.load("inpaint")
    picture = Image.effect_noise((64, 64), 80).convert("RGB")
    mask = Image.new("L", (64, 64))
    mask.paste(255, (0, 0, 64, 32))
    job = {"init_images": [picture], "mask": mask, "batch_size": 2} if masked else {}
    result = host.run(host.job([BCU], **job))
    assert all(call.sample.shape[1] == 9 for call in result.calls)
    rows = len(result.calls[0].sample) // 2
    assert check(host, result) == [[True] * rows + [False] * rows] * len(result.calls)


def test_rows_are_right_with_v_prediction(host: Host) -> None:
    host.load("v")
    assert check(host, host.txt2img([BCU])) == [[True, False]] * 3


def test_the_unconditional_rows_follow_when_asked_to(host: Host) -> None:
    result = host.txt2img([{**BCU, "update_unconditional": True}])
    assert [call.changed() for call in result.calls] == [[True, True]] * 3


def test_every_attention_optimisation_gives_the_same_pictures(host: Host) -> None:
    from modules import sd_hijack

    def on() -> Any:
        return host.txt2img([BCU], prompt="a cat AND a dog").pictures

    hijack, names = sd_hijack.model_hijack, [each.name for each in sd_hijack.optimizers]
    assert len(names) >= 4
    expected = on()
    try:
        for optimizer in sd_hijack.optimizers:
            hijack.apply_optimizations(optimizer.title())
            torch.testing.assert_close(on(), expected, atol=1e-4, rtol=1e-3)
    finally:
        hijack.apply_optimizations()


def test_pictures_of_a_batch_are_those_of_single_jobs(each_model: Host) -> None:
    prompts = ["a cat AND a dog :0.5", "a bird", "a frog AND a tree :2 AND a chair :-0.5"]
    batch = each_model.txt2img(
        [BCU], prompt=prompts, negative_prompt=["a rat"] * 3, batch_size=3, seed=[1, 2, 3]
    )
    for index, prompt in enumerate(prompts):
        single = each_model.txt2img([BCU], prompt=prompt, seed=index + 1)
        torch.testing.assert_close(batch.pictures[index], single.pictures[0], atol=1e-4, rtol=1e-3)
