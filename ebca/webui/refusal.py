"""Stopping a job, so that neither the job nor the next one is spoilt.

Exceptions in a script's callbacks are swallowed, those in the methods of a job are not. After one
the WebUI calls nobody's `postprocess`, in which other extensions take away what they have put into
the model, and keeps the encoded prompts that it has; so both are made good for here.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from modules import processing  # type: ignore[import-not-found]

from ebca.core.layers import NoCrossAttentionError
from ebca.settings import SettingsError

_CACHES = ("cached_c", "cached_uc", "cached_hr_c", "cached_hr_uc")


class JobRefusedError(RuntimeError):
    """A job that cannot be done as asked; the WebUI shows the message, its API answers 422."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.status_code = 422
        self.detail = message


def reach_the_page() -> None:
    """Let refusals through to the page of a host that does its jobs in a thread and keeps to itself
    what they raise there. Forge passes it on; reForge's page would say that None is no list."""
    thread: Any = sys.modules.get("modules_forge.main_thread")
    if thread is None or hasattr(thread.Task(0, None, (), {}), "exception"):
        return
    run = thread.run_and_wait_result
    if hasattr(run, "passes_refusals_on"):
        return

    @functools.wraps(run)
    def run_and_wait_result(job: Any, *args: Any, **kwargs: Any) -> Any:
        refused: list[JobRefusedError] = []

        @functools.wraps(job)
        def noting(*args: Any, **kwargs: Any) -> Any:
            try:
                return job(*args, **kwargs)
            except JobRefusedError as error:
                refused.append(error)
                raise

        result = run(noting, *args, **kwargs)
        if refused:
            raise refused[0]
        return result

    run_and_wait_result.passes_refusals_on = True  # type: ignore[attr-defined]
    thread.run_and_wait_result = run_and_wait_result


@contextmanager
def ending(p: Any, *, begun: str) -> Iterator[None]:
    """An exception ends the job `p` for all scripts; `begun` is what they have been told of:
    "nothing", the "job" or a "batch" of it. What cannot be done becomes a refusal."""
    try:
        yield
    except Exception as error:
        refused = isinstance(error, (SettingsError, NoCrossAttentionError))
        if refused:
            p.comment(str(error))  # an X/Y/Z plot would swallow it
        if begun == "batch":
            none = torch.empty(0, 3, p.height, p.width)
            p.scripts.postprocess_batch(p, none, batch_number=p.iteration)
        if begun != "nothing":
            p.scripts.postprocess(p, processing.Processed(p, []))
        _forget_encoded(p)
        if refused:
            raise JobRefusedError(str(error)) from None
        raise


def _forget_encoded(p: Any) -> None:
    """Empty the WebUI's caches of encoded prompts where they are: another extension may have
    changed what is in them for this job (ControlNet), and the next one would take it from there."""
    for name in _CACHES:
        cache = getattr(p, name, None)
        if isinstance(cache, list):
            cache[:] = [None, None]
