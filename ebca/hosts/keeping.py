"""Inversion on a diffusers pipeline: `invert`, and the scheduler's stand-ins during an edit.

diffusers itself is not imported.
"""

from __future__ import annotations

import copy
import functools
import inspect
import numbers
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from ebca.core.layers import find_layers
from ebca.editing.flow import between, step_back
from ebca.editing.holding import Recording, Replay
from ebca.editing.paths import Flow, Path, Scattered
from ebca.editing.pictures import fitting
from ebca.hosts.diffusers import is_pipeline
from ebca.hosts.levels import Levels
from ebca.hosts.source_model import Progress, SourceModel, encoded
from ebca.options.keeping import Keeping
from ebca.settings.checks import SettingsError

_LATENT_CHANNELS = 4
_NOISE_SEED = 0
"""The seed of a stochastic scheduler's noise, the same in the recording and in every edit."""


def _no_progress() -> None:
    pass


class Inversion:
    """A picture's path into noise, and the recording that holds an edit on it.

    `ebca.invert` returns it.

    Attributes:
        inputs: arguments for the image-to-image or inpainting pipeline, besides the prompt.
        keeping: the settings of the inversion.
        evaluations: how often the UNet was evaluated for it, with one row a picture.
    """

    def __init__(
        self,
        inputs: Mapping[str, Any],
        keeping: Keeping,
        levels: Levels,
        path: Path,
        recording: Recording,
        evaluations: int,
    ) -> None:
        self.inputs, self.keeping, self.evaluations = dict(inputs), keeping, evaluations
        self._levels, self._path, self._recording = levels, path, recording

    @contextmanager
    def on(self, pipe: Any) -> Iterator[None]:
        """Start the pipeline's samplings in a `with` block from the found noise, and hold them.

        Call the pipeline with `inputs`. After the block its scheduler is as before.

        Args:
            pipe: the diffusers pipeline of the edit.

        Raises:
            SettingsError: in the pipeline's call, if its steps, strength or size are not the
                inversion's, or if it does not begin with the picture's noise.
        """
        scheduler, generator = pipe.scheduler, torch.Generator()
        before = {name: getattr(scheduler, name) for name in ("set_timesteps", "add_noise", "step")}
        replay, begun = self._replay(), False

        @functools.wraps(before["set_timesteps"])
        def set_timesteps(*args: Any, **kwargs: Any) -> Any:
            nonlocal replay, begun
            replay, begun = self._replay(), False  # a new sampling
            generator.manual_seed(_NOISE_SEED)
            return before["set_timesteps"](*args, **kwargs)

        @functools.wraps(before["add_noise"])
        def add_noise(clean: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
            nonlocal begun
            begun = True
            return self._noisy(clean, float(timesteps.flatten()[0]))

        @functools.wraps(before["step"])
        def step(*args: Any, **kwargs: Any) -> Any:
            if not begun:
                now, legal = "begun with other noise", "one that begins with the picture: image to"
                legal += " image, or inpainting with a strength below 1"
                raise SettingsError("the pipeline's call", now, legal)
            if "generator" in kwargs and replay.holds:
                kwargs["generator"] = generator
            return _moved(before["step"](*args, **kwargs), replay)

        for stand_in in (set_timesteps, add_noise, step):
            setattr(scheduler, stand_in.__name__, stand_in)
        try:
            yield
        finally:
            for name in before:
                delattr(scheduler, name)

    def _replay(self) -> Replay:
        return Replay(self._recording, self.keeping.keep_more, self.keeping.keep_stop)

    def _noisy(self, clean: Tensor, timestep: float) -> Tensor:
        """Return the picture's noisy latents at a timestep, in the scheduler's scale."""
        if timestep not in self._levels:
            now = f"a run with timestep {timestep:g}"
            raise SettingsError("the pipeline's call", now, "made with the inversion's inputs")
        at = self._path.at(self._levels.sigma(timestep))
        if at.shape[1:] != clean.shape[1:] or len(clean) % len(at):
            legal = f"those of the inversion, {tuple(at.shape)}"
            raise SettingsError("the picture's latents", tuple(clean.shape), legal)
        times = (len(clean) // len(at), 1, 1, 1)
        return self._levels.scale(timestep) * at.to(clean).repeat(times)


@torch.no_grad()
def invert(
    pipe: Any,
    image: Any,
    *,
    source: str | Sequence[str],
    steps: int = 20,
    strength: float = 1.0,
    seed: int | Sequence[int] = 0,
    iterations: int = 2,
    progress: Progress = _no_progress,
    **settings: Any,
) -> Inversion:
    """Find the noise from which `pipe` would paint `image`, and record how to hold an edit there.

    The pipeline itself stays as it was.

    Args:
        pipe: a diffusers pipeline of SD1, SD2 or SDXL, but no inpainting model.
        image: a PIL picture of any kind and size, or a list of pictures of one size.
        source: a prompt that says what the picture shows, or one for each picture. Painted with
            that prompt at guidance 1, the picture comes back.
        steps: the number of steps of the edit, at least 1.
        strength: the strength of the edit as in image-to-image pipelines, above 0 and at most 1.
        seed: the seed of the noise where `keep_noise` is `scattered`: one for each picture, or the
            first picture's, and the others have the next numbers.
        iterations: evaluations of the model for each step back where `keep_noise` is `flow`, at
            least 1.
        progress: called without arguments after each evaluation.
        **settings: `keep_more`, `keep_stop`, `keep_noise`, `keep_steps`, `keep_from_source` as in
            docs/controls.md.

    Returns:
        An `Inversion`; call the pipeline with its `inputs` inside `with inversion.on(pipe)`.

    Raises:
        SettingsError: an argument or setting cannot be used.
        NoCrossAttentionError: the model has no cross-attention.
    """
    keeping = _checked(pipe, steps, strength, iterations, settings)
    pictures = [fitting(each) for each in (image if isinstance(image, (list, tuple)) else [image])]
    sizes = {each.size for each in pictures}
    if len(sizes) != 1:
        raise SettingsError("image", sorted(sizes), "pictures of one size, at least one")
    texts = _checked_source(source, len(pictures))
    seeds = _checked_seeds(seed, len(pictures))
    clean = encoded(pipe, pictures)
    levels = Levels(pipe.scheduler, steps, strength)
    model = SourceModel(pipe, texts, pictures[0].size, progress)
    path, recording = search(pipe.scheduler, levels, clean, model, keeping, seeds, iterations)
    one = not isinstance(image, (list, tuple))
    inputs: dict[str, Any] = {"strength": strength, "num_inference_steps": steps}
    inputs["image"] = pictures[0] if one else pictures
    if keeping.keep_from_source:
        inputs["negative_prompt"] = texts[0] if one else texts
    return Inversion(inputs, keeping, levels, path, recording, model.evaluations)


def search(
    scheduler: Any, levels: Levels, clean: Tensor, model: SourceModel, keeping: Keeping,
    seeds: Sequence[int], iterations: int = 2,
) -> tuple[Path, Recording]:  # fmt: skip
    """Return the path of latents `clean` [b, c, h, w] into noise, and one sampling held on it;
    `seeds` has a seed for each row."""
    if keeping.keep_noise == "flow":
        path: Path = _flow(clean, levels, model, keeping, iterations)
    else:
        path = Scattered(clean, _noise(clean, seeds))
    return path, _recorded(scheduler, levels, path, model)


def _checked(
    pipe: Any, steps: int, strength: float, iterations: int, settings: Mapping[str, Any]
) -> Keeping:
    if not is_pipeline(pipe) or not hasattr(pipe, "encode_prompt") or not hasattr(pipe, "vae"):
        legal = "a diffusers pipeline with a UNet, an autoencoder and text encoders"
        raise SettingsError("pipe", type(pipe).__name__, legal)
    find_layers(pipe.unet)
    if (channels := pipe.unet.config.in_channels) != _LATENT_CHANNELS:
        legal = f"one of {_LATENT_CHANNELS}: an inpainting or editing model keeps by itself"
        raise SettingsError("the UNet's number of input channels", channels, legal)
    for name, value in {"steps": steps, "iterations": iterations}.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise SettingsError(name, value, "a whole number of at least 1")
    number = isinstance(strength, numbers.Real)
    if not number or not 0.0 < strength <= 1.0 or int(steps * strength) < 1:
        legal = f"above 0, at most 1, and large enough for one of the {steps} steps"
        raise SettingsError("strength", strength, legal)
    known = {name for name in vars(Keeping()) if name not in ("keep", "keep_source")}
    for name in settings:
        if name not in known:
            raise SettingsError("setting", name, "one of " + ", ".join(sorted(known)))
    return Keeping(keep=True, **settings)


def _checked_source(source: Any, count: int) -> list[str]:
    texts = [source] * count if isinstance(source, str) else source
    good = isinstance(texts, (list, tuple)) and len(texts) == count
    if not good or not all(isinstance(each, str) and each.strip() for each in texts):
        legal = "a prompt that says what the picture shows, or one for each picture"
        raise SettingsError("source", source, legal)
    return list(texts)


def _checked_seeds(seed: Any, count: int) -> list[int]:
    try:
        if isinstance(seed, (list, tuple)):
            seeds = [operator.index(each) for each in seed]
        else:
            seeds = [operator.index(seed) + place for place in range(count)]
    except TypeError:
        seeds = []
    if len(seeds) != count:
        raise SettingsError("seed", seed, "one whole number, or one for each picture")
    return seeds


def _noise(clean: Tensor, seeds: Sequence[int]) -> Callable[[], Tensor]:
    """Return a function that draws noise like latents [b, c, h, w], each row from its own seed."""
    generators = [torch.Generator().manual_seed(each) for each in seeds]

    def draw() -> Tensor:
        drawn = [torch.randn(clean.shape[1:], generator=each) for each in generators]
        return torch.stack(drawn).to(clean)

    return draw


def _flow(
    clean: Tensor, levels: Levels, model: SourceModel, keeping: Keeping, iterations: int
) -> Path:
    grid = levels.rising()
    back = between(grid, round(keeping.keep_steps))
    points = step_back(clean, back, model.at_levels(levels), iterations)
    return Flow(clean, back, points)


def _recorded(original: Any, levels: Levels, path: Path, model: SourceModel) -> Recording:
    """Record one sampling by a copy of a scheduler under the source prompt, without guidance."""
    scheduler, recording, clean = copy.deepcopy(original), Recording(), path.clean
    scheduler.set_timesteps(levels.steps, device=clean.device)
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(levels.first)
    drawn = {}
    if "generator" in inspect.signature(scheduler.step).parameters:
        drawn["generator"] = torch.Generator().manual_seed(_NOISE_SEED)
    run = scheduler.timesteps[levels.first :]
    targets = [levels.scale(float(t)) * path.at(levels.sigma(float(t))) for t in run]
    x = targets[0]
    for timestep, target in zip(run, [*targets[1:], clean], strict=True):
        predicted = model.predict(scheduler.scale_model_input(x, timestep), timestep)
        stepped = scheduler.step(predicted, timestep, x, **drawn, return_dict=False)[0]
        x = recording.move(stepped, target)
    return recording


def _moved(stepped: Any, replay: Replay) -> Any:
    if isinstance(stepped, tuple):
        return (replay.move(stepped[0]), *stepped[1:])
    stepped.prev_sample = replay.move(stepped.prev_sample)
    return stepped
