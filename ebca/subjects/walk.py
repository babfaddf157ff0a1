"""Goes through a prompt's words and finds its noun phrases with their links."""

from __future__ import annotations

from ebca.subjects import grammar
from ebca.subjects.lexicon import Lexicon
from ebca.subjects.links import (
    AND,
    ANIMATE,
    BACKGROUND,
    HAVE,
    MADE,
    NOT,
    OF,
    START,
    VERB,
    WEAR,
    WITH,
    Found,
    Verdict,
    judge,
)
from ebca.subjects.marks import Kind, Token
from ebca.subjects.phrases import Chunker, Phrase

_PARTS = frozenset((OF, WITH, WEAR, HAVE, MADE, "in"))


class Walk:
    """One walk; `found` has the phrases in order."""

    def __init__(self, tokens: list[Token], lexicon: Lexicon) -> None:
        self.found: list[Found] = []
        self._tokens, self._lexicon = tokens, lexicon
        self._chunker = Chunker(tokens, lexicon)
        self._link, self._joined, self._segment = START, "", 0
        self._owner: Found | None = None
        self._opaque = False
        self._ended = -1
        at = 0
        while at < len(tokens):
            at = self._step(at)

    def _step(self, at: int) -> int:
        """Read what is at a token; returns where to go on."""
        token = self._tokens[at]
        if token.kind is not Kind.WORD:
            self._part(token)
            return at + 1
        word, length = self._chunker.long(at)
        small = self._small_word(word, at)
        self._opaque = False
        if small:
            return at + length
        base, form = self._lexicon.verb(word)
        after_noun = self._ended == at and (form not in ("", "base") or word.endswith("ing"))
        if form == "base" and self._ended == at and self.found[-1].phrase.plural:
            after_noun = True
        if not after_noun and self._chunker.starts(at):
            phrase, after = self._chunker.read(at)
            if phrase:
                self._place(phrase)
                self._ended = after
            return after
        base = base or (word if after_noun else "")
        if base in grammar.WEAR:
            self._link = WEAR
        elif base and not word.endswith("ly"):
            self._verb(base)
        return at + 1

    def _part(self, token: Token) -> None:
        self._owner = None
        self._joined, self._link = "", START
        self._opaque = token.kind is Kind.OPAQUE
        if token.kind is not Kind.OPAQUE:
            self._segment += 1

    def _small_word(self, word: str, at: int) -> bool:
        """Read a small word; False if it is none."""
        if word in grammar.AND or word == AND:
            self._joined = AND
        elif word in grammar.OR:
            self._joined = "or"
        elif word in grammar.NOT:
            self._turn(NOT)
        elif word == "there":
            self._turn(START)
        elif word == BACKGROUND:
            self._background()
        elif word == "printed":
            if self.found and not self._alive():
                self.found[-1].verdict = Verdict.OTHER
            self._turn(START)
        elif word == "that" and self._ended == at:
            self._ended = at + 1
            self._link = VERB
        elif word in ("who", "which", "he", "she", "it", "they"):
            self._turn(VERB) if word not in ("who", "which") else None
            self._ended = at + 1
        elif word in grammar.SHOWING:
            self._turn(START if self._last_is("m") else f"{VERB}show")
        elif word in grammar.COPULA:
            self._turn("is" if self._here() else START)
        elif word in grammar.HAVE:
            self._link, self._joined = HAVE, ""
        elif word == OF and self._opaque:
            self._turn(START)  # [a painting:a photo:0.5] of
        elif word in (WEAR, MADE, WITH, OF, "in"):
            self._link = word if word != WITH or self._link != f"{VERB}play" else self._link
            self._joined = ""
        elif word == "by":
            _, form = self._lexicon.verb(self._chunker.word(at - 1))
            self._turn("by the" if form == "ed" else "by")
        elif word == "where":
            self._turn(word if self._here() else START)
        elif word in grammar.PREPOSITIONS or word in grammar.LONG.values():
            self._turn(word)
        elif word in grammar.OTHER:
            self._turn(START)
        else:
            return False
        return True

    def _turn(self, link: str) -> None:
        """What follows is no part of the subject before it."""
        self._link, self._joined, self._owner = link, "", None

    def _verb(self, base: str) -> None:
        shows = self._last_is("m") and base in grammar.SHOWING
        self._turn(START if shows else VERB + base)

    def _last_is(self, letter: str) -> bool:
        return bool(self.found) and self.found[-1].letter == letter

    def _alive(self) -> bool:
        """Is the phrase before the last one a person or an animal?"""
        return len(self.found) > 1 and self.found[-2].letter in ANIMATE

    def _here(self) -> bool:
        """Has this part of the prompt a phrase yet?"""
        return bool(self.found) and self.found[-1].segment == self._segment

    def _background(self) -> None:
        """What stands `in the background` is before these words, or after them."""
        if self._here():
            self.found[-1].background = True
        else:
            self._turn(BACKGROUND)

    def _place(self, phrase: Phrase) -> None:
        last = self.found[-1] if self.found else None
        joined, link = self._joined, self._link
        if joined and last and last.segment == self._segment:
            link = self._inherited(phrase, last)
        verdict = judge(phrase, link, last, self._owner)
        found = Found(phrase, link, verdict, phrase.letter, phrase.stop, self._segment, joined)
        if verdict is Verdict.PART:
            self._extend(found, last, link)
        else:
            self._owner = found if verdict is not Verdict.OTHER else None
        self.found.append(found)
        self._link, self._joined = START if verdict is Verdict.OTHER else link, ""

    def _extend(self, found: Found, last: Found | None, link: str) -> None:
        owner = self._owner
        if owner is None:
            found.verdict = Verdict.OTHER
            return
        owner.stop = found.stop
        if link == OF and last is owner and owner.phrase.noun in grammar.MEASURES:
            owner.letter = found.letter or owner.letter

    def _inherited(self, phrase: Phrase, last: Found) -> str:
        """The link of what `and` adds to the last phrase."""
        animate = phrase.letter in ANIMATE
        part = last.verdict is Verdict.PART
        if last.link in (WITH, WEAR) or (last.link in (HAVE, "in", MADE) and part):
            alone = animate or (last.link == MADE and phrase.article)
            return START if alone else last.link
        if last.link == OF:
            return START if phrase.article or last.verdict is not Verdict.PART else OF
        if last.link == NOT:
            return START if phrase.article and not last.article else NOT
        if last.verdict is Verdict.OTHER and last.link not in ("as", "like", "is", "by", "about"):
            settled = phrase.article not in ("", "the") or (animate and phrase.article)
            return START if settled and not last.link.startswith(VERB) else last.link
        return last.link
