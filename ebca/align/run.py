"""One run of `python -m ebca align`: cases, pictures, judgement, tables."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm import tqdm

from ebca.align import world
from ebca.align.cases import Case, read_prompts
from ebca.align.curves import at_equal, curves, equal_table, perfect
from ebca.align.judges import ClipJudge, Judge, WorldJudge
from ebca.align.methods import EDITING, OTHERS, Method
from ebca.align.painter import Painter, Sampling
from ebca.align.remote import Cluster
from ebca.align.report import as_json, lines, sizes, table
from ebca.align.store import Store
from ebca.align.sweep import InProcess, Sweep, Workers
from ebca.plots import Labelled, plot_curves, side_by_side
from ebca.settings import SettingsError

_ENERGIES = {
    "relative_update": "abs(dC) / abs(C), mean",
    "largest_relative_update": "largest",
    "conditional_change": "change of E(Q; K)",
    "prior_change": "change of E(K)",
    "energy_fell": "updates in which their sum fell",
}


def run(options: argparse.Namespace, methods: Sequence[Method]) -> int:
    """Run the benchmark and return the exit code. Raises SettingsError or ModelError."""
    cases = cases_of(options)
    check_others(cases, methods)
    judge: Judge = (
        ClipJudge(options.clip, options.device) if options.judge == "clip" else WorldJudge()
    )
    sampling = Sampling(
        options.model, options.model_config, options.device,
        "float16" if options.device.startswith("cuda") else "float32",
        options.steps, options.cfg, options.sampler, options.size,
    )  # fmt: skip
    cluster = Cluster(options.ray, sampling, options.workers) if options.ray else None
    try:
        painter = cluster or Painter(sampling)
        workers: Workers = cluster or InProcess(painter)  # type: ignore[arg-type]
        weights = painter.fingerprint()
        sweep = Sweep(cases, methods, sampling, weights, options.batch, options.energies)
        store = Store(options.out)
        total = sum(len(batch.cases) for batch in sweep.batches(store))
        with tqdm(total=total, unit="picture", leave=False, disable=not total) as bar:
            sweep.run(store, workers, judge, bar.update)
    finally:
        if cluster:
            cluster.close()
    saws = {method.label: sweep.saw(store, judge, method) for method in methods}
    against = against_label(options.against, methods)
    rows = list(lines(cases, saws, against, judge.error))
    print(headline(options, cases, judge, weights))
    print(*table(rows, options.figures), sep="\n")
    equal = list(at_equal(cases, saws, against))
    print(*equal_table(equal, against), sep="\n", end="")
    traced = {method.label: sweep.traced(store, method) for method in methods}
    print(*energies(traced), sep="\n", end="")
    if options.detect is not None:
        print("", *sizes(rows, options.detect), sep="\n")
    if options.json:
        facts = {"weights": weights, "judge": judge.name, "error": judge.error, **sampling.facts()}
        figures = {**facts, "lines": as_json(rows), "energies": traced}
        figures["at_equal"] = [each._asdict() for each in equal]
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    if options.curves:
        options.curves.parent.mkdir(parents=True, exist_ok=True)
        plot_curves(list(curves(cases, saws)), perfect(cases), options.curves)
        print(options.curves, file=sys.stderr)
    if options.picture:
        draw(options.picture, cases, methods, sweep, store, options.rows)
        print(options.picture, file=sys.stderr)
    return 0


def cases_of(options: argparse.Namespace) -> list[Case]:
    if options.prompts is None:
        drawn = [
            case
            for task in dict.fromkeys(options.task)
            for case in world.cases(task, options.split, options.count, options.seed)
        ]
        return [each for case in drawn for each in at_strengths(case, options.strength)]
    cases = read_prompts(options.prompts, options.seeds, options.seed)
    return cases if options.judge == "clip" else [world.understood(case) for case in cases]


def at_strengths(case: Case, strengths: Sequence[float]) -> list[Case]:
    """Return an edit once for each of the denoising strengths; other cases unchanged."""
    if case.source is None or case.source.mask or not strengths:
        return [case]
    sources = (dataclasses.replace(case.source, strength=each) for each in strengths)
    return [dataclasses.replace(case, source=source) for source in sources]


def check_others(cases: Sequence[Case], methods: Sequence[Method]) -> None:
    """Raise SettingsError if a method cannot make one of the cases."""
    for kind in (method.kind for method in methods if method.kind in OTHERS):
        for case in cases:
            if not case.columns:
                legal = f"left out for {case.joint!r}: it is for several things, made from noise"
                raise SettingsError("methods", kind, legal)
    for kind in (method.kind for method in methods if method.kind in EDITING):
        for case in cases:
            if not case.edited:
                legal = f"left out for {case.joint!r}: it is for pictures that are edited"
                raise SettingsError("methods", kind, legal)


def against_label(against: str, methods: Sequence[Method]) -> str:
    """Return the label of the method that `--against` names, by its label or by its kind."""
    return next((m.label for m in methods if against in (m.label, m.kind)), against)


def headline(options: argparse.Namespace, cases: Sequence[Case], judge: Judge, weights: str) -> str:
    source = str(options.prompts) if options.prompts else f"{options.split} split"
    return (
        f"{options.model or 'the small model'} ({weights}), {source}, {len(cases)} pictures a"
        f" method from seed {options.seed}, {options.steps} steps, CFG {options.cfg:g}; judged by"
        f" {judge.name}. Figures in percent with 95 % intervals; differences in pairs to"
        f" {options.against}; +/-: pairs better, worse; p: exact McNemar.\n"
    )


def energies(traced: dict[str, dict[str, Any] | None]) -> Iterator[str]:
    """Yield what the updates did as lines of a table; nothing if nothing was traced."""
    known = {label: trace for label, trace in traced.items() if trace}
    if not known:
        return
    yield "\n| method | " + " | ".join(_ENERGIES.values()) + " |"
    yield "|---" * (1 + len(_ENERGIES)) + "|"
    for label, trace in known.items():
        values = [f"{trace[name]:.4g}" if name in trace else "-" for name in _ENERGIES]
        yield f"| {label} | " + " | ".join(values) + " |"
    yield ""


def draw(
    path: Path, cases: Sequence[Case], methods: Sequence[Method], sweep: Sweep, store: Store,
    count: int,
) -> None:  # fmt: skip
    """Draw the first `count` cases of every task, a row for each case, a column for each method."""
    titles = dict.fromkeys(case.title for case in cases)
    shown = [c for title in titles for c in [c for c in cases if c.title == title][:count]]
    rows = [
        [
            Labelled(
                label_of(case, method, methods[0]),
                Image.open(store.path(sweep.key(case, method))),
            )
            for method in methods
        ]
        for case in shown
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    side_by_side(rows).save(path)


def label_of(case: Case, method: Method, first: Method) -> str:
    """Return the method's label, with the prompt unless it repeats that of the first method."""
    text = case.prompt(method.kind)
    repeated = method is not first and text == case.prompt(first.kind)
    return method.label if repeated else f"{method.label}: {text}"
