"""AUTOMATIC1111's WebUI as a host: one sampling of its CFG denoiser on an ldm or sgm UNet.

Nothing of the WebUI is imported: its objects are recognized by their attributes. Rows are not
guessed from shapes: the WebUI stacks the rows of all images (conditional ones first, image-major,
one for each AND-separated prompt; then unconditional ones), announces that batch to extensions, and
evaluates slices of it. So the rows of an evaluation are known by the position of its input in the
announced batch. Where another extension makes evaluations of its own (tiles of the picture, the
prompts once more), rows are recognized by the contexts that come with them. If even these are
unknown, the prompts that EBCA composed into the main prompts are given back to the WebUI.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, Protocol

from torch import Tensor, nn

from ebca.core.engine import Call, Engine
from ebca.core.evaluation import Evaluation, Image, Memories, Row
from ebca.core.layers import Projections
from ebca.core.method import Clock, Method, Time
from ebca.core.trace import Trace
from ebca.hosts.contexts import KnownContexts, contexts_in, rows_of_batch
from ebca.hosts.schedule import Schedule, Times
from ebca.hosts.slices import place

PIECES = (
    "EBCA: the strength of the subjects did nothing: another extension makes the picture in pieces."
)

UNMASKED_PIECE = (
    "EBCA: the inpaint mask was not applied: another extension makes the picture in pieces, and"
    " EBCA cannot tell where each piece lies."
)


class Prompts(Protocol):
    """The encoded prompts of a sampling."""

    def images(self, cond: Any, step: int) -> Sequence[Image]:
        """Return an image for each conditional row of the encoded prompts `cond` of a batch, at
        the denoiser's `step`."""
        ...

    def whole(self, cond: Any) -> Any:
        """Return `cond` as it was before anything was composed into it."""
        ...


class ForeignRowsError(Exception):
    """The UNet is called with another extension's prompts in place of the announced ones."""


