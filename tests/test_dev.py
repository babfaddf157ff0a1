"""dev.py: the Pythons that it takes are those that the project names, and what it leaves out."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

import dev

ROOT = Path(dev.__file__).parent
On = Callable[[int], None]


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> On:
    """As if under another Python, with environments that are ready and in which all goes well."""

    def on(minor: int) -> None:
        monkeypatch.setattr(dev, "PYTHON", (3, minor))

    monkeypatch.setattr(dev.Environment, "prepare", lambda self: print("prepared", id(self)))
    monkeypatch.setattr(dev.Environment, "run", lambda *_: 0)
    return on


def test_every_statement_names_the_same_pythons() -> None:
    (_, oldest), (_, newest) = dev.PYTHONS
    minors = list(range(oldest, newest + 1))
    project = (ROOT / "pyproject.toml").read_text()
    assert re.findall(r":: Python :: 3\.(\d+)", project) == list(map(str, minors))
    assert f'requires-python = ">=3.{oldest}"' in project
    for file in ("README.md", "requirements.txt"):
        assert f"Python 3.{oldest} to 3.{newest} " in (ROOT / file).read_text(encoding="utf-8")


@pytest.mark.parametrize("minor", [9, 15])
def test_other_pythons_are_refused(on: On, capsys: pytest.CaptureFixture[str], minor: int) -> None:
    on(minor)
    assert dev.main(["test"]) == 2
    printed = capsys.readouterr()
    assert printed.err == f"dev.py: error: needs Python 3.10 to 3.14, this is 3.{minor}\n"
    assert not printed.out


@pytest.mark.parametrize(
    ("minor", "left_out"),
    [
        (10, []),
        (12, []),
        (13, ["tests in the WebUI's modules, which need Python 3.12 or older, this is 3.13"]),
        (
            14,
            [
                "tests on the oldest diffusers, which need Python 3.13 or older, this is 3.14",
                "tests in the WebUI's modules, which need Python 3.12 or older, this is 3.14",
            ],
        ),
    ],
)
def test_what_a_python_cannot_run_is_left_out_and_named(
    on: On, capsys: pytest.CaptureFixture[str], minor: int, left_out: list[str]
) -> None:
    on(minor)
    assert dev.main(["test"]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    assert last == "all checks passed"
    assert [line for line in lines if "left out" in line] == [f"left out: {x}" for x in left_out]
    assert len({line for line in lines if "prepared" in line}) == 3 - len(left_out)
