"""Split a prompt into words and separators with their positions, without the WebUI's marks.

Emphasis `(a:1.2)`, `[a]`, `((a))` is removed but its words stay; `<lora:x:1>` is removed. Text that
changes while the picture is made, `[a:b:0.5]`, `[a|b]`, `{a|b}`, and wildcards `__a__` become one
opaque token each, since their words are not known here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto

from ebca.subjects import grammar

_TOKEN = re.compile(
    r"(?P<extra><[^<>\n]{1,200}>)"
    r"|(?P<wild>__[\w/*-]{1,80}?__)"
    r"|(?P<escaped>\\.)"
    r"|(?P<weight>:\s{0,3}[-+]?\d{0,9}\.?\d{0,9}\s{0,3}(?=[)\]]))"
    r"|(?P<open>[(\[{])|(?P<close>[)\]}])"
    r"|(?P<break>\bBREAK\b)"
    r"|(?P<word>[Cc]lose[ -][Uu]p\b|\d+(?:[.:/]\d+)+[a-z]*|[^\W_](?:\.[^\W_])+\b\.?"
    r"|[^\W_]+(?:['\u2019\-][^\W_]+)*['\u2019]?)"
    r"|(?P<soft>,)|(?P<hard>[.;:!?|/\n\"\u201c\u201d\u2022\u2013\u2014]|-(?=\s+(?:an?|the|\d)\b))|(?P<and>[&+])"
)
_AND = re.compile(r"\bAND\b")
_AND_WEIGHT = re.compile(r"\s*:\s*[-+]?(?:\d+\.?|\d*\.\d+)\s*\Z")


class Kind(Enum):
    """The kind of a token."""

    WORD = auto()
    SOFT = auto()  # a comma
    HARD = auto()  # the end of a sentence, a line or a part
    OPAQUE = auto()  # text that changes, or is not known


@dataclass(frozen=True)
class Token:
    """A word or a separator at `prompt[start:stop]`: `text` in lower case, `shown` as written."""

    kind: Kind
    text: str
    shown: str
    start: int
    stop: int


def read_tokens(prompt: str) -> list[Token]:
    """Return the tokens of the main prompt, before the first AND."""
    end = _AND.search(prompt)
    main = prompt[: end.start()] if end else prompt
    if end:
        main = main[: len(main) - len(match[0])] if (match := _AND_WEIGHT.search(main)) else main
    pieces = [(match.lastgroup or "", match) for match in _TOKEN.finditer(main)]
    hidden = _changing(pieces)
    tokens: list[Token] = []
    quiet = 0  # depth of escaped brackets, which explain a tag: `bow \(weapon\)`
    skip_to = -1
    for index, (name, match) in enumerate(pieces):
        if index <= skip_to:
            continue
        if index in hidden:
            skip_to = hidden[index]
            tokens.append(Token(Kind.OPAQUE, "", "", match.start(), pieces[skip_to][1].end()))
            continue
        if name == "escaped":
            quiet = max(0, quiet + {"(": 1, ")": -1}.get(match[0][1], 0))
        elif not quiet:
            token = _token(name, match)
            if token:
                tokens.append(token)
    tokens = _without_relations(main, tokens)
    return [token for at, token in enumerate(tokens) if not _goes_on(tokens, at)]


def _without_relations(prompt: str, tokens: list[Token]) -> list[Token]:
    """Remove tags such as owl_on_shoulder, which say how somebody looks or stands."""
    kept: list[Token] = []
    tag: list[Token] = []
    for at, token in enumerate(tokens):
        tag.append(token)
        if at + 1 == len(tokens) or prompt[token.stop : tokens[at + 1].start] != "_":
            if len(tag) < 2 or not any(one.text in grammar.PREPOSITIONS for one in tag):
                kept += tag
            tag = []
    return kept


def _goes_on(tokens: list[Token], at: int) -> bool:
    """Whether this is a line break in the middle of a phrase."""
    if tokens[at].text != "\n" or not 0 < at < len(tokens) - 1:
        return False
    before, after = tokens[at - 1], tokens[at + 1]
    if before.kind is not Kind.WORD or after.kind is not Kind.WORD:
        return before.kind is Kind.SOFT
    open_end = before.text in grammar.ENGLISH or before.text.endswith("ing")
    return open_end or after.text in grammar.PREPOSITIONS | grammar.AND or after.text == "wearing"


def _token(name: str, match: re.Match[str]) -> Token | None:
    start, stop = match.span()
    if name in ("open", "close", "weight"):
        return None
    if name == "word":
        text = match[0].lower().replace("\u2019", "'").replace(" ", "-")
        return Token(Kind.WORD, text, match[0], start, stop)
    if name == "and":
        return Token(Kind.WORD, "and", "and", start, stop)
    if name == "wild":
        return Token(Kind.OPAQUE, "", "", start, stop)
    return Token(Kind.SOFT if name == "soft" else Kind.HARD, match[0], match[0], start, stop)


def _changing(pieces: list[tuple[str, re.Match[str]]]) -> dict[int, int]:
    """Return the last piece of each bracket whose content changes, by its first piece."""
    found: dict[int, int] = {}
    stack: list[tuple[int, str, bool]] = []
    for index, (name, match) in enumerate(pieces):
        if name == "open":
            stack.append((index, match[0], False))
        elif name == "close" and stack:
            first, mark, changes = stack.pop()
            if changes and mark != "(":
                found[first] = index
        elif stack and stack[-1][1] != "(":
            colon = name == "weight" or (name == "hard" and match[0] == ":")
            if (colon and stack[-1][1] == "[") or match[0] == "|":
                stack[-1] = (stack[-1][0], stack[-1][1], True)
    return found
