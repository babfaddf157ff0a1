"""The functions that the live suite makes fail are there, so that a new name is noticed here."""

import ast
from pathlib import Path

import pytest
from webui.test_faults import FORGE, POINTS

ROOT = Path(__file__).parent.parent
OURS = [where for where in (*POINTS.values(), *FORGE.values()) if where.startswith("ebca.")]


@pytest.mark.parametrize("where", OURS)
def test_a_point_of_failure_is_there(where):
    module, _, path = where.partition(":")
    found = ast.parse((ROOT / module.replace(".", "/")).with_suffix(".py").read_text())
    for name in path.split("."):
        named = [each for each in ast.iter_child_nodes(found) if getattr(each, "name", "") == name]
        assert named, f"there is no {where}"
        (found,) = named
