"""The WebUIs' models asked under what a picture shows, with stand-ins for their denoisers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import torch
from models import latent
from torch import Tensor

from ebca.hosts.source import forge_source, webui_source

LEVEL = torch.full((2,), 3.0)


class Prompts:
    """As the hosts have them."""

    def __init__(self, shape: tuple[int, ...], batch: list[list[Any]]) -> None:
        self.shape, self.batch = shape, batch


class Part:
    def __init__(self, schedules: Any, weight: float = 1.0) -> None:
        self.schedules, self.weight = schedules, weight


class Call(NamedTuple):
    x: Tensor
    step: int | None
    given: dict[str, Any]


class WebUIDenoiser:
    """Its inner model halves what it gets."""

    mask = nmask = init_latent = None
    mask_before_denoising = False

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def inner_model(self, x: Tensor, level: Tensor, cond: Any) -> Tensor:
        self.calls.append(Call(x, None, cond))
        return x / 2


def webui(denoiser: WebUIDenoiser, key: str = "crossattn", cond: Any = None) -> Tensor:
    contexts = [torch.zeros(2, 7, 3), torch.ones(2, 7, 3)]
    with webui_source(denoiser, lambda step: cond or contexts[step], key) as evaluate:
        return evaluate(latent(2), LEVEL, 1, {"image_cond": torch.ones(2, 5, 1, 1)})


def test_the_inner_model_is_asked_one_row_an_image():
    denoiser = WebUIDenoiser()
    assert torch.equal(webui(denoiser), latent(2) / 2)
    (call,) = denoiser.calls
    assert call.given["c_crossattn"][0].mean() == 1.0  # of the step
    assert call.given["c_concat"][0].shape == (2, 5, 1, 1)


@pytest.mark.parametrize(
    ("key", "cond", "names"),
    [
        ("crossattn-adm", None, {"c_crossattn", "c_adm"}),
        ("hybrid", {"crossattn": 1, "vector": 2}, {"crossattn", "vector", "c_concat"}),
    ],
)
def test_models_of_other_kinds(key, cond, names):
    denoiser = WebUIDenoiser()
    webui(denoiser, key, cond)
    assert set(denoiser.calls[0].given) == names


@pytest.mark.parametrize("before", [True, False])
def test_what_is_masked_is_the_picture_before_or_after(before):
    denoiser = WebUIDenoiser()
    denoiser.mask, denoiser.nmask = torch.ones(4, 8, 8), torch.zeros(4, 8, 8)
    denoiser.init_latent, denoiser.mask_before_denoising = torch.ones(2, 4, 8, 8), before
    made = webui(denoiser)
    assert torch.equal(made, torch.full_like(made, 0.5 if before else 1.0))
    assert torch.equal(denoiser.calls[0].x, torch.ones(2, 4, 8, 8) if before else latent(2))


class ForgeDenoiser:
    """It counts its steps and leaves what it has made in its sampler."""

    def __init__(self, fails: bool = False) -> None:
        self.step, self.fails = 0, fails
        self.p = SimpleNamespace(refiner_checkpoint_info="another")
        self.sampler = SimpleNamespace(last_latent="the picture")
        self.calls: list[Call] = []

    def __call__(self, x: Tensor, level: Tensor, **given: Any) -> Tensor:
        assert self.p.refiner_checkpoint_info is None
        self.calls.append(Call(x, self.step, given))
        if self.fails:
            raise ValueError("a test's")
        self.step += 1
        self.sampler.last_latent = x
        return x / 2


GIVEN = {
    "cond": Prompts((2,), [[Part("a"), Part("b")], [Part("c")]]),
    "uncond": "the negative prompts",
    "cond_scale": 5.0,
    "image_cond": 1,
    "model_options": {},
}


def test_the_denoiser_is_asked_without_guidance():
    denoiser = ForgeDenoiser()
    with forge_source(denoiser, ["one", "two"]) as evaluate:
        assert torch.equal(evaluate(latent(2), LEVEL, 4, GIVEN), latent(2) / 2)
    (call,) = denoiser.calls
    assert (call.step, call.given["cond_scale"], call.given["uncond"]) == (4, 1.0, ["one", "two"])
    assert [[each.schedules for each in image] for image in call.given["cond"].batch] == [
        ["one"],
        ["two"],
    ]
    assert (call.given["cond"].shape, call.given["image_cond"]) == ((2,), 1)


@pytest.mark.parametrize("fails", [True, False])
def test_the_denoiser_is_as_before(fails):
    denoiser = ForgeDenoiser(fails)
    try:
        with forge_source(denoiser, ["one", "two"]) as evaluate:
            evaluate(latent(2), LEVEL, 0, GIVEN)
    except ValueError:
        assert fails
    assert denoiser.step == 0
    assert denoiser.p.refiner_checkpoint_info == "another"
    assert denoiser.sampler.last_latent == "the picture"
    assert GIVEN["cond_scale"] == 5.0
