"""Noun phrases: from `a tall, dark stranger walks ...` takes what belongs to the stranger."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ebca.subjects import grammar
from ebca.subjects.lexicon import Lexicon
from ebca.subjects.marks import Kind, Token

_COUNTED = re.compile(r"(\d+)\+?([a-z]+)")
_SMALL = (grammar.AND | grammar.OR | grammar.COPULA | grammar.HAVE | grammar.OTHER
          | grammar.PREPOSITIONS | grammar.NOT)  # fmt: skip
_COUNTABLE = tuple("patvfkl")
_NO_THINGS = grammar.COLOURS - {"orange", "giant"}
_ING_NOUNS = tuple("hmwsbu")
"""A painting, a building, clothing; others, such as a serving, are rather verbs."""
_NEVER_NOUNS = frozenset(("next", "solo"))


@dataclass(frozen=True)
class Phrase:
    """A noun with what stands before it: tokens from `start` up to `stop`, the noun at `head`."""

    start: int
    stop: int
    head: int
    article: str
    """a, the, own (my), their (his, her), number, or nothing."""
    modifiers: frozenset[str]
    noun: str
    letter: str
    plural: bool
    adjective: bool
    """Is the noun an adjective as well?"""


class Chunker:
    """Reads phrases of one prompt's tokens."""

    def __init__(self, tokens: list[Token], lexicon: Lexicon) -> None:
        self._tokens = tokens
        self._lexicon = lexicon

    def word(self, at: int) -> str:
        """The word there, or an empty text where there is none."""
        if 0 <= at < len(self._tokens) and self._tokens[at].kind is Kind.WORD:
            return self._tokens[at].text
        return ""

    def is_small(self, at: int) -> bool:
        """Is there a small word, or no word at all?"""
        word = self.word(at)
        small = not word or word in _SMALL or word in grammar.DETERMINERS
        return small or self.long(at)[1] > 1

    def long(self, at: int) -> tuple[str, int]:
        """The word there, or the phrase that counts as one small word, and its length."""
        word = self.word(at)
        for words in grammar.LONG_BY_FIRST.get(word, ()):
            if all(self.word(at + i) == one for i, one in enumerate(words)):
                return grammar.LONG[words], len(words)
        return word, 1

    def adjective(self, word: str) -> bool:
        """May the word stand before a noun without being one?"""
        lexicon = self._lexicon
        return (
            word in lexicon.adjectives
            or ("-" in word and not lexicon.noun(word))
            or "." in word
            or (word.endswith("ed") and bool(lexicon.verb(word)[0]))
        )

    def _counted(self, word: str) -> str:
        """The noun of `1girl`; none of `35mm`."""
        match = _COUNTED.fullmatch(word)
        return match[2] if match and self._lexicon.noun(match[2]) in _COUNTABLE else ""

    def _letter(self, at: int) -> str:
        """What the noun there is, taking `ice cream` as one noun."""
        word = self.word(at)
        counted = self._counted(word)
        if counted:
            return self._lexicon.noun(counted)
        pair = f"{self.word(at - 1)}_{self._lexicon.singular(word)}"
        letter = self._lexicon.nouns.get(pair, "")
        if not letter and "-" in word:
            letter = self._lexicon.noun(word) or self._lexicon.noun(word.rsplit("-", 1)[1])
        return letter or self._lexicon.noun(word)

    def _is_noun(self, word: str) -> bool:
        word = self._counted(word) or word
        if word in self._lexicon.mostly_adjectives or word in _NEVER_NOUNS:
            return False
        return bool(self._lexicon.noun(word)) or not self._lexicon.knows(word)

    def _ends_as_verb(self, at: int, article: str, plural: bool) -> bool:
        """After a noun: is this word a verb, as in `a dog barks`?"""
        word = self.word(at)
        base, form = self._lexicon.verb(word)
        if not base:
            return word.endswith("ing") and not self._lexicon.noun(word)
        letter = self._lexicon.nouns.get(word, "")
        after = self.word(at + 1)
        if after in grammar.DETERMINERS or after in ("at", "into", "through", "with", "him", "her"):
            return not (form == "base" and not plural)
        if form == "ing":
            return letter not in _ING_NOUNS
        if form == "ed":
            if self._lexicon.noun(after) in _COUNTABLE and not self.is_small(at + 1):
                return False  # `a skull faced knight`
            return not letter or letter in "np"
        if form == "s":
            return article in ("a", "the", "own", "their") and not plural and (
                article == "a" or letter == "n" or self.is_small(at + 1)
                or self._lexicon.noun(base) in ("", "n"))  # fmt: skip
        return plural and (word in self._lexicon.mostly_verbs or self.is_small(at + 1))

    def starts(self, at: int) -> bool:
        """May a phrase begin here?"""
        word = self.word(at)
        if not word or (word in _SMALL and word not in grammar.DETERMINERS):
            return False
        return word in grammar.DETERMINERS or not self._verb_first(at)

    def _verb_first(self, at: int) -> bool:
        """Without an article: is this a verb, as in `holding a sword`, `surrounded by`?"""
        word = self.word(at)
        base, form = self._lexicon.verb(word)
        if not base or form not in ("ing", "ed"):
            return False
        if self._lexicon.nouns.get(word, "n") not in "n" and form == "ing":
            return not self.is_small(at + 1) and base in grammar.TAKES_OBJECT
        if self.is_small(at + 1):
            return True
        return form == "ing" and base in grammar.TAKES_OBJECT

    def _article(self, at: int) -> tuple[str, int]:
        article = ""
        while True:
            word = self.word(at)
            if word == "each" and self.word(at + 1) == "other":
                return article, at
            kind = next((name for name, words in (
                ("their", grammar.THEIRS), ("own", grammar.OWN), ("number", grammar.NUMBERS),
                ("a", grammar.A), ("the", grammar.THE)) if word in words), "")  # fmt: skip
            if not kind and word.isdigit() and len(word) < 4 and self.word(at + 1):
                kind = "number"
            if not kind:
                return article, at
            article = article if article in ("their", "own") else kind
            at += 1

    def read(self, at: int) -> tuple[Phrase | None, int]:
        """The phrase that begins here, if there is one, and where to go on."""
        begin = at
        article, at = self._article(at)
        first, head, plural, own = at, -1, False, begin
        while at < len(self._tokens):
            token, word = self._tokens[at], self.word(at)
            if token.kind is Kind.OPAQUE and head < 0 and at > begin:
                at += 1
                continue
            if not word:
                if not self._comma_inside(at, article, head, first):
                    break
                at += 1
                continue
            if head < 0 and self._colours(at, first):
                at += 1
                continue
            if self.is_small(at):
                break
            if head < 0 and at > first and self._takes_article(at):
                break
            if head >= 0 and self._is_over(at, head, article, plural):
                break
            if word.endswith(("'s", "s'")) and self.word(at + 1) and not self.is_small(at + 1):
                head, first = -1, at + 1
            elif self._more_adjectives(at, article, first):
                pass
            elif self._is_noun(word) or self._named_last(at, article) or (head < 0 and self._nothing_follows(at, article, first)):
                head = at
                plural = self._lexicon.is_plural(word)
            at += 1
        if head < 0:
            return None, max(at, begin + 1)
        own = begin if article not in ("their", "own") else begin + 1
        return self._phrase(own, first, head, article), head + 1

    def _phrase(self, begin: int, first: int, head: int, article: str) -> Phrase:
        word = self.word(head)
        counted = self._counted(word)
        if counted:
            word, article = counted, article or "number"
        modifiers = frozenset(filter(None, map(self.word, range(first, head))))
        singular = self._lexicon.singular(word)
        plural = self._lexicon.is_plural(word)
        letter = self._letter(head)
        if (letter == "g" and singular not in grammar.GROUPS) or word in _NO_THINGS:
            letter = "n"
        return Phrase(
            begin, head + 1, head, article, modifiers, singular, letter, plural,
            word in self._lexicon.adjectives,
        )  # fmt: skip

    def _takes_article(self, at: int) -> bool:
        """Is this a verb with an article after it, as in `underwater wearing a mask`?"""
        return (
            self._lexicon.verb(self.word(at))[1] == "ing"
            and self.word(at + 1) in grammar.DETERMINERS
        )

    def _more_adjectives(self, at: int, article: str, first: int) -> bool:
        """`a giant, ridiculous hat`: an adjective, though a noun as well, before another one."""
        after = self.word(at + 2)
        return (
            self._comma_inside(at + 1, article, -1, first)
            and self.adjective(after)
            and not self._lexicon.noun(after)
        )

    def _named_last(self, at: int, article: str) -> bool:
        """`a humanoid alien stands`: a noun, though mostly an adjective, where the phrase ends."""
        if self._lexicon.noun(self.word(at)) not in tuple("pa"):
            return False
        return self.is_small(at + 1) or self._ends_as_verb(at + 1, article or "the", False)

    def _nothing_follows(self, at: int, article: str, first: int) -> bool:
        """Is this the last word that could be the noun?"""
        goes_on = self._comma_inside(at + 1, article, -1, first) or self._colours(at + 1, first)
        return self.is_small(at + 1) and not goes_on

    def _is_over(self, at: int, head: int, article: str, plural: bool) -> bool:
        """Does the phrase end before this word, as a noun is there already?"""
        word = self.word(at)
        if self._ends_as_verb(at, article, plural):
            unknown = not self._lexicon.knows(self.word(at - 1)) and word.endswith("ing")
            return not unknown or self.is_small(at + 1)  # `scandinavian living room`
        if word.endswith("ly") and not self._lexicon.noun(word):
            return True
        only_adjective = self.adjective(word) and not self._lexicon.noun(word)
        return only_adjective and not self._is_noun(self.word(at + 1))

    def _comma_inside(self, at: int, article: str, head: int, first: int) -> bool:
        """`a tall, dark stranger`: only adjectives before it, more or the noun after it."""
        if at >= len(self._tokens) or self._tokens[at].kind is not Kind.SOFT or not article:
            return False
        further = self.word(at + 1) in grammar.AND and self.adjective(self.word(at + 2))
        if head >= 0 or at == first or (self.is_small(at + 1) and not further):
            return False
        before = at - 1
        while before >= first and self.word(before):  # those before another comma were looked at
            if not self.adjective(self.word(before)):
                return False
            before -= 1
        return True

    def _colours(self, at: int, first: int) -> bool:
        """`a red and blue ball`: an adjective on both sides, and a noun after them."""
        return (
            at > first
            and self.word(at) in grammar.AND
            and self.adjective(self.word(at - 1) or self.word(at - 2))
            and self.adjective(self.word(at + 1))
            and not self.is_small(at + 2)
        )
