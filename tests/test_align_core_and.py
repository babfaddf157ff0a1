"""The WebUI's AND on a pipeline, against the formula written out."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ebca.align.core_and import core_and
from ebca.generate import load_pipeline
from ebca.settings import SettingsError

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")

CFG, STEPS = 3.0, 3


@pytest.fixture(scope="module")
def pipe():
    loaded = load_pipeline(None, None, "cpu", torch.float32)
    loaded.set_progress_bar_config(disable=True)
    return loaded


def encoded(pipe, text: str) -> Tensor:
    return pipe.encode_prompt(text, "cpu", 1, False)[0]


def by_hand(pipe, parts: list[tuple[str, float]], seed: int) -> Tensor:
    """One image: a UNet call for the empty prompt and for every part; the WebUI's combination."""
    latent = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(seed))
    pipe.scheduler.set_timesteps(STEPS)
    latent = latent * pipe.scheduler.init_noise_sigma
    contexts = [encoded(pipe, text) for text, _ in parts]
    empty = encoded(pipe, "")
    with torch.no_grad():
        for time in pipe.scheduler.timesteps:
            uncond = pipe.unet(latent, time, empty).sample
            denoised = uncond.clone()
            for context, (_, weight) in zip(contexts, parts, strict=True):
                denoised += weight * CFG * (pipe.unet(latent, time, context).sample - uncond)
            latent = pipe.scheduler.step(denoised, time, latent).prev_sample
    return latent


def sample(pipe, prompts: list[str], seeds: list[int], cfg: float = CFG) -> Tensor:
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    return pipe(
        prompts, generator=generators, num_inference_steps=STEPS, guidance_scale=cfg,
        output_type="latent",
    ).images  # fmt: skip


@pytest.mark.parametrize("alpha", [1.0, 0.5])
def test_it_is_the_webuis_formula(pipe, alpha):
    prompts = ["a red car :1.2 AND at night :0.7", "a clock AND a blue crown :-0.4"]
    with core_and(pipe, prompts, alpha) as mains:
        assert [main.strip() for main in mains] == ["a red car", "a clock"]
        made = sample(pipe, mains, [4, 5])
    for row, parts in enumerate(
        [
            [("a red car", 1.2), (" at night", 0.7 * alpha)],
            [("a clock ", 1.0), (" a blue crown", -0.4 * alpha)],
        ]
    ):
        expected = by_hand(pipe, parts, 4 + row)
        assert torch.allclose(made[row : row + 1], expected, atol=2e-4)


def test_a_prompt_alone_is_the_prompt_alone(pipe):
    plain = sample(pipe, ["a red car"], [1])
    with core_and(pipe, ["a red car"]) as mains:
        composed = sample(pipe, mains, [1])
    assert torch.allclose(composed, plain, atol=1e-5)


def test_nothing_is_left_behind(pipe):
    before = sample(pipe, ["a red car"], [1])
    with pytest.raises(RuntimeError, match="stop"), core_and(pipe, ["a car AND a crown"]):
        raise RuntimeError("stop")
    assert torch.equal(sample(pipe, ["a red car"], [1]), before)
    assert not pipe.unet._forward_hooks
    assert not pipe.unet._forward_pre_hooks


def test_without_guidance_it_is_refused(pipe):
    with (
        core_and(pipe, ["a car AND a crown"]) as mains,
        pytest.raises(SettingsError, match=r"cfg is 1\.0, but must be above 1"),
    ):
        sample(pipe, mains, [1], cfg=1.0)


def test_prompts_of_different_length_do_not_go_together(pipe):
    with pytest.raises(ValueError, match="equally many parts"), core_and(pipe, ["a AND b", "a"]):
        pass
