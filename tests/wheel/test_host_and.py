"""CACAO in the WebUI: sub-prompts joined by AND are composed in one row of the UNet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from host import Host, Result
from test_host_rows import LONG

SUM = {"enabled": True, "gamma_attn": 0.0, "gamma_norm": 0.0, "gamma_spread": 0.0}
CACAO = {**SUM, "composition": "average"}
BOTH = {"enabled": True, "gamma_attn": 0.1, "edit_gamma_attn": 0.01}


def rows(result: Result) -> list[int]:
    """How many rows each call had."""
    return [len(call.sample) for call in result.calls]


def close(one: Result, other: Result) -> bool:
    return torch.allclose(one.pictures, other.pictures, atol=1e-5)


@pytest.mark.parametrize("options", [CACAO, BOTH])
@pytest.mark.parametrize("others", [1, 2, 7, 39])
def test_an_image_takes_one_conditional_row_whatever_its_sub_prompts(
    each_model: Host, options: dict[str, Any], others: int
) -> None:
    prompt = " AND ".join(["a cat", *(f"a dog {n} :0.1" for n in range(others))])
    result = each_model.txt2img([options], prompt=prompt)
    assert rows(result) == [2, 2, 2]
    assert [call.changed() for call in result.calls] == [[True, False]] * 3
    plain = each_model.txt2img(prompt=prompt)
    assert rows(plain) == [others + 2] * 3


def test_images_of_a_batch_may_have_different_numbers_of_sub_prompts(each_model: Host) -> None:
    prompts = ["a cat", "a dog AND a bird", "a frog AND a tree AND a chair :0.5"]
    job = {"prompt": prompts, "negative_prompt": ["a rat"] * 3, "batch_size": 3}
    result = each_model.txt2img([CACAO], **job)
    assert rows(result) == [6, 6, 6]
    first = result.calls[0]
    assert first.changed() == [False, True, True, False, False, False]
    for row, text in enumerate(("a cat", "a dog", "a frog")):
        assert torch.allclose(first.context[row], each_model.encode(text), atol=1e-5)


def test_weights_are_relative_to_the_main_prompts(host: Host) -> None:
    one = host.txt2img([BOTH], prompt="a cat :2 AND a dog :1")
    assert torch.equal(one.pictures, host.txt2img([BOTH], prompt="a cat AND a dog :0.5").pictures)
    assert not close(one, host.txt2img([BOTH], prompt="a cat AND a dog"))


def test_a_single_prompt_keeps_its_weight(host: Host) -> None:
    weighted = host.txt2img([CACAO], prompt="a cat :2")
    assert torch.equal(weighted.pictures, host.txt2img(prompt="a cat :2").pictures)


def test_composing_with_itself_changes_nothing(each_model: Host) -> None:
    composed = each_model.txt2img([CACAO], prompt="a cat AND a cat :0.7")
    assert close(composed, each_model.txt2img(prompt="a cat"))


@pytest.mark.parametrize("prompt", ["a dog", LONG])
def test_a_sum_is_measured_against_the_empty_prompt(host: Host, prompt: str) -> None:
    """To an empty main prompt a prompt of weight 1 adds all that it says."""
    summed = host.txt2img([SUM], prompt=f" AND {prompt}")
    assert rows(summed) == [2, 2, 2]
    assert close(summed, host.txt2img(prompt=prompt))


def test_a_sum_is_not_an_average(each_model: Host) -> None:
    summed, averaged = (each_model.txt2img([o], prompt="a cat AND a dog") for o in (SUM, CACAO))
    assert [call.changed() for call in summed.calls] == [[True, False]] * 3
    assert not close(summed, averaged)


@pytest.mark.parametrize(
    "prompt", [f"a cat AND {LONG}", f"{LONG} AND a cat", "a BREAK b AND (c:1.3)"]
)
def test_sub_prompts_of_any_length_need_no_padding(each_model: Host, prompt: str) -> None:
    result = each_model.txt2img([BOTH], prompt=prompt)
    conditional = [changed for call in result.calls for changed in call.changed()]
    assert conditional == [True, False] * 3
    assert "Pad conds" not in result.parameters


@pytest.mark.parametrize(
    "prompt", ["a cat AND ", " AND a cat AND", "AND", "a AND AND b", "", "a, 16:9"]
)
def test_odd_prompts_are_no_error(host: Host, prompt: str) -> None:
    assert rows(host.txt2img([BOTH], prompt=prompt)) == [2, 2, 2]


def test_an_empty_sub_prompt_is_left_out(host: Host) -> None:
    assert torch.equal(
        host.txt2img([BOTH], prompt="a cat AND a dog AND ").pictures,
        host.txt2img([BOTH], prompt="a cat AND a dog").pictures,
    )


def firsts(host: Host, **job: Any) -> list[bool]:
    """Of each call, whether the WebUI itself has `[a cat:a dog:0.5]` at the cat."""
    cat = host.encode("a cat")
    calls = host.txt2img(prompt="[a cat:a dog:0.5]", **job).calls
    told = [torch.allclose(call.context[0], cat, atol=1e-5) for call in calls]
    assert any(told)
    assert not all(told)
    return told


@pytest.mark.parametrize("sampler", ["Euler", "Heun", "DDIM"])
def test_an_editorial_prompt_follows_its_schedule(each_model: Host, sampler: str) -> None:
    job = {"steps": 6, "sampler_name": sampler}
    scheduled = each_model.txt2img([BOTH], prompt="a frog AND [a cat:a dog:0.5]", **job)
    steady = each_model.txt2img([BOTH], prompt="a frog AND a cat", **job)
    pairs = zip(scheduled.calls, steady.calls, strict=True)
    same = [torch.allclose(one.output, other.output, atol=1e-5) for one, other in pairs]
    assert same == firsts(each_model, **job)


@pytest.mark.parametrize("sampler", ["Euler", "Heun", "DDIM"])
def test_a_sub_prompt_that_is_empty_at_first_begins_later(each_model: Host, sampler: str) -> None:
    job = {"steps": 6, "sampler_name": sampler}
    result = each_model.txt2img([CACAO], prompt="a frog AND [:a dog:0.5] :1.1", **job)
    assert [not any(call.changed()) for call in result.calls] == firsts(each_model, **job)


def test_the_main_prompt_follows_its_schedule(each_model: Host) -> None:
    result = each_model.txt2img([BOTH], prompt="[a cat:a dog:0.5] AND a bird", steps=6)
    for call, first in zip(result.calls, firsts(each_model, steps=6), strict=True):
        text = "a cat" if first else "a dog"
        assert torch.allclose(call.context[0], each_model.encode(text), atol=1e-5)


def test_the_webuis_own_and_runs_when_asked_for(host: Host) -> None:
    prompt = "a cat AND a dog :0.5"
    off = host.txt2img(prompt=prompt)
    core = host.txt2img([{**CACAO, "compose": "webui"}], prompt=prompt)
    assert rows(core) == [3, 3, 3]
    assert torch.equal(core.pictures, off.pictures)


@pytest.fixture
def foreign_parser(host: Host) -> Iterator[None]:
    """Another extension's AND, in the place where they put theirs."""
    from modules import prompt_parser

    before = prompt_parser.get_multicond_prompt_list

    def get_multicond_prompt_list(prompts: Any) -> Any:
        return before(prompts)

    get_multicond_prompt_list.__module__ = "neutral_prompt.hijacker"
    prompt_parser.get_multicond_prompt_list = get_multicond_prompt_list
    yield
    prompt_parser.get_multicond_prompt_list = before


