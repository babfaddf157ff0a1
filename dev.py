"""The README's two commands: `python dev.py demo` and `python dev.py test`.

Both make `.venv` beside this file, install the pinned packages once, and run there.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent
ENVIRONMENT = ROOT / ".venv"
REQUIREMENTS = ROOT / "requirements.txt"
DEMO = ["generate", "a red star and a blue moon AND at night :0.8", "--compare"]
DEMO += ["--max-relative-update", "0.01", "--images", "2", "--out", "outputs/demo"]
CHECKS = (["ruff", "check"], ["ruff", "format", "--check"], ["mypy"], ["pytest", "-q"])


def python() -> Path:
    """The environment's interpreter."""
    inside = "Scripts/python.exe" if os.name == "nt" else "bin/python"
    return ENVIRONMENT / inside


def prepare() -> None:
    """Make the environment unless it is there and up to date."""
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()
    stamp = ENVIRONMENT / "ebca-installed"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    print("Setting up .venv (once, some minutes) ...", flush=True)
    venv.create(ENVIRONMENT, with_pip=True, clear=True)
    install = [str(python()), "-m", "pip", "install", "--quiet", "-r", str(REQUIREMENTS)]
    if subprocess.run(install).returncode:
        sys.exit("dev.py: error: pip could not install requirements.txt; its message is above")
    stamp.write_text(wanted)


def run(arguments: list[str]) -> int:
    """`python -m ...` in the environment, from the checkout, without the network."""
    offline = {**os.environ, "HF_HUB_OFFLINE": "1"}
    return subprocess.run([str(python()), "-m", *arguments], cwd=ROOT, env=offline).returncode


def main(arguments: list[str]) -> int:
    if not (3, 10) <= sys.version_info[:2] <= (3, 12):
        return fail(f"needs Python 3.10, 3.11 or 3.12, this is {sys.version.split()[0]}")
    if arguments[:1] not in (["demo"], ["test"]):
        return fail("say 'demo' or 'test'")
    command, *more = arguments
    prepare()
    if command == "demo":
        return run(["ebca", *DEMO, *more])
    results = {check[0]: run([*check, *(more if check[0] == "pytest" else [])]) for check in CHECKS}
    failed = [name for name, code in results.items() if code]
    print("failed: " + ", ".join(failed) if failed else "all checks passed", flush=True)
    return 1 if failed else 0


def fail(message: str) -> int:
    print(f"dev.py: error: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
