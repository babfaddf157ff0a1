"""Find out whether two subjects touch: such subjects are better not separated at all."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import accumulate

from ebca.subjects import contact, grammar
from ebca.subjects.lexicon import Lexicon
from ebca.subjects.links import AND, ANIMATE, STANDING, THINGS, WITH, Found
from ebca.subjects.marks import Kind, Token

_UPON = grammar.words("on onto against")
_EMBRACED = grammar.words("arms arm embrace lap laps shoulders shoulder neck necks chest chests")
_ARMS = grammar.words("arm arms paws")
_OBJECTS = THINGS | STANDING | {"w", "s"}


def do_touch(tokens: list[Token], lexicon: Lexicon, found: list[Found], kept: list[Found]) -> bool:
    """Whether two of the kept subjects hug, kiss, dance and so on with one another.

    Two that one phrase names, `two girls hugging`, do not count: they are one subject.
    """
    touch = _Touch(tokens, lexicon, found, [one for one in kept if one.letter in ANIMATE])
    return touch.any()


class _Touch:
    """Looks for words of touching and for the subjects that touch."""

    def __init__(
        self, tokens: list[Token], lexicon: Lexicon, found: list[Found], living: list[Found]
    ) -> None:
        self._words = [token.text if token.kind is Kind.WORD else "" for token in tokens]
        self._lexicon, self._found, self._living = lexicon, found, living
        ends = (token.kind in (Kind.SOFT, Kind.HARD) for token in tokens)
        self._segments = list(accumulate(ends))
        self._starts = [one.phrase.start for one in found]
        self._stops = [one.phrase.stop for one in living]
        self._inside = {at for one in found for at in _without_deed(one)}

    def any(self) -> bool:
        """Whether a word of touching is said of two subjects."""
        if len(self._living) < 2:
            return False
        for at, word in enumerate(self._words):
            verb, stop = self._read(at) if word else ("", at)
            if verb and self._who_touch(at, stop, verb):
                return True
            if word and self._rests_upon_somebody(at, word):
                return True
        return False

    def _rests_upon_somebody(self, at: int, word: str) -> bool:
        """Is this `asleep on a dog`, `leaning against a man`, `lying on top of a horse`?"""
        if (self._lexicon.verb(word)[0] or word) not in contact.RESTING or at in self._inside:
            return False
        following = self._words[at + 1 : at + 3]
        place = next((n for n, each in enumerate(following) if each in _UPON), None)
        if place is None:
            return False
        start = at + 2 + place
        index = bisect_left(self._starts, start)
        if self._words[start : start + 2] == ["top", "of"]:
            start += 2
            index = bisect_left(self._starts, start)
        near = index < len(self._found) and self._found[index].phrase.start <= start + 1
        return near and self._found[index].letter in ANIMATE

    def _read(self, at: int) -> tuple[str, int]:
        """Return the verb of touching at a word, or an empty text, and the index after it."""
        for words in contact.ENTWINED:
            if self._words[at : at + len(words)] == list(words):
                return "hug", at + len(words)
        if self._on_each_other(at):
            return "hug", at + 2
        if self._words[at] in _ARMS and "around" in self._words[at + 1 : at + 4]:
            return "hug", self._words.index("around", at) + 1
        verb = self._lexicon.verb(self._words[at])[0] or self._words[at]
        touches = verb in contact.HUG | contact.CLING and at not in self._inside
        return verb if touches else "", at + 1

    def _on_each_other(self, at: int) -> bool:
        """Whether it is `each other` as in `in each other's arms` or `holding each other`."""
        first, second, third = [*self._words[at : at + 3], "", ""][:3]
        if (first, second.removesuffix("'s")) not in (("each", "other"), ("one", "another")):
            return False
        before = self._words[max(0, at - 2) : at]
        if second.endswith("'s"):
            return third in _EMBRACED
        if before[-1:] and (before[-1] in _UPON or before == ["top", "of"]):
            return True
        return bool(before) and self._lexicon.verb(before[-1])[0] in contact.HOLD

    def _who_touch(self, at: int, stop: int, verb: str) -> bool:
        """Whether two subjects touch here."""
        toward = self._toward(stop, verb)
        if toward and toward.letter in ANIMATE:
            return True
        if toward and (toward.letter in _OBJECTS or "own" in toward.phrase.modifiers):
            return False
        last = bisect_right(self._stops, at) - 1  # the last one before the verb
        if last >= 0 and self._living[last].segment == self._segments[at]:
            one = self._living[last]
            if last > 0 and (one.joined == AND or one.link == WITH):
                return True
            return verb in contact.HUG and not _is_many(one)
        if not self._begins_part(at):
            return False
        if last < 0:
            last = len(self._living) - 1  # `hugging, 1girl, 1boy`
        return (last > 0 or verb in contact.HUG) and not _is_many(self._living[last])

    def _toward(self, stop: int, verb: str) -> Found | None:
        """Return what a verb touches, as in `kissing a frog`, `snuggled up to a bear`."""
        index = bisect_left(self._starts, stop)
        if index == len(self._found) or self._found[index].phrase.start > stop + 4:
            return None
        between = self._words[stop : self._starts[index]]
        if "with" in between and verb not in contact.TOGETHER:
            return None
        near = all(word in contact.TOWARDS or word.endswith("ly") for word in between)
        return self._found[index] if near else None

    def _begins_part(self, at: int) -> bool:
        """Whether a part of the prompt begins with this word, as a tag does."""
        index = bisect_left(self._starts, at) - 1
        while index >= 0 and self._found[index].segment == self._segments[at]:
            if self._found[index].letter not in ("", "b", "n", "m"):
                return False
            index -= 1
        return True


def _without_deed(one: Found) -> range:
    """Return the words that name no deed: all of `a dancing bear`, but not hug in `a hug`."""
    deed = one.letter in ("", "n")
    return range(one.phrase.start, one.phrase.head if deed else one.phrase.stop)


def _is_many(one: Found) -> bool:
    """Whether the phrase alone names two or more."""
    return one.phrase.plural or one.letter == "g" or one.phrase.noun in grammar.GROUPS
