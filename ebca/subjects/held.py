"""Held things: what somebody holds, carries or has in the arms is theirs, as clothes are."""

from __future__ import annotations

from ebca.subjects import contact, grammar
from ebca.subjects.links import ANIMATE, HAVE, OF, THINGS, WITH, Found, Verdict
from ebca.subjects.phrases import Phrase

_BY_HAND = THINGS | {"w"}
_ON_LEGS = grammar.words("leg foot heel toe")
"""Places next to which something stands by itself: `with a dog at her feet`."""


def settle(found: Found) -> None:
    """Settle what is held, as far as this phrase and those before it tell."""
    last = found.previous
    if last is None or last.segment != found.segment:
        return
    if found.link == "held by" and found.verdict is Verdict.RELATED:
        _let_go(last)
    elif _is_place(found):
        held = _at_place(found)
        if held is not None:
            _hold(held, found)
    if last.verdict is Verdict.HELD and found.verdict is Verdict.OTHER:
        if found.link == "for" and found.letter in ANIMATE and found.article:
            found.verdict = Verdict.RELATED  # `playing a lute for a bride`
        else:  # `a cup of tea in one hand and a bun`
            found.verdict, found.link = Verdict.HELD, last.link


def goes_on(phrase: Phrase, last: Found | None, segment: int) -> bool:
    """Whether a phrase after a comma is held too: `holding a sword, a shield and a torch`."""
    if last is None or last.verdict is not Verdict.HELD or last.segment + 1 != segment:
        return False
    alike = bool(phrase.article) == bool(last.article)
    return alike and phrase.letter in _BY_HAND - {"v"}


def joins_held(phrase: Phrase, last: Found) -> bool:
    """Whether a phrase that `and` joins to a held one is held as well; persons never are."""
    if phrase.letter in ("a", "g"):
        return last.letter in ANIMATE  # `an umbrella and a dog`: the dog walks
    return phrase.letter != "p" and (phrase.letter != "v" or last.letter == "v")


def _is_place(found: Found) -> bool:
    """Whether the phrase is a place on a body where something is held: `in her arms`."""
    noun, link = found.phrase.noun, found.link
    if noun in contact.BAGS and found.article != "their":
        return False
    if link not in contact.HELD_IN:
        return False
    return found.letter == "b" or noun == "back" or noun in contact.HELD_IN[link]


def _never_ones_own(place: Found) -> bool:
    """Whether nobody can be at this place of their own body: one's lap, but not one's back."""
    noun = place.phrase.noun
    if noun not in contact.HELD_IN[place.link] or place.link in ("over", "at"):
        return False  # `looking over her shoulder`, `a dog at his side`
    if place.link in ("in", "under") or noun in ("lap", "shoulder"):
        return True
    return not place.phrase.plural  # one may stand on one's hands


def _is_anothers(place: Found) -> bool:
    """Whether it is another's body, as in `sitting on the shoulders of a man`."""
    on = place.link != "in" and place.phrase.noun != "lap"
    return on and place.article in ("a", "the")


def _at_place(place: Found) -> Found | None:
    """Return the phrase that is held at a place, which stands before it, if any."""
    one = place.previous
    while one and one.verdict in (Verdict.OTHER, Verdict.PART) and one.link in ("in", OF):
        if one.letter == "b":
            return None
        one = one.previous  # `a baby in a blanket`, `a basket of apples`
    if one is None or one.segment != place.segment or one.verdict is Verdict.OTHER:
        return None
    of_another = one.part_of is not None and one.part_of.link == WITH and one.letter in tuple("bw")
    return one.part_of if of_another else one  # `with a kitten with blue eyes in her arms`


def _hold(held: Found, place: Found) -> None:
    """Make `held` a part of the subject whose body the place is on."""
    holder = held.part_of if held.verdict is Verdict.PART else _bearer(held, place)
    if holder:
        held.verdict, held.part_of = Verdict.PART, holder
        holder.words |= held.words | {held.phrase.noun}
        place.verdict, place.part_of, place.link = Verdict.PART, holder, held.link
    elif _never_ones_own(place) and not _is_anothers(place):
        _let_go(held)


def _bearer(held: Found, place: Found) -> Found | None:
    """Return who bears the living being at a place, as in `a woman with a cat in her arms`.

    Nobody bears one that stands by itself, as in `a woman with a cat on its hind legs`.
    """
    bearer, noun = held.owner, place.phrase.noun
    if held.link not in (WITH, HAVE) or not bearer or bearer.letter not in ANIMATE:
        return None
    if noun == "back":  # what an animal has on its back rides it
        borne = bearer.letter == "p"
    elif held.letter == "p":
        borne = noun == "chest" or _never_ones_own(place)
    else:
        borne = place.link != "at" and noun not in _ON_LEGS
    return bearer if borne else None


def _let_go(held: Found) -> None:
    """Mark a phrase as held by nobody whose text could include it."""
    if held.verdict in (Verdict.SUBJECT, Verdict.RELATED):
        held.verdict = Verdict.HELD
