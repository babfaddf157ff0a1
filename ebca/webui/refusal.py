"""Stop a job with an exception, without damage to the next job.

The WebUI swallows exceptions in a script's callbacks, but not those in the methods of a job. After
one it calls no script's `postprocess`, where other extensions take away what they have put into the
model, and it keeps the prompts that it has encoded; both are made up for here.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from fastapi import HTTPException  # type: ignore[import-not-found]
from modules import errors, processing  # type: ignore[import-not-found]

from ebca.core.layers import NoCrossAttentionError
from ebca.options.job import labels
from ebca.settings import SettingsError

_CACHES = ("cached_c", "cached_uc", "cached_hr_c", "cached_hr_uc")


class JobRefusedError(HTTPException, RuntimeError):  # type: ignore[misc]
    """A job that cannot be done as asked; the WebUI shows the message, its API answers 422."""

    def __init__(self, message: str) -> None:
        super().__init__(422, message)

    def __str__(self) -> str:
        return str(self.detail)


def refused_job(message: str) -> JobRefusedError:
    """Return a refusal with that message, and print it in the console."""
    print(f"The job was refused. {message}")
    return JobRefusedError(message)


def by_api(p: Any) -> bool:
    """Whether the job `p` came through the host's API, and not from its page."""
    return bool(getattr(p, "is_api", False))


def worded(error: Exception, p: Any) -> str:
    """Return an error's message in the words of the job's source: labels for the page, names of
    fields for the API."""
    if isinstance(error, SettingsError) and not by_api(p):
        return error.with_labels(labels())
    return str(error)


def speak_plainly() -> None:
    """Let the host show refusals on its page without a traceback; may be called repeatedly."""
    _pass_on_from_the_thread()
    report = errors.report
    if hasattr(report, "leaves_refusals_out"):
        return

    @functools.wraps(report)
    def report_others(*args: Any, **kwargs: Any) -> Any:
        if not isinstance(sys.exc_info()[1], JobRefusedError):
            return report(*args, **kwargs)
        return None

    report_others.leaves_refusals_out = True  # type: ignore[attr-defined]
    errors.report = report_others


def _pass_on_from_the_thread() -> None:
    """Carry refusals past the thread in which Forge and reForge run jobs. The thread prints the
    exceptions of jobs; reForge's hides them, so that its page would say that None is no list."""
    thread: Any = sys.modules.get("modules_forge.main_thread")
    if thread is None:
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

        result = run(noting, *args, **kwargs)
        if refused:
            if hasattr(thread, "last_exception"):  # Forge prints any other exception
                thread.last_exception = refused[0]
            raise refused[0]
        return result

    run_and_wait_result.passes_refusals_on = True  # type: ignore[attr-defined]
    thread.run_and_wait_result = run_and_wait_result


@contextmanager
def ending(p: Any, *, begun: str) -> Iterator[None]:
    """End the job `p` for all scripts if the block raises; `begun` says whether they have been told
    of "nothing", the "job" or a "batch". Errors on what cannot be done become refusals."""
    try:
        yield
    except Exception as error:
        refused = isinstance(error, (SettingsError, NoCrossAttentionError))
        if refused:
            message = worded(error, p)
            p.comment(message)  # an X/Y/Z plot would swallow it
        if begun == "batch":
            none = torch.empty(0, 3, p.height, p.width)
            p.scripts.postprocess_batch(p, none, batch_number=p.iteration)
        if begun != "nothing":
            p.scripts.postprocess(p, processing.Processed(p, []))
        _forget_encoded(p)
        if refused:
            raise refused_job(message) from None
        raise


def _forget_encoded(p: Any) -> None:
    """Empty the WebUI's caches of encoded prompts in place: another extension (ControlNet) may have
    changed their contents for this job, and the next job would use them."""
    for name in _CACHES:
        cache = getattr(p, name, None)
        if isinstance(cache, list):
            cache[:] = [None, None]
