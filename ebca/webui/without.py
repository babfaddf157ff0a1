"""Run the same job once more without EBCA, from a copy made before it began.

Everything that the job's pictures depend on is as it was then: its values, its seeds, and the state
of the random numbers, which the WebUI also uses to encode a picture for img2img.
"""

from __future__ import annotations

import copy
import random
from typing import Any

import numpy as np
import torch
from modules import processing, shared  # type: ignore[import-not-found]

from ebca.hosts.replacing import replaced

_ATTRIBUTE = "ebca_without"
"""The attribute that marks a job without EBCA."""


class Without:
    """A copy of the job `p` from before it begins, to be run without EBCA later."""

    def __init__(self, p: Any) -> None:
        """Fix the seed of `p`, as the WebUI would do next, and copy the job."""
        processing.fix_seed(p)
        self.job = copy.copy(p)  # as the WebUI's X/Y/Z plot does it for each cell
        self.job.extra_generation_params = dict(p.extra_generation_params)
        self.job.override_settings = dict(p.override_settings or {})
        self.job.styles = list(p.styles or ())
        self.job.comments = {}
        self.job.do_not_save_grid = True
        setattr(self.job, _ATTRIBUTE, True)
        self._random = _RandomState()

    def make(self) -> Any:
        """Run the copy and return its `Processed`. The infotext that the WebUI's page restores as
        the last one (`params.txt`) stays that of `p`."""
        self._random.restore()
        with replaced(shared.cmd_opts, "no_prompt_history", True):
            return processing.process_images(self.job)


def is_without(p: Any) -> bool:
    """Whether `p` is a job made by `Without`."""
    return bool(vars(p).get(_ATTRIBUTE, False))


class _RandomState:
    """The present state of all random number generators."""

    def __init__(self) -> None:
        self._python, self._numpy, self._torch = (
            random.getstate(),
            np.random.get_state(),
            torch.get_rng_state(),
        )
        self._cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []

    def restore(self) -> None:
        random.setstate(self._python)
        np.random.set_state(self._numpy)
        torch.set_rng_state(self._torch)
        if self._cuda:
            torch.cuda.set_rng_state_all(self._cuda)