class WebUISampling:
    """EBCA on one sampling, between `open` and `close`."""

    def __init__(
        self,
        sampler: Any,
        methods: Sequence[Method],
        prompts: Prompts,
        current_unet: Callable[[], nn.Module],
        *,
        from_noise: bool,
        projections: Projections,
        give_back: Callable[[], None],
        trace: Trace | None = None,
    ) -> None:
        """`methods` are the methods that have something to do. `current_unet` returns the UNet in
        use, which a refiner exchanges on the way. `from_noise` tells whether the sampling begins
        with pure noise, and not with a picture. `give_back` is called when the prompts are given
        back to the WebUI as they were. `trace` collects measurements."""
        self._sampler, self._denoiser = sampler, sampler.model_wrap_cfg
        self._methods, self._prompts, self._current_unet = methods, prompts, current_unet
        self._from_noise, self._projections = from_noise, projections
        self._give_back, self._memories, self._trace = give_back, Memories(), trace
        self._schedule = Schedule({})
        self._noise: tuple[Any, list[float]] = (None, [])
        self._announced: Any = None
        self._failure: Exception | None = None  # raised while a batch was announced
        self._known = KnownContexts()
        self._inner: nn.Module | None = None
        self._batch: Evaluation | None = None  # all rows of the announced batch
        self._own: Sequence[Row] | None = None  # rows of the inner model's current call
        self._engine: Engine | None = None
        self._scope, self._inner_hooks = ExitStack(), ExitStack()
        self._in_forward = False
        self.evaluations = 0
        """The number of UNet calls in which EBCA took part."""
        self.strange_evaluations = 0
        """The number of UNet calls left alone, since other extensions made their rows."""
        self.gave_back = False
        """Whether the prompts were given back to the WebUI, which then composes them itself."""
        self.acted: set[Method] = set()
        """The methods that have done something."""
        self.said: set[str] = set()
        """Lines that tell the user what could not be done."""

    def open(self) -> None:
        """Install the hooks. Raises NoCrossAttentionError or SettingsError for a model or a setting
        that cannot be used."""
        self._follow_unet()
        sampler, function = self._sampler, self._sampler.func

        def note_schedule(*args: Any, **kwargs: Any) -> Any:
            self._schedule = Schedule(kwargs)
            return function(*args, **kwargs)

        sampler.func = note_schedule
        self._scope.callback(setattr, sampler, "func", function)
        before = vars(self._denoiser).get("forward")
        self._forward_as_before = self._denoiser.forward
        self._denoiser.forward = self._forward
        undo = (
            (setattr, self._denoiser, "forward", before)
            if before
            else (delattr, self._denoiser, "forward")
        )
        self._scope.callback(*undo)

    def close(self) -> None:
        """Remove every hook; a second call does nothing."""
        self._inner_hooks.close()
        self._scope.close()
        if self._engine is not None:
            self._engine.remove()
        self._announced = self._inner = self._batch = self._own = self._engine = None

    def announce(self, params: Any) -> None:
        """Note the batch that the WebUI's `on_cfg_denoiser` announces: all rows are in `params.x`,
        which later callbacks may still replace. The WebUI logs an exception in a callback and goes
        on without EBCA, so it is raised at the model's next call."""
        try:
            self._note_announced(params)
        except Exception as error:
            self._failure = error

    def _note_announced(self, params: Any) -> None:
        self._announced, self._known, self._batch = params, KnownContexts(), None
        if self.gave_back:
            return
        inner = self._denoiser.inner_model  # new with a refiner
        if inner is not self._inner:
            self._inner_hooks.close()
            self._inner = inner
            self._inner_hooks.callback(
                inner.register_forward_pre_hook(self._begin, with_kwargs=True).remove
            )
            self._inner_hooks.callback(inner.register_forward_hook(self._end).remove)

    # One call of the denoiser

    def _forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the denoiser's own `forward`, in whose place this is installed."""
        forward, self._in_forward = self._forward_as_before, True
        try:
            return forward(*args, **kwargs)
        except ForeignRowsError:
            self._give_up()
            kwargs["cond"] = self._sampler.sampler_extra_args["cond"]
            return forward(*args, **kwargs)
        finally:
            self._in_forward = False

    def _give_up(self) -> None:
        """Give the prompts back to the WebUI, from this call of its denoiser on."""
        self.gave_back = True
        self._inner_hooks.close()
        if self._engine is not None:
            self._engine.remove()
        given = self._sampler.sampler_extra_args
        given["cond"] = self._prompts.whole(given["cond"])
        self._give_back()

    # One call of the inner model

    def _begin(self, _inner: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._own = None
        self._follow_unet()
        batch, sample = self._announced.x, args[0]
        self._batch = self._describe_batch(args[1], sample)
        first = place(sample, batch)
        if self._batch is None or first is None:
            return
        self._own = self._batch.rows[first : first + len(sample)]
        self._known.learn(first, self._own, contexts_in(kwargs.get("cond", args[2:])))

    def _describe_batch(
        self, level: Tensor, sample: Tensor, guidance: float | None = None
    ) -> Evaluation | None:
        """Describe all announced rows, or return None if another extension has changed them;
        `guidance` is given if it differs from the sampling's."""
        cond = self._sampler.sampler_extra_args["cond"]
        images = self._prompts.images(cond, self._denoiser.step)
        rows = self._all_rows([len(prompts) for prompts in cond.batch])
        if rows is None:
            return None
        if self._batch is None:
            conditional = [row for row in rows if row.conditional]
            rest = rows[len(conditional) :]
            self._known.learn(0, conditional, contexts_in(self._announced.text_cond))
            uncond = contexts_in(self._announced.text_uncond)
            self._known.learn(len(conditional), rest[: len(cond.batch)], uncond)
        size = (sample.shape[-2], sample.shape[-1])
        if guidance is None:
            guidance = self._sampler.sampler_extra_args.get("cond_scale")
        clock = Clock(lambda: self._time(level))
        return Evaluation(rows, images, clock, size, self._memories, guidance)

    def _all_rows(self, prompts: Sequence[int]) -> list[Row] | None:
        """Return the announced rows, given the number of prompts of each image, or None if
        another extension has changed them."""
        return rows_of_batch(prompts, len(self._announced.x))

    def _end(self, _inner: nn.Module, _args: Any, _output: Any) -> None:
        self._own = None

    # One call of the UNet

    def _describe(self, call: Call) -> Evaluation | None:
        if self._failure is not None:
            raise self._failure
        batch, own, size = self._batch, self._own, (call.sample.shape[-2], call.sample.shape[-1])
        if batch is None:
            self._leave_alone()
            return None
        if own is not None and len(own) == len(call.sample) and size == batch.size:
            self.evaluations += 1
            return dataclasses.replace(batch, rows=own)
        rows = self._known.rows(call.context)
        if rows is None or len(rows) != len(call.sample):
            self._leave_alone()
            return None
        self.evaluations += 1
        whole = size == batch.size
        if not whole and any(method.needs_whole for method in self._methods):
            self.said.add(PIECES)
        images = self._at(size, batch)
        return dataclasses.replace(batch, rows=rows, size=size, images=images, whole=whole)

    def _leave_alone(self) -> None:
        """Count an evaluation of another extension. Raises ForeignRowsError if that replaces the
        WebUI's own, since it would lack what was composed into the main prompts."""
        instead = self._in_forward and (self._own is not None or not self.evaluations)
        if instead and self._prompts.whole(self._sampler.sampler_extra_args["cond"]) is not None:
            raise ForeignRowsError
        self.strange_evaluations += 1

    def _at(self, size: tuple[int, int], batch: Evaluation) -> Sequence[Image]:
        """Return the images of a batch, without masks if the size is not the batch's: then only a
        piece of the picture is evaluated, and nothing tells which."""
        masked = any(image.mask is not None for image in batch.images)
        if size == batch.size or not masked:
            return batch.images
        self.said.add(UNMASKED_PIECE)
        return [dataclasses.replace(image, mask=None) for image in batch.images]

    def _follow_unet(self) -> None:
        unet = self._current_unet()
        if self._engine is not None and self._engine.unet is unet:
            return
        if self._engine is not None:
            self._engine.remove()
        self._engine = Engine(
            unet,
            self._methods,
            self._describe,
            trace=self._trace,
            projections=self._projections,
            say=self.said.add,
            acted=self.acted,
        )
        self._engine.install()

    def _time(self, level: Tensor) -> Time:
        """Return the fractions done of this sampling's steps and of the way from pure noise."""
        counted = self._denoiser.step / max(self._denoiser.total_steps or 0, 1)
        times = Times(self._schedule, self._sigmas(), self._from_noise)
        return times.at(float(level.max()), counted)

    def _sigmas(self) -> list[float]:
        """Return the sigmas of the timesteps, read only once since reading waits for the GPU."""
        model = self._denoiser.inner_model
        if self._noise[0] is not model:
            known = None if self._schedule.on_grid else getattr(model, "sigmas", None)
            self._noise = (model, [] if known is None else known.tolist())
        return self._noise[1]
