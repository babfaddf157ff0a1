"""`python -m ebca bench`: measure what EBCA costs on this machine.

All cases run in turn, again and again, so that a machine that slows down slows them all; ratios are
taken within a turn. Random weights cost what real ones cost.
"""

from __future__ import annotations

import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ebca.core.engine import Engine
from ebca.core.hooks import LayerHooks
from ebca.core.maps import Maps
from ebca.core.trace import Trace
from ebca.hosts.keeping import search
from ebca.hosts.levels import Levels
from ebca.hosts.source_model import SourceModel
from ebca.naive import Rows, Text, naive
from ebca.options import Settings
from ebca.options.keeping import Keeping
from ebca.options.presets import PRESETS
from ebca.prompts import Edit, compose
from ebca.session import apply_patch

SIZES: dict[str, dict[str, Any]] = {
    "sd15": {"cross_attention_dim": 768, "attention_head_dim": 8},
    "sdxl": {
        "cross_attention_dim": 2048,
        "attention_head_dim": (5, 10, 20),
        "block_out_channels": (320, 640, 1280),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "transformer_layers_per_block": (1, 2, 10),
        "use_linear_projection": True,
    },
    "tiny": {
        "cross_attention_dim": 32,
        "attention_head_dim": 2,
        "block_out_channels": (32, 64),
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        "layers_per_block": 1,
    },
}
"""diffusers' configurations of the UNets whose cost is measured; `tiny` is for a quick look."""

_PAPER = Settings(**PRESETS["paper: multi-concept"])
_OFF = Settings(gamma_attn=0.0, regions=0.0)
_TWO_SUBJECTS = compose("a cat and a dog")
_WORDS = {"cat": [2], "dog": [5]}
STOCK = "stock"
DEFAULTS = "the defaults, 2 subjects"
ONE_ROW = "stock, 1 row"
MAPPED = f"{DEFAULTS}, with maps"
_TOKENS = 77
_STEPS = 3  # steps of an inversion


class Case(NamedTuple):
    """One way to evaluate a UNet: under `patch`, with `rows` rows an image, and if `seen_before`,
    after an evaluation in which the methods note what they remember. `beyond` is the case that it
    adds to and is also compared with. `search` is the kind of noise to search for a picture
    instead; then one step of the search is timed."""

    patch: Callable[[], AbstractContextManager[object]]
    rows: int = 2
    seen_before: bool = False
    beyond: str = ""
    search: str = ""


@dataclass(frozen=True)
class Setup:
    """The extent of a measurement.

    `size` is a key of `SIZES`, latents are `latent` x `latent`, `images` images have two rows each,
    and CACAO takes `prompts` prompts an image. `others` adds the alternatives, the WebUI's AND and
    a naive implementation (the latter for one image only). `only` selects, beside stock, the cases
    with one of these texts in their names; empty means all.
    """

    size: str = "sd15"
    device: str = "cpu"
    dtype: str = "float32"
    latent: int = 64
    images: int = 1
    prompts: int = 3
    others: bool = True
    only: tuple[str, ...] = ()