@pytest.mark.usefixtures("foreign_parser")
def test_and_is_left_to_an_extension_that_has_replaced_it(host: Host) -> None:
    prompt = "a cat AND a dog :0.5"
    left = host.txt2img([CACAO], prompt=prompt)
    assert rows(left) == [3, 3, 3]
    assert torch.equal(left.pictures, host.txt2img(prompt=prompt).pictures)


def test_keywords_of_other_extensions_leave_and_alone(host: Host) -> None:
    assert rows(host.txt2img([CACAO], prompt="a cat AND a dog AND_PERP a bird")) == [3, 3, 3]


@pytest.mark.parametrize("first", [True, False])
def test_prompts_that_another_script_writes_are_composed(host: Host, first: bool) -> None:
    def process(_script: Any, p: Any) -> None:
        p.all_prompts = ["a cat AND a dog", "a bird AND a frog :2"]

    with host.another_script(first=first, process=process):
        written = host.txt2img([BOTH], prompt="__animal__", n_iter=2)
    assert rows(written) == [2] * 6
    for index, prompt in enumerate(written.p.all_prompts):
        single = host.txt2img([BOTH], prompt=prompt, seed=7 + index)
        assert torch.equal(written.pictures[index], single.pictures[0])


def test_prompts_that_another_script_writes_for_one_batch_are_composed(host: Host) -> None:
    def process_batch(_script: Any, p: Any, **_: Any) -> None:
        p.prompts = ["a cat AND a dog"]

    with host.another_script(process_batch=process_batch):
        written = host.txt2img([BOTH], prompt="__animal__")
    assert torch.equal(written.pictures, host.txt2img([BOTH], prompt="a cat AND a dog").pictures)


@pytest.fixture
def hypernetwork(host: Host) -> Iterator[None]:
    """A loaded hypernetwork, which stands between the contexts and the layers."""
    from modules import shared
    from modules.hypernetworks.hypernetwork import Hypernetwork

    torch.manual_seed(3)
    made = Hypernetwork(
        "test", enable_sizes=[24], layer_structure=[1, 2, 1], weight_init="KaimingNormal"
    )
    made.eval()
    shared.loaded_hypernetworks.append(made)
    yield
    shared.loaded_hypernetworks.clear()


def test_hypernetworks_act_on_editorial_prompts_too(host: Host, hypernetwork: None) -> None:
    with_it = host.txt2img(prompt="a cat")
    assert close(host.txt2img([CACAO], prompt="a cat AND a cat :0.7"), with_it)
    both = host.txt2img([BOTH], prompt="a cat AND a dog")
    assert [call.changed() for call in both.calls] == [[True, False]] * 3
