"""AUTOMATIC1111's WebUI as a host: one sampling of its CFG denoiser on an ldm or sgm UNet.

Nothing of the WebUI is imported: its objects are known by what they have. Rows are not guessed
from shapes: the WebUI stacks the rows of all images (conditional ones first, image-major, one for
each AND-separated prompt; then unconditional ones), announces that batch to extensions, and cuts
what it evaluates out of it. So the rows of an evaluation are told by where its input lies in the
batch that was announced.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, Protocol

from torch import Tensor, nn

from ebca.composition import Composition, Evaluation, Row
from ebca.engine import Call, Engine
from ebca.hosts.unet import is_timed
from ebca.hosts.views import place
from ebca.layers import Projections
from ebca.settings import Settings

_SAME = 1.0 + 1e-4
"""Noise levels that differ by less are the same."""


class Prompts(Protocol):
    """What the sampling must know of the encoded prompts."""

    def compositions(self, cond: Any, step: int) -> Sequence[Composition]:
        """For the encoded prompts `cond` of a batch at the denoiser's `step`, one composition for
        each conditional row."""
        ...


class WebUISampling:
    """EBCA on one sampling, between `open` and `close`."""

    def __init__(
        self,
        sampler: Any,
        settings: Settings,
        prompts: Prompts,
        current_unet: Callable[[], nn.Module],
        *,
        composes: bool,
        projections: Projections,
    ) -> None:
        """`current_unet` gives the UNet in use, which a refiner exchanges on the way."""
        self._sampler, self._denoiser = sampler, sampler.model_wrap_cfg
        self._settings, self._prompts, self._current_unet = settings, prompts, current_unet
        self._composes, self._projections = composes, projections
        self._schedule = Schedule({})
        self._announced: Any = None
        self._inner: nn.Module | None = None
        self._evaluation: Evaluation | None = None
        self._engine: Engine | None = None
        self._scope, self._inner_hooks = ExitStack(), ExitStack()
        self.strange_evaluations = 0
        """UNet calls that other extensions made with rows of their own, which were left alone."""

    def open(self) -> None:
        """Install what listens; raises NoCrossAttentionError or SettingsError for a model or a
        setting that cannot be used."""
        self._follow_unet()
        sampler, function = self._sampler, self._sampler.func

        def note_schedule(*args: Any, **kwargs: Any) -> Any:
            self._schedule = Schedule(kwargs)
            return function(*args, **kwargs)

        sampler.func = note_schedule
        self._scope.callback(setattr, sampler, "func", function)

    def close(self) -> None:
        """Take everything away again; may be called again."""
        self._inner_hooks.close()
        self._scope.close()
        if self._engine is not None:
            self._engine.remove()
        self._announced = self._inner = self._evaluation = self._engine = None

    def announce(self, params: Any) -> None:
        """The WebUI's `on_cfg_denoiser`: `params.x` is the batch of all rows, which callbacks that
        come later may still replace."""
        self._announced = params
        inner = self._denoiser.inner_model  # a refiner brings a new one
        if inner is not self._inner:
            self._inner_hooks.close()
            self._inner = inner
            self._inner_hooks.callback(inner.register_forward_pre_hook(self._begin).remove)
            self._inner_hooks.callback(inner.register_forward_hook(self._end).remove)

    # One call of the inner model

    def _begin(self, _inner: nn.Module, args: tuple[Any, ...]) -> None:
        self._evaluation = None
        self._follow_unet()
        batch, sample = self._announced.x, args[0]
        first = place(sample, batch)
        if first is None:
            return
        cond = self._sampler.sampler_extra_args["cond"]
        compositions = self._prompts.compositions(cond, self._denoiser.step)
        rows = _rows([len(prompts) for prompts in cond.batch], len(batch))
        if rows is not None:
            timed = is_timed(self._settings, compositions)
            progress = self._progress(args[1]) if timed else 0.0
            size = (sample.shape[-2], sample.shape[-1])
            own = rows[first : first + len(sample)]
            self._evaluation = Evaluation(own, compositions, progress, size)

    def _end(self, _inner: nn.Module, _args: Any, _output: Any) -> None:
        self._evaluation = None

    def _describe(self, call: Call) -> Evaluation | None:
        evaluation = self._evaluation
        if evaluation is None or len(evaluation.rows) != len(call.sample):
            self.strange_evaluations += 1
            return None
        return evaluation

    def _follow_unet(self) -> None:
        unet = self._current_unet()
        if self._engine is not None and self._engine.unet is unet:
            return
        if self._engine is not None:
            self._engine.remove()
        self._engine = Engine(
            unet,
            self._settings,
            self._describe,
            composes=self._composes,
            projections=self._projections,
        )
        self._engine.install()

    def _progress(self, level: Tensor) -> float:
        told = self._schedule.progress(float(level.max()))
        if told is None:
            told = self._denoiser.step / max(self._denoiser.total_steps or 0, 1)
        return min(told, 1.0)


class Schedule:
    """The noise levels that a sampler goes through, from the arguments that it was called with."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        levels: Any = next(
            (arguments[name] for name in ("sigmas", "sigma_sched") if name in arguments), []
        )
        self._on_grid = "timesteps" in arguments
        if self._on_grid:
            levels = list(arguments["timesteps"])[::-1]
        self._levels = [float(level) for level in levels][:-1]  # at the last, nothing is left to do
        self._span: tuple[float, float] | None = None
        if {"sigma_min", "sigma_max"} <= set(arguments):
            self._span = (float(arguments["sigma_max"]), float(arguments["sigma_min"]))

    def progress(self, level: float) -> float | None:
        """Fraction of the schedule done at a noise level (or timestep); None if it is unknown.

        That is the fraction of the steps, of which one that evaluates the model between its
        beginning and its end is not done yet. A sampler that chooses its steps by itself (DPM
        fast, DPM adaptive) goes evenly through the logarithm of the noise level, and UniPC's
        timesteps are not those of its schedule.
        """
        if self._on_grid and all(abs(level - each) > 0.5 for each in self._levels):
            return None
        if self._levels:
            return sum(level <= end * _SAME for end in self._levels[1:]) / len(self._levels)
        if self._span and level > 0.0:
            most, least = map(math.log, self._span)
            return max(0.0, (most - math.log(level)) / max(most - least, 1e-12))
        return None


def _rows(prompts: Sequence[int], count: int) -> list[Row] | None:
    """All rows of a batch of `count`, given the number of prompts of each image.

    None if the batch is larger or smaller than the WebUI makes it (one unconditional row an image,
    two with InstructPix2Pix): then another extension has put rows of its own into it.
    """
    conditional = sum(prompts)
    if count - conditional not in (len(prompts), 2 * len(prompts)):
        return None
    firsts = [sum(prompts[:image]) for image in range(len(prompts))]
    rows = [Row(index, conditional=True) for index in range(conditional)]
    while len(rows) < count:
        rows += [Row(first, conditional=False) for first in firsts]
    return rows
