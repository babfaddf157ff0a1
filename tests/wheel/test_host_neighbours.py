"""Beside extensions that do what other people's do, as far as it is the WebUI that they change."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import torch
from calls import at_call
from host import Host
from test_host_off import same
from torch import Tensor, nn

ZERO = {"gamma_attn": 0.0, "gamma_norm": 0.0, "gamma_spread": 0.0, "regions": 0.0}
AVERAGE = {"enabled": True, **ZERO, "composition": "average"}
UPDATE = {"enabled": True, "gamma_attn": 0.1, "gamma_norm": 0.1}
TWICE = "a cat AND a cat :0.5"
BOTH = "a cat AND a dog"
BAD = "a cat :-1 AND a dog"


def close(one: Any, other: Any) -> bool:
    return torch.allclose(one.pictures, other.pictures, atol=1e-4)


@contextlib.contextmanager
def callback(name: str, function: Callable[[Any], None]) -> Iterator[None]:
    """A callback of another extension's: `on_cfg_denoiser` and the like."""
    from modules import script_callbacks

    getattr(script_callbacks, name)(function)
    try:
        yield
    finally:
        script_callbacks.remove_callbacks_for_function(function)


# A refusal


def told(host: Host, first: bool, prompt: str, options: dict[str, Any]) -> list[str]:
    """Which callbacks of another script are called in a job that is refused."""
    heard: list[str] = []
    names = ("process", "before_process_batch", "process_batch", "postprocess")

    def hear(name: str) -> Callable[..., None]:
        return lambda *_, **__: heard.append(name)

    methods = {name: hear(name) for name in names}
    with host.another_script(first=first, **methods), pytest.raises(RuntimeError, match="EBCA"):
        host.txt2img([{"enabled": True, **options}], prompt=prompt)
    return heard


@pytest.mark.parametrize("first", [True, False])
def test_a_bad_value_is_refused_before_any_script_begins(host: Host, first: bool) -> None:
    assert told(host, first, "a cat", {"gamma_attn": 99}) == []
    assert told(host, first, "a cat", {"layers": "99"}) == []


@pytest.mark.parametrize("first", [True, False])
def test_a_bad_prompt_is_refused_before_any_batch_and_all_are_told(host: Host, first: bool) -> None:
    """Scripts may write prompts when they begin."""
    assert told(host, first, BAD, {}) == ["process", "postprocess"]


def test_an_error_while_sampling_ends_the_job_for_all(host: Host) -> None:
    """As the end of a job does; or what they have put into the model would stay."""
    heard: list[str] = []

    def fail() -> None:
        raise MemoryError

    def postprocess_batch(_script: Any, _p: Any, images: Tensor, **_: Any) -> None:
        heard.append(f"batch of {len(images)}")

    def postprocess(_script: Any, _p: Any, processed: Any) -> None:
        heard.append(f"job of {len(processed.images)}")

    p = host.job([UPDATE])
    with (
        host.another_script(postprocess_batch=postprocess_batch, postprocess=postprocess),
        at_call(host.unet, 2, fail),
        pytest.raises(MemoryError),
    ):
        host.process(p)
    assert heard == ["batch of 0", "job of 0"]
    assert p.cached_c == [None, None]


def test_a_script_may_still_mend_a_prompt(host: Host) -> None:
    def process(_script: Any, p: Any) -> None:
        p.all_prompts = [BOTH]

    with host.another_script(process=process):
        mended = host.txt2img([AVERAGE], prompt=BAD)
    assert close(mended, host.txt2img([AVERAGE], prompt=BOTH))


# Marked encodings, as ControlNet's


def mark(cond: Any) -> None:
    """Put a row of 1024s before every encoding of a batch, in place."""
    for image in cond.batch:
        for prompt in image:
            prompt.schedules[:] = [
                each._replace(cond=_marked(each.cond)) for each in prompt.schedules
            ]


def _marked(encoding: Any) -> Any:
    if isinstance(encoding, dict):
        return {**encoding, "crossattn": _marked(encoding["crossattn"])}
    return torch.cat([torch.full_like(encoding[:1], 1024.0), encoding])


@contextlib.contextmanager
def marking(host: Host) -> Iterator[None]:
    """Another extension marks the prompts' encodings, and the UNet takes the mark off."""

    def process(_script: Any, p: Any) -> None:
        sample = p.sample

        def marked_sample(*args: Any, **kwargs: Any) -> Any:
            mark(kwargs["conditioning"])
            for entry in kwargs["unconditional_conditioning"]:
                entry[:] = [each._replace(cond=_marked(each.cond)) for each in entry]
            return sample(*args, **kwargs)

        p.sample = marked_sample

    unet, forward = host.unet, host.unet.forward

    def unmark(x: Tensor, timesteps: Any = None, context: Any = None, *args: Any, **kwargs: Any):  # type: ignore[no-untyped-def]
        whole = context.shape[1] // 77 * 77
        return forward(x, timesteps, context[:, -whole:], *args, **kwargs)

    unet.forward = unmark
    try:
        with host.another_script(process=process):
            yield
    finally:
        del unet.forward
        host.job().cached_c[:] = host.job().cached_uc[:] = [None, None]


