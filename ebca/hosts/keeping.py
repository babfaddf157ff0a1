"""Inversion on a diffusers pipeline: `invert`, and what its scheduler is told while it paints.

diffusers itself is not imported. A scheduler works in latents of its own scale; that and its noise
level are read off what it does to a picture of ones and to noise of ones:

    add_noise(clean, noise, t) = scale(t) clean + spread(t) noise,    sigma = spread / scale
"""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from ebca.core.layers import find_layers
from ebca.editing.flow import invert as invert_flow
from ebca.editing.holding import Recorder, Replay, mixed
from ebca.editing.paths import Flow, Path, Scattered
from ebca.hosts.diffusers import is_pipeline
from ebca.settings.checks import SettingsError

_LATENT_CHANNELS = 4
_NOISE_SEED = 20230640
"""Of the noise that a stochastic scheduler draws in the recording and in every edit."""

Progress = Callable[[], None]


class _Levels:
    """The timesteps of one run of a scheduler, with the scale and noise level of each."""

    def __init__(self, scheduler: Any, steps: int, strength: float) -> None:
        still = copy.deepcopy(scheduler)
        still.set_timesteps(steps)
        self.steps = steps
        self.first = max(steps - min(int(steps * strength), steps), 0) * getattr(still, "order", 1)
        self.timesteps: list[float] = [float(each) for each in still.timesteps[self.first :]]
        self._factors = {
            float(each): _factors(still, each) for each in still.timesteps[self.first :]
        }

    def scale(self, timestep: float) -> float:
        return self._factors[timestep][0]

    def sigma(self, timestep: float) -> float:
        scale, spread = self._factors[timestep]
        return spread / scale

    def rising(self) -> dict[float, float]:
        """Noise level -> timestep, lowest first."""
        return {self.sigma(each): each for each in sorted(self._factors)}

    def __contains__(self, timestep: float) -> bool:
        return timestep in self._factors


def _factors(scheduler: Any, timestep: Tensor) -> tuple[float, float]:
    one, zero = torch.ones(1, 1, 1, 1), torch.zeros(1, 1, 1, 1)
    scale = float(scheduler.add_noise(one, zero, timestep[None]))
    return scale, float(scheduler.add_noise(zero, one, timestep[None]))


class _Source:
    """The model under the source prompt, without guidance: one row a picture."""

    def __init__(self, pipe: Any, text: str, size: tuple[int, int], progress: Progress) -> None:
        """`size` is (height, width) in pixels."""
        self._pipe, self._progress, self.evaluations = pipe, progress, 0
        self._kind = str(getattr(pipe.scheduler.config, "prediction_type", "epsilon"))
        device = pipe._execution_device
        encoded = pipe.encode_prompt(
            text, device=device, num_images_per_prompt=1, do_classifier_free_guidance=False
        )
        self._context: Tensor = encoded[0]
        self._more: dict[str, Tensor] | None = None
        if getattr(pipe, "text_encoder_2", None) is not None:  # SDXL
            ids = torch.tensor([[*size, 0, 0, *size]], dtype=self._context.dtype, device=device)
            self._more = {"text_embeds": encoded[2], "time_ids": ids}

    def predict(self, sample: Tensor, timestep: Any) -> Tensor:
        """The UNet's output for latents [b, c, h, w] of variance 1."""
        rows = len(sample)
        more = None
        if self._more is not None:
            more = {name: each.expand(rows, -1) for name, each in self._more.items()}
        self.evaluations += 1
        self._progress()
        predicted: Tensor = self._pipe.unet(
            sample.to(self._context.dtype), timestep,
            encoder_hidden_states=self._context.expand(rows, -1, -1), added_cond_kwargs=more,
            return_dict=False,
        )[0]  # fmt: skip
        return predicted

    def denoise(self, x: Tensor, sigma: float, timestep: float) -> Tensor:
        """D(x, sigma)."""
        a = (1.0 + sigma**2) ** -0.5
        out = self.predict(x * a, timestep).to(x.dtype)
        if self._kind == "sample":
            return out
        if self._kind == "v_prediction":  # v = a noise - a sigma clean
            return x * a**2 - out * (sigma * a)
        return x - sigma * out


