"""What the place where the code is kept reads: the citation, the forms of issues."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from ebca.version import VERSION

ROOT = Path(__file__).parents[1]
FORMS = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"))


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def readme() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_citation_is_of_this_version_and_of_the_readme_s_paper() -> None:
    citation = read(ROOT / "CITATION.cff")
    assert str(citation["version"]) == VERSION
    paper = citation["preferred-citation"]
    people = (f"{each['family-names']}, {each['given-names']}" for each in paper["authors"])
    for said in (paper["title"], " and ".join(people), f"{{{paper['year']}}}"):
        assert said in readme()


@pytest.mark.parametrize("form", FORMS, ids=lambda path: path.name)
def test_a_form_has_what_an_issue_form_must_have(form: Path) -> None:
    """Else the form is not offered at all, and nobody is told."""
    made = read(form)
    assert {"name", "description", "body"} <= set(made)
    ids = [each.get("id") for each in made["body"] if each["type"] != "markdown"]
    assert len(set(ids)) == len(ids) > 0
    for each in made["body"]:
        assert each["type"] in ("markdown", "textarea", "input", "dropdown", "checkboxes")
        assert each["attributes"].get("label") or each["type"] == "markdown"
        assert all(isinstance(said, str) for said in each["attributes"].get("options", ()))


def test_the_form_of_a_bug_asks_for_what_the_readme_asks_for() -> None:
    section = re.search(r"## When something is wrong\n(.*?)\n## ", readme(), re.DOTALL)
    assert section
    asked = " ".join(str(each["attributes"]) for each in read(ROOT / FORMS[0])["body"])
    for said in (
        "infotext", "line under EBCA's controls", "lines under the picture", "WebUI's version",
        "console", "other extensions off",
    ):  # fmt: skip
        assert said in " ".join(section[1].replace("your WebUI's", "WebUI's").split())
        assert said.lower() in asked.lower()
