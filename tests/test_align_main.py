"""`python -m ebca align`: what it reads, prints and refuses."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from ebca.__main__ import build_parser, main
from ebca.align.cases import Case, Thing, find_nouns, joined, read_prompts
from ebca.align.cli import ABLATION, FIGURES, TASK_NAMES, chosen_methods
from ebca.align.judges import ClipJudge
from ebca.align.methods import Method, methods, read_grid
from ebca.align.score import figures
from ebca.align.world import TASKS, cases
from ebca.generate import EMBEDDED_MODEL
from ebca.options import Settings

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")

CAT, BOW = Thing("cat"), Thing("bow")
SHORT = ["--steps", "2", "--device", "cpu", "--count", "2"]


# Prompts


def test_a_file_of_prompts(tmp_path):
    file = tmp_path / "prompts.txt"
    file.write_text(
        "a cat and a red bow\n\n# nothing\na dog with glasses | dog, glasses\n"
        "a cat AND at night :0.8 # a scene\n"
    )
    read = read_prompts(file, 2, 5)
    assert [case.seed for case in read] == [5, 6] * 3
    assert [thing.name for thing in read[0].things] == ["cat", "red bow"]
    assert read[0].composed == "a cat AND a red bow"
    assert read[0].main == read[0].joint == "a cat and a red bow"
    assert [thing.name for thing in read[2].things] == ["dog", "glasses"]
    assert (read[4].main, read[4].joint) == ("a cat", "a cat, at night")
    assert read[4].composed == "a cat AND at night :0.8"


def test_nouns_are_what_follows_an_article():
    assert find_nouns("a cat, an old dog and the crown, at night") == ["cat", "old dog", "crown"]
    assert (
        joined((Thing("car", "red"), Thing("clock", "orange"))) == "a red car and an orange clock"
    )


@pytest.mark.parametrize("task", TASKS)
def test_built_in_cases_say_what_they_ask_for(task):
    found = cases(task, "development", 6, 100)
    assert [case.seed for case in found] == list(range(100, 106))
    for case in found:
        assert case.things
        assert all(thing.name in f"{case.joint} {case.composed}" for thing in case.things)
        assert (" AND " in case.composed) == (task != "single")
    if task == "three":
        return  # the same way, but slowly
    assert found == cases(task, "development", 6, 100)
    assert not {c.joint for c in found} & {c.joint for c in cases(task, "test", 6, 0)}


def test_the_command_knows_all_tasks():
    assert tuple(TASKS) == TASK_NAMES


def test_the_prompt_of_a_method():
    case = Case("prompts", "a cat and a bow", "a cat, a bow", "a cat AND a bow", 0, (CAT, BOW))
    prompts = [case.prompt(kind) for kind in ("off", "joint", "bcu", "cacao", "core-and")]
    assert prompts == [case.main, case.joint, case.joint, case.composed, case.composed]


# Methods


def test_a_grid_is_all_combinations():
    grid = read_grid(["gamma_attn=0.002,0.005", "layers=all,down+mid", "max_relative_update=none"])
    assert len(grid) == 4
    assert grid[1] == {"gamma_attn": 0.002, "layers": "down,mid", "max_relative_update": 0.0}
    found = methods(["off", "bcu", "core-and"], Settings(), grid)
    assert [method.kind for method in found] == ["off", "bcu", "bcu", "bcu", "bcu", "core-and"]
    (usual,) = methods(["bcu"], Settings(), [])
    assert usual.label == "bcu gamma_attn=0.002 gamma_norm=0"
    assert (usual.settings.regions, usual.settings.regions_stop) == (1.0, 0.7)
    assert found[2].settings.regions == 0.0
    (still,) = methods(["bcu"], Settings(), read_grid(["gamma_attn=0", "contrast=0.4"]))
    assert (still.settings.gamma_attn, still.settings.contrast) == (0.0, 0.4)
    both = methods(["cacao", "off"], Settings(), read_grid(["composition=sum,average"]))
    labels = ["cacao and_means=sum", "cacao and_means=average", "off"]
    assert [method.label for method in both] == labels
    assert (
        found[2].label == "bcu regions=0 gamma_attn=0.002 gamma_norm=0"
        " max_relative_update=0 layers=down,mid centered=False"
    )


def test_on_is_what_is_installed_whatever_the_grid_says():
    (on,) = methods(["on"], Settings(), read_grid(["gamma_attn=0.01,0.02"]))
    assert (on.label, on.settings) == ("on", Settings())


def test_a_label_tells_every_field_of_the_grid():
    def labels(kind, *axes):
        return [method.label for method in methods([kind], Settings(), read_grid(axes))]

    steps = "gamma_attn=0.002 gamma_norm=0"
    assert labels("bcu", "contrast=0.66,1.3", "layers=all") == [
        f"bcu regions=0 {steps} layers=all contrast=0.66",
        f"bcu regions=0 {steps} layers=all contrast=1.3",
    ]
    caps = [f"bcu {steps} max_relative_update={cap}" for cap in ("0", "0.02")]
    assert labels("bcu", "max_relative_update=none,0.02") == caps
    assert labels("cacao", "composition=sum") == ["cacao and_means=sum"]
    assert labels("core-and", "alpha=1,2") == ["core-and alpha=1", "core-and alpha=2"]
    assert labels("off", "contrast=0.66,1.3") == ["off"]


def test_the_same_method_under_two_names_is_one_column():
    command = ["align", "--methods", "bcu", "--grid", "regions=1", "--against", "bcu"]
    (one,) = chosen_methods(build_parser().parse_args(command))
    assert one == Method("bcu", Settings())
    assert " regions=1 " in one.label


@pytest.mark.parametrize(
    ("axis", "message"),
    [
        ("gamma=1", "grid is 'gamma=1', but must be a field and its values"),
        ("gamma_attn", "grid is 'gamma_attn'"),
        ("gamma_attn=", "grid is 'gamma_attn='"),
        ("gamma_attn=x", "gamma_attn is 'x', but must be a number from 0 to 10"),
        ("gamma_attn=-1", "gamma_attn is -1.0"),
        ("mask=maybe", "mask is 'maybe', but must be true or false"),
    ],
)
def test_a_bad_grid_is_named(axis, message, capsys):
    assert main(["align", "--grid", axis]) == 2
    assert message in capsys.readouterr().err


def test_the_ablation_names_real_settings():
    options = build_parser().parse_args(["align", "--ablation"])
    found = chosen_methods(options)
    assert len(found) == len({str(method.facts()) for method in found}) > 25
    assert found[0] == Method("off")
    assert {"bcu", "cacao", "both"} <= {kind for kind, _ in ABLATION}


def test_what_is_compared_with_is_among_the_methods():
    options = build_parser().parse_args(["align", "--methods", "cacao", "--against", "core-and"])
    assert [method.kind for method in chosen_methods(options)] == ["core-and", "cacao"]


# Counting

ASKED = Case("multi", "", "", "", 0, (Thing("car", "red"), Thing("crown", "blue")))


@pytest.mark.parametrize(
    ("seen", "present", "right", "clean", "recall", "binding", "doubled"),
    [
        ([["crown", "blue"], ["car", "red"]], 1, 1, 1, 1, 1, 0),
        ([["crown", "red"], ["car", "blue"]], 1, 0, 0, 1, 0, 0),
        ([["car", "red"]], 0, 0, 0, 0.5, 1, 0),
        ([["car", "red"], ["car", "blue"], ["crown", "blue"]], 1, 1, 0, 1, 1, 1),
    ],
)
def test_pictures_are_counted(seen, present, right, clean, recall, binding, doubled):
    assert figures({"seen": seen, "scene": "plain"}, ASKED) == {
        "present": present, "right": right, "clean": clean, "recall": recall, "binding": binding,
        "doubled": doubled,
    }  # fmt: skip


def test_what_is_taken_away_must_be_gone():
    case = Case("negation", "", "", "", 0, (Thing("car", "red"),), absent=(Thing("crown"),))
    both = figures({"seen": [["crown", "blue"], ["car", "red"]], "scene": ""}, case)
    assert (both["present"], both["removed"]) == (0, 0)
    gone = figures({"seen": [["car", "red"]], "scene": ""}, case)
    assert (gone["present"], gone["removed"]) == (1, 1)


def test_nothing_there_has_no_colours():
    counted = figures({"seen": [], "scene": "plain"}, ASKED)
    assert counted["binding"] != counted["binding"]


def test_a_style_that_is_asked_for_must_be_there():
    case = Case("style", "", "", "", 0, (Thing("car"),), style="sunset")
    for style, there in (("sunset", 1), ("", 0)):
        seen = {"seen": [["car", ""]], "scene": "plain", "style": style}
        counted = figures(seen, case)
        assert (counted["present"], counted["scene"]) == (there, there)


# The command


def test_every_figure_can_be_asked_for():
    things, absent = (Thing("car", "red"),), (Thing("crown"),)
    case = Case("edit", "", "", "", 0, things, scene="plain", absent=absent)
    apart = dict.fromkeys(("structure", "whole", "rest"), 0.1)
    saw = {"seen": [], "scene": "", "odd": 0.5, **apart}
    seen = figures(saw, case)
    assert {*seen, *figures({"full": 0.1, "each": [0.1]}, ASKED)} == set(FIGURES)


def test_methods_with_updates_are_contrasted(tmp_path):
    command = ["align", *SHORT, "--task", "multi", "--methods", "bcu", "--out", str(tmp_path)]
    grid = ["--grid", "gamma_attn=0", "contrast=0,0.66"]
    assert main([*command, *grid]) == 0
    pictures = [path.read_bytes() for path in tmp_path.rglob("*.png")]
    assert len(pictures) == 6  # of off, to compare with, and two methods
    assert len(set(pictures)) == 4  # without steps and contrast it is off


def test_it_prints_writes_and_draws(tmp_path, capsys):
    figures, picture = tmp_path / "figures.json", tmp_path / "table.png"
    command = ["align", *SHORT, "--task", "multi", "scene", "--methods", "off", "cacao",
               "--out", str(tmp_path), "--json", str(figures), "--picture", str(picture),
               "--detect", "0.1", "--energies", "--figures", "present"]  # fmt: skip
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "| scene | cacao | present | 2 |" in printed
    assert "| recall |" not in printed
    assert "to find +10.0% at p < .05 with 80 % power, n =" in printed
    written = json.loads(figures.read_text())
    assert {line["figure"] for line in written["lines"]} > {"present", "recall", "binding"}
    assert {line["task"] for line in written["lines"]} == {"multi", "scene"}
    assert "reconstructions, 2 objects" in written["error"]
    assert Image.open(picture).width > 600
    assert main(command) == 0
    assert capsys.readouterr().out == printed


def test_prompts_of_the_worlds_words_are_judged_by_its_judge(tmp_path, capsys):
    file = tmp_path / "prompts.txt"
    file.write_text("a red car and a blue crown\n")
    command = ["align", *SHORT, "--prompts", str(file), "--out", str(tmp_path)]
    assert main([*command, "--methods", "off", "--seeds", "2"]) == 0
    assert "| prompts | off | present | 2 |" in capsys.readouterr().out
    for unknown in ("dragon", "red cat", "golden crown"):  # animals take no colour here
        file.write_text(f"a {unknown} and a blue crown\n")
        assert main(command) == 2
        assert f"prompts is '{unknown}', but must be a thing (" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--count", "0"], "count is 0, but must be a number of at least 1"),
        (["--batch", "0"], "batch is 0"),
        (["--detect", "2"], "detect is 2.0, but must be a share between 0 and 1"),
        (["--size", "65"], "size is 65, but must be a multiple of 8"),
        (["--methods", "magic"], "methods is 'magic', but must be one of off"),
        (["--against", "magic"], "against is 'magic'"),
        (["--judge", "clip"], "clip is None, but must be given with --judge clip"),
        (["--methods", "core-and", "--cfg", "1"], "cfg is 1.0, but must be above 1"),
        (["--prompts", "nowhere.txt"], "prompts is 'nowhere.txt', but must be a text file"),
    ],
)
def test_a_bad_value_is_named(arguments, message, capsys, tmp_path):
    assert main(["align", "--out", str(tmp_path), *arguments]) == 2
    assert message in capsys.readouterr().err


def test_without_ray_it_says_so(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["align", *SHORT, "--ray", "--out", str(tmp_path)]) == 2
    assert "ray is 'local', but must be left out, or Ray installed" in capsys.readouterr().err


def test_without_its_model_it_says_so(capsys, tmp_path):
    assert main(["align", *SHORT, "--model", str(tmp_path / "no"), "--out", str(tmp_path)]) == 3
    assert "cannot load the model" in capsys.readouterr().err


# CLIP


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """A tiny CLIP with random weights and the small model's tokens."""
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

    torch.manual_seed(0)
    tower = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    config = CLIPConfig(
        text_config={**tower, "num_attention_heads": 2, "eos_token_id": 49407},
        vision_config={**tower, "num_attention_heads": 2, "image_size": 32, "patch_size": 16},
        projection_dim=8,
    )
    folder: Path = tmp_path_factory.mktemp("clip")
    CLIPModel(config).save_pretrained(folder)
    size = {"height": 32, "width": 32}
    CLIPImageProcessor(size=size, crop_size=size).save_pretrained(folder)
    for file in (EMBEDDED_MODEL / "tokenizer").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


