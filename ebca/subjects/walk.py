"""Go through a prompt's words and find its noun phrases with their links."""

from __future__ import annotations

from ebca.subjects import contact, grammar, held
from ebca.subjects.joins import inherited, list_of_parts
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
from ebca.subjects.phrases import Phrase, Phrases

_PARTS = frozenset((OF, WITH, WEAR, MADE, "in"))
_CANONICAL = frozenset(grammar.LONG.values()) - {"there"}


class Walk:
    """One walk through a prompt; `found` has its phrases in order."""

    def __init__(self, tokens: list[Token], lexicon: Lexicon) -> None:
        self.found: list[Found] = []
        self._tokens, self._lexicon = tokens, lexicon
        self._phrases = Phrases(tokens, lexicon)
        self._link, self._joined, self._segment = START, "", 0
        self._owner: Found | None = None
        self._opaque, self._after_comma, self._placed = False, False, False
        self._ended = -1
        at = 0
        while at < len(tokens):
            at = self._step(at)

    def _step(self, at: int) -> int:
        """Read the words at a token, and return the index to go on from."""
        token = self._tokens[at]
        if token.kind is not Kind.WORD:
            self._part(token)
            return at + 1
        word, length = self._phrases.long(at)
        small = self._small_word(word, at)
        self._opaque = False
        if small:
            return at + length
        base, form = self._lexicon.verb(word)
        after_noun = self._ended == at and (form not in ("", "base") or word.endswith("ing"))
        if form == "base" and self._ended == at and self.found:
            after_noun = self.found[-1].phrase.plural
        if not after_noun and self._phrases.starts(at):
            phrase, after = self._phrases.read(at)
            if phrase:
                if self._ended == at and not self._joined:
                    self._turn("apposed")  # `the rat the cat`, `Christ the Redeemer`
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
        self._joined, self._link, self._placed = "", START, False
        self._opaque = token.kind is Kind.OPAQUE
        self._after_comma = token.kind is Kind.SOFT
        if token.kind is not Kind.OPAQUE:
            self._segment += 1

    def _small_word(self, word: str, at: int) -> bool:
        """Read a small word; return False if the word is none."""
        if word in contact.PARTICLES and self._link.removeprefix(VERB) in contact.HOLD:
            pass
        elif word in grammar.AND:
            self._joined = AND
        elif word in grammar.OR:
            self._joined = "or"
        elif word in _PARTS:
            self._may_be_part(word)
        elif word in grammar.HAVE:
            self._link, self._joined = HAVE, ""
        elif word == BACKGROUND:
            self._background()
        elif word == "printed":
            self._printed()
        elif word == "where":
            self._where()
        elif word == "other_hand":
            self._other_hand(at)
        elif word in ("who", "which") or (word == "that" and self._ended == at):
            self._link = VERB
            self._ended = at + 1
        elif word in ("he", "she", "it", "they", "him", "them"):
            self._turn(VERB)
            self._ended = at + 1
        elif word in grammar.ENGLISH - grammar.DETERMINERS or word in _CANONICAL:
            self._turn(self._link_of(word, at))
        else:
            return False
        return True

    def _link_of(self, word: str, at: int) -> str:
        """Return the link that a small word makes."""
        if word in grammar.NOT:
            return NOT
        if word in grammar.SHOWING or word == "about":
            return START if self._last_is("m") else f"{VERB}show"
        if word in grammar.COPULA:
            return "is" if self._here() else START
        if word == "by":
            base, form = self._lexicon.verb(self._phrases.word(at - 1))
            if base in contact.HOLD and form == "ed":
                return "held by"
            return "by the" if form == "ed" and base not in grammar.MAKERS else "by"
        if word == "on" and self._link.removeprefix(VERB) in grammar.SUPPORTS:
            return "leans on"
        return word if word in grammar.PREPOSITIONS or word in _CANONICAL else START

    def _may_be_part(self, word: str) -> None:
        """Read `with`, `of`, `wearing` and the like: a part of the last subject may follow."""
        if word == OF and self._opaque:
            self._turn(START)  # [a painting:a photo:0.5] of
            return
        if word != WITH or self._link != f"{VERB}play":
            self._link = word
        self._joined = ""

    def _where(self) -> None:
        """Read `on the left` and the like as the place of the phrase before, or else after it."""
        if self._here():
            self.found[-1].placed = True
            self._turn("where")
        else:
            self._placed = True
            self._turn(START)

    def _other_hand(self, at: int) -> None:
        """End the list of held things: `a cup in one hand and a bun in the other`."""
        self._joined, self._ended = "", at + self._phrases.long(at)[1]
        holder = self.found[-1].part_of if self.found else None
        if holder:
            holder.stop = self._ended

    def _printed(self) -> None:
        """Read `on it`: the phrase before is only printed on a thing, such as a mug or a wall."""
        if self.found and not (len(self.found) > 1 and self.found[-2].letter in ANIMATE):
            self.found[-1].verdict = Verdict.OTHER
        self._turn(START)

    def _turn(self, link: str) -> None:
        """Start a new link, whose phrase is no part of the subject before it."""
        self._link, self._joined, self._owner = link, "", None

    def _verb(self, base: str) -> None:
        shows = self._last_is("m") and base in grammar.SHOWING
        self._turn(START if shows else VERB + base)

    def _last_is(self, letter: str) -> bool:
        return bool(self.found) and self.found[-1].letter == letter

    def _here(self) -> bool:
        """Whether this part of the prompt has a phrase yet."""
        return bool(self.found) and self.found[-1].segment == self._segment

    def _background(self) -> None:
        """Read `in the background` as said of the phrase before, or else after it."""
        if self._here():
            self.found[-1].background = True
        else:
            self._turn(BACKGROUND)

    def _place(self, phrase: Phrase) -> None:
        last = self.found[-1] if self.found else None
        joined, link = self._joined, self._link
        goes_on = self._after_comma and link == START and not joined
        of_list = list_of_parts(phrase, last, self._segment) if goes_on else None
        if joined and last and last.segment == self._segment:
            link = inherited(phrase, last)
            if last.of_list and link == last.link:
                self._owner = last.of_list
        elif goes_on and held.goes_on(phrase, last, self._segment) and last:
            link = last.link
        verdict = Verdict.OTHER if of_list else judge(phrase, link, last, self._owner)
        found = Found(
            phrase, link, verdict, phrase.letter, phrase.stop, self._segment, phrase.modifiers,
            joined, last, owner=self._owner, after_comma=self._after_comma, placed=self._placed,
        )  # fmt: skip
        held.settle(found)
        self._placed = False
        if of_list and last:
            found.of_list, found.link = of_list, last.link
        none = found.verdict in (Verdict.OTHER, Verdict.HELD)
        if found.verdict is Verdict.PART:
            self._extend(found, last, found.link)
        else:
            self._owner = None if none else found
        self.found.append(found)
        self._link, self._joined = START if none else found.link, ""

    def _extend(self, found: Found, last: Found | None, link: str) -> None:
        owner = self._owner = found.part_of or self._owner
        if owner is None:
            found.verdict = Verdict.OTHER
            return
        found.part_of = owner
        owner.stop = found.stop
        owner.words |= found.words | {found.phrase.noun}
        if link == OF and last is owner and owner.phrase.noun in grammar.MEASURES:
            seen = found.letter and found.letter != "m"
            owner.letter = found.letter if seen else owner.letter
