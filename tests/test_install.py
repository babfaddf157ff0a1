"""install.py as the extension's script runs it: by its path, with the WebUI's root."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from install import SAMPLING, problem

INSTALL = Path(__file__).parents[1] / "install.py"
SCRIPT = INSTALL.parent / "scripts" / "ebca.py"

SINCE_1_6 = "modules/sd_samplers_cfg_denoiser.py"
SINCE_1_7 = "modules/ui_toprow.py"

MakeRoot = Callable[..., Path]


@pytest.fixture
def make_root(tmp_path: Path) -> MakeRoot:
    def make(*files: str, changelog: str | None = "## 1.10.1\n\n### Bug Fixes:\n") -> Path:
        (tmp_path / "modules").mkdir()
        for file in files:
            (tmp_path / file).parent.mkdir(exist_ok=True)
            (tmp_path / file).touch()
        if changelog is not None:
            (tmp_path / "CHANGELOG.md").write_text(changelog, encoding="utf-8")
        return tmp_path

    return make


def told(root: Path) -> str:
    """Of this very Python and torch."""
    return runpy.run_path(str(INSTALL))["here"](root) or ""


def judged(root: Path, python: tuple[int, int] = (3, 10), torch: str = "2.1.2+cu121") -> str:
    return problem(root, python, torch) or ""


def test_nothing_is_wrong_with_a_supported_host(make_root: MakeRoot) -> None:
    assert told(make_root(SINCE_1_6, SINCE_1_7)) == ""


@pytest.mark.parametrize("heading", ["## 1.7.0", "## 1.8.0-RC", "\n## 1.10.1", "## 2.0.0"])
def test_all_releases_from_the_oldest_on_are_supported(make_root: MakeRoot, heading: str) -> None:
    assert judged(make_root(SINCE_1_6, SINCE_1_7, changelog=f"{heading}\n"), torch="2.0.1") == ""


def test_an_older_webui_is_told_apart_in_one_line(make_root: MakeRoot) -> None:
    line = told(make_root(SINCE_1_6, changelog="## 1.6.1\n\n## 1.6.0\n"))
    assert line.startswith("this WebUI is 1.6, but 1.7 or later is needed: update it")
    assert "\n" not in line


@pytest.mark.parametrize("changelog", [None, "", "a fork's own words"])
def test_without_a_changelog_a_file_tells_the_age(
    make_root: MakeRoot, changelog: str | None
) -> None:
    root = make_root(SINCE_1_6, changelog=changelog)
    assert "this WebUI is too old, but 1.7 or later is needed" in judged(root)
    (root / SINCE_1_7).touch()
    assert judged(root) == ""


@pytest.mark.parametrize("sampling", SAMPLING)
def test_forge_is_known_by_what_it_asks_extensions(make_root: MakeRoot, sampling: str) -> None:
    root = make_root(SINCE_1_6, SINCE_1_7, "modules_forge/initialization.py")
    assert told(root).startswith("this relative of Forge lacks what EBCA works")
    (root / sampling).parent.mkdir(parents=True, exist_ok=True)
    (root / sampling).write_text("for modifier in options.get('conditioning_modifiers', []):")
    assert told(root) == ""


def test_other_programs_are_not_taken_for_the_webui(make_root: MakeRoot) -> None:
    root = make_root("modules/devices.py", changelog="# Change Log\n")
    assert told(root).startswith("this is not AUTOMATIC1111's WebUI")


def test_an_old_torch_or_python_is_named(make_root: MakeRoot) -> None:
    root = make_root(SINCE_1_6, SINCE_1_7)
    assert "torch 1.13.1+cu117 is installed, but 2.0" in judged(root, torch="1.13.1+cu117")
    assert "Python 3.9, but 3.10" in judged(root, python=(3, 9))
    assert judged(root, torch="") == ""  # not there to be judged


def test_it_never_fails(tmp_path: Path) -> None:
    (tmp_path / "CHANGELOG.md").mkdir()
    (tmp_path / "modules").mkdir()
    assert told(tmp_path)
    for file in (SINCE_1_6, SINCE_1_7):
        (tmp_path / file).touch()
    assert told(tmp_path) == ""


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], ModuleType]:
    """The extension's script as a program in a folder loads it, which has next to nothing."""

    def script(root: Path) -> ModuleType:
        modules, scripts = ModuleType("modules"), ModuleType("modules.scripts")
        scripts.__file__ = str(root / "modules" / "scripts.py")
        scripts.Script, scripts.AlwaysVisible = object, "always"  # type: ignore[attr-defined]
        modules.scripts = scripts  # type: ignore[attr-defined]
        modules.script_callbacks = ModuleType("modules.script_callbacks")  # type: ignore[attr-defined]
        for each in (modules, scripts):
            monkeypatch.setitem(sys.modules, each.__name__, each)
        made = ModuleType("script")
        vars(made).update(runpy.run_path(str(SCRIPT)))
        return made

    return script


def test_the_script_says_in_one_line_that_it_is_off_and_shows_nothing(
    make_root: MakeRoot, script: Callable[[Path], ModuleType], capsys: pytest.CaptureFixture[str]
) -> None:
    relative = make_root(SINCE_1_6, SINCE_1_7, "modules_forge/initialization.py")
    made = script(relative)
    line = capsys.readouterr().out
    assert line.startswith("EBCA is off: this relative of Forge lacks")
    assert line.count("\n") == 1
    assert made.EBCA().show(is_img2img=False) is False


def test_so_it_does_where_a_part_of_the_webui_is_not_there(
    make_root: MakeRoot, script: Callable[[Path], ModuleType], capsys: pytest.CaptureFixture[str]
) -> None:
    made = script(make_root(SINCE_1_6, SINCE_1_7))
    line = capsys.readouterr().out
    assert line.startswith("EBCA is off: this program lacks a part")
    assert line.count("\n") == 1
    assert made.EBCA().show(is_img2img=True) is False
