"""Off, and on with nothing to do, a job is bit for bit what it was; what is on is told."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from host import Host, Result
from PIL import Image

from ebca.options.job import fields
from ebca.version import VERSION

ON = {"enabled": True, "gamma_attn": 0.1}
NULL = {"enabled": True, "gamma_attn": 0.0, "gamma_norm": 0.0, "gamma_spread": 0.0, "regions": 0.0}
PICTURE = Image.effect_noise((64, 64), 80).convert("RGB")
JOBS: dict[str, dict[str, Any]] = {
    "txt2img": {},
    "AND": {"prompt": "a cat AND a dog :0.5"},
    "img2img": {"init_images": [PICTURE], "denoising_strength": 0.6},
    "hires": {"enable_hr": True, "hr_upscaler": "Latent", "hr_scale": 1.5},
}


def same(one: Result, other: Result) -> bool:
    return (
        torch.equal(one.pictures, other.pictures)
        and len(one.calls) == len(other.calls)
        and all(
            torch.equal(a.output, b.output) for a, b in zip(one.calls, other.calls, strict=True)
        )
    )


def unplugged(host: Host, **job: Any) -> Result:
    """The job without our script."""
    p = host.job(**job)
    ours, runner = p.scripts.script("EBCA"), p.scripts
    runner.alwayson_scripts.remove(ours)
    try:
        return host.run(p)
    finally:
        runner.alwayson_scripts.insert(0, ours)


@pytest.mark.parametrize("name", JOBS)
def test_off_is_bit_identical_to_not_installed(each_model: Host, name: str) -> None:
    expected = unplugged(each_model, **JOBS[name])
    assert same(each_model.txt2img(**JOBS[name]), expected)
    assert same(each_model.txt2img([{**ON, "enabled": False}], **JOBS[name]), expected)
    assert same(each_model.txt2img([False], **JOBS[name]), expected)


@pytest.mark.parametrize("name", ["txt2img", "img2img", "hires"])
def test_steps_of_zero_are_bit_identical_to_off(each_model: Host, name: str) -> None:
    assert same(each_model.txt2img([NULL], **JOBS[name]), each_model.txt2img(**JOBS[name]))


@pytest.mark.parametrize("name", JOBS)
def test_a_job_after_one_with_it_on_is_bit_identical(each_model: Host, name: str) -> None:
    before = each_model.txt2img(**JOBS[name])
    on = each_model.txt2img([ON], **JOBS[name])
    assert not torch.equal(on.pictures, before.pictures)
    assert same(each_model.txt2img(**JOBS[name]), before)
    assert same(each_model.txt2img([ON], **JOBS[name]), on)


def test_core_and_with_steps_of_zero_is_bit_identical_to_off(host: Host) -> None:
    still = {**NULL, "compose": "webui"}
    assert same(host.txt2img([still], **JOBS["AND"]), host.txt2img(**JOBS["AND"]))


def test_the_window_ends_where_the_schedule_has_come_to(host: Host) -> None:
    late = host.txt2img([{**ON, "start": 0.5, "regions": 0.0}], steps=4)
    assert [any(call.changed()) for call in late.calls] == [False, False, True, True]
    early = host.txt2img([{**ON, "stop": 0.5, "regions": 0.0}], steps=4, sampler_name="Heun")
    assert [any(call.changed()) for call in early.calls] == [True] * 3 + [False] * 4


def told(result: Result) -> dict[str, str]:
    return {label: text for label, text in result.parameters.items() if label.startswith("EBCA")}


def test_infotext_tells_what_differs_from_the_preset(host: Host) -> None:
    on = {"EBCA": "on", "EBCA version": VERSION}
    assert told(host.txt2img([{"enabled": True}])) == on
    texts = {"layers": "mid, up", "token_weights": "cat:2", "things": "cat, dog"}
    assert told(host.txt2img([{**ON, **texts}])) == {
        **on, "EBCA gamma_attn": "0.1", "EBCA layers": "mid, up", "EBCA token_weights": "cat:2",
        "EBCA subjects": "cat, dog",
    }  # fmt: skip
    preset = {"enabled": True, "preset": "paper: stylise", "edit_start": 0.5}
    assert told(host.txt2img([preset])) == {
        **on, "EBCA preset": "paper: stylise", "EBCA edit_start": "0.5",
    }  # fmt: skip


def test_infotext_tells_nothing_when_off(host: Host) -> None:
    assert not told(host.txt2img())
    assert not told(host.txt2img([{**ON, "enabled": False}]))


def test_prompts_are_kept_as_written(host: Host) -> None:
    result = host.txt2img([ON], prompt="a cat AND a dog :0.5")
    assert result.p.all_prompts == ["a cat AND a dog :0.5"]


def test_a_list_in_the_order_of_the_controls_is_the_same_as_an_object(host: Host) -> None:
    values = {**{name: field.default for name, field in fields().items()}, **ON}
    listed = host.txt2img(list(values.values()))
    assert same(listed, host.txt2img([ON]))
    assert listed.parameters == host.txt2img([ON]).parameters


def test_batches_of_a_job_are_all_changed(host: Host) -> None:
    result = host.txt2img([ON], n_iter=2)
    assert len(result.pictures) == 2
    assert all(any(call.changed()) for call in result.calls)
