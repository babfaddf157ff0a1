"""What cannot be done stops the job with a message; whatever happens, nothing stays behind."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from calls import at_call, hooks_of, listening
from host import Host
from test_host_off import same
from torch import nn

ON = {"enabled": True, "gamma_attn": 0.1}
AVERAGE = {"composition": "average"}
BAD: dict[str, tuple[dict[str, Any], str, list[str]]] = {
    # name: the options, the prompt, what the message says
    "too large": ({"gamma_attn": 99}, "a cat", ["gamma_attn", "99", "from 0 to 10"]),
    "negative": ({"edit_gamma_norm": -1}, "a cat", ["edit_gamma_norm", "-1", "from 0 to 10"]),
    "no number": ({"stop": "soon"}, "a cat", ["stop", "soon", "from 0 to 1"]),
    "NaN": ({"gamma_norm": float("nan")}, "a cat", ["gamma_norm", "nan", "from 0 to 10"]),
    "null": ({"start": None}, "a cat", ["start", "None", "from 0 to 1"]),
    "unknown key": ({"gama": 1}, "a cat", ["gama", "gamma_attn"]),
    "no choice": ({"compose": "both"}, "a cat", ["compose", "both", "cacao, webui"]),
    "no flag": ({"mask": 1}, "a cat", ["mask", "1", "true or false"]),
    "window": ({"start": 0.7, "stop": 0.3}, "a cat", ["start", "0.7", "0.3"]),
    "layers": ({"layers": "side"}, "a cat", ["layers", "side", "down, mid, up"]),
    "layers that this model lacks": ({"layers": "99"}, "a cat", ["layers", "99"]),
    "token weights": ({"token_weights": "cat"}, "a cat", ["token_weights", "cat", "crown:2.5"]),
    "absent word": ({"token_weights": "cow:2"}, "a cat", ["token_weights", "cow", "prompt"]),
    "one subject": ({"things": "cat"}, "a cat", ["subjects", "cat", "two or more"]),
    "main weight": ({}, "a cat :-1 AND a dog", ["prompt", "-1", "above 0"]),
    "denominator": (AVERAGE, "a cat AND a dog :-1", ["after AND", "-1", "-0.9"]),
    "denominator, later": (AVERAGE, "a cat AND [:a dog:0.5] :-1", ["after AND", "-1", "-0.9"]),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_value_stops_the_job_before_its_first_call(host: Host, name: str) -> None:
    options, prompt, message = BAD[name]
    job = {"prompt": "a cat", "enable_hr": True, "hr_upscaler": "Latent"}
    before = host.txt2img([ON], **job)
    with listening([host.unet]) as calls, pytest.raises(RuntimeError) as raised:
        host.txt2img([{**ON, **options}], prompt=prompt)
    assert not calls
    assert "EBCA" in str(raised.value)
    assert all(part in str(raised.value) for part in message), str(raised.value)
    assert raised.value.status_code == 422  # type: ignore[attr-defined]
    assert same(host.txt2img([ON], **job), before)


def test_a_bad_hires_prompt_stops_the_job_before_the_first_pass(host: Host) -> None:
    job = {"enable_hr": True, "hr_upscaler": "Latent", "hr_prompt": "a cat AND a dog :-101"}
    with listening([host.unet]) as calls, pytest.raises(RuntimeError, match="weight"):
        host.txt2img([ON], **job)
    assert not calls


def test_a_bad_prompt_of_a_later_batch_stops_the_job_at_once(host: Host) -> None:
    prompts = {"prompt": ["a cat", "a cat :-1 AND a dog"], "negative_prompt": [""] * 2}
    with listening([host.unet]) as calls, pytest.raises(RuntimeError, match="above 0"):
        host.txt2img([ON], **prompts, n_iter=2)
    assert not calls


def test_what_is_switched_off_is_not_checked(host: Host) -> None:
    assert same(host.txt2img([False, "custom", "garbage", None]), host.txt2img())


def test_a_model_without_cross_attention_is_refused(host: Host) -> None:
    wrapper = host.model.model
    unet = wrapper.diffusion_model
    wrapper.diffusion_model = nn.Sequential(nn.Conv2d(4, 4, 1))
    try:
        with pytest.raises(RuntimeError, match="cross-attention"):
            host.process(host.job([ON]))
    finally:
        wrapper.diffusion_model = unet


def test_another_unet_of_the_settings_is_refused(host: Host) -> None:
    from modules import sd_unet

    class Option:
        label = "TensorRT"

    sd_unet.current_unet, sd_unet.current_unet_option = nn.Identity(), Option
    apply, sd_unet.apply_unet = sd_unet.apply_unet, lambda _model: None
    try:
        with pytest.raises(RuntimeError, match=r"SD Unet.*TensorRT"):
            host.process(host.job([ON]))
    finally:
        sd_unet.current_unet = sd_unet.current_unet_option = None
        sd_unet.apply_unet = apply


class MemoryGoneError(Exception):
    pass


@pytest.fixture(params=["Euler", "DDIM"])
def sampler(request: pytest.FixtureRequest) -> Iterator[str]:
    return request.param  # type: ignore[no-any-return]


@pytest.mark.parametrize("number", [1, 2, 5])
def test_an_exception_in_the_unet_leaves_nothing(
    each_model: Host, sampler: str, number: int
) -> None:
    def fail() -> None:
        raise MemoryGoneError

    job = {"prompt": "a cat AND a dog", "sampler_name": sampler, "steps": 4,
           "enable_hr": True, "hr_upscaler": "Latent"}  # fmt: skip
    expected = each_model.txt2img([ON], **job)
    p = each_model.job([ON], **job)
    with at_call(each_model.unet, number, fail), pytest.raises(MemoryGoneError):
        each_model.process(p)
    assert "sample" not in vars(p)
    assert "get_conds" not in vars(p)
    assert not hooks_of(each_model.model)
    assert same(each_model.txt2img([ON], **job), expected)
    assert same(each_model.txt2img(**job), each_model.txt2img([False], **job))


@pytest.mark.parametrize("state", ["interrupted", "skipped"])
def test_an_interrupted_job_leaves_nothing(each_model: Host, sampler: str, state: str) -> None:
    from modules import shared

    job = {"prompt": "a cat AND a dog", "sampler_name": sampler, "steps": 4}
    expected = each_model.txt2img([ON], **job)
    p = each_model.job([ON], **job)
    with at_call(each_model.unet, 2, lambda: setattr(shared.state, state, True)):
        result = each_model.run(p)
    assert len(result.calls) == 2
    assert "sample" not in vars(p)
    assert not hooks_of(each_model.model)
    assert same(each_model.txt2img([ON], **job), expected)


def test_jobs_leave_themselves_as_they_were(host: Host) -> None:
    p = host.job([ON], prompt="a cat AND a dog")
    before = set(vars(p))
    host.run(p)
    assert not {"sample", "get_conds"} & (set(vars(p)) - before)


class Thread:
    """reForge's, which does the jobs of its page: what they raise is lost (`modules_forge`)."""

    class Task:
        def __init__(self, *_: Any) -> None: ...

    @staticmethod
    def run_and_wait_result(job: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return job(*args, **kwargs)
        except Exception:
            return None


def test_a_refusal_reaches_the_page_of_a_host_that_keeps_errors_to_itself(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ebca.webui import refusal

    class ThisThread(Thread):
        pass

    monkeypatch.setitem(sys.modules, "modules_forge.main_thread", ThisThread)  # type: ignore
    refusal.speak_plainly()
    once = ThisThread.run_and_wait_result
    refusal.speak_plainly()  # as when the page is made again
    assert ThisThread.run_and_wait_result is once
    with pytest.raises(refusal.JobRefusedError, match="gamma_attn is 99"):
        once(host.txt2img, [{**ON, "gamma_attn": 99}])
    assert once(int, "seven") is None  # not ours
    assert once(int, "7") == 7


def test_a_refusal_is_one_line_in_the_console(
    host: Host, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of other errors the host prints the traceback, as before."""
    from modules import errors

    from ebca.webui import refusal

    monkeypatch.setattr(errors, "report", errors.report)
    refusal.speak_plainly()
    once = errors.report
    refusal.speak_plainly()
    assert errors.report is once

    def report(job: Callable[[], Any]) -> str:
        """What the host's page prints of an error."""
        try:
            job()
        except Exception:
            errors.report("Error completing request", exc_info=True)
        return "".join(capsys.readouterr())

    refused = report(lambda: host.txt2img([{**ON, "gamma_attn": 99}]))
    assert "The job was refused. EBCA: gamma_attn is 99" in refused
    assert "Traceback" not in refused
    assert "Traceback" in report(lambda: int("seven"))
    host.errors.clear()


def test_on_a_page_what_is_left_over_is_said_and_refuses_nothing(host: Host) -> None:
    """Through the API it is an error: there nobody sees a box that still has an old word."""
    for options, line in (
        ({"token_weights": "cow:2"}, "Without effect: “cow” in “Words to bring out more or less”,"),
        ({"subjects": "owl, cow"}, "Without effect: “owl”, “cow” in “Subjects”,"),
    ):
        p = host.job([{**ON, **options}], prompt="a cat and a dog")
        p.is_api = False
        result = host.run(p)
        assert result.comments == [f"EBCA: {line} not in the prompt."]
        assert same(result, host.txt2img([ON], prompt="a cat and a dog"))


def test_on_a_page_one_subject_is_a_state_on_the_way_to_two(host: Host) -> None:
    p = host.job([{**ON, "subjects": "cat"}], prompt="a cat and a dog")
    p.is_api = False
    assert same(host.run(p), host.txt2img([{**ON, "regions": 0.0}], prompt="a cat and a dog"))


def test_on_a_page_an_error_names_its_labels(host: Host) -> None:
    p = host.job([{**ON, "start": 0.7, "stop": 0.3}])
    p.is_api = False
    with pytest.raises(RuntimeError) as raised:
        host.run(p)
    assert str(raised.value) == (
        "EBCA: “Paper's update from” is 0.7, but must be less than “Paper's update until”, which is"
        " 0.3."
    )


def test_what_no_step_lets_act_is_said_under_the_picture(host: Host) -> None:
    places = {"enabled": True, "gamma_attn": 0.0}
    told = "EBCA: The subjects get no places: too few steps, or too low a denoising strength."
    result = host.txt2img([places], prompt="a cat and a dog", steps=1)
    assert result.comments == [told]
    assert same(result, host.txt2img(prompt="a cat and a dog", steps=1))
    assert not host.txt2img([places], prompt="a cat and a dog", steps=4).comments
    late = host.txt2img([{**ON, "start": 0.9, "regions": 0.0}], steps=3)
    assert late.comments == [
        "EBCA: The paper's update does nothing: no step lies in the part that it acts in."
    ]


@pytest.mark.parametrize("prompt", ["", "  "])
def test_an_empty_prompt_is_left_alone(host: Host, prompt: str) -> None:
    """It has no words to bring out."""
    assert same(host.txt2img([ON], prompt=prompt), host.txt2img(prompt=prompt))
    both = {**ON, "update_unconditional": True}  # the negative prompt has some
    assert not same(host.txt2img([both], prompt=prompt), host.txt2img(prompt=prompt))