class Bench:
    """The UNet of a setup, and the cases in which it is evaluated."""

    def __init__(self, setup: Setup) -> None:
        self.setup, self._dtype = setup, getattr(torch, setup.dtype)

    @cached_property
    def unet(self) -> Any:
        return _build(self.setup.size, self.setup.device, self._dtype)

    def cases(self) -> dict[str, Case]:
        """Return the cases by name. The first one, stock, is what all others are compared with."""
        only = self.setup.only
        return {
            name: case
            for name, case in self._all_cases().items()
            if not only or name == STOCK or any(each in name for each in only)
        }

    def _all_cases(self) -> dict[str, Case]:
        images, prompts, edits = self.setup.images, self.setup.prompts, self._edits()
        rows, on = range(images, 2 * images), _PAPER
        summing = on.replace(and_means="sum")
        contexts = {text: self._noise(_TOKENS, self._width) for text in ("", "a cat", "a dog")}

        def ebca(settings: Settings, mapped: bool = False, **more: Any) -> Case:
            given = {"conditional_rows": rows, "contexts": contexts, "tokens": _WORDS, **more}

            def patch() -> AbstractContextManager[object]:
                trace = Trace(energies=False, maps=Maps(_WORDS)) if mapped else None
                return apply_patch(self.unet, settings, trace=trace, **given)

            return Case(patch, seen_before=True, beyond=DEFAULTS if mapped else "")

        cases = {
            STOCK: Case(nullcontext),
            "EBCA off": ebca(_OFF),
            DEFAULTS: ebca(Settings(), prompt=_TWO_SUBJECTS),
            MAPPED: ebca(Settings(), mapped=True, prompt=_TWO_SUBJECTS),
            "BCU": ebca(on),
            f"BCU and CACAO of {prompts} prompts": ebca(on, edits=edits),
            f"BCU and CACAO of {prompts} prompts, summed": ebca(summing, edits=edits),
        }
        cases[ONE_ROW] = Case(nullcontext, 1)
        for kind, name in (("scattered", ""), ("flow", " by flow")):
            searched = Case(nullcontext, 1, beyond=ONE_ROW, search=kind)
            cases[f"inversion{name}, a step"] = searched
        if self.setup.others:
            name = f"stock, {1 + prompts} rows (the WebUI's AND)"
            cases[name] = Case(nullcontext, 1 + prompts)
        if self.setup.others and images == 1:
            cases["naive BCU"] = Case(lambda: naive(self.unet, self._naive(())))
            cases[f"naive BCU and CACAO of {prompts} prompts"] = Case(
                lambda: naive(self.unet, self._naive(edits))
            )
        return cases

    def evaluate(self, case: Case) -> Timing:
        """Evaluate the UNet once, or run an inversion, and time it; of an inversion, one step."""
        if case.search:
            return self._search(case)
        rows, latent = case.rows * self.setup.images, self.setup.latent
        sample, text = self._noise(rows, 4, latent, latent), self._noise(rows, _TOKENS, self._width)
        first, timestep = 950, 900  # while everything acts
        with case.patch(), torch.no_grad():
            if case.seen_before:
                self.unet(sample, first, text)
            if self.setup.device == "cuda":
                return Timing(_cuda_seconds(lambda: self.unet(sample, timestep, text)), None, None)
            with _stopwatch(self.unet) as spent:
                begin, processor = time.perf_counter(), time.process_time()
                self.unet(sample, timestep, text)
                took = time.perf_counter() - begin
                return Timing(took, time.process_time() - processor, sum(spent))

    def _search(self, case: Case) -> Timing:
        from diffusers import DDIMScheduler

        scheduler, latent, rows = DDIMScheduler(), self.setup.latent, self.setup.images
        clean, text = self._noise(rows, 4, latent, latent), self._noise(rows, _TOKENS, self._width)
        levels = Levels(scheduler, _STEPS, 1.0)
        bare = _Bare(self.unet, scheduler, clean.device, text)
        model = SourceModel(bare, [""] * rows, (8 * latent, 8 * latent), lambda: None)
        keeping, seeds = Keeping(keep=True, keep_noise=case.search), range(rows)

        @torch.no_grad()
        def run() -> None:
            search(scheduler, levels, clean, model, keeping, seeds)

        if self.setup.device == "cuda":
            return Timing(_cuda_seconds(run) / _STEPS, None, None)
        begin, processor = time.perf_counter(), time.process_time()
        run()
        took = time.perf_counter() - begin
        return Timing(took / _STEPS, (time.process_time() - processor) / _STEPS, 0.0)

    def _edits(self) -> list[Edit]:
        """Return editorial prompts that take steps of their own, the most expensive kind."""
        return [
            Edit(context=self._noise(_TOKENS, self._width), alpha=0.5, gamma_attn=1e-3)
            for _ in range(self.setup.prompts - 1)
        ]

    def _naive(self, edits: Sequence[Edit]) -> Rows:
        """Return the paper's update of the conditional row, and `edits`, for `ebca.naive`."""
        mains = [Text(self._noise(_TOKENS, self._width)) for _ in range(2)]
        mains[1].gamma_attn, mains[1].gamma_norm = _PAPER.gamma_attn, _PAPER.gamma_norm
        texts = [
            Text(torch.as_tensor(edit.context), edit.gamma_attn or 0.0, alpha=edit.alpha)
            for edit in edits
        ]
        return Rows(mains, [[], texts])

    @property
    def _width(self) -> int:
        return int(SIZES[self.setup.size]["cross_attention_dim"])

    def _noise(self, *shape: int) -> Tensor:
        return torch.randn(*shape, dtype=self._dtype, device=self.setup.device)


