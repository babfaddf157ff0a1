"""What a prompt asks to see as separate things: right or silent.

Every noun phrase gets a link, what joins it to the prompt: nothing (it begins a part), a small
word (`with`, `on`, `next to`), or a verb. Link and noun decide: it is a subject, a part of the one
before it (`in a red dress`), or neither. Then the whole prompt is looked at: what may be one thing
said twice, scenery, or a garment is left out, and with fewer than two subjects nothing is done.
"""

from __future__ import annotations

from dataclasses import dataclass

from ebca.subjects import grammar
from ebca.subjects.lexicon import Lexicon, lexicon
from ebca.subjects.links import Found
from ebca.subjects.marks import Kind, Token, read_tokens
from ebca.subjects.touch import do_touch
from ebca.subjects.walk import Walk
from ebca.subjects.whole import keep


@dataclass(frozen=True)
class Subject:
    """A subject: a text that can be encoded alone, and its noun, with their places.

    `prompt[start:stop]` has the text's words, and the marks between them (`(red:1.2) hat`);
    `prompt[noun_start:noun_stop]` is the noun.
    """

    text: str
    noun: str
    start: int
    stop: int
    noun_start: int
    noun_stop: int


def read_subjects(prompt: str) -> tuple[Subject, ...]:
    """The subjects in order; none if there are fewer than two, or in doubt."""
    tokens = read_tokens(prompt)
    words = lexicon()
    said = {token.text for token in tokens}
    if not _is_english(tokens, words) or "solo" in said or said & grammar.HYBRID:
        return ()
    found = Walk(tokens, words).found
    kept = keep(found)
    if len(kept) < 2 or do_touch(tokens, words, found, kept):
        return ()
    return tuple(_subject(tokens, one) for one in kept)


def find_subjects(prompt: str) -> tuple[str, ...]:
    """The texts of `read_subjects`."""
    return tuple(subject.text for subject in read_subjects(prompt))


def _subject(tokens: list[Token], found: Found) -> Subject:
    own = tokens[found.phrase.start : found.stop]
    text = ""
    for token in own:
        if token.kind is Kind.WORD:
            text += " " * bool(text) + token.shown
        elif token.kind is Kind.SOFT:
            text += ","
    noun = tokens[found.phrase.head]
    return Subject(text, noun.shown, own[0].start, own[-1].stop, noun.start, noun.stop)


def _is_english(tokens: list[Token], words: Lexicon) -> bool:
    said = [token.text for token in tokens if token.kind is Kind.WORD]
    if not said:
        return False
    foreign = sum(word in grammar.FOREIGN for word in said)
    english = sum(word in grammar.ENGLISH for word in said)
    known = sum(word in grammar.ENGLISH or words.knows(word) or word[0].isdigit() for word in said)
    return foreign <= english and known >= 0.4 * len(said)
