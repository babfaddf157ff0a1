"""Keeping the picture of an img2img job: its inversion before the sampling, and the sampling held.

The host's sampler runs twice. In the first run, under the source prompt and without guidance,
every step is moved to where the picture's path is at its noise level, and the moves are recorded.
In the second, the job's own, each step is moved likewise. Neither draws noise while it is held:
the moves have it. What a sampler hands to its model is the tensor that it goes on with, so that a
step is moved by writing into it; that serves every sampler that does not choose its steps by
itself. Some hand over a smaller or larger picture in between, which is left as it is.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from modules import shared  # type: ignore[import-not-found]
from torch import Tensor

from ebca.editing.holding import Replay
from ebca.options.keeping import Keeping
from ebca.webui.family import family
from ebca.webui.inversion import InversionRun, encoded
from ebca.webui.keeping import source_texts
from ebca.webui.recordings import Found, recordings
from ebca.webui.samplers import StandIn, quiet


class Keep:
    """The picture of one sampling of the job `p`, kept."""

    def __init__(self, p: Any, keeping: Keeping, sampler: Any) -> None:
        self._p, self._keeping, self._sampler = p, keeping, sampler
        self._texts = source_texts(keeping, p.prompts)
        self._encoded: Any = None  # what the pictures show
        self._found: Found | None = None

    def encode(self) -> None:
        """Encode what the pictures show before `run`, which need not do it then."""
        self._encoded = encoded(self._p, self._texts, self._sampler)

    def _shown(self) -> Any:
        if self._encoded is None:
            self.encode()
            family().encoded(self._sampler)
        return self._encoded

    @contextmanager
    def run(self, launch: Callable[..., Any], steps: int, func: Any) -> Iterator[None]:
        """Find the noise, launching the sampler as its own sampling is launched; while the block
        runs samplings start from it and are held."""
        sampler, function = self._sampler, self._sampler.func
        given = sampler.sampler_extra_args
        uncond = given["uncond"]

        def find(model: Any, x: Tensor, *args: Any, **kwargs: Any) -> Any:
            run = InversionRun(self._p, self._keeping, self._texts, model, function, kwargs)
            self._found = self._find(run, x, *args, **kwargs)
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
                given["uncond"] = self._shown()
            yield
        finally:
            sampler.func = function
            given["uncond"] = uncond

    def _find(self, run: InversionRun, x: Tensor, *args: Any, **kwargs: Any) -> Found:
        key = (self._sampler.config.name, *run.key)
        model_now = (shared.sd_model.sd_checkpoint_info.filename, weakref.ref(shared.sd_model))
        found = recordings.find(model_now, key, self._sampler.model_wrap_cfg.init_latent)
        if found is None:
            shared.state.job_count += 1  # the progress counts it as a job of its own
            found = run.find(self._shown(), x, *args, **kwargs)
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

        def held(x: Tensor, level: Tensor, given: dict[str, Any]) -> Any:
            if x.shape == start.shape:
                x.copy_(replay.move(x))
            return model(x, level, **given)

        if found.told and "eta" in kwargs:
            kwargs["eta"] = 0.0
        with quiet(self._p, start, kwargs, lambda: replay.holds):
            made: Tensor = function(StandIn(model, held), start, *args, **kwargs)
        return replay.move(made)