def test_clip_compares_with_the_prompt_and_the_least_of_its_things(clip, tmp_path, capsys):
    file, out = tmp_path / "prompts.txt", tmp_path / "figures.json"
    file.write_text("a cat and a bow | cat, bow\n")
    command = ["align", *SHORT, "--prompts", str(file), "--judge", "clip", "--clip", str(clip)]
    assert main([*command, "--out", str(tmp_path), "--json", str(out)]) == 0
    assert "| prompts | off | clip-least | 1 |" in capsys.readouterr().out
    judge = ClipJudge(str(clip))
    (picture,) = [torch.rand(64, 64, 3).mul(255).byte().numpy()]
    case = Case("prompts", "", "a cat and a bow", "", 0, (Thing("cat"), Thing("bow")))
    (saw,) = judge.look([picture], [case])  # type: ignore[arg-type]
    assert len(saw["each"]) == 2
    assert all(-1 <= value <= 1 for value in [saw["full"], *saw["each"]])
    assert figures(saw, case) == {"clip": saw["full"], "clip-least": min(saw["each"])}


def test_without_its_clip_it_says_so(capsys, tmp_path):
    nowhere = str(tmp_path / "no")
    command = ["align", *SHORT, "--judge", "clip", "--clip", nowhere, "--out", str(tmp_path)]
    assert main(command) == 3
    assert "cannot load the CLIP model" in capsys.readouterr().err