class Inversion:
    """A picture's way into noise, and what holds a sampling on it. Made by `ebca.invert`.

    inputs: what the image-to-image or inpainting pipeline is called with, beside the prompt.
    reconstruction needs no call of its own: the prompt `source` gives it.
    """

    def __init__(
        self,
        source: str,
        inputs: Mapping[str, Any],
        levels: _Levels,
        path: Path,
        moves: Sequence[Tensor],
        keep: float,
        evaluations: int,
    ) -> None:
        self.source, self.inputs, self.keep = source, dict(inputs), keep
        self.evaluations = evaluations
        """Calls of the UNet that it took, of one row a picture each."""
        self._levels, self._path, self._moves = levels, path, moves

    @contextmanager
    def on(self, pipe: Any) -> Iterator[None]:
        """While the block runs, samplings of the pipeline start from the noise that was found and are
        held. The pipeline is called with `inputs`; its scheduler is as before afterwards."""
        scheduler, replay = pipe.scheduler, Replay(self._moves, self.keep)
        before = {name: getattr(scheduler, name) for name in ("add_noise", "step", "set_timesteps")}

        @functools.wraps(before["set_timesteps"])
        def set_timesteps(*args: Any, **kwargs: Any) -> Any:
            nonlocal replay
            replay = Replay(self._moves, self.keep)
            generator.manual_seed(_NOISE_SEED)
            return before["set_timesteps"](*args, **kwargs)

        @functools.wraps(before["add_noise"])
        def add_noise(clean: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
            return self._noisy(clean, noise, float(timesteps.flatten()[0]))

        @functools.wraps(before["step"])
        def step(*args: Any, **kwargs: Any) -> Any:
            if "generator" in kwargs:
                kwargs["generator"] = generator
            return _moved(before["step"](*args, **kwargs), replay)

        generator = torch.Generator().manual_seed(_NOISE_SEED)
        for each in (set_timesteps, add_noise, step):
            setattr(scheduler, each.__name__, each)
        try:
            yield
        finally:
            for name in before:
                delattr(scheduler, name)

    def _noisy(self, clean: Tensor, noise: Tensor, timestep: float) -> Tensor:
        """What the pipeline gets for its picture with noise."""
        if timestep not in self._levels:
            legal = "as they were in the inversion: call the pipeline with its inputs"
            raise SettingsError("steps and strength", f"timestep {timestep:g}", legal)
        sigma, scale = self._levels.sigma(timestep), self._levels.scale(timestep)
        at = self._path.at(sigma)
        if at.shape[1:] != clean.shape[1:] or len(clean) % len(at):
            legal = f"{tuple(at.shape)}, as in the inversion"
            raise SettingsError("the latents", tuple(clean.shape), legal)
        at, own = at.to(noise), self._path.clean.to(noise)
        at, own = (each.repeat(len(clean) // len(each), 1, 1, 1) for each in (at, own))
        found = (at - own) / sigma
        if timestep == self._levels.timesteps[0]:
            found = mixed(found, noise, self.keep)
        return scale * (own + sigma * found)


def _moved(stepped: Any, replay: Replay) -> Any:
    if isinstance(stepped, tuple):
        return (replay.move(stepped[0]), *stepped[1:])
    stepped.prev_sample = replay.move(stepped.prev_sample)
    return stepped


@torch.no_grad()
def invert(
    pipe: Any,
    image: Any,
    *,
    source: str,
    steps: int = 20,
    strength: float = 1.0,
    keep: float = 1.0,
    way: str = "flow",
    iterations: int = 2,
    seed: int = 0,
    progress: Progress = lambda: None,
) -> Inversion:
    clean, picture, size = _encoded(pipe, image)
    levels = _Levels(pipe.scheduler, steps, strength)
    model = _Source(pipe, source, size, progress)
    if way == "flow":
        rising = levels.rising()
        points = invert_flow(
            clean, list(rising), lambda x, s: model.denoise(x, s, rising[s]), iterations
        )
        path: Path = Flow(clean, list(rising), points)
    else:
        generator = torch.Generator().manual_seed(seed)
        path = Scattered(clean, lambda: torch.randn(clean.shape, generator=generator).to(clean))
    moves = _recorded(pipe.scheduler, levels, path, model)
    inputs = {
        "image": picture, "strength": strength, "num_inference_steps": steps,
        "negative_prompt": source,
    }  # fmt: skip
    return Inversion(source, inputs, levels, path, moves, keep, model.evaluations)


def _recorded(original: Any, levels: _Levels, path: Path, model: _Source) -> list[Tensor]:
    """The moves of one sampling by a scheduler like `original` under the source prompt."""
    scheduler, recorder, clean = copy.deepcopy(original), Recorder(), path.clean
    scheduler.set_timesteps(levels.steps, device=clean.device)
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(levels.first)
    drawn = {}
    if "generator" in inspect.signature(scheduler.step).parameters:
        drawn["generator"] = torch.Generator().manual_seed(_NOISE_SEED)
    run = scheduler.timesteps[levels.first :]
    targets = [levels.scale(float(t)) * path.at(levels.sigma(float(t))) for t in run] + [clean]
    x = targets[0]
    for timestep, target in zip(run, targets[1:], strict=True):
        predicted = model.predict(scheduler.scale_model_input(x, timestep), timestep)
        stepped = scheduler.step(predicted, timestep, x, **drawn, return_dict=False)[0]
        x = recorder.move(stepped, target)
    return recorder.moves


def _encoded(pipe: Any, image: Any) -> tuple[Tensor, Any, tuple[int, int]]:
    vae = pipe.vae
    processor = pipe.image_processor
    pixels = processor.preprocess(image).to(device=pipe._execution_device, dtype=vae.dtype)
    latents = vae.encode(pixels).latent_dist.mode() * vae.config.scaling_factor
    return latents, image, (pixels.shape[-2], pixels.shape[-1])
