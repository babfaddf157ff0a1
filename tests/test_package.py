"""What a wheel of EBCA has: all that the code reads, and nothing of the WebUI's side."""

from __future__ import annotations

import re
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

import ebca
from ebca import generate
from ebca.__main__ import EXIT_NO_MODEL, main
from ebca.version import VERSION

tomllib = pytest.importorskip("tomllib", reason="Python 3.10 has no reader of TOML")

ROOT = Path(__file__).parents[1]
_WEBUI = "ebca.webui"
"""Runs inside a WebUI alone, which has the whole checkout."""


@pytest.fixture(scope="module")
def declared() -> dict[str, Any]:
    read: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return read


def data_files() -> dict[Path, str]:
    """Every file of `ebca/` that is no Python -> the package that it belongs to."""
    found = {}
    for path in (ROOT / "ebca").rglob("*"):
        if path.is_dir() or "__pycache__" in path.parts or path.suffix == ".py":
            continue
        folder = next(each for each in path.parents if (each / "__init__.py").exists())
        found[path] = ".".join(folder.relative_to(ROOT).parts)
    return found


def test_a_wheel_has_every_package_but_the_webui_s(declared: dict[str, Any]) -> None:
    folders = (path.parent for path in (ROOT / "ebca").rglob("__init__.py"))
    there = {".".join(each.relative_to(ROOT).parts) for each in folders}
    assert set(declared["tool"]["setuptools"]["packages"]) == there - {_WEBUI}


def test_every_python_file_is_in_a_package() -> None:
    assert all((path.parent / "__init__.py").exists() for path in (ROOT / "ebca").rglob("*.py")), (
        "setuptools packs the modules of packages alone"
    )


def test_a_wheel_has_every_file_that_is_no_python(declared: dict[str, Any]) -> None:
    patterns = declared["tool"]["setuptools"]["package-data"]
    files = data_files()
    assert {path.name for path in files} >= {"lexicon.txt", "common.txt", "everyday.txt"}
    for path, package in files.items():
        inside = path.relative_to(ROOT / package.replace(".", "/"))
        assert any(
            # as setuptools has it, `*` stands for no part of a folder's name
            len(inside.parts) == len(Path(each).parts) and fnmatch(inside.as_posix(), each)
            for each in patterns.get(package, ())
        ), f"{path.relative_to(ROOT)} is in no wheel"


def test_every_pattern_of_the_package_data_finds_something(declared: dict[str, Any]) -> None:
    for package, patterns in declared["tool"]["setuptools"]["package-data"].items():
        for each in patterns:
            assert list((ROOT / package.replace(".", "/")).glob(each)), f"{package}: {each}"


def test_what_a_wheel_has_imports_nothing_of_what_it_has_not(declared: dict[str, Any]) -> None:
    """But for the small model, without which `align` says what is missing."""
    imports = re.compile(r"^\s*(?:from|import) (ebca\.webui|modules|gradio|tests|dev)\b", re.M)
    for package in declared["tool"]["setuptools"]["packages"]:
        for path in (ROOT / package.replace(".", "/")).glob("*.py"):
            assert not imports.search(path.read_text(encoding="utf-8")), path


def test_every_licence_is_in_a_wheel(declared: dict[str, Any]) -> None:
    named = set(declared["project"]["license-files"])
    there = {path for path in data_files() if path.name.startswith("LICENSE")}
    assert named == {"LICENSE", *(path.relative_to(ROOT).as_posix() for path in there)}
    assert all((ROOT / each).is_file() for each in named)


def test_the_author_is_who_the_licence_names(declared: dict[str, Any]) -> None:
    (author,) = declared["project"]["authors"]
    holder = re.search(r"Copyright \(c\) \d+ (.+)", (ROOT / "LICENSE").read_text())
    assert holder
    assert author["name"] == holder[1]


def test_the_command_line_needs_all_that_diffusers_need(declared: dict[str, Any]) -> None:
    extras = declared["project"]["optional-dependencies"]
    assert any(each.startswith("diffusers>=") for each in extras["diffusers"])
    assert "ebca[diffusers]" in extras["cli"]


def test_there_is_one_version(declared: dict[str, Any]) -> None:
    assert declared["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "ebca.__version__"}
    assert ebca.__version__ == VERSION


def test_without_the_small_model_a_line_says_what_to_give(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wheel has none."""
    monkeypatch.setattr(generate, "EMBEDDED_MODEL", tmp_path / "none")
    assert main(["generate", "a cat", "--out", str(tmp_path / "out")]) == EXIT_NO_MODEL
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "small model" in error
    assert "--model" in error
