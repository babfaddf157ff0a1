"""The public face of the package, and the direction of its imports."""

import ast
import inspect
from pathlib import Path

import ebca

PACKAGE = Path(ebca.__file__).parent
CORE = {
    "attention", "bcu", "cacao", "cascade", "composition", "energy", "engine", "layers",
    "prompts", "settings", "trace", "visit",
}  # fmt: skip
PURE = ["attention", "energy", "bcu", "cacao"]
HOST_FREE = ["infotext", "options", "words"]  # of the extension
WEBUI_ONLY = {"gradio", "modules", "modules_forge", "backend", "ldm_patched", "ldm", "sgm"}


def test_all_is_sorted_and_true():
    assert ebca.__all__ == sorted(ebca.__all__)
    assert ebca.__all__ == [
        "Composed", "Edit", "NoCrossAttentionError", "Patch", "Settings", "SettingsError",
        "Trace", "apply_patch", "compose", "remove_patch",
    ]  # fmt: skip
    assert all(hasattr(ebca, name) for name in ebca.__all__)


def parameters(function: object) -> list[tuple[str, object, bool]]:
    """(name, default, whether by keyword only)"""
    return [
        (p.name, None if p.default is p.empty else p.default, p.kind is p.KEYWORD_ONLY)
        for p in inspect.signature(function).parameters.values()
    ]


def test_signatures_are_stable():
    assert [(name, default) for name, default, _ in parameters(ebca.Settings)][:-5] == [
        ("gamma_attn", 0.002),
        ("gamma_norm", 0.0),
        ("start", 0.0),
        ("stop", 1.0),
        ("formulation", "reference"),
        ("update_unconditional", False),
        ("scale_with_depth", True),
        ("max_relative_update", None),
        ("layers", "all"),
    ]
    last = ["token_weights", "mask", "gamma_spread", "centered", "composition"]
    assert [name for name, *_ in parameters(ebca.Settings)][-5:] == last
    assert [getattr(ebca.Settings(), name) for name in last] == [
        {},
        True,
        0.0,
        True,
        "sum",
    ]
    assert [(name, default) for name, default, _ in parameters(ebca.Edit)][:-2] == [
        ("prompt", None),
        ("context", None),
        ("alpha", 1.0),
        ("gamma_attn", 0.0),
        ("gamma_norm", 0.0),
        ("start", 0.0),
        ("stop", 1.0),
    ]
    assert [name for name, *_ in parameters(ebca.Edit)][-2:] == ["token_weights", "contrast"]
    assert parameters(ebca.apply_patch) == [
        ("model", None, False),
        ("settings", None, False),
        ("edits", (), True),
        ("conditional_rows", None, True),
        ("mask", None, True),
        ("trace", None, True),
        ("reference", None, True),
    ]
    assert parameters(ebca.remove_patch) == [("model", None, False)]
    assert parameters(ebca.compose) == [
        ("prompt", None, False),
        ("gamma_attn", 0.0, True),
        ("gamma_norm", 0.0, True),
        ("start", 0.0, True),
        ("stop", 1.0, True),
        ("contrast", 0.0, True),
        ("contrast_stop", 0.3, True),
        ("things", "", True),
    ]


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


def core(name: str) -> Path:
    return PACKAGE / f"{name}.py"


def test_settings_import_neither_torch_nor_anything_of_the_package():
    assert "torch" not in roots(core("settings"))
    assert not own(core("settings"))


def test_the_core_imports_torch_and_nothing_of_a_host():
    for name in sorted(CORE):
        foreign = roots(core(name)) - {"ebca", "torch"} - set(_standard_library())
        assert not foreign, f"{name} imports {foreign}"
        outside = own(core(name)) - CORE - {"plots"}  # trace.plot draws only when asked to
        assert not outside, f"{name} imports {outside}"


def _standard_library() -> frozenset[str]:
    import sys

    return frozenset(sys.stdlib_module_names)


def test_no_arrow_points_back():
    """settings, energy -> bcu, cacao -> the engine -> session <- hosts"""
    order = [{"settings"}, set(PURE), {"composition", "cascade", "layers", "trace", "visit"},
             {"engine"}, {"hosts"}, {"session"}]  # fmt: skip
    for level, names in enumerate(order):
        later = set().union(*order[level + 1 :])
        for name in names:
            files = sorted((PACKAGE / name).glob("*.py")) if name == "hosts" else [core(name)]
            for path in files:
                assert not own(path) & later, f"{path.name} imports {own(path) & later}"


def test_the_maths_knows_only_tensors():
    for name in PURE:
        assert own(core(name)) <= set(PURE)
        assert not any(isinstance(node, ast.ClassDef) for node in ast.walk(ast.parse(
            core(name).read_text(encoding="utf-8"))))  # fmt: skip


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
    assert roots(script) == {"ebca", "modules"}


def test_gradio_is_for_the_accordion_alone():
    assert [path.stem for path in extension() if "gradio" in roots(path)] == ["accordion"]


def test_the_extension_imports_no_host_but_its_own_and_nothing_of_the_command_line():
    for path in extension():
        hosts = {name for name in imports(path) if name.startswith("ebca.hosts.")}
        assert all(name.startswith("ebca.hosts.webui") for name in hosts), path
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
    assert {"torch", "ebca"} <= roots(core("engine"))
    assert {"energy", "attention"} <= own(core("bcu"))
    assert "torch" in {n.split(".")[0] for n in imports(core("settings"), at_run_time=False)}


def test_the_changelog_names_this_version() -> None:
    changelog = Path(ebca.__file__).parent.parent / "CHANGELOG.md"
    assert f"## {ebca.__version__}\n" in changelog.read_text()
