"""Pipelines as hosts: rows, windows, masks and encodings are those of the pipeline's own run."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from diffusers import StableDiffusionPipeline
from models import tiny_unet
from torch import Tensor

import ebca
from ebca.generate import EMBEDDED_MODEL, load_pipeline

pytestmark = [
    pytest.mark.diffusers,
    pytest.mark.filterwarnings("ignore::FutureWarning"),  # of diffusers, about its own names
    pytest.mark.filterwarnings("ignore:__array__ implementation"),  # of its schedulers
]

_STRONG = ebca.Settings(gamma_attn=0.05, gamma_norm=0.05)
_EDITS_ONLY = ebca.Settings(gamma_attn=0.0, gamma_norm=0.0, gamma_spread=0.0)
_PROMPT = "a red car and a blue crown"


@pytest.fixture(scope="module")
def pipe() -> StableDiffusionPipeline:
    """The embedded model, in fp32."""
    loaded = load_pipeline(None, None, "cpu", torch.float32)
    loaded.set_progress_bar_config(disable=True)
    return loaded


def with_unet(pipe: StableDiffusionPipeline, kind: str, in_channels: int) -> Any:
    """A pipeline of another kind around the embedded model, with a random UNet for its inputs."""
    torch.manual_seed(1)
    unet = type(pipe.unet).from_config({**pipe.unet.config, "in_channels": in_channels}).eval()
    made_of = getattr(diffusers, kind)
    parts = {**pipe.components, "unet": unet, "image_encoder": None}
    known = inspect.signature(made_of).parameters
    parts = {name: part for name, part in parts.items() if name in known}
    made = made_of(**parts, requires_safety_checker=False)
    made.set_progress_bar_config(disable=True)
    return made


@pytest.fixture(scope="module")
def xl_pipe(pipe: StableDiffusionPipeline) -> Any:
    """A random SDXL: two text encoders (24 + 24 channels), pooled vector and sizes."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    torch.manual_seed(2)
    config = CLIPTextConfig(
        hidden_size=24,
        intermediate_size=32,
        num_hidden_layers=3,
        num_attention_heads=2,
        projection_dim=24,
        eos_token_id=49407,
    )
    unet = tiny_unet(
        cross_attention_dim=48,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=24 + 6 * 8,
        sample_size=8,
    )
    made = diffusers.StableDiffusionXLPipeline(
        vae=pipe.vae,
        text_encoder=CLIPTextModel(config).eval(),
        text_encoder_2=CLIPTextModelWithProjection(config).eval(),
        tokenizer=pipe.tokenizer,
        tokenizer_2=pipe.tokenizer,
        unet=unet,
        scheduler=pipe.scheduler,
        add_watermarker=False,
    )
    made.set_progress_bar_config(disable=True)
    return made


def sample(pipe: Any, prompt: str | list[str] = _PROMPT, seed: int = 0, **more: Any) -> Tensor:
    """Latents of each prompt [prompts, 4, h, w]; every picture's noise has its own seed."""
    count = 1 if isinstance(prompt, str) else len(prompt)
    generators = [torch.Generator().manual_seed(seed + i) for i in range(count)]
    settings = {"num_inference_steps": 3, "guidance_scale": 4.0, "height": 64, "width": 64}
    if "image" in more and "mask_image" not in more:
        del settings["height"], settings["width"]
    output = pipe(prompt, generator=generators, output_type="latent", **{**settings, **more})
    latents: Tensor = output.images
    return latents


class Recorder:
    """Keeps inputs and outputs of every call of a UNet."""

    def __init__(self, unet: torch.nn.Module) -> None:
        self.calls: list[tuple[Any, Any, Tensor]] = []
        self._handle = unet.register_forward_hook(self._keep, with_kwargs=True)

    def _keep(self, _unet: Any, args: Any, kwargs: Any, output: Any) -> None:
        self.calls.append((args, kwargs, output[0]))

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        self._handle.remove()


def replayed(unet: torch.nn.Module, call: Any, rows: list[int], **patch: Any) -> Tensor:
    """A recorded UNet call once more, patched as a bare UNet with the given conditional rows."""
    args, kwargs, _ = call
    with torch.no_grad(), ebca.apply_patch(unet, _STRONG, conditional_rows=rows, **patch):
        output: Tensor = unet(*args, **kwargs)[0]
    return output


def test_and_composes_and_leaves_the_pipeline_as_it_was(pipe: StableDiffusionPipeline) -> None:
    before = sample(pipe)
    prompt = ebca.compose(f"{_PROMPT} AND at night :0.8")
    with ebca.apply_patch(pipe, _STRONG, edits=prompt.edits):
        first, second = sample(pipe, prompt.main), sample(pipe, prompt.main)
    assert torch.equal(first, second)
    assert not torch.equal(first, before)
    assert torch.equal(sample(pipe), before)


def test_prompt_and_its_encoding_compose_alike(pipe: StableDiffusionPipeline) -> None:
    context = pipe.encode_prompt("at night", "cpu", 1, False)[0][0]
    with ebca.apply_patch(pipe, _STRONG, edits=[ebca.Edit("at night", alpha=0.8)]):
        from_prompt = sample(pipe)
    with ebca.apply_patch(pipe, _STRONG, edits=[ebca.Edit(context=context, alpha=0.8)]):
        assert torch.equal(sample(pipe), from_prompt)


