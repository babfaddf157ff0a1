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
PYTHONS = (3, 10), (3, 14)  # the oldest and the newest for which the pinned packages are built
PYTHON = sys.version_info[:2]
DEMO = ["generate", "a cat and a red balloon", "--seed", "8", "--compare"]
DEMO += ["--out", "outputs/demo"]


class Environment:
    """A virtual environment inside the checkout, made from requirements files.

    `newest` is the newest Python for which its packages are built.
    """

    def __init__(
        self,
        folder: str,
        requirements: str,
        without_dependencies: str = "",
        newest: tuple[int, int] = PYTHONS[1],
    ) -> None:
        self._folder, self._requirements = ROOT / folder, ROOT / requirements
        self._bare = ROOT / without_dependencies if without_dependencies else None
        self.newest = newest

    @property
    def possible(self) -> bool:
        """Whether this Python can run it."""
        return self.newest >= PYTHON

    @property
    def _python(self) -> str:
        inside = "Scripts/python.exe" if os.name == "nt" else "bin/python"
        return str(self._folder / inside)

    def prepare(self) -> None:
        """Make the environment unless it is there and up to date; a half-made one is remade."""
        files = [file for file in (self._requirements, self._bare) if file]
        content = b"".join(file.read_bytes() for file in files) + sys.version.encode()
        wanted = hashlib.sha256(content).hexdigest()
        stamp = self._folder / "ebca-installed"
        if stamp.exists() and stamp.read_text() == wanted:
            return
        print(f"Setting up {self._folder.name} (once, some minutes) ...", flush=True)
        try:
            venv.create(self._folder, with_pip=True, clear=True)
        except subprocess.CalledProcessError:
            sys.exit("dev.py: error: Python's venv cannot make pip (on Debian: python3-venv)")
        self._install("-r", str(self._requirements))
        if self._bare:
            self._install("--no-deps", "-r", str(self._bare))
        stamp.write_text(wanted)

    def _install(self, *what: str) -> None:
        if subprocess.run([self._python, "-m", "pip", "install", "--quiet", *what]).returncode:
            sys.exit(f"dev.py: error: pip could not install {what[-1]}; its message is above")

    def run(self, *arguments: str) -> int:
        """`python -m ...` in the environment, from the checkout, without the network."""
        offline = {**os.environ, "HF_HUB_OFFLINE": "1"}
        return subprocess.run([self._python, "-m", *arguments], cwd=ROOT, env=offline).returncode


MAIN = Environment(".venv", "requirements.txt", "requirements-hosts.txt")
_OLD_PYTEST = ["pytest", "-q", "-W", "default"]  # the old release warns of its own age
_OLD_PYTEST += ["tests/test_diffusers_host.py", "tests/test_main.py"]
OLDEST = Environment(".venv-oldest", "requirements-oldest.txt", newest=(3, 13))  # tokenizers 0.20
_WEBUI_PYTEST = ["pytest", "-q", "-W", "ignore", "-W", "error:EBCA"]  # old modules, new packages
_WEBUI_PYTEST += ["--confcutdir=tests/wheel", "tests/wheel"]
WEBUI = Environment(
    ".venv-webui", "requirements-webui.txt", "requirements-webui-modules.txt", newest=(3, 12)
)  # numpy 1.26


def main(arguments: list[str]) -> int:
    oldest, newest = PYTHONS
    if not oldest <= PYTHON <= newest:
        return fail(f"needs Python {dotted(oldest)} to {dotted(newest)}, this is {dotted(PYTHON)}")
    if arguments[:1] not in (["demo"], ["test"]):
        return fail("say 'demo' or 'test'")
    command, *more = arguments
    MAIN.prepare()
    if command == "demo":
        return MAIN.run("ebca", *DEMO, *more)
    return test(more)


def test(more: list[str]) -> int:
    """Lint, types, all tests, those of the diffusers host on the oldest release, and those of the
    extension within the WebUI's own modules; the last two only where this Python can run them."""
    checks = {
        "ruff check": (MAIN, ["ruff", "check"]),
        "ruff format": (MAIN, ["ruff", "format", "--check"]),
        "mypy": (MAIN, ["mypy"]),
        "tests on the oldest diffusers": (OLDEST, [*_OLD_PYTEST, *more]),
        "tests in the WebUI's modules": (WEBUI, [*_WEBUI_PYTEST, *more]),
        "tests": (MAIN, ["pytest", "-q", *more]),
    }
    possible = {name: check for name, check in checks.items() if check[0].possible}
    for environment, _ in possible.values():
        environment.prepare()
    failed = [
        name for name, (environment, command) in possible.items() if environment.run(*command)
    ]
    for name, (environment, _) in checks.items():
        if name not in possible:
            needed = f"need Python {dotted(environment.newest)} or older, this is {dotted(PYTHON)}"
            print(f"left out: {name}, which {needed}", flush=True)
    print("failed: " + ", ".join(failed) if failed else "all checks passed", flush=True)
    return 1 if failed else 0


def dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))


def fail(message: str) -> int:
    print(f"dev.py: error: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