class _Bare:
    """The parts of a pipeline that the search for a picture's noise needs."""

    def __init__(self, unet: Any, scheduler: Any, device: Any, text: Tensor) -> None:
        self.unet, self.scheduler, self._execution_device, self._text = (
            unet, scheduler, device, text,
        )  # fmt: skip

    def encode_prompt(self, *_args: Any, **_kwargs: Any) -> tuple[Tensor, None]:
        return self._text, None


class Timing(NamedTuple):
    """Seconds of an evaluation, seconds of processor time for it, and the seconds of the evaluation
    spent in EBCA's own hooks. The last two are None on a GPU, which computes asynchronously."""

    seconds: float
    processor: float | None
    own: float | None


@contextmanager
def _stopwatch(unet: Any) -> Iterator[list[float]]:
    """Collect how long each call of EBCA's hooks on `unet` takes, except for hooks that only note a
    linear's output: these compute nothing and know each other by identity."""
    spent: list[float] = []

    def timed(hook: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any) -> Any:
            begin = time.perf_counter()
            try:
                return hook(*args)
            finally:
                spent.append(time.perf_counter() - begin)

        return run

    for module in unet.modules():
        for hooks in (module._forward_pre_hooks, module._forward_hooks):
            for number, hook in hooks.items():
                notes = getattr(hook, "__name__", "").startswith("_note")
                if isinstance(getattr(hook, "__self__", None), Engine | LayerHooks) and not notes:
                    hooks[number] = timed(hook)
    yield spent


class Measured(NamedTuple):
    """A case's figures: seconds; its ratio to stock within each turn, in seconds and in processor
    time, which other programs hardly change; the median time in EBCA's own hooks over stock's
    median; the peak memory in bytes; the case that it adds to, if there is one, and the ratios to
    that."""

    case: str
    median: float
    best: float
    ratio_median: float
    ratio_best: float
    ratio_processor: float | None
    own: float | None
    peak: int | None
    beyond: str = ""
    ratio_beyond: float | None = None
    processor_beyond: float | None = None


def measure(setup: Setup, repeats: int, memory: bool, tick: Callable[[], None]) -> list[Measured]:
    """Run every case `repeats` times in turn, after a turn that does not count; `tick` is called
    after every evaluation and every measurement of memory."""
    bench = Bench(setup)
    cases = bench.cases()
    timings: list[dict[str, Timing]] = []
    for _ in range(repeats + 1):
        timing = {}
        for name, case in cases.items():
            timing[name] = bench.evaluate(case)
            tick()
        timings.append(timing)
    turns = [{name: each.seconds for name, each in timing.items()} for timing in timings[1:]]
    stock = statistics.median(turn[STOCK] for turn in turns)
    beyond = {name: case.beyond for name, case in cases.items() if case.beyond in cases}

    def ratio(name: str, other: str) -> float:
        return statistics.median(turn[name] / turn[other] for turn in turns)

    def processor_ratio(name: str, other: str) -> float | None:
        both = [(timing[name].processor, timing[other].processor) for timing in timings[1:]]
        ratios = [mine / its for mine, its in both if mine and its]
        return statistics.median(ratios) if ratios else None

    owns = {
        name: statistics.median(own for timing in timings[1:] if (own := timing[name].own))
        for name in cases
        if timings[-1][name].own
    }
    peaks: dict[str, int] = {}
    if memory and setup.device == "cpu":
        del bench
    for name in cases if memory else ():
        peaks[name] = (
            _cuda_peak(bench, cases[name])
            if setup.device == "cuda"
            else peak_of_process(setup, name)
        )
        tick()
    return [
        Measured(
            name,
            statistics.median(turn[name] for turn in turns),
            min(turn[name] for turn in turns),
            ratio(name, STOCK),
            min(turn[name] for turn in turns) / min(turn[STOCK] for turn in turns),
            processor_ratio(name, STOCK),
            owns[name] / stock if name in owns else None,
            peaks.get(name),
            beyond.get(name, ""),
            ratio(name, beyond[name]) if name in beyond else None,
            processor_ratio(name, beyond[name]) if name in beyond else None,
        )
        for name in cases
    ]


