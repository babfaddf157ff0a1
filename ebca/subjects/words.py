"""Tell a word's part of speech in its context: small word, verb, adjective or noun."""

from __future__ import annotations

import re

from ebca.subjects import grammar
from ebca.subjects.lexicon import Lexicon
from ebca.subjects.marks import Kind, Token

_COUNTED = re.compile(r"(\d+)\+?([a-z]+)")
_SMALL = grammar.ENGLISH - grammar.DETERMINERS
_COUNTABLE = frozenset("patvfkl")
_ING_NOUNS = frozenset("hmwsbu")
"""Categories of nouns in -ing (painting, building, clothing); others are rather verbs."""
_ADJECTIVE_ENDS = ("y", "ful", "ous", "less", "ish", "ive", "ic", "able", "ible", "al")
_NEVER_NOUNS = frozenset(("next", "solo"))
_BEHIND_VERBS = grammar.DETERMINERS | {"at", "into", "through", "with", "him", "her"}


class Words:
    """The words of one prompt's tokens."""

    def __init__(self, tokens: list[Token], lexicon: Lexicon) -> None:
        self.tokens = tokens
        self.lexicon = lexicon

    def word(self, at: int) -> str:
        """Return the word at an index, or an empty text if there is none."""
        if 0 <= at < len(self.tokens) and self.tokens[at].kind is Kind.WORD:
            return self.tokens[at].text
        return ""

    def is_small(self, at: int) -> bool:
        """Whether there is a small word, or no word at all."""
        word = self.word(at)
        small = not word or word in _SMALL or word in grammar.DETERMINERS
        if word == "can":  # `can fly`, or `a can of soup`
            after = self.word(at + 1)
            return after in grammar.NOT | {"be"} or after in self.lexicon.verbs
        return small or self.long(at)[1] > 1

    def long(self, at: int) -> tuple[str, int]:
        """Return the word, or the small word that a phrase here counts as, and its length."""
        word = self.word(at)
        for words in grammar.LONG_BY_FIRST.get(word, ()):
            if all(self.word(at + i) == one for i, one in enumerate(words)):
                return grammar.LONG[words], len(words)
        return word, 1

    def adjective(self, word: str) -> bool:
        """Whether the word may stand before a noun without being a noun."""
        lexicon = self.lexicon
        return (
            word in lexicon.adjectives
            or word in grammar.ADVERBS
            or (word.endswith(_ADJECTIVE_ENDS) and not lexicon.knows(word))
            or ("-" in word and not lexicon.noun(word))
            or "." in word
            or (word.endswith("ed") and bool(lexicon.verb(word)[0]))
        )

    def counted(self, word: str) -> str:
        """Return the noun of a word such as `1girl`, or an empty text as for `35mm`."""
        match = _COUNTED.fullmatch(word)
        return match[2] if match and self.lexicon.noun(match[2]) in _COUNTABLE else ""

    def letter(self, at: int) -> str:
        """Return the category of the noun at an index, taking `ice cream` as one noun."""
        word = self.word(at)
        counted = self.counted(word)
        if counted:
            return self.lexicon.noun(counted)
        pair = f"{self.word(at - 1)}_{self.lexicon.singular(word)}"
        letter = self.lexicon.nouns.get(pair, "")
        if not letter and "-" in word:
            letter = self.lexicon.noun(word) or self.lexicon.noun(word.rsplit("-", 1)[1])
        return letter or self.lexicon.noun(word)

    def is_noun(self, word: str) -> bool:
        """Whether the word may be a noun, as any unknown word may."""
        word = self.counted(word) or word
        if word in self.lexicon.mostly_adjectives or word in _NEVER_NOUNS | grammar.ADVERBS:
            return False
        if word.endswith("ly") and not self.lexicon.noun(word):
            return False
        return bool(self.lexicon.noun(word)) or not self.lexicon.knows(word)

    def ends_as_verb(self, at: int, article: str, plural: bool) -> bool:
        """Whether this word after a noun is a verb, as in `a dog barks`."""
        word = self.word(at)
        base, form = self.lexicon.verb(word)
        if not base:
            return word.endswith("ing") and not self.lexicon.noun(word)
        letter = self.lexicon.nouns.get(word, "")
        after = self.word(at + 1)
        if after in _BEHIND_VERBS:
            return form != "base" or plural
        if form == "ing":
            return letter not in _ING_NOUNS
        if form == "ed":
            if self.lexicon.noun(after) in _COUNTABLE and not self.is_small(at + 1):
                return False  # `a skull faced knight`
            return not letter or letter in "np"
        if form == "s":
            if plural or article in ("", "number"):
                return False
            rather = letter == "n" or self.lexicon.noun(base) in ("", "n")
            return article == "a" or rather or self.is_small(at + 1)
        if word in grammar.SAME_PAST and after in grammar.PREPOSITIONS:
            return True
        return plural and (word in self.lexicon.mostly_verbs or self.is_small(at + 1))

    def starts(self, at: int) -> bool:
        """Whether a phrase may begin here."""
        word = self.word(at)
        if not word or (word in _SMALL and word not in grammar.DETERMINERS):
            return False
        return word in grammar.DETERMINERS or not self._verb_first(at)

    def _verb_first(self, at: int) -> bool:
        """Whether this is a verb and begins no phrase: `holding a sword`, `surrounded by`."""
        word = self.word(at)
        base, form = self.lexicon.verb(word)
        if not base or form not in ("ing", "ed"):
            return False
        if self.lexicon.nouns.get(word, "n") not in "n" and form == "ing":
            object_ahead = self.word(at + 1) in grammar.DETERMINERS or not self.is_small(at + 1)
            return object_ahead and base in grammar.TAKES_OBJECT
        if self.is_small(at + 1):
            return True
        return form == "ing" and base in grammar.TAKES_OBJECT
