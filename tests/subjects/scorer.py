"""What counts as right: the corpora here, and a score of what the parser makes of them.

A corpus has lines `prompt<TAB>subjects`: joined by `; `, `?` before one that may be taken or left.
Texts are compared without emphasis, case, underscores and a leading article or possessive; all
other words must be the same.

- precision: of the subjects that were taken, how many are expected (required or optional);
- acted on: of the prompts with two or more required subjects, on how many it acts;
- false acts: of the prompts without any, on how many it acts. Prompts with optional subjects and
  fewer than two required ones count for the precision alone.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).parent
_MARKS = re.compile(r"[()\[\]{}\\]|:\s*[\d.]+")
_ARTICLE = re.compile(r"(?:the|an?|his|her|its|their|my|our|your)\s+")


@dataclass(frozen=True)
class Line:
    """A prompt of a corpus, with what it asks for."""

    prompt: str
    required: tuple[str, ...]
    optional: tuple[str, ...]

    @property
    def silent(self) -> bool:
        """Is nothing to be done?"""
        return not self.required and not self.optional


@dataclass
class Score:
    """The three figures, with what went wrong."""

    taken: int = 0
    right: int = 0
    should: int = 0
    acted: int = 0
    silent: int = 0
    false: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def precision(self) -> float:
        return self.right / max(1, self.taken)

    @property
    def acted_on(self) -> float:
        return self.acted / max(1, self.should)

    @property
    def false_acts(self) -> float:
        return self.false / max(1, self.silent)

    def __str__(self) -> str:
        return (
            f"right {self.right}/{self.taken} = {self.precision:.1%}, "
            f"acts on {self.acted}/{self.should} = {self.acted_on:.1%}, "
            f"false acts {self.false}/{self.silent} = {self.false_acts:.1%}"
        )


def read_corpus(name: str) -> list[Line]:
    """The lines of `<name>.tsv`."""
    lines = []
    for text in (FOLDER / f"{name}.tsv").read_text(encoding="utf-8").splitlines():
        if text and not text.startswith("#"):
            prompt, _, subjects = text.partition("\t")
            parts = [part.strip() for part in subjects.split(";") if part.strip()]
            required = tuple(part for part in parts if not part.startswith("?"))
            optional = tuple(part[1:].strip() for part in parts if part.startswith("?"))
            lines.append(Line(prompt, required, optional))
    return lines


def normal(text: str) -> str:
    """A text as it is compared."""
    text = " ".join(_MARKS.sub("", text).replace("_", " ").lower().split())
    return _ARTICLE.sub("", text, count=1) if _ARTICLE.match(text) else text


def score(lines: Iterable[Line], find: Callable[[str], tuple[str, ...]]) -> Score:
    """What `find` makes of the lines."""
    total = Score()
    for line in lines:
        found = find(line.prompt)
        expected = set(map(normal, line.required + line.optional))
        right = sum(normal(one) in expected for one in found)
        total.taken += len(found)
        total.right += right
        missed = len(line.required) > 1 and not found
        if len(line.required) > 1:
            total.should += 1
            total.acted += bool(found)
        if line.silent:
            total.silent += 1
            total.false += bool(found)
        lacking = set(map(normal, line.required)) - set(map(normal, found)) if found else set()
        if right < len(found) or missed or lacking:
            kind = "MISS" if missed else "part" if right == len(found) else "BAD "
            wanted = "; ".join([*line.required, *("?" + one for one in line.optional)])
            total.wrong.append(f"{kind} {line.prompt}\n       {'; '.join(found)}\n    != {wanted}")
    return total


if __name__ == "__main__":
    from ebca.subjects import find_subjects

    for name in [name for name in sys.argv[1:] if name != "-v"]:
        result = score(read_corpus(name), find_subjects)
        print(f"{name}: {result}")
        if "-v" in sys.argv:
            print(*result.wrong, sep="\n")
