"""The command line on the embedded model: what it writes, and what it says of bad input."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import ebca.generate
from ebca.__main__ import main
from ebca.infotext import read_parameters

pytestmark = [
    pytest.mark.diffusers,
    pytest.mark.filterwarnings("ignore::FutureWarning"),  # of diffusers, about itself
]

_PROMPT = "a red car and a blue crown AND at night :0.8"


def generate(out: Path, *arguments: str) -> int:
    return main(["generate", "--steps", "2", "--device", "cpu", "--out", str(out), *arguments])


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


@pytest.fixture
def flat_picture(tmp_path: Path) -> Path:
    path = tmp_path / "init.png"
    Image.new("RGB", (64, 48), (200, 220, 240)).save(path)
    return path


def test_compare_writes_both_pictures_and_a_sheet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generate(tmp_path, _PROMPT, "--compare", "--seed", "7") == 0
    on, off, sheet = (tmp_path / f"00000-{name}.png" for name in ("7", "7-off", "compare"))
    assert capsys.readouterr().out.split() == [str(off), str(on), str(sheet)]
    assert (pixels(on) != pixels(off)).any()
    assert pixels(sheet).shape[1] > 2 * pixels(on).shape[1]


class Terminal(io.StringIO):
    """Takes stdout and stderr, as a terminal does."""

    def isatty(self) -> bool:
        return True

    def screen(self) -> list[str]:
        """Its lines as they are seen in the end."""
        lines = []
        for line in self.getvalue().split("\n"):
            seen = ""
            for written in line.split("\r"):
                seen = written + seen[len(written) :]
            lines.append(seen.rstrip())
        return lines


def test_a_terminal_shows_a_bar_and_then_paths_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    for stream in ("stdout", "stderr"):
        monkeypatch.setattr(sys, stream, terminal)
    assert generate(tmp_path, _PROMPT, "--compare", "--energies") == 0
    assert "/4 [" in terminal.getvalue()
    names = ("0-off.png", "0.png", "0-energies.png", "compare.png")
    assert terminal.screen() == [str(tmp_path / f"00000-{name}") for name in names] + [""]


def test_elsewhere_paths_are_all_that_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generate(tmp_path, _PROMPT, "--images", "2") == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [str(tmp_path / f"0000{n}-{n}.png") for n in (0, 1)]
    assert not printed.err


def test_png_carries_what_made_it(tmp_path: Path) -> None:
    arguments = ("--gamma-attn", "0.004", "--token-weights", "crown:2.5", "--negative", "a frog")
    assert generate(tmp_path, _PROMPT, "--seed", "3", *arguments) == 0
    text = Image.open(tmp_path / "00000-3.png").info["parameters"]
    prompt, negative, parameters = read_parameters(text)
    assert (prompt, negative) == (_PROMPT, "a frog")
    expected = {"Steps": "2", "Seed": "3", "Size": "64x64", "CFG scale": "4"}
    expected |= {"EBCA gamma_attn": "0.004", "EBCA token_weights": "crown:2.5"}
    assert expected.items() <= parameters.items()


def test_off_picture_names_no_setting(tmp_path: Path) -> None:
    assert generate(tmp_path, _PROMPT, "--compare") == 0
    assert "EBCA" not in Image.open(tmp_path / "00000-0-off.png").info["parameters"]


def test_zero_step_sizes_without_and_change_nothing(tmp_path: Path) -> None:
    zero = ("--gamma-attn", "0", "--gamma-norm", "0", "--gamma-spread", "0")
    assert generate(tmp_path, "a red car", "--compare", *zero) == 0
    assert (pixels(tmp_path / "00000-0.png") == pixels(tmp_path / "00000-0-off.png")).all()


def test_token_weights_find_their_words(tmp_path: Path) -> None:
    for folder, weights in (("plain", ""), ("crown", "crown:9"), ("car", "red car:9")):
        assert generate(tmp_path / folder, _PROMPT, "--token-weights", weights) == 0
    plain, crown, car = (
        pixels(tmp_path / name / "00000-0.png") for name in ("plain", "crown", "car")
    )
    assert (plain != crown).any()
    assert (crown != car).any()


def test_regions_and_contrast_act_on_several_subjects_and_end_where_they_are_told(
    tmp_path: Path,
) -> None:
    def made(name: str, prompt: str, *more: str) -> np.ndarray:
        still = ("--gamma-attn", "0", "--steps", "4")
        assert generate(tmp_path / name, prompt, *still, *more) == 0
        return pixels(tmp_path / name / "00000-0.png")

    two, one = "a red car and a blue crown", "a red car"
    none = ("--regions", "0")
    named = ("--regions", "1", "--regions-stop", "0.7")
    contrast = ("--preset", "contrast")
    assert (made("default", two) == made("named", two, *named)).all()
    assert (made("on", two) != made("off", two, *none)).any()
    assert (made("long", two, *contrast, "--contrast-stop", "1") != made("c", two, *contrast)).any()
    assert (made("never", two, "--regions-stop", "0") == made("off again", two, *none)).all()
    assert (made("one", one) == made("one off", one, *none)).all()
    tags = "rotes auto, blaue krone"  # not English: nothing is found
    assert (made("tags", tags) == made("tags off", tags, *none)).all()
    assert (made("named", tags, "--things", tags) != made("tags again", tags)).any()
    for bad in (["--regions", "-1"], ["--contrast-stop", "2"], ["--subjects", "red car"]):
        assert main(["generate", two, *bad, "--out", str(tmp_path / "bad")]) == 2
    assert not (tmp_path / "bad").exists()


def test_a_subject_that_the_prompt_does_not_have_is_said_and_harms_nothing(tmp_path, capsys):
    assert generate(tmp_path / "off", _PROMPT) == 0
    assert "note" not in capsys.readouterr().err
    assert generate(tmp_path / "on", _PROMPT, "--subjects", "red car, tree") == 0
    assert "the prompt does not have the subject 'tree'" in capsys.readouterr().err


def test_images_have_consecutive_seeds_and_do_not_depend_on_their_number(tmp_path: Path) -> None:
    assert generate(tmp_path / "two", "a red car", "--images", "2", "--seed", "5") == 0
    assert generate(tmp_path / "one", "a red car", "--seed", "6") == 0
    both = pixels(tmp_path / "two" / "00001-6.png")
    assert (both == pixels(tmp_path / "one" / "00000-6.png")).all()


def test_earlier_pictures_are_kept(tmp_path: Path) -> None:
    assert generate(tmp_path, "a red car") == 0
    first = (tmp_path / "00000-0.png").read_bytes()
    assert generate(tmp_path, "a blue crown") == 0
    assert (tmp_path / "00000-0.png").read_bytes() == first
    assert (tmp_path / "00001-0.png").exists()


def test_energies_are_drawn_and_listed(tmp_path: Path) -> None:
    plain = ("--gamma-attn", "0.001", "--gamma-spread", "0", "--no-centered")  # it descends
    assert generate(tmp_path, _PROMPT, "--energies", *plain) == 0
    assert Image.open(tmp_path / "00000-0-energies.png").width > 500
    table = json.loads((tmp_path / "00000-0-energies.json").read_text())
    layers = {row["layer"] for row in table}
    assert len(table) == 2 * len(layers)
    steps = [row for row in table if row["conditional_after"] is not None]
    falls = [
        row["conditional_after"] + row["prior_after"] < row["conditional"] + row["prior"]
        for row in steps
    ]
    assert all(falls)
    assert len(steps) == 2 * (len(layers) - 1)  # no layer would see the last one's update


def test_image_to_image_keeps_the_size_of_the_image(tmp_path: Path, flat_picture: Path) -> None:
    start = ("--init", str(flat_picture), "--strength", "0.5")
    assert generate(tmp_path / "out", "a red car", *start) == 0
    assert pixels(tmp_path / "out" / "00000-0.png").shape == (48, 64, 3)


def test_inpainting_changes_only_what_the_mask_shows(tmp_path: Path, flat_picture: Path) -> None:
    mask = tmp_path / "mask.png"
    white = np.zeros((48, 64), np.uint8)
    white[16:32, 8:32] = 255
    Image.fromarray(white).save(mask)
    start = ("--init", str(flat_picture), "--strength", "1.0", "--mask", str(mask))
    assert generate(tmp_path / "out", "a red car", *start, "--compare") == 0
    before = pixels(flat_picture)
    after = pixels(tmp_path / "out" / "00000-0.png")
    assert (after[white == 0] == before[white == 0]).all()
    assert (after[white > 0] != before[white > 0]).any()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((_PROMPT, "--gamma-attn", "-1"), "gamma_attn is -1.0, but must be a number from 0 to 10"),
        ((_PROMPT, "--start", "0.5", "--stop", "0.5"), "start is 0.5, but must be less than stop"),
        (
            ("a AND b :-1", "--composition", "average"),
            "the sum of the weights after AND is -1.0, but must be at least -0.9",
        ),
        (("a :0 AND b",), "prompt is 'a :0', but must be a main prompt"),
        ((_PROMPT, "--token-weights", "moon:2"), "token_weights is 'moon', but must be words of"),
        ((_PROMPT, "--token-weights", "crown:x"), "token_weights is 'crown:x', but must be words"),
        ((_PROMPT, "--layers", "middle"), "layers is 'middle', but must be 'all', or a list"),
        ((_PROMPT, "--layers", "0-99"), "layers is '0-99', but must be made of parts that name"),
        ((_PROMPT, "--steps", "0"), "steps is 0, but must be a number of at least 1"),
        ((_PROMPT, "--width", "65"), "width is 65, but must be a multiple of 8 pixels"),
        ((_PROMPT, "--mask", "m.png"), "mask is 'm.png', but must be given together with init"),
        ((_PROMPT, "--init", "no.png"), "init is 'no.png', but must be an image file"),
        ((_PROMPT, "--edit-stop", "2"), "edit_stop is 2.0, but must be a number from 0 to 1"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], told: str
) -> None:
    assert generate(tmp_path / "out", *arguments) == 2
    message = capsys.readouterr().err.strip()
    assert message.startswith(f"ebca: error: {told}")
    assert "\n" not in message
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["no-such-folder", "empty", "text.safetensors"])
def test_a_model_that_cannot_be_loaded_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.safetensors").write_text("this is no model")
    assert generate(tmp_path / "out", "a red car", "--model", str(tmp_path / name)) == 3
    message = capsys.readouterr().err.strip()
    assert message.startswith("ebca: error: ")
    assert name in message
    assert "\n" not in message


def test_out_of_memory_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*_: object) -> list[Path]:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nDetails")

    monkeypatch.setattr(ebca.generate, "run", run)
    assert generate(tmp_path, "a red car") == 4
    assert capsys.readouterr().err.strip() == (
        "ebca: error: out of memory: CUDA out of memory. Tried to allocate 2 GiB.;"
        " smaller --width and --height, or --device cpu, need less"
    )
