"""What others read of the repository: the citation, the forms of issues, the entry for the index
of the WebUI's extensions."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from ebca.version import VERSION

ROOT = Path(__file__).parents[1]
FORMS = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"))

UNKNOWN_URL = "https://github.com/OWNER/REPO.git"
"""What the index's own template has."""

TAGS = {
    "script", "localization", "tab", "dropdown", "ads", "installed", "training", "models",
    "UI related", "prompting", "editing", "manipulations", "online", "animation", "query",
    "science", "extras",
}  # fmt: skip
"""Those of the index's `tags.json`; `installed` is the WebUI's own, `localization` and `ads` are
not ours."""


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


def index_entry() -> Any:
    return json.loads((ROOT / "docs/developers/index-entry.json").read_text(encoding="utf-8"))


def test_the_entry_for_the_index_has_what_the_index_asks_for() -> None:
    """It adds the date itself."""
    entry = index_entry()
    assert list(entry) == ["name", "url", "description", "tags"]
    assert entry["name"] == "EBCA"
    assert len(set(entry["tags"])) == len(entry["tags"]) > 0
    assert set(entry["tags"]) <= TAGS - {"installed", "localization", "ads"}


def test_its_description_is_one_plain_sentence() -> None:
    said = index_entry()["description"]
    assert re.fullmatch(r"[A-Z][^.!?]{20,180}\.", said)
    praise = (
        r"\b(\w+est|most|ever|perfect\w*|amazing|powerful|superior|state.of.the.art|magic\w*)\b"
    )
    assert not re.search(praise, said, re.IGNORECASE)


def test_its_url_is_the_repository_s_where_that_is_known() -> None:
    """`Repository` in pyproject.toml, one line, filled in when the repository is public."""
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    known = re.search(r'^Repository = "(https://[^"\s]+?)(?:\.git)?"$', project, re.MULTILINE)
    assert index_entry()["url"] == (f"{known[1]}.git" if known else UNKNOWN_URL)
