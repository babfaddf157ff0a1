"""EBCA on one job of the WebUI.

A script's callbacks can neither refuse a job nor clean up after it: the WebUI swallows exceptions
in callbacks, and calls none of them after an exception in the sampling. So the script only wraps a
`Job` around three of the job's own methods:

    p.setup_prompts   before any script is told to begin: values and model are checked
    p.init            when all scripts have changed the prompts: the prompts are checked
    p.sample          EBCA is put in place, and taken away however the sampling ends
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from modules import sd_samplers_common, sd_unet, shared  # type: ignore[import-not-found]

from ebca.core.method import Method
from ebca.hosts.replacing import replaced
from ebca.hosts.webui import PIECES
from ebca.options.job import Options, read_arguments
from ebca.options.keeping import Keeping
from ebca.options.page import PageSettings
from ebca.settings import SettingsError
from ebca.webui import beside, infotext, keeping
from ebca.webui.checking import (
    check_model,
    check_prompts,
    goes_without,
    leave_to_owners,
    without,
)
from ebca.webui.family import family, unet
from ebca.webui.maps import job_maps
from ebca.webui.passes import Pass
from ebca.webui.refusal import ending
from ebca.webui.without import is_without

AXES = "ebca_axes"
"""The attribute of a job in which the axes of an X/Y/Z plot put their values."""

_CURRENT = "ebca_job"
"""The attribute of a job that has the `Job` wrapped around it."""

_EARLY, _LATE = ("setup_prompts",), ("init", "sample")


def prepare(p: Any, arguments: Sequence[Any]) -> None:
    """Prepare a job; the script calls this before anything else of the job happens."""
    leave(p)
    beside.forget()
    if job := _job(p, arguments):
        beside.prepare(p, job.page)
        job.attach(_EARLY)


def take_part(p: Any, arguments: Sequence[Any]) -> None:
    """Put EBCA on a job; the script calls this when the job begins, with the accordion's values."""
    leave(p)
    infotext.clear(p.extra_generation_params)
    if job := _job(p, arguments):
        job.attach(_LATE)
        job.claim()


def begin_pass(p: Any, cond: Any) -> None:
    """Prepare a pass; the script calls this when prompts are encoded (`cond`) and the sampler is
    about to begin, on Forge twice before hires fix. The host only logs exceptions in a callback,
    so they are kept here and raised where the sampler begins."""
    job = vars(p).get(_CURRENT)
    if isinstance(job, Job):
        try:
            job.begin_pass(cond)
        except Exception as error:
            job.failure = error


def leave(p: Any) -> None:
    """Take the `Job` off `p`, if there is one."""
    job = vars(p).get(_CURRENT)
    if isinstance(job, Job):
        job.detach(p)


def _job(p: Any, arguments: Sequence[Any]) -> Job | None:
    try:
        options = read_arguments(arguments, getattr(p, AXES, {}))
    except SettingsError as error:
        return Job(p, Options(), error)
    if not options.page.enabled:
        return None
    if is_without(p):  # EBCA does nothing in it, but its attention may be shown
        return Job(p, without(options)) if options.page.show_attention else None
    return Job(p, options)


