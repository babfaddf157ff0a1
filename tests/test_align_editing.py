"""Edits in the benchmark: their pictures, the methods for them, and curves over strengths."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from PIL import Image

from ebca.__main__ import build_parser, main
from ebca.align.alternative import Alternative, alternative, find_noise
from ebca.align.cases import Case
from ebca.align.cli import chosen_methods
from ebca.align.curves import Curve, at_equal, curves, equal_table, perfect, read_off
from ebca.align.methods import Method, methods, read_grid
from ebca.align.painter import Painter, Sampling
from ebca.align.run import at_strengths, check_others
from ebca.align.sources import draw_edited, draw_source, outside
from ebca.align.sweep import Sweep
from ebca.align.world import cases
from ebca.hosts.levels import Levels
from ebca.hosts.source_model import encoded
from ebca.options import Settings
from ebca.plots import plot_curves
from ebca.settings import SettingsError

pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning"),  # of diffusers, about its own names
    pytest.mark.filterwarnings("ignore:__array_"),  # of its schedulers
]

EDITS = ("edit", "dressing", "edit-colour", "edit-scene")


@pytest.fixture(scope="module")
def painter():
    return Painter(Sampling(steps=5, cfg=4.0))


@pytest.fixture(scope="module")
def edit():
    return cases("edit", "development", 2, 1000)


def one(kind, *axes) -> Method:
    (method,) = methods([kind], Settings(), read_grid(axes))
    return method


def paint(painter, some, kind, *axes):
    return painter.paint(some, one(kind, *axes))[0].astype(int)


# The pictures


@pytest.mark.parametrize("task", EDITS)
def test_a_perfect_edit_leaves_the_rest_as_it_is(task):
    for case in cases(task, "development", 12, 1000):
        before, after = (
            np.asarray(picture) for picture in (draw_source(case.source, 64), draw_edited(case, 64))
        )
        stays = outside(case, 64)
        assert np.array_equal(before[stays], after[stays])
        assert (before != after).any()
        assert 0.02 < stays.mean() < 0.98


@pytest.mark.parametrize("task", EDITS)
def test_the_judge_calls_a_perfect_edit_right_and_the_picture_itself_not(task):
    from ebca.align.judges import WorldJudge
    from ebca.align.score import figures

    some, judge = cases(task, "development", 8, 1000), WorldJudge()
    for drawn, right in (("edited", 7), ("source", 0)):
        pictures = np.stack(
            [
                np.asarray(draw_edited(c, 64) if drawn == "edited" else draw_source(c.source, 64))
                for c in some
            ]
        )
        seen = [figures(s, c) for s, c in zip(judge.look(pictures, some), some, strict=True)]
        assert sum(each["right"] for each in seen) in (range(7, 9) if right else [0])
        assert all(each["rest"] == 0.0 for each in seen)


def test_a_colour_and_a_scene_change_to_others():
    for case in cases("edit-colour", "development", 12, 1000):
        old, new = case.source.things[0], case.things[0]
        assert old.name == new.name
        assert old.colour != new.colour
        assert case.absent == (old,)
        assert case.source.things[1] == case.things[1]
    for case in cases("edit-scene", "development", 12, 1000):
        assert case.source.scene != case.scene
        assert case.source.things == case.things
        assert case.source.shows != case.joint


# The methods


def test_a_grid_names_what_keeping_and_the_alternative_test_have():
    grid = read_grid(["keep_more=0,0.3", "keep_from_source=on", "cfg=2", "decode_cfg=1.5"])
    found = methods(["joint", "kept", "kept-joint", "alternative"], Settings(), grid)
    assert [method.label for method in found] == [
        "joint cfg=2",
        "kept keep_more=0 keep_from_source=True cfg=2",
        "kept keep_more=0.3 keep_from_source=True cfg=2",
        "kept-joint keep_more=0 keep_from_source=True cfg=2",
        "kept-joint keep_more=0.3 keep_from_source=True cfg=2",
        "alternative decode_cfg=1.5 cfg=2",
    ]
    assert found[2].part.keep_more == 0.3
    assert found[-1].part == Alternative(decode_cfg=1.5)
    assert Method("joint").facts() == {"kind": "joint"}
    for axis in ("keep_more=2", "randomness=-1", "cfg=x", "keep=on", "keep_source=a"):
        with pytest.raises(SettingsError):
            read_grid([axis])


def test_composing_and_updating_is_as_without_keeping():
    both, kept = one("both"), one("kept-both")
    assert kept.settings == both.settings == Settings()
    assert one("kept").settings == one("cacao").settings


def test_only_edits_can_be_kept(edit):
    check_others(edit, [one("kept"), one("alternative")])
    with pytest.raises(SettingsError, match="methods is 'kept', but must be left out for"):
        check_others(cases("inpaint", "development", 1, 0), [one("kept")])


def test_every_strength_is_other_pictures(edit):
    found = at_strengths(edit[0], [0.3, 1.0])
    assert [case.title for case in found] == ["edit at 0.3", "edit at 1"]
    assert at_strengths(edit[0], []) == [edit[0]]
    (inpaint,) = cases("inpaint", "development", 1, 0)
    assert at_strengths(inpaint, [0.3]) == [inpaint]
    sweep = Sweep(found, [one("kept"), one("kept", "keep_more=0.5")], Sampling(), "weights")
    keys = {sweep.key(case, method) for case in found for method in sweep.methods}
    assert len(keys) == 4


@pytest.mark.parametrize(("cfg", "negative"), [("1", "off"), ("4", "on")])
def test_without_a_change_the_picture_is_what_the_autoencoder_gives(painter, edit, cfg, negative):
    own = paint(painter, edit, "autoencoder")
    back = paint(painter, edit, "kept-same", f"cfg={cfg}", f"keep_from_source={negative}")
    assert np.abs(back - own).mean() < 0.1
    assert not hasattr(painter.pipe.scheduler.step, "__wrapped__")


def test_a_case_alone_decides_its_picture(painter, edit):
    together = paint(painter, edit, "kept")
    assert np.abs(paint(painter, edit[1:], "kept")[0] - together[1]).max() <= 1
    assert np.abs(paint(painter, edit[::-1], "kept")[1] - together[0]).max() <= 1


def test_keeping_is_nearer_to_the_picture_than_plain_img2img(painter):
    some = cases("edit", "development", 4, 1000)
    strong = [c for case in some for c in at_strengths(case, [1.0])]
    pictures = np.stack([np.asarray(draw_source(case.source, 64), int) for case in strong])
    far = {
        kind: np.abs(paint(painter, strong, kind) - pictures).mean()
        for kind in ("joint", "kept", "kept-joint")
    }
    assert max(far["kept"], far["kept-joint"]) < 0.7 * far["joint"]


# The alternative test


@pytest.fixture(scope="module")
def img2img(painter):
    import diffusers

    pipe = diffusers.AutoPipelineForImage2Image.from_pipe(painter.pipe)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def test_from_the_noise_that_it_finds_the_model_paints_the_picture(img2img, edit):
    """In many steps, at a CFG scale of 1: what it was made for."""
    case = edit[0]
    picture, text, steps = draw_source(case.source, 64), [case.source.shows], 40
    before = img2img.scheduler
    far = []
    for chosen in (Alternative(sigma_adjustment=True), Alternative(randomness=1)):
        with alternative(img2img, [picture], text, steps, chosen) as inputs:
            again = img2img(
                text, strength=1.0, num_inference_steps=steps, guidance_scale=1.0,
                generator=torch.Generator().manual_seed(0), output_type="np", **inputs,
            ).images  # fmt: skip
        far.append(float(np.abs(again[0] * 255 - np.asarray(picture, float)).mean()))
    assert img2img.scheduler is before
    assert far[0] < 0.5 * far[1]


def test_its_noise_is_of_one_size_and_its_settings_change_it(img2img, edit):
    import diffusers

    scheduler = diffusers.EulerDiscreteScheduler.from_config(
        img2img.scheduler.config, timestep_spacing="linspace"
    )
    levels, case = Levels(scheduler, 6, 1.0), edit[0]
    clean = encoded(img2img, [draw_source(case.source, 64)])

    def noise(**chosen):
        shown = ([case.source.shows], (64, 64), levels, Alternative(**chosen))
        return find_noise(img2img, clean, *shown)

    plain, guided, adjusted = noise(), noise(decode_cfg=3.0), noise(sigma_adjustment=True)
    assert float(plain.std()) == pytest.approx(1.0, abs=1e-4)
    assert float(guided.std()) == pytest.approx(1.0, abs=1e-4)
    assert float((plain - guided).abs().mean()) > 0.01
    assert float((plain - adjusted).abs().mean()) > 0.01


# Curves


def test_a_line_is_read_off_between_its_points_and_never_falls():
    distance = np.array([[0.1], [0.2], [0.3]])
    right = np.array([[0.0], [1.0], [0.5]])
    at = [read_off(distance, right, np.array([x])) for x in (0.05, 0.1, 0.15, 0.2, 0.3, 0.9)]
    assert at == pytest.approx([0.0, 0.0, 0.5, 1.0, 1.0, 1.0])


def looked(case: Case, what: str, structure: float) -> dict:
    seen = [list(thing) for thing in case.things] if what == "right" else []
    return {"seen": seen, "scene": "plain", "structure": structure, "rest": structure / 2}


def test_methods_are_compared_at_the_same_distance():
    some = [c for case in cases("edit", "development", 4, 0) for c in at_strengths(case, [0.3, 1])]
    weak = [case.strength == 0.3 for case in some]
    saws = {
        "joint": [
            looked(case, "wrong" if each else "right", 0.1 if each else 0.3)
            for case, each in zip(some, weak, strict=True)
        ],
        "kept": [looked(case, "right", 0.1 if each else 0.2)
                 for case, each in zip(some, weak, strict=True)],
    }  # fmt: skip
    rows = list(at_equal(some, saws, "joint"))
    assert [(row.strength, row.distance) for row in rows] == [
        (0.3, "structure"), (1.0, "structure"), (None, "structure"),
        (0.3, "rest"), (1.0, "rest"), (None, "rest"),
    ]  # fmt: skip
    assert [row.other for row in rows] == pytest.approx([0.0, 0.5, 0.25] * 2)
    assert [row.difference.value for row in rows] == pytest.approx([1.0, 0.5, 0.75] * 2)
    lines = list(equal_table(rows, "joint"))
    assert (
        "| edit | kept | 0.3 | structure 0.1000 | 100.0 | 0.0 | +100.0 [+100.0, +100.0] |" in lines
    )
    assert list(equal_table([], "joint")) == []
    single = [case for case in some if case.strength == 1]
    halves = {name: saw[1::2] for name, saw in saws.items()}
    assert list(at_equal(single, halves, "joint")) == []


def test_curves_are_drawn(tmp_path):
    some = [c for case in cases("edit", "development", 2, 0) for c in at_strengths(case, [0.3, 1])]
    saws = {"joint": [looked(case, "right", 0.1) for case in some]}
    found = list(curves(some, saws))
    assert isinstance(found[0], Curve)
    assert found[0].right.shape == (2, 2)
    plot_curves(found, perfect(some), tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as drawn:
        assert drawn.width > 600


def test_perfect_edits_of_scenes_are_far_in_structure():
    far = perfect([c for task in EDITS for c in cases(task, "development", 6, 0)])
    assert set(far) == set(EDITS)
    assert all(each["rest"] == 0.0 for each in far.values())
    assert far["edit-scene"]["structure"] > 2 * far["edit"]["structure"]


# The command


def test_one_command_makes_table_and_curves(tmp_path, capsys):
    command = ["align", "--steps", "4", "--device", "cpu", "--count", "2", "--task", "edit",
               "edit-scene", "--strength", "0.5", "1", "--methods", "kept-joint", "--against",
               "joint", "--out", str(tmp_path), "--json", str(tmp_path / "f.json"),
               "--curves", str(tmp_path / "c.png"), "--figures", "right", "rest"]  # fmt: skip
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "| edit at 0.5 | kept-joint | right | 2 |" in printed
    assert "| edit-scene | kept-joint | 1 | rest " in printed
    written = json.loads((tmp_path / "f.json").read_text())
    assert {row["strength"] for row in written["at_equal"]} == {0.5, 1.0, None}
    assert (tmp_path / "c.png").exists()


@pytest.mark.parametrize("strength", ["0", "1.1", "-1"])
def test_a_strength_out_of_range_is_named(strength, capsys):
    assert main(["align", "--task", "edit", "--strength", strength]) == 2
    assert f"strength is {float(strength)}, but must be" in capsys.readouterr().err


def test_the_method_compared_with_may_be_one_that_keeps():
    command = ["align", "--methods", "joint", "--against", "kept"]
    found = chosen_methods(build_parser().parse_args(command))
    assert [method.kind for method in found] == ["kept", "joint"]
    assert dataclasses.asdict(found[0].part)["keep"]