def ticks(setup: Setup, repeats: int, memory: bool) -> int:
    """Return how often `measure` will call its `tick`."""
    return len(Bench(setup).cases()) * (repeats + 1 + memory)


def table(measured: Sequence[Measured]) -> Iterator[str]:
    """Yield the figures as a Markdown table, and below it what a case costs beyond another."""
    stock = measured[0]
    yield (
        "| | seconds, median (best) | over stock, median (best) | processor time over stock, median"
        " | in EBCA's own hooks | peak memory over stock |"
    )
    yield "|---|---|---|---|---|---|"
    for row in measured:
        own = "-" if row.own is None else f"{row.own:.2%} of stock"
        peak = f"{row.peak / stock.peak:.3f}x" if row.peak and stock.peak else "-"
        yield (
            f"| {row.case} | {row.median:.4g} ({row.best:.4g}) |"
            f" {row.ratio_median:.3f}x ({row.ratio_best:.3f}x) | {_times(row.ratio_processor)} |"
            f" {own} | {peak} |"
        )
    for row in measured:
        if row.ratio_beyond is not None:
            yield ""
            yield (
                f"{row.case}: {row.ratio_beyond:.3f}x of {row.beyond}; processor time"
                f" {_times(row.processor_beyond)} (medians over turns)"
            )


def _times(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.3f}x"


def machine(setup: Setup) -> str:
    """Return one line that names the setup and the machine."""
    if setup.device == "cuda":
        name = torch.cuda.get_device_name()
    else:
        name = f"{platform.machine()} {setup.device}, {torch.get_num_threads()} threads"
    return (
        f"{setup.size}, {setup.latent}x{setup.latent} latents, {setup.images} image(s) of 2 rows,"
        f" {setup.dtype}; {name}; torch {torch.__version__}"
    )


def fast_dtype(device: str) -> str:
    """Return the dtype that the WebUI uses on such a device."""
    return "float32" if device == "cpu" else "float16"


def report_peak(setup: Setup, name: str) -> None:
    """Evaluate one case in this process, which must be fresh, and print its peak memory."""
    import resource  # not on Windows

    bench = Bench(setup)
    bench.evaluate(bench.cases()[name])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(peak * (1 if sys.platform == "darwin" else 1024))


def peak_of_process(setup: Setup, name: str) -> int:
    """Return the peak memory, in bytes, of a fresh process that evaluates one case."""
    code = f"from ebca.bench import *; report_peak(Setup(**{asdict(setup)!r}), {name!r})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(run.stdout.split()[-1])


def _cuda_peak(bench: Bench, case: Case) -> int:
    torch.cuda.reset_peak_memory_stats()
    bench.evaluate(case)
    return torch.cuda.max_memory_allocated()


def _cuda_seconds(run: Callable[[], object]) -> float:
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    begin.record()
    run()
    end.record()
    torch.cuda.synchronize()
    return float(begin.elapsed_time(end)) / 1000


def _build(size: str, device: str, dtype: torch.dtype) -> Any:
    """Build a UNet with random weights, on the device and in the dtype of its use."""
    from diffusers import UNet2DConditionModel

    torch.manual_seed(0)
    with torch.device("meta"):
        unet = UNet2DConditionModel(**SIZES[size])
    unet = unet.to(dtype).to_empty(device=device).eval().requires_grad_(False)
    for parameter in unet.parameters():
        parameter.normal_(0.0, 0.02)
    return unet