def test_only_the_prompts_rows_are_touched(pipe: StableDiffusionPipeline) -> None:
    with Recorder(pipe.unet) as off:
        sample(pipe, num_inference_steps=1)
    with Recorder(pipe.unet) as on, ebca.apply_patch(pipe, _STRONG):
        sample(pipe, num_inference_steps=1)
    unconditional, conditional = (off.calls[0][2] - on.calls[0][2]).flatten(1).abs().amax(1)
    assert unconditional < 1e-5  # rows of a batch may round differently, no more
    assert conditional > 1e-2


def test_without_guidance_every_row_is_the_prompts(pipe: StableDiffusionPipeline) -> None:
    with Recorder(pipe.unet) as seen, ebca.apply_patch(pipe, _STRONG):
        sample(pipe, guidance_scale=1.0, num_inference_steps=1)
    assert seen.calls[0][2].shape[0] == 1
    assert torch.equal(seen.calls[0][2], replayed(pipe.unet, seen.calls[0], [0]))


def test_pictures_of_a_batch_are_those_made_alone(pipe: StableDiffusionPipeline) -> None:
    prompts = ["a red car AND at night :0.8", "a blue crown", "a frog AND green :0.5 AND sea :0.2"]
    together = ebca.compose(prompts)
    with ebca.apply_patch(pipe, _STRONG, edits=together.edits):
        batch = sample(pipe, together.main)
    for index, prompt in enumerate(prompts):
        alone = ebca.compose(prompt)
        with ebca.apply_patch(pipe, _STRONG, edits=alone.edits):
            picture = sample(pipe, alone.main, seed=index)
        torch.testing.assert_close(batch[index : index + 1], picture, atol=2e-4, rtol=0)


def test_several_images_per_prompt_share_its_edits(pipe: StableDiffusionPipeline) -> None:
    composed = ebca.compose(["a red car AND at night :0.8", "a blue crown"])
    with Recorder(pipe.unet) as seen, ebca.apply_patch(pipe, _STRONG, edits=composed.edits):
        pipe(
            composed.main,
            num_images_per_prompt=2,
            num_inference_steps=1,
            output_type="latent",
            height=64,
            width=64,
        )
    night = pipe.encode_prompt("at night", "cpu", 1, False)[0][0]
    edits = [[ebca.Edit(context=night, alpha=0.8)]] * 2 + [[]] * 2
    empty = pipe.encode_prompt("", "cpu", 1, False)[0][0]
    expected = replayed(pipe.unet, seen.calls[0], [4, 5, 6, 7], edits=edits, reference=empty)
    assert torch.equal(seen.calls[0][2], expected)


def test_lists_that_do_not_fit_the_prompts_are_refused(pipe: StableDiffusionPipeline) -> None:
    edits = [[ebca.Edit("at night")], [], []]
    refused = pytest.raises(ebca.SettingsError, match="one list per prompt")
    with ebca.apply_patch(pipe, _STRONG, edits=edits), refused:
        sample(pipe, ["a car", "a crown"])


@pytest.mark.parametrize(
    "scheduler", ["DDIMScheduler", "EulerDiscreteScheduler", "HeunDiscreteScheduler"]
)
@pytest.mark.parametrize("which", ["settings", "edit"])
def test_windows_follow_the_steps_of_the_run(
    pipe: StableDiffusionPipeline, scheduler: str, which: str
) -> None:
    window = {"start": 0.5, "stop": 0.75}
    settings = ebca.Settings(gamma_attn=0.05, **window) if which == "settings" else _EDITS_ONLY
    edits = [ebca.Edit("at night", **window)] if which == "edit" else []
    other = StableDiffusionPipeline(**pipe.components, requires_safety_checker=False)
    other.set_progress_bar_config(disable=True)
    other.scheduler = getattr(diffusers, scheduler).from_config(pipe.scheduler.config)
    with ebca.apply_patch(other, settings, edits=edits):
        touched = list(_steps_touched(other, num_inference_steps=8))
    assert set(touched) == {step for step in range(8) if 4 <= step < 6}


@pytest.mark.parametrize("strength", [0.5, 0.8])
def test_windows_of_image_to_image_are_of_the_steps_made(
    pipe: StableDiffusionPipeline, strength: float
) -> None:
    other = diffusers.StableDiffusionImg2ImgPipeline(
        **pipe.components, requires_safety_checker=False
    )
    other.set_progress_bar_config(disable=True)
    made = math.floor(10 * strength)
    more = {"image": torch.rand(1, 3, 64, 64), "strength": strength, "num_inference_steps": 10}
    with ebca.apply_patch(other, ebca.Settings(gamma_attn=0.05, start=0.5)):
        touched = list(_steps_touched(other, **more))
    assert touched == [step for step in range(made) if step / made >= 0.5]


