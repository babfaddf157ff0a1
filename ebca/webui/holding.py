"""Keep the picture of an img2img job: invert it into noise, then hold the job's sampling to it.

The host's sampler runs twice. In the first run, under the source prompt and without guidance, the
latents are moved at every step to the picture's path at that noise level, and the moves are
recorded. In the second run, the job's own, each step is moved by the same amounts. Neither run
draws noise while it is held, since the moves contain it. A sampler goes on with the tensor that it
hands to its model, so writing into this tensor moves a step; this works for every sampler that
does not choose its steps by itself. Some samplers hand over a smaller or larger picture in between,
which is left as it is.
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
    """Keeps the picture in one sampling of the job `p`."""

    def __init__(self, p: Any, keeping: Keeping, sampler: Any) -> None:
        self._p, self._keeping, self._sampler = p, keeping, sampler
        self._texts = source_texts(keeping, p.prompts)
        self._encoded: Any = None  # the descriptions of the pictures
        self._found: Found | None = None

    def encode(self) -> None:
        """Encode the descriptions of the pictures early, so that `run` need not do it."""
        self._encoded = encoded(self._p, self._texts, self._sampler)

    def _shown(self) -> Any:
        if self._encoded is None:
            self.encode()
            family().encoded(self._sampler)
        return self._encoded

    @contextmanager
    def run(self, launch: Callable[..., Any], steps: int, func: Any) -> Iterator[None]:
        """Find the noise by launching the sampler as the job's own sampling is launched; while the
        block runs, samplings start from this noise and are held."""
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
            shared.state.job_count += 1  # the progress bar counts the inversion as a job of its own
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
