"""The documentation says what is there: tables, links, flags, figures."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from ebca.__main__ import build_parser
from ebca.align.cli import checked
from ebca.docs import PAGE, page
from ebca.options import declared
from ebca.options.job import fields
from ebca.options.legacy import RENAMED

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "CHANGELOG", "SECURITY")]
PAGES += sorted((ROOT / "docs").rglob("*.md"))
PAGES += [ROOT / "small_model/README.md", ROOT / "tests/webui/testing_extension/README.md"]
EARLIER = ROOT / "docs/alignment-icons.md"
"""Its commands are those of the commits that it names."""

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
_FLAG = re.compile(r"--[a-z][a-z-]+")


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def anchors(path: Path) -> set[str]:
    """The headings of a page as GitHub makes them into anchors."""
    headings = re.findall(r"^#+ (.+)$", _FENCED.sub("", read(path)), re.MULTILINE)
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", each) for each in headings)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in plain}


def test_the_page_of_controls_is_up_to_date() -> None:
    assert page(read(PAGE)) == read(PAGE), "run python -m ebca.docs"


def test_the_page_of_controls_has_every_field() -> None:
    text = read(PAGE)
    for each in declared().values():
        assert f"| {each.label} | `{each.name}` |" in text


@pytest.mark.parametrize("source", PAGES, ids=name)
def test_every_link_leads_somewhere(source: Path) -> None:
    for link in _LINK.findall(_FENCED.sub("", read(source))):
        if re.match(r"\w+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (source.parent / path).resolve() if path else source
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("source", PAGES, ids=name)
def test_every_page_but_the_readme_is_linked(source: Path) -> None:
    linked = {
        (each.parent / link.partition("#")[0]).resolve()
        for each in PAGES
        if each != source
        for link in _LINK.findall(read(each))
    }
    assert source in linked or source.name == "README.md"


def command_parsers() -> dict[str, argparse.ArgumentParser]:
    (commands,) = (
        action
        for action in build_parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    return dict(commands.choices)


def test_every_flag_of_the_page_on_the_command_line_exists_and_none_is_missing() -> None:
    parsers = command_parsers()
    text = read(ROOT / "docs/command-line.md")
    known = {flag for parser in parsers.values() for flag in parser._option_string_actions}
    mentioned = set(_FLAG.findall(text))
    assert mentioned - {"--help"} <= known
    for action in parsers["generate"]._actions:
        flags = set(action.option_strings) - {"-h", "--help"}
        assert not flags or flags & mentioned, f"{flags} is not documented"


def test_the_page_of_controls_tells_which_settings_have_another_flag_or_none() -> None:
    text = read(PAGE).partition("### In sight")[0]
    named = set(command_parsers()["generate"]._option_string_actions)
    (without,) = re.findall(r"\*\*Without a flag\*\*.*?: (.*?)\. The", text, re.DOTALL)
    known = fields()
    plain = {each: "--" + each.replace("_", "-") for each in known}
    other = {name: each.flag for name, each in known.items() if each.flag}
    lacking = [each for each in known if each not in other and plain[each] not in named]
    assert re.findall(r"`(\w+)`", without) == lacking
    for name, flag in other.items():
        assert f"`{flag}` for `{name}`" in text


def commands(path: Path) -> Iterator[str]:
    """What follows `python -m ebca` in the indented lines of a page."""
    for line in re.findall(r"^    .*python -m ebca (.*)$", read(path), re.MULTILINE):
        yield line.replace(" T ", " --split test --seed 30000 ").replace("...", "")


@pytest.mark.parametrize("source", [each for each in PAGES if each != EARLIER], ids=name)
def test_every_command_of_a_page_is_understood(source: Path) -> None:
    for command in commands(source):
        options = build_parser().parse_args(shlex.split(command))
        if options.command == "align" and "experiment=" not in command:  # gone since 0.2.0
            assert checked(options)


def test_the_api_s_list_is_in_its_order_and_every_old_name_is_told() -> None:
    text = read(ROOT / "docs/api.md")
    listed = re.search(r"new fields are added at the end:\n\n(.*?)\n\n", text, re.DOTALL)
    assert listed
    assert re.findall(r"`(\w+)`", listed[1]) == list(fields())
    for old, new in RENAMED.items():
        assert f"| `{old}` | `{new}` |" in text


def test_the_readme_s_figures_are_those_of_the_measurements() -> None:
    measured = read(ROOT / "docs/alignment.md")
    told = [line for line in read(ROOT / "README.md").split("\n") if re.search(r"\[[+-]\d", line)]
    assert told
    for line in told:
        assert all(each in measured for each in re.findall(r"[+-][\d.]+ \[[^\]]+\]", line)), line
    for row in (line for line in told if line.startswith("|")):
        _, count, off, *changes = row.strip("| ").split(" | ")
        assert f"n = {count}" in measured
        assert f"| {off} |" in measured or f"| {off} / " in measured
        assert all(each in measured for each in changes), row