def _steps_touched(pipe: Any, **more: Any) -> Iterator[int]:
    """Steps of a run in which EBCA, already on, changes the UNet's output."""
    with Recorder(pipe.unet) as seen:
        sample(pipe, **more)
    ebca.remove_patch(pipe)
    times = list(dict.fromkeys(float(args[1]) for args, _, _ in seen.calls))
    for args, kwargs, output in seen.calls:
        with torch.no_grad():
            plain = pipe.unet(*args, **kwargs)[0]
        if not torch.equal(plain, output):
            yield times.index(float(args[1]))


def test_inpainting_models_bring_their_own_mask(pipe: StableDiffusionPipeline) -> None:
    inpaint = with_unet(pipe, "StableDiffusionInpaintPipeline", 9)
    white = torch.zeros(1, 1, 64, 64)
    white[..., 8:40, 16:64] = 1
    picture = torch.rand(1, 3, 64, 64)
    with Recorder(inpaint.unet) as seen, ebca.apply_patch(inpaint, _STRONG):
        sample(inpaint, image=picture, mask_image=white, num_inference_steps=1, strength=1.0)
    latent_mask = white[0, 0, ::8, ::8]
    assert torch.equal(seen.calls[0][0][0][0, 4], latent_mask)
    masked = replayed(inpaint.unet, seen.calls[0], [1], mask=latent_mask)
    assert torch.equal(seen.calls[0][2], masked)
    assert not torch.equal(replayed(inpaint.unet, seen.calls[0], [1]), masked)


def test_mask_given_in_pixels_is_the_latents_mask(pipe: StableDiffusionPipeline) -> None:
    white = torch.zeros(64, 64)
    white[8:40, 16:64] = 1
    results = []
    for mask in (white, white[::8, ::8]):
        with ebca.apply_patch(pipe, _STRONG, mask=mask):
            results.append(sample(pipe))
    assert torch.equal(*results)


def test_instruct_pix2pix_updates_the_first_row_of_three(pipe: StableDiffusionPipeline) -> None:
    pix2pix = with_unet(pipe, "StableDiffusionInstructPix2PixPipeline", 8)
    if not hasattr(type(pix2pix), "do_classifier_free_guidance"):  # early releases do not tell
        with pytest.raises(ebca.SettingsError, match="conditional_rows is None"):
            ebca.apply_patch(pix2pix, _STRONG)
        return
    with Recorder(pix2pix.unet) as seen, ebca.apply_patch(pix2pix, _STRONG):
        pix2pix(_PROMPT, image=torch.rand(1, 3, 64, 64), num_inference_steps=1)
    assert seen.calls[0][2].shape[0] == 3
    assert torch.equal(seen.calls[0][2], replayed(pix2pix.unet, seen.calls[0], [0]))


def test_sdxl(xl_pipe: Any) -> None:
    prompt = ebca.compose("a red car AND at night :0.8 AND a frog :-0.3", gamma_attn=0.01)
    before = sample(xl_pipe, "a red car")
    with ebca.apply_patch(xl_pipe, _STRONG, edits=prompt.edits):
        on = sample(xl_pipe, prompt.main)
    assert torch.isfinite(on).all()
    assert (on - before).abs().max() > 1e-3
    assert torch.equal(sample(xl_pipe, "a red car"), before)


def test_sd2_with_v_prediction_and_upcast_attention(pipe: StableDiffusionPipeline) -> None:
    """SD2's features on a UNet of the embedded model's size."""
    torch.manual_seed(4)
    config = {**pipe.unet.config, "use_linear_projection": True, "upcast_attention": True}
    unet = type(pipe.unet).from_config(config).eval()
    scheduler = pipe.scheduler.from_config(pipe.scheduler.config, prediction_type="v_prediction")
    sd2 = StableDiffusionPipeline(
        **{**pipe.components, "unet": unet, "scheduler": scheduler}, requires_safety_checker=False
    )
    sd2.set_progress_bar_config(disable=True)
    prompt = ebca.compose("a red car AND at night :0.8", gamma_attn=0.05)
    before = sample(sd2, prompt.main)
    with Recorder(unet) as seen, ebca.apply_patch(sd2, _STRONG, edits=prompt.edits):
        assert not torch.equal(sample(sd2, prompt.main), before)
    assert torch.equal(sample(sd2, prompt.main), before)
    night, empty = pipe.encode_prompt(["at night", ""], "cpu", 1, False)[0]
    edits = [ebca.Edit(context=night, alpha=0.8, gamma_attn=0.05)]
    expected = replayed(unet, seen.calls[0], [1], edits=edits, reference=empty)
    assert torch.equal(seen.calls[0][2], expected)


def test_edits_of_the_wrong_width_are_refused_before_sampling(
    pipe: StableDiffusionPipeline,
) -> None:
    with pytest.raises(ebca.SettingsError, match=r"a tensor \[tokens, 128\]"):
        ebca.apply_patch(pipe, _STRONG, edits=[ebca.Edit(context=torch.zeros(77, 768))])
    assert not pipe.unet._forward_pre_hooks


def test_embedded_model_is_small_and_complete() -> None:
    files = [path for path in Path(EMBEDDED_MODEL).rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 40e6
