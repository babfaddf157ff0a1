"""Read noun phrases, such as `a tall, dark stranger` from `a tall, dark stranger walks ...`."""

from __future__ import annotations

from dataclasses import dataclass

from ebca.subjects import grammar
from ebca.subjects.marks import Kind
from ebca.subjects.words import Words

_NO_THINGS = grammar.COLOURS - {"orange", "giant"}
_ARTICLES = (
    ("their", grammar.THEIRS),
    ("own", grammar.OWN),
    ("number", grammar.NUMBERS),
    ("a", grammar.A),
    ("the", grammar.THE),
)


@dataclass(frozen=True)
class Phrase:
    """A noun and the words before it: the tokens from `start` up to `stop`, the noun at `head`."""

    start: int
    stop: int
    head: int
    article: str
    """One of a, the, own (my), their (his, her), number, or an empty text."""
    modifiers: frozenset[str]
    noun: str
    letter: str
    plural: bool
    adjective: bool
    """Whether the noun is an adjective as well."""
    known: bool
    """Whether all modifiers are words that describe a noun; else the phrase may be a name."""


class Phrases(Words):
    """Reads the phrases of one prompt's tokens."""

    def _article(self, at: int) -> tuple[str, int]:
        """Return the kind of the articles and numbers at a token, and the index after them."""
        article = ""
        while True:
            word = self.word(at)
            if word == "each" and self.word(at + 1) == "other":
                return article, at
            kind = next((name for name, words in _ARTICLES if word in words), "")
            if not kind and word.isdigit() and len(word) < 4 and self.word(at + 1):
                kind = "number"
            if not kind:
                return article, at
            article = article if article in ("their", "own") else kind
            at += 1

    def read(self, at: int) -> tuple[Phrase | None, int]:
        """Return the phrase that begins at a token, if any, and the index to go on from."""
        begin = at
        article, at = self._article(at)
        first, head, plural = at, -1, False
        while at < len(self.tokens):
            word = self.word(at)
            if head < 0 and self._goes_on(at, begin, article, first):
                pass
            elif self.is_small(at) or self._stops(at, first, head, article, plural):
                break
            elif word.endswith(("'s", "s'")) and not self.is_small(at + 1):
                head, first = -1, at + 1
            elif self._may_be_head(at, article, first, head):
                head, plural = at, self.lexicon.is_plural(word)
            at += 1
        if head < 0:
            return None, max(at, begin + 1)
        own = begin + 1 if article in ("their", "own") else begin
        return self._phrase(own, first, head, article), head + 1

    def _goes_on(self, at: int, begin: int, article: str, first: int) -> bool:
        """Whether this, before the noun, is a mark or an `and` inside the phrase."""
        if not self.word(at):
            changing = self.tokens[at].kind is Kind.OPAQUE and at > begin
            return changing or self._comma_inside(at, article, first)
        return self._colours(at, first)

    def _stops(self, at: int, first: int, head: int, article: str, plural: bool) -> bool:
        """Whether the phrase ends before this word."""
        if head < 0:
            return at > first and self._takes_article(at)
        return self._is_over(at, article, plural)

    def _may_be_head(self, at: int, article: str, first: int, head: int) -> bool:
        """Whether this word is the noun, as far as the phrase was read."""
        if head < 0 and self._more_adjectives(at, article, first):
            return False
        return (
            self.is_noun(self.word(at))
            or self._named_last(at, article)
            or (head < 0 and self._colour_alone(at, article))
            or (head < 0 and self._nothing_follows(at, article, first))
        )

    def _phrase(self, begin: int, first: int, head: int, article: str) -> Phrase:
        word = self.word(head)
        counted = self.counted(word)
        if counted:
            word, article = counted, article or "number"
        modifiers = frozenset(filter(None, map(self.word, range(first, head))))
        singular = self.lexicon.singular(word)
        plural = self.lexicon.is_plural(word)
        letter = self.letter(head)
        if (letter == "g" and singular not in grammar.GROUPS) or word in _NO_THINGS:
            letter = "n"
        return Phrase(
            begin, head + 1, head, article, modifiers, singular, letter, plural,
            word in self.lexicon.adjectives, all(map(self._describes, modifiers)),
        )  # fmt: skip

    def _describes(self, word: str) -> bool:
        """Whether a word can describe a noun."""
        plain = word in grammar.ENGLISH or self.adjective(word) or bool(self.lexicon.noun(word))
        return plain or self.lexicon.verb(word)[1] in ("ing", "ed")

    def _takes_article(self, at: int) -> bool:
        """Whether this is a verb with an article after it: `underwater wearing a mask`."""
        return (
            self.lexicon.verb(self.word(at))[1] == "ing"
            and self.word(at + 1) in grammar.DETERMINERS
        )

    def _more_adjectives(self, at: int, article: str, first: int) -> bool:
        """Whether a possible noun is an adjective before another: `a giant, ridiculous hat`."""
        after = self.word(at + 2)
        return (
            self._comma_inside(at + 1, article, first)
            and self.lexicon.noun(self.word(at)) in ("", "n", "p")
            and self.adjective(after)
            and self.lexicon.noun(after) in ("", "n")
        )

    def _colour_alone(self, at: int, article: str) -> bool:
        """Whether a colour is what somebody is dressed in: `a player in white holding a racket`."""
        if article or self.word(at) not in grammar.COLOURS or self.word(at - 1) != "in":
            return False
        return self.lexicon.verb(self.word(at + 1))[1] == "ing" and self.is_small(at + 2)

    def _named_last(self, at: int, article: str) -> bool:
        """Whether a word that is mostly an adjective is the noun: `a humanoid alien stands`."""
        if self.lexicon.noun(self.word(at)) not in tuple("pa"):
            return False
        return self.is_small(at + 1) or self.ends_as_verb(at + 1, article or "the", False)

    def _nothing_follows(self, at: int, article: str, first: int) -> bool:
        """Whether this is the last word that could be the noun."""
        goes_on = self._comma_inside(at + 1, article, first) or self._colours(at + 1, first)
        return self.is_small(at + 1) and not goes_on

    def _is_over(self, at: int, article: str, plural: bool) -> bool:
        """Whether the phrase, which has its noun already, ends before this word."""
        word = self.word(at)
        if self.ends_as_verb(at, article, plural):
            unknown = not self.lexicon.knows(self.word(at - 1)) and word.endswith("ing")
            return not unknown or self.is_small(at + 1)  # `scandinavian living room`
        if word.endswith("ly") and not self.lexicon.noun(word):
            return True
        only_adjective = self.adjective(word) and not self.lexicon.noun(word)
        return only_adjective and not self._noun_ahead(at + 1)

    def _noun_ahead(self, at: int) -> bool:
        """Whether a noun comes within a few adjectives: `light brown curly hair`."""
        for ahead in range(at, at + 4):
            word = self.word(ahead)
            if self.is_small(ahead) or self.is_noun(word):
                return not self.is_small(ahead)
            if not self.adjective(word):
                return False
        return False

    def _comma_inside(self, at: int, article: str, first: int) -> bool:
        """Whether a comma is between adjectives of one phrase: `a tall, dark stranger`."""
        if at >= len(self.tokens) or self.tokens[at].kind is not Kind.SOFT or not article:
            return False
        further = self.word(at + 1) in grammar.AND and self.adjective(self.word(at + 2))
        if at == first or (self.is_small(at + 1) and not further):
            return False
        before = at - 1
        while before >= first and self.word(before):  # checked at each comma
            if not self.adjective(self.word(before)):
                return False
            before -= 1
        return True

    def _colours(self, at: int, first: int) -> bool:
        """Whether an `and` joins two adjectives before a noun: `a red and blue ball`."""
        return (
            at > first
            and self.word(at) in grammar.AND
            and self.adjective(self.word(at - 1) or self.word(at - 2))
            and self.adjective(self.word(at + 1))
            and not self.is_small(at + 2)
        )
