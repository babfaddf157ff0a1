"""What a prompt asks to see as separate things, read from its articles and numbers."""

from __future__ import annotations

import re

from ebca.prompts.words import plain

_ARTICLE = r"(?:an?|the|one|two|three|four|five|six|seven|eight|nine|ten|several|many|some)"
_WORDS = (
    r"(?:(?!\b(?:and|or|with|without|wearing|wears|holding|riding|carrying|in|on|at|under|over|near"
    r"|behind|beside|below|above|inside|next|between|beneath|against|by|to|from|is|are|that|which|an?"
    r"|the|BREAK)\b)[^\W_][\w'-]*\s*)+"
)
_NOUN = re.compile(rf"\b{_ARTICLE}\s+{_WORDS}", re.IGNORECASE)
"""A noun and what stands before it, from its article or number on."""

_SUBJECT = re.compile(
    rf"{_NOUN.pattern}(?:(?:wearing|wears|with)\s+(?:{_ARTICLE}\s+)?{_WORDS})*", re.IGNORECASE
)
"""A noun with all that it wears or has."""


def find_nouns(text: str) -> list[str]:
    """`a photo of a cat wearing a crown, masterpiece` -> a cat, a crown.

    A noun begins with an article or a number and ends before the next comma, conjunction,
    preposition or article; what is only `of` another is none. Each is given once.
    """
    return _found(_NOUN, text)


def find_subjects(text: str) -> tuple[str, ...]:
    """`a photo of a cat wearing a crown and a dog` -> a cat wearing a crown, a dog.

    Nouns as `find_nouns` finds them, but one that wears or has (`with`) something is one with
    that. Fewer than two are none.
    """
    found = _found(_SUBJECT, text)
    return tuple(found) if len(found) > 1 else ()


def _found(pattern: re.Pattern[str], text: str) -> list[str]:
    found = (match[0].strip() for match in pattern.finditer(plain(text)))
    return list(dict.fromkeys(noun for noun in found if not noun.lower().endswith(" of")))