class Job:
    """Stands in for methods of a job `p` while EBCA is on."""

    def __init__(self, p: Any, options: Options, error: SettingsError | None = None) -> None:
        """`error` says what is wrong with the job's values, if anything is."""
        self._p, self._options, self._error = p, options, error
        self._before: dict[str, Any] = {}
        self._as_before: dict[str, Any] = {}
        self._methods: Sequence[Method] = ()
        self.failure: Exception | None = None  # raised when the next sampling begins
        self._sampling_now = False
        self._evaluations = 0
        self._acted: set[Method] = set()  # the methods that did something in the batch under way
        self._said: set[str] = set()  # what could not be done
        self._next: tuple[Any, Pass] | None = None  # the next pass, after its encoded prompts
        self._keep: Any = None  # the `Keep` of the next sampling, if it is ready

    @property
    def page(self) -> PageSettings:
        """The job's settings that are not of the methods."""
        return self._options.page

    def attach(self, methods: Sequence[str]) -> None:
        """Stand in for the named methods of the job."""
        setattr(self._p, _CURRENT, self)
        for name in methods:
            self._before[name] = vars(self._p).get(name)
            self._as_before[name] = getattr(self._p, name)
            setattr(self._p, name, getattr(self, name))

    def detach(self, p: Any) -> None:
        """Restore the methods of `p`, which may be a copy of the job."""
        delattr(p, _CURRENT)
        for name, before in self._before.items():
            if getattr(vars(p).get(name), "__self__", None) is not self:
                continue  # another extension has replaced it since
            if before is None:
                delattr(p, name)
            else:
                setattr(p, name, before)

    def claim(self) -> None:
        """Write the options into the infotext."""
        if self._error is None and not is_without(self._p):
            self._p.extra_generation_params.update(infotext.write(self._options))

    def begin_pass(self, cond: Any) -> None:
        """Encode the next sampling's texts now, on hosts where that must be done early."""
        ours = self._sampling_now and family().encodes_early and not goes_without(self._p)
        if not ours or (self._next and self._next[0] is cond):
            return
        if self._options.keeping.keep:
            self._keep = self._new_keep(self._p.sampler)
            self._keep.encode()
        if not self._in_this_pass():
            return
        following = Pass(self._p, self._options.settings, self._methods)
        following.encode_early(cond)
        self._next = cond, following

    # Replacements of the job's methods

    def setup_prompts(self, *args: Any, **kwargs: Any) -> Any:
        """Check values and model, in the first of the job's methods that the WebUI calls."""
        made = self._as_before["setup_prompts"](*args, **kwargs)
        with self._leaving(), ending(self._p, begun="nothing"):
            if goes_without(self._p):
                return made
            self._check(sd_unet.get_unet_option())  # not activated yet
        return made

    def init(self, *args: Any, **kwargs: Any) -> Any:
        """Check the prompts, when scripts have been told of the job and of no batch yet."""
        with self._leaving(), ending(self._p, begun="job"):
            if goes_without(self._p):
                infotext.clear(self._p.extra_generation_params)
                leave(self._p)
            else:
                self._check(None)
                self._check_prompts()
        return self._as_before["init"](*args, **kwargs)

    def sample(self, *args: Any, **kwargs: Any) -> Any:
        """Sample both passes of one batch with EBCA. Other extensions keep the `p.sample` that they
        found, so this may be called while another `Job` or none is on `p`, or twice."""
        job = vars(self._p).get(_CURRENT)
        if not isinstance(job, Job) or job._sampling_now:
            return self._as_before["sample"](*args, **kwargs)
        with job._leaving(), ending(self._p, begun="batch"), job._around_sampling():
            job._check(sd_unet.current_unet and sd_unet.current_unet_option)
            job._check_prompts()
            job._acted.clear()
            made = self._as_before["sample"](*args, **kwargs)
            job._tell_idle()
            return made

    def _tell_idle(self) -> None:
        """Comment on methods that never acted, although the prompts asked for it."""
        whole = self._evaluations and not (shared.state.interrupted or shared.state.skipped)
        for method in self._methods if whole else ():
            lost = method.needs_whole and PIECES in self._said
            if method.idle and method not in self._acted and not lost:
                self._p.comment(f"EBCA: {method.idle}")

    def _check(self, other_unet: Any) -> None:
        if self._error is not None:
            raise self._error
        check_model(self._options.settings, other_unet)

    def _check_prompts(self) -> None:
        if is_without(self._p):
            return
        if self._options.keeping.keep and not keeping.has_picture(self._p):
            self._options = dataclasses.replace(self._options, keeping=Keeping())
            infotext.clear(self._p.extra_generation_params)
            self._p.comment(keeping.NO_PICTURE)
        prompts = self._p.all_prompts or [self._p.prompt]
        keeping.check(self._options.keeping, prompts, unet())
        self._options = leave_to_owners(self._p, self._options)
        self.claim()  # again for each batch: ADetailer has the scripts begin anew between images
        self._methods = check_prompts(self._p, self._options)

    @contextmanager
    def _leaving(self) -> Iterator[None]:
        """Take the `Job` off `p` after an exception."""
        try:
            yield
        except BaseException:
            leave(self._p)
            raise

    @contextmanager
    def _around_sampling(self) -> Iterator[None]:
        """While the block runs, the samplings of this job, and of no other, are with EBCA."""
        p, launch = self._p, sd_samplers_common.Sampler.launch_sampling

        def launch_sampling(sampler: Any, steps: int, func: Any) -> Any:
            if self.failure is not None:
                raise self.failure
            if getattr(sampler, "p", None) is not self._p or goes_without(p):
                return launch(sampler, steps, func)
            with ExitStack() as kept:
                if self._options.keeping.keep:
                    keep, self._keep = self._keep or self._new_keep(sampler), None
                    kept.enter_context(keep.run(launch, steps, func))
                return sample_with(sampler, steps, func)

        def sample_with(sampler: Any, steps: int, func: Any) -> Any:
            if not self._in_this_pass():
                return launch(sampler, steps, func)
            each = self._next[1] if self._next else Pass(p, self._options.settings, self._methods)
            self._next, seen = None, job_maps(p)
            with each.run(sampler, seen.of_sampling(p) if seen else None):
                sampled = launch(sampler, steps, func)
            self._evaluations += each.evaluations
            self._acted |= each.acted
            self._said |= each.said
            if each.left_alone and not self._evaluations:
                infotext.clear(p.extra_generation_params)
            return sampled

        self._sampling_now = True
        try:
            with replaced(sd_samplers_common.Sampler, "launch_sampling", launch_sampling):
                yield
        finally:
            self._sampling_now, self._next, self._keep = False, None, None

    def _new_keep(self, sampler: Any) -> Any:
        from ebca.webui.holding import Keep  # needs more of the host than other jobs

        return Keep(self._p, self._options.keeping, sampler)

    def _in_this_pass(self) -> bool:
        hires = bool(self._p.is_hr_pass)
        wanted = self._options.page.hires
        return wanted == "same" or (wanted == "only") == hires
