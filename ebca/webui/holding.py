"""Keeping the picture of an img2img job: its inversion before the sampling, and the sampling held.

The host's sampler runs twice. In the first run, under the source prompt and without guidance,
every step is moved to where the picture's path is at its noise level, and the moves are recorded.
In the second, the job's own, each step is moved likewise. Neither draws noise while it is held:
the moves have it. What a sampler hands to its model is the tensor that it goes on with, so that a
step is moved by writing into it; that serves every sampler.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import k_diffusion.sampling  # type: ignore[import-not-found]
from modules import sd_samplers_common, shared  # type: ignore[import-not-found]
from torch import Tensor

from ebca.editing.holding import Replay
from ebca.settings.keeping import Keeping
from ebca.webui.inversion import InversionRun, encoded
from ebca.webui.keeping import source_texts
from ebca.webui.recordings import Found, recordings


class Keep:
    """The picture of one sampling of the job `p`, kept."""

    def __init__(self, p: Any, keeping: Keeping, sampler: Any) -> None:
        self._p, self._keeping, self._sampler = p, keeping, sampler
        self._texts = source_texts(keeping, p.prompts)
        self._found: Found | None = None

    @contextmanager
    def run(self, launch: Callable[..., Any], steps: int, func: Any) -> Iterator[None]:
        """Find the noise, launching the sampler as its own sampling is launched; while the block
        runs samplings start from it and are held."""
        sampler, function = self._sampler, self._sampler.func
        given = sampler.sampler_extra_args
        uncond = given["uncond"]

        def find(model: Any, x: Tensor, *args: Any, **kwargs: Any) -> Any:
            run = InversionRun(self._p, self._keeping, self._texts, model, kwargs)
            self._found = self._find(run, function, model, x, *args, **kwargs)
            return x

        def hold(model: Any, x: Tensor, *args: Any, **kwargs: Any) -> Any:
            if self._found is None:  # interrupted on the way, as this call will be
                return function(model, x, *args, **kwargs)
            return self._held(self._found, function, model, x, *args, **kwargs)

        try:
            sampler.func = find
            launch(sampler, steps, func)
            sampler.func = hold
            if self._keeping.keep_from_source:
                given["uncond"] = encoded(self._p, self._texts, sampler)
            yield
        finally:
            sampler.func = function
            given["uncond"] = uncond

    def _find(
        self, run: InversionRun, function: Any, model: Any, x: Tensor, *args: Any, **kwargs: Any
    ) -> Found:
        latent = model.init_latent
        key = (str(self._sampler.funcname), *run.key)
        model_now = (shared.sd_model.sd_checkpoint_info.filename, id(shared.sd_model))
        found = recordings.find(model_now, key, latent)
        if found is None:
            shared.state.job_count += 1  # the progress counts it as a job of its own
            with _noise(x, kwargs, lambda: True):
                found = run.find(function, model, x, *args, **kwargs)
            recordings.keep(key, found)
            shared.state.nextjob()
        if found.told:
            self._p.comment(found.told)
        return found

    def _held(
        self, found: Found, function: Any, model: Any, x: Tensor, *args: Any, **kwargs: Any
    ) -> Tensor:
        replay = Replay(found.recording, self._keeping.keep_more, self._keeping.keep_stop)
        start = found.start.to(x, copy=True)  # since it is written into
        if found.told and "eta" in kwargs:
            kwargs["eta"] = 0.0
        with _noise(x, kwargs, lambda: replay.holds):
            made: Tensor = function(_Held(model, replay), start, *args, **kwargs)
        return replay.move(made)


class _Held:
    """The host's denoiser, with each step moved before it is looked at."""

    def __init__(self, model: Any, replay: Replay) -> None:
        vars(self).update(_model=model, _replay=replay)

    def __call__(self, x: Tensor, *args: Any, **kwargs: Any) -> Any:
        x.copy_(self._replay.move(x))
        return self._model(x, *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._model, name, value)


@contextmanager
def _noise(x: Tensor, kwargs: dict[str, Any], silent: Callable[[], bool]) -> Iterator[None]:
    """While the block runs samplers draw no noise as long as they are to be `silent`."""
    if "noise_sampler" in kwargs:
        sampler = kwargs["noise_sampler"] or (lambda *_: x.new_empty(x.shape).normal_())
        kwargs["noise_sampler"] = lambda *span: x.new_zeros(x.shape) if silent() else sampler(*span)
    stand_in = k_diffusion.sampling.torch  # the host's, by which samplers draw noise
    if not isinstance(stand_in, sd_samplers_common.TorchHijack):
        yield
        return
    drawn = stand_in.rng
    stand_in.rng = _Drawn(x, drawn, silent)
    try:
        yield
    finally:
        stand_in.rng = drawn


class _Drawn:
    """A source of noise that may be silent."""

    def __init__(self, x: Tensor, drawn: Any, silent: Callable[[], bool]) -> None:
        self._x, self._drawn, self._silent = x, drawn, silent

    def next(self) -> Tensor:
        noise: Tensor = self._x.new_zeros(self._x.shape) if self._silent() else self._drawn.next()
        return noise
