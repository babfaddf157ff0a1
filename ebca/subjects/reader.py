"""Read the subjects of a prompt, or none in case of doubt.

Every noun phrase gets a link, which joins it to the prompt: nothing (it begins a part), a small
word (`with`, `on`, `next to`), or a verb. The link and the noun decide whether the phrase is a
subject, a part of the subject before it (`in a red dress`), or neither. Then the whole prompt is
considered: phrases that may name a thing twice, scenery or a garment are left out. Fewer than two
subjects count as none.
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
    """A subject: a text that can be encoded alone, and its noun, with their positions.

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
    """Return the subjects in order, or none if there are fewer than two or any doubt."""
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
    """Return the texts of the subjects that `read_subjects` returns."""
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