@pytest.mark.parametrize("kind", ["sd1", "sdxl"])
def test_marks_of_another_extension_are_not_composed(host: Host, kind: str) -> None:
    host.load(kind)
    plain = host.txt2img(prompt="a cat")
    host.txt2img(prompt="a bird")
    with marking(host):
        assert close(host.txt2img([AVERAGE], prompt=TWICE), plain)


def test_a_refusal_leaves_no_marked_encodings(host: Host) -> None:
    plain = host.txt2img(prompt="a cat")

    def process_batch(_script: Any, p: Any, **_: Any) -> None:
        p.all_prompts = [BAD]  # so late that all have begun

    with marking(host), host.another_script(process_batch=process_batch):
        with pytest.raises(RuntimeError, match="above 0"):
            host.txt2img([AVERAGE], prompt="a cat")
        p = host.job()
        assert p.cached_c == p.cached_uc == [None, None]
    assert same(host.txt2img(prompt="a cat"), plain)


# Somebody else's AND


@pytest.mark.parametrize(
    ("label", "value", "name"),
    [
        ("RP Calc Mode", "Latent", "Regional Prompter"),
        ("Latent Couple", "divisions=1:1,1:2", "Latent Couple"),
        ("Tiled Diffusion", {"Region control": {}}, "Tiled Diffusion"),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_and_is_left_to_who_counts_its_rows(
    host: Host, first: bool, label: str, value: Any, name: str
) -> None:
    def process(_script: Any, p: Any) -> None:
        p.extra_generation_params[label] = value

    with host.another_script(first=first, process=process):
        left = host.txt2img([AVERAGE], prompt=BOTH)
        assert same(left, host.txt2img(prompt=BOTH))
        assert left.parameters["EBCA and_means"] == "webui"
        assert any(name in comment for comment in left.comments)
        single = host.txt2img([AVERAGE], prompt="a cat")
        assert not single.comments
        assert single.parameters["EBCA and_means"] == "average"


@pytest.fixture
def remembered() -> Iterator[list[str]]:
    """Neutral Prompt's way to read prompts: it remembers what it has read last."""
    from modules import prompt_parser

    before, last = prompt_parser.get_multicond_prompt_list, []

    def read(prompts: Sequence[str], original_function: Callable[..., Any]) -> Any:
        last[:] = prompts
        return original_function([each.replace("AND_PERP", "AND") for each in prompts])

    read.__module__ = "lib_neutral_prompt.prompt_parser_hijack"
    replaced = functools.partial(read, original_function=before)
    prompt_parser.get_multicond_prompt_list = replaced
    yield last
    prompt_parser.get_multicond_prompt_list = before


def test_neutral_prompt_leaves_plain_and_to_cacao(host: Host, remembered: list[str]) -> None:
    seen: list[list[str]] = []
    with callback("on_cfg_denoised", lambda _: seen.append(list(remembered))):
        composed = host.txt2img([AVERAGE], prompt=TWICE, batch_size=2)
    assert [len(call.sample) for call in composed.calls] == [4, 4, 4]
    assert seen == [["a cat :1"] * 2] * 3  # what is sampled
    assert remembered == [TWICE] * 2
    assert not composed.comments
    assert close(composed, host.txt2img(prompt="a cat", batch_size=2))


@pytest.mark.parametrize("prompt", ["a cat AND_PERP a dog", "[a cat AND a dog] AND a bird"])
def test_neutral_prompts_own_keywords_stay_with_it(
    host: Host, remembered: list[str], prompt: str
) -> None:
    theirs = host.txt2img(prompt=prompt)
    left = host.txt2img([AVERAGE], prompt=prompt)
    assert same(left, theirs)
    assert left.comments == ["EBCA: AND was left to Neutral Prompt."]
    assert left.parameters["EBCA and_means"] == "webui"
    assert remembered == [prompt]
    updated = host.txt2img([UPDATE], prompt=prompt)
    rows = len(updated.calls[0].sample) - 1
    assert [call.changed() for call in updated.calls] == [[True] * rows + [False]] * 3


# Evaluations of others


Forward = Callable[..., Tensor]


@contextlib.contextmanager
def in_samplings(change: Callable[[nn.Module], None]) -> Iterator[None]:
    """Another extension does something to the denoiser of every sampling."""
    from modules import sd_samplers_common

    launch = sd_samplers_common.Sampler.launch_sampling

    def launch_sampling(sampler: Any, steps: int, func: Any) -> Any:
        change(sampler.model_wrap_cfg)
        return launch(sampler, steps, func)

    sd_samplers_common.Sampler.launch_sampling = launch_sampling
    try:
        yield
    finally:
        sd_samplers_common.Sampler.launch_sampling = launch


def inner_model(
    change: Callable[[Forward], Forward],
) -> contextlib.AbstractContextManager[None]:
    """Another extension replaces the forward of the inner model."""

    def replace(denoiser: nn.Module) -> None:
        denoiser.inner_model.forward = change(denoiser.inner_model.forward)

    return in_samplings(replace)


@contextlib.contextmanager
def evaluating(make_contexts: Callable[[Any], Tensor]) -> Iterator[None]:
    """Another extension makes an evaluation of its own after each of the WebUI's."""
    given: list[Any] = []
    denoisers: list[Any] = []

    def evaluate(_: Any) -> None:
        cond = {"c_crossattn": [make_contexts(given[-1])], "c_concat": [given[-1].image_cond]}
        denoisers[-1].inner_model(given[-1].x.clone(), given[-1].sigma, cond=cond)

    with (
        in_samplings(denoisers.append),
        callback("on_cfg_denoiser", given.append),
        callback("on_cfg_denoised", evaluate),
    ):
        yield


def tiles(at_once: int) -> Callable[[Forward], Forward]:
    """Four columns, `at_once` of them in one evaluation."""

    def change(forward: Forward) -> Forward:
        def tiled(x: Tensor, sigma: Tensor, cond: dict[str, Any]) -> Tensor:
            pieces, made = list(x.split(x.shape[-1] // 4, dim=-1)), []
            for first in range(0, 4, at_once):
                group = pieces[first : first + at_once]
                whole = {
                    key: [each.repeat(len(group), 1, 1) for each in value]
                    if key == "c_crossattn"
                    else value
                    for key, value in cond.items()
                }
                out = forward(torch.cat(group), sigma.repeat(len(group)), cond=whole)
                made += out.chunk(len(group))
            return torch.cat(made, dim=-1)

        return tiled

    return change


@pytest.mark.parametrize("at_once", [1, 2, 3, 4])
def test_every_tile_is_composed(host: Host, at_once: int) -> None:
    job = {"width": 256, "batch_size": 2}
    with inner_model(tiles(at_once)):
        plain = host.txt2img(prompt="a cat", **job)
        assert close(host.txt2img([AVERAGE], prompt=TWICE, **job), plain)
        both = host.txt2img([{**AVERAGE, **UPDATE}], prompt=BOTH, **job)
    assert not both.comments
    for call in both.calls:
        assert call.changed() == [True, True, False, False] * (len(call.sample) // 4)


def strange(forward: Forward) -> Forward:
    """The prompts of somebody else in the place of those that are sampled."""

    def other(x: Tensor, sigma: Tensor, cond: dict[str, Any]) -> Tensor:
        contexts = [each * 0.5 for each in cond["c_crossattn"]]
        return forward(x, sigma, cond={**cond, "c_crossattn": contexts})

    def tiled(x: Tensor, sigma: Tensor, cond: dict[str, Any]) -> Tensor:
        left, right = x.chunk(2, dim=-1)
        return torch.cat([other(left, sigma, cond), other(right, sigma, cond)], dim=-1)

    return tiled


@pytest.mark.parametrize("sampler", ["Euler", "DDIM", "Heun"])
def test_and_goes_back_where_somebody_elses_prompts_are_sampled(host: Host, sampler: str) -> None:
    job = {"prompt": BOTH, "sampler_name": sampler, "width": 128}
    with inner_model(strange):
        theirs = host.txt2img(**job)
        left = host.txt2img([AVERAGE], **job)
    assert same(left, theirs)
    assert any("AND was left to the WebUI" in comment for comment in left.comments)
    assert not any(label.startswith("EBCA") for label in left.parameters)


def test_strange_evaluations_beside_the_webuis_own_are_left_alone(host: Host) -> None:
    expected = host.txt2img([{**AVERAGE, **UPDATE}], prompt=BOTH)
    with evaluating(lambda given: torch.cat([given.text_cond, given.text_uncond]) * 0.5):
        beside = host.txt2img([{**AVERAGE, **UPDATE}], prompt=BOTH)
    assert torch.equal(beside.pictures, expected.pictures)
    assert any("ran the model by itself 3 times" in comment for comment in beside.comments)
    assert beside.parameters["EBCA and_means"] == "average"


def test_an_evaluation_of_the_prompts_once_more_has_ebca_in_it(host: Host) -> None:
    """As perturbed-attention guidance makes it, with the conditional rows twice."""
    with evaluating(lambda given: given.text_cond.repeat(2, 1, 1)):
        result = host.txt2img([UPDATE], batch_size=2)
    assert not result.comments
    changed = [call.changed() for call in result.calls]
    assert changed == [[True, True, False, False], [True] * 4] * 3
