"""The lexicon: nouns by their category in a picture, verbs and adjectives, from WordNet.

The letters of the categories:

    p person       a animal, creature    g group of them         v vehicle       t thing
    f food         k container, measure  w worn                  u furniture     h building
    l plant        y in the sky          s place, scenery        b part of a body
    z material     m medium, camera      n nothing that is seen by itself

`lexicon.txt` is made by `derive.py`; `common.txt` is ours and takes precedence.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent
_ITEM = re.compile(r"(\d)([^\d]*)")
_LONGEST = 24
_SINGULAR_S = ("ss", "us", "is")
"""Endings in s of singular words."""


@dataclass(frozen=True)
class Lexicon:
    """The words; `nouns` has the letters above."""

    nouns: dict[str, str]
    verbs: frozenset[str]
    mostly_verbs: frozenset[str]
    adjectives: frozenset[str]
    mostly_adjectives: frozenset[str]
    plurals: dict[str, str]
    forms: dict[str, str]

    def noun(self, word: str) -> str:
        """Return the letter of a noun in singular or plural, or an empty text."""
        singular = self.singular(word)
        return self.nouns.get(word) or self.nouns.get(singular) or self._joined(singular)

    def _joined(self, word: str) -> str:
        """Return the letter of a compound's last word: `tracksuit` is a suit; track is a word."""
        for cut in range(3, min(len(word), _LONGEST) - 3):
            letter = self.nouns.get(word[cut:])
            if letter and letter != "n" and (word[:cut] in self.nouns or word[:cut] in self.verbs):
                return letter
        return ""

    def singular(self, word: str) -> str:
        """Return the singular: `cats` -> cat, `wolves` -> wolf; a singular stays as it is."""
        if word in self.plurals:
            return self.plurals[word]
        if not word.endswith("s") or (word.endswith(_SINGULAR_S) and word in self.nouns):
            return word
        for end, instead in (("s", ""), ("es", ""), ("ies", "y"), ("ves", "f"), ("ves", "fe")):
            if word.endswith(end) and word[: -len(end)] + instead in self.nouns:
                return word[: -len(end)] + instead
        return word

    def is_plural(self, word: str) -> bool:
        """Whether the word is a plural (`cats`), maybe one without a singular (`jeans`)."""
        return self.singular(word) != word or word in ("people", "police", "jeans", "clothes")

    def verb(self, form: str) -> tuple[str, str]:
        """Return a form's verb and ending: `riding` -> ride, ing. Both are empty for no verb."""
        if form in self.forms:
            return self.forms[form], "ing" if form.endswith("ing") else "ed"
        if form in self.verbs:
            return form, "base"
        for end in ("ing", "ed", "es", "s"):
            if not form.endswith(end):
                continue
            stem = form[: -len(end)]
            kind = "s" if end == "es" else end
            for base in (stem, stem + "e", stem[:-1] + "y", stem[:-1]):
                if base in self.verbs and _forms(base, stem, end):
                    return base, kind
        return "", ""

    def knows(self, word: str) -> bool:
        """Whether the word is in the lexicon."""
        return bool(self.noun(word) or word in self.adjectives or self.verb(word)[0])


def _forms(base: str, stem: str, end: str) -> bool:
    """Whether the verb `base` may be shortened to `stem` before `end`."""
    if base == stem:
        return True
    if base == stem + "e":
        return end in ("ing", "ed")
    if base == stem[:-1] + "y":
        return stem.endswith("i") and end in ("ed", "es")
    return end in ("ing", "ed") and len(stem) > 2 and stem[-1] == stem[-2]


def _unsqueeze(text: str) -> list[str]:
    words, last = [], ""
    for shared, rest in _ITEM.findall(text):
        last = last[: int(shared)] + rest
        words.append(last)
    return words


@cache
def lexicon() -> Lexicon:
    """Return the lexicon, which is read once."""
    lines = (_FOLDER / "lexicon.txt").read_text(encoding="ascii").splitlines()
    lists = {name: _unsqueeze(words) for name, _, words in (line.partition(" ") for line in lines)}
    nouns = {word: name for name, words in lists.items() if name in "patvfluwhksgymnzb"
             for word in words}  # fmt: skip
    common = (_FOLDER / "common.txt").read_text(encoding="ascii").splitlines()
    ours = {word: line[0] for line in common for word in line.split()[1:] if line[0] not in "#V"}
    our_verbs = (word for line in common if line.startswith("V ") for word in line.split()[1:])
    for word in ours:  # our word decides for its plural as well
        nouns.pop(f"{word}s", None)
    nouns.update(ours)
    pairs = {name: dict(pair.split("=") for pair in lists[name]) for name in ("plural", "form")}
    return Lexicon(
        nouns,
        frozenset(lists["V"]).union(our_verbs),
        frozenset(lists["V!"]),
        frozenset(lists["J"]),
        frozenset(lists["J!"]),
        pairs["plural"],
        pairs["form"],
    )
