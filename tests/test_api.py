"""The public face of the package, and the direction of its imports."""

import ast
import inspect
import sys
from pathlib import Path

import ebca

PACKAGE = Path(ebca.__file__).parent
ORDER = [
    "settings", "subjects", "prompts", "core", "methods", "options", "editing", "hosts", "session",
    "webui",
]  # fmt: skip
"""What the package is made of, in the order in which it may be imported."""

HOST_FREE = ["asking", "infotext", "words"]  # of the extension
WEBUI_ONLY = {"gradio", "modules", "modules_forge", "backend", "ldm_patched", "ldm", "sgm"}


def test_all_is_sorted_and_true():
    assert ebca.__all__ == sorted(ebca.__all__)
    assert ebca.__all__ == [
        "Composed", "Edit", "Inversion", "Maps", "NoCrossAttentionError", "Patch", "Settings",
        "SettingsError", "Trace", "apply_patch", "compose", "invert", "remove_patch",
    ]  # fmt: skip
    assert all(hasattr(ebca, name) for name in ebca.__all__)


def parameters(function: object) -> list[tuple[str, object, bool]]:
    """(name, default, whether by keyword only)"""
    return [
        (p.name, None if p.default is p.empty else p.default, p.kind is p.KEYWORD_ONLY)
        for p in inspect.signature(function).parameters.values()
    ]


def test_signatures_are_stable():
    assert list(ebca.Settings()) == [
        "subjects", "token_weights", "regions", "regions_stop", "regions_words", "gamma_attn",
        "gamma_norm", "start", "stop", "formulation", "update_unconditional", "scale_with_depth",
        "max_relative_update", "layers", "mask", "gamma_spread", "centered", "edit_gamma_attn",
        "edit_gamma_norm", "and_means", "edit_start", "edit_stop", "contrast", "contrast_stop",
    ]  # fmt: skip
    assert [(name, default) for name, default, _ in parameters(ebca.Edit)][:-1] == [
        ("prompt", None),
        ("context", None),
        ("alpha", 1.0),
        ("gamma_attn", None),
        ("gamma_norm", None),
        ("start", None),
        ("stop", None),
    ]
    assert parameters(ebca.apply_patch) == [
        ("model", None, False),
        ("settings", None, False),
        ("prompt", None, True),
        ("edits", (), True),
        ("conditional_rows", None, True),
        ("mask", None, True),
        ("trace", None, True),
        ("reference", None, True),
        ("contexts", None, True),
        ("tokens", None, True),
    ]
    assert parameters(ebca.remove_patch) == [("model", None, False)]
    assert [name for name, *_ in parameters(ebca.compose)] == ["prompt", "edit"]


def imports(path: Path, *, at_run_time: bool = True) -> set[str]:
    """Full names of what a file imports; of `from a import b` both `a` and `a.b`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if at_run_time:
        for node in ast.walk(tree):
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
                node.body = []
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def roots(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(path)}


def own(path: Path) -> set[str]:
    """First parts below `ebca` that a file imports."""
    return {name.split(".")[1] for name in imports(path) if name.startswith("ebca.")}


def files(name: str) -> list[Path]:
    """Of a part of the package, a folder or a module."""
    return sorted((PACKAGE / name).glob("*.py")) or [PACKAGE / f"{name}.py"]


def _standard_library() -> frozenset[str]:
    return frozenset(sys.stdlib_module_names)


def test_settings_subjects_and_prompts_import_nothing_but_each_other():
    for name in ("settings", "subjects", "prompts"):
        for path in files(name):
            assert not roots(path) - {"ebca"} - _standard_library(), path


def test_the_core_and_the_methods_import_torch_and_nothing_of_a_host():
    for path in files("core") + files("methods"):
        foreign = roots(path) - {"ebca", "torch"} - _standard_library()
        assert not foreign, f"{path} imports {foreign}"


def test_no_arrow_points_back():
    for level, name in enumerate(ORDER):
        later = set(ORDER[level + 1 :])
        for path in files(name):
            mine = own(path)
            assert not mine & later, f"{path} imports {mine & later}"


def test_the_engine_and_the_hosts_know_no_method_by_name():
    for path in files("core") + files("hosts"):
        assert "methods" not in own(path), path


def test_the_maths_knows_only_tensors():
    for name in ("attention", "energy"):
        tree = ast.parse((PACKAGE / "core" / f"{name}.py").read_text(encoding="utf-8"))
        assert not any(isinstance(node, ast.ClassDef) for node in ast.walk(tree))


def extension() -> list[Path]:
    return sorted((PACKAGE / "webui").glob("*.py"))


def test_only_the_extension_imports_gradio_or_the_webui():
    for path in PACKAGE.rglob("*.py"):
        if path not in extension():
            assert not roots(path) & WEBUI_ONLY, path


def test_only_the_scripts_import_the_extension():
    for path in PACKAGE.rglob("*.py"):
        if path not in extension():
            assert "webui" not in own(path), path
    (script,) = (PACKAGE.parent / "scripts").glob("*.py")
    assert own(script) == {"webui"}
    assert roots(script) - _standard_library() == {"ebca", "modules"}


def test_gradio_is_for_the_accordion_with_its_buttons_and_the_tab_alone():
    pages = ["accordion", "interrogators", "vote"]
    assert [path.stem for path in extension() if "gradio" in roots(path)] == pages


def test_a_vote_needs_no_host_and_no_torch_but_for_its_own_pictures():
    for path in files("vote"):
        if path.stem != "pipeline":
            foreign = roots(path) - {"ebca", "numpy", "PIL"} - _standard_library()
            assert not foreign, f"{path} imports {foreign}"
            assert own(path) <= {"settings", "options", "vote", "infotext", "align"}, path
        aligned = {name for name in imports(path) if name.startswith("ebca.align.")}
        assert path.stem == "pipeline" or all("statistics" in name for name in aligned), path


def test_the_extension_imports_no_host_but_its_own_and_nothing_of_the_command_line():
    for path in extension():
        hosts = {n.split(".")[2] for n in imports(path) if n.startswith("ebca.hosts.")}
        assert hosts <= {"webui", "forge", "source", "schedule", "replacing"}, path
        assert not own(path) & {"session", "generate", "plots", "__main__"}, path
        assert not roots(path) & WEBUI_ONLY - {"gradio", "modules"}, path


def test_what_needs_no_webui_imports_none():
    for name in HOST_FREE:
        path = PACKAGE / "webui" / f"{name}.py"
        assert not roots(path) & WEBUI_ONLY, path
        assert "torch" not in roots(path), path
        within = {each.split(".")[2] for each in imports(path) if each.startswith("ebca.webui.")}
        assert within <= set(HOST_FREE), path


def test_the_import_walk_sees_what_it_should():
    assert {"torch", "ebca"} <= roots(PACKAGE / "core" / "engine.py")
    assert {"core", "settings"} <= own(PACKAGE / "methods" / "bcu.py")
    prompt = PACKAGE / "prompts" / "prompt.py"
    assert "torch" in {n.split(".")[0] for n in imports(prompt, at_run_time=False)}


def test_the_changelog_names_this_version() -> None:
    changelog = Path(ebca.__file__).parent.parent / "CHANGELOG.md"
    assert f"## {ebca.__version__}\n" in changelog.read_text()
