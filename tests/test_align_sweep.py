"""A sweep is paired, can be continued, and does not depend on how it is cut up."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ebca.align.cases import Case, Source, Thing
from ebca.align.judges import structure_distance
from ebca.align.methods import Method, methods, read_grid
from ebca.align.painter import Painter, Sampling
from ebca.align.report import lines, table
from ebca.align.store import Store
from ebca.align.sweep import InProcess, Sweep
from ebca.options import Settings

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")

SAMPLING = Sampling(steps=2)
ON = methods(["off", "bcu"], Settings(), read_grid(["gamma_attn=0.02", "gamma_norm=0"]))


class Painted:
    """A judge that can tell dark pictures, and one more thing that changes with every pixel."""

    name = "brightness"

    def __init__(self) -> None:
        self.error: dict[str, Any] = {}
        self.looked = 0

    def look(self, pictures: Any, cases: Sequence[Case]) -> list[dict[str, Any]]:
        self.looked += len(cases)
        dark = [picture.mean() < 200 for picture in pictures]
        return [{"seen": [["car", "red"]] if d else [], "scene": "plain"} for d in dark]


@pytest.fixture(scope="module")
def painter() -> Painter:
    return Painter(SAMPLING)


def case(seed: int, task: str = "multi", **more: Any) -> Case:
    text = f"a {('red', 'blue', 'green')[seed % 3]} car"
    return Case(task, text, text, text, seed, (Thing("car", "red"),), **more)


CASES = [case(seed) for seed in range(6)]


def swept(painter: Painter, folder: Path, chosen: Sequence[Method], **more: Any) -> list[str]:
    """The table of a finished sweep."""
    sweep = Sweep(CASES, chosen, SAMPLING, painter.fingerprint(), **more)
    store, judge = Store(folder), Painted()
    sweep.run(store, InProcess(painter), judge, lambda _: None)
    saws = {method.label: sweep.saw(store, judge, method) for method in chosen}
    return list(table(list(lines(CASES, saws, "off", {}))))


def test_tables_do_not_depend_on_the_batch(painter, tmp_path):
    tables = [swept(painter, tmp_path / str(size), ON, batch=size) for size in (1, 4, 6)]
    assert tables[0] == tables[1] == tables[2]


def test_a_seed_makes_the_same_picture_anywhere_in_a_batch(painter):
    together, _ = painter.paint(CASES, ON[1])
    turned, _ = painter.paint(CASES[::-1], ON[1])
    assert np.abs(together[::-1].astype(int) - turned).max() <= 1
    alone, _ = painter.paint(CASES[2:3], ON[1])
    assert np.abs(together[2].astype(int) - alone[0]).max() <= 1


def test_a_killed_sweep_is_continued_to_the_same_table(painter, tmp_path):
    whole = swept(painter, tmp_path / "whole", ON, batch=2)
    sweep = Sweep(CASES, ON, SAMPLING, painter.fingerprint(), batch=2)
    store, calls = Store(tmp_path / "killed"), itertools.count()

    def kill(_: int) -> None:
        if next(calls) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep.run(store, InProcess(painter), Painted(), kill)
    results = tmp_path / "killed" / "results.jsonl"
    assert len(results.read_text().splitlines()) == 6
    with results.open("a") as file:
        file.write('{"key": "half a li')
    assert len(sweep.batches(Store(tmp_path / "killed"))) == 3
    assert swept(painter, tmp_path / "killed", ON, batch=2) == whole
    pictures = {
        name: sorted(path.read_bytes() for path in (tmp_path / name).rglob("*.png"))
        for name in ("whole", "killed")
    }
    assert pictures["whole"] == pictures["killed"]


def test_what_is_there_is_neither_made_nor_looked_at_again(painter, tmp_path):
    swept(painter, tmp_path, ON)
    before = (tmp_path / "results.jsonl").read_text()
    sweep = Sweep(CASES, ON, SAMPLING, painter.fingerprint())
    judge = Painted()
    assert sweep.batches(Store(tmp_path)) == []
    sweep.run(Store(tmp_path), InProcess(painter), judge, lambda _: None)
    assert judge.looked == 0
    assert (tmp_path / "results.jsonl").read_text() == before


def test_another_judge_looks_at_the_same_pictures(painter, tmp_path):
    swept(painter, tmp_path, ON)
    sweep, judge = Sweep(CASES, ON, SAMPLING, painter.fingerprint()), Painted()
    judge.name = "somebody else"
    sweep.run(Store(tmp_path), InProcess(painter), judge, lambda _: None)
    assert judge.looked == 12


def test_other_settings_weights_or_steps_are_other_pictures(painter):
    one = Sweep(CASES, ON, SAMPLING, "weights")
    keys = {
        one.key(CASES[0], ON[0]),
        one.key(CASES[0], ON[1]),
        one.key(CASES[1], ON[0]),
        Sweep(CASES, ON, SAMPLING, "others").key(CASES[0], ON[0]),
        Sweep(CASES, ON, Sampling(steps=3), "weights").key(CASES[0], ON[0]),
    }
    assert len(keys) == 5
    same = Sweep(CASES, ON, SAMPLING, "weights", batch=3)
    assert same.key(CASES[0], ON[0]) in keys


def test_where_joint_is_off_its_pictures_are_not_made_twice(painter, tmp_path):
    chosen = methods(["off", "joint"], Settings(), [])
    sweep = Sweep(CASES, chosen, SAMPLING, painter.fingerprint())
    assert [batch.method.kind for batch in sweep.batches(Store(tmp_path))] == ["off"]


def test_pairs_are_of_the_same_prompt_and_seed():
    cases = [case(seed) for seed in range(4)]
    there, gone = {"seen": [["car", "red"]], "scene": "plain"}, {"seen": [], "scene": "plain"}
    saws = {"off": [there, gone, gone, there], "bcu": [there, there, there, gone]}
    rows = {(row.method, row.figure): row for row in lines(cases, saws, "off", {})}
    row = rows["bcu", "present"]
    assert (row.gained, row.lost, row.p) == (2, 1, 1.0)
    assert row.difference is not None
    assert row.difference.value == pytest.approx(0.25)
    assert rows["off", "present"].difference is None


def test_the_judges_error_is_in_the_interval():
    cases = [case(seed) for seed in range(40)]
    there, gone = {"seen": [["car", "red"]], "scene": "plain"}, {"seen": [], "scene": "plain"}
    saws = {"off": [there] * 20 + [gone] * 20}
    rate = {"rate": 0.1, "low": 0.0, "high": 1.0, "n": 50}
    measured = dict.fromkeys(("missed", "invented", "wrong_colour", "scene_wrong"), rate)
    error = {"reconstructions, 1 object": measured}
    (row,) = (r for r in lines(cases, saws, "off", error) if r.figure == "present")
    assert row.true is not None
    assert row.true.value == pytest.approx(0.5, abs=0.01)  # misses as many as it invents
    assert row.true.high - row.true.low > 1.15 * (row.value.high - row.value.low)


def test_what_updates_do_is_taken_down(painter, tmp_path):
    sweep = Sweep(CASES, ON, SAMPLING, painter.fingerprint(), energies=True)
    store = Store(tmp_path)
    sweep.run(store, InProcess(painter), Painted(), lambda _: None)
    traced = sweep.traced(store, ON[1])
    assert traced is not None
    assert 0.0 < traced["relative_update"] < traced["largest_relative_update"]
    assert traced["conditional_change"] < 0.0
    assert sweep.traced(store, ON[0]) is None


@pytest.mark.parametrize("kind", ["off", "joint", "bcu", "cacao", "both", "core-and"])
def test_every_method_edits_and_inpaints(painter, kind):
    mask = "left" if kind in ("bcu", "cacao", "core-and") else ""
    source = Source((Thing("car", "red"),), 1, 1.0, mask)
    things = (Thing("crown", "blue"),)
    edited = Case("edit", "a crown", "a blue crown", "a crown AND a blue crown", 1, things,
                  negative="a car", source=source)  # fmt: skip
    (method,) = methods([kind], Settings(gamma_attn=0.001), [])
    pictures, _ = painter.paint([edited], method)
    assert pictures.shape == (1, 64, 64, 3)
    assert not painter.pipe.unet._forward_pre_hooks


def test_structure_is_what_a_picture_has_besides_its_colours():
    rng = np.random.default_rng(0)
    picture, other = rng.random((64, 64, 3)).round(), rng.random((64, 64, 3)).round()
    picture[:32, :32], other[32:, 32:] = 0.0, 0.0
    assert structure_distance(picture, picture) == 0.0
    assert structure_distance(picture, 1 - picture) == pytest.approx(0.0)
    assert structure_distance(picture, other) > 0.1


def test_workers_of_a_local_ray_give_the_identical_table(painter, tmp_path):
    pytest.importorskip("ray", reason="ray is not installed: the cluster is not tested")
    from ebca.align.remote import LOCAL, Cluster

    cluster = Cluster(LOCAL, SAMPLING, 2)
    try:
        assert cluster.fingerprint() == painter.fingerprint()
        sweep = Sweep(CASES, ON, SAMPLING, cluster.fingerprint(), batch=2)
        store, judge = Store(tmp_path / "ray"), Painted()
        sweep.run(store, cluster, judge, lambda _: None)
    finally:
        cluster.close()
    saws = {method.label: sweep.saw(store, judge, method) for method in ON}
    here = swept(painter, tmp_path / "here", ON, batch=2)
    assert list(table(list(lines(CASES, saws, "off", {})))) == here
    for path in (tmp_path / "here").rglob("*.png"):
        there = tmp_path / "ray" / path.relative_to(tmp_path / "here")
        assert there.read_bytes() == path.read_bytes()
    results = (tmp_path / "ray" / "results.jsonl").read_text().splitlines()
    assert [json.loads(line)["kind"] for line in results].count("picture") == 12
