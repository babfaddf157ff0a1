"""Check whether EBCA can work in a WebUI.

`scripts/ebca.py` runs this check before it imports anything of EBCA, in any program that loads the
script, so this file must run under older Pythons than the rest and without torch. The WebUI also
runs the file at its start; there is nothing to install then, since the WebUI has all EBCA needs.
"""

from __future__ import annotations

import re
import sys
from importlib import metadata
from pathlib import Path

OLDEST_PYTHON = (3, 10)
OLDEST_TORCH = (2, 0)
OLDEST_WEBUI = (1, 7)
SAMPLING = (  # where Forge and its older relatives make the UNet's batch
    "backend/sampling/sampling_function.py",
    "modules_forge/forge_sampler.py",
)


def here(root: Path) -> str | None:
    """Return what is wrong with the running WebUI in `root` and what to do about it, or None."""
    return problem(root, sys.version_info[:2], torch_release())


def problem(root: Path, python: tuple[int, int], torch: str) -> str | None:
    """Like `here`, for a given Python and release of torch."""
    if python < OLDEST_PYTHON:
        return (
            f"the WebUI runs under Python {_dotted(python)}, but {_dotted(OLDEST_PYTHON)} or later"
            " is needed: install that and make the WebUI's venv anew"
        )
    if (root / "modules_forge").is_dir() and not _has_modifiers(root):
        return (
            "this relative of Forge lacks what EBCA works with (conditioning modifiers):"
            " update it, or disable this extension"
        )
    if not (root / "modules" / "sd_samplers_cfg_denoiser.py").is_file():
        return (
            f"this is not AUTOMATIC1111's WebUI, or one before {_dotted(OLDEST_WEBUI)}:"
            " update it, or disable this extension"
        )
    webui = _release(_heading(root / "CHANGELOG.md"))
    if webui is None:  # tell 1.7 by a file that came with it
        new_enough = (root / "modules" / "ui_toprow.py").is_file()
    else:
        new_enough = webui >= OLDEST_WEBUI
    if not new_enough:
        found = f"is {_dotted(webui)}" if webui else "is too old"
        return (
            f"this WebUI {found}, but {_dotted(OLDEST_WEBUI)} or later is needed:"
            " update it (git pull)"
        )
    release = _release(torch)
    if release and release < OLDEST_TORCH:
        return (
            f"torch {torch} is installed, but {_dotted(OLDEST_TORCH)} or later is needed:"
            " start the WebUI once with --reinstall-torch"
        )
    return None


def _has_modifiers(root: Path) -> bool:
    """Whether a Forge has the conditioning modifiers by which EBCA tells the rows of a batch."""
    files = (root / name for name in SAMPLING)
    return any(b"conditioning_modifiers" in file.read_bytes() for file in files if file.is_file())


def torch_release() -> str:
    """Return the release of the installed torch without importing it; empty if there is none."""
    try:
        return metadata.version("torch") or ""
    except metadata.PackageNotFoundError:
        return ""


def _heading(changelog: Path) -> str:
    """Return the first nonblank line of a changelog; empty if the file cannot be read."""
    try:
        lines = changelog.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.lstrip("# ") for line in lines if line.strip()), "")


def _release(text: str) -> tuple[int, int] | None:
    """Return the first two numbers of a release such as 1.10.1, v1.8.0-RC or 2.0.1+cu118."""
    found = re.match(r"v?(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else None


def _dotted(release: tuple[int, int]) -> str:
    return ".".join(map(str, release))
