"""The verdict of a vote in words. The page, its table and the picture of the result all take their
sentences from here, so that they say the same."""

from __future__ import annotations

from collections.abc import Iterable

from ebca.align.statistics import Interval
from ebca.vote.statistics import Tally

_LONGEST = 60
"""The number of characters of a name that fit into a sentence."""

_CLOSE = "\u00a0"
"""A no-break space."""

_SMALL = 0.001
_CHANCE = "so this may be chance."


def side(letter: str, name: str) -> str:
    """Return a side as sentences name it: `A (off)`."""
    name = " ".join(name.split())
    short = name if len(name) <= _LONGEST else f"{name[: _LONGEST - 3]}..."
    return f"{letter} ({short})" if short else letter


def verdict(tally: Tally, by_prompt: Interval | None = None, a: str = "A", b: str = "B") -> str:
    """Say which side is preferred, or that the vote is still open and who is ahead. It is open
    while 50 % lies in an interval: that of all decisions, or that of whole prompts, where given."""
    if not tally.count:
        return "Nobody has voted yet."
    if not tally.decided:
        return f"Only ties: nobody has preferred {a} or {b} yet."
    first, second = (a, b) if _a_leads(tally) else (b, a)
    figures = f"{_figures(tally, tally.preference)} of {_decisions(tally)}, {_p(tally.p)}."
    if tally.a == tally.b:
        return f"A tie so far: {a} and {b} are each preferred in {figures}"
    if _is_open(tally, tally.preference):
        told = f"Still open: {first} is ahead of {second} in {figures}"
        return f"{told} The interval has 50 % in it, {_CHANCE}"
    if by_prompt and _is_open(tally, by_prompt):
        _, low, high = _percent(tally, by_prompt)
        told = f"Still open: {first} is ahead of {second} in {figures} Pictures of one prompt are"
        return f"{told} alike: by prompts the interval is [{low},{_CLOSE}{high}], {_CHANCE}"
    return f"{first} is preferred to {second} in {figures}"


def preferred(tally: Tally, by_prompt: Interval | None = None) -> str:
    """Return the verdict for a cell of a table."""
    if not tally.decided:
        return "only ties" if tally.count else ""
    if tally.a == tally.b:
        return f"tie: {_figures(tally, tally.preference)}"
    intervals = (tally.preference, by_prompt or tally.preference)
    still_open = any(_is_open(tally, each) for each in intervals)
    return "open: " * still_open + ahead(tally, tally.preference)


def ahead(tally: Tally, interval: Interval) -> str:
    """Return the leading side with an interval of B's share turned to that side."""
    return f"{'A' if _a_leads(tally) else 'B'} {_figures(tally, interval)}"


def small(p: float) -> str:
    """Return a p as it is written: `0.508`, or `< 0.001`."""
    return f"< {_SMALL}" if p < _SMALL else f"{p:.3f}"


def _a_leads(tally: Tally) -> bool:
    return tally.a > tally.b


def _percent(tally: Tally, interval: Interval) -> Iterable[int]:
    """Return an interval of B's share in percent, turned to the leading side."""
    share, low, high = interval
    turned = (1 - share, 1 - high, 1 - low) if _a_leads(tally) else (share, low, high)
    return (round(100 * value) for value in turned)


def _is_open(tally: Tally, interval: Interval) -> bool:
    """Judge the interval as it is written, so that nobody reads "preferred" beside a 50."""
    _, low, high = _percent(tally, interval)
    return low <= 50 <= high


def _figures(tally: Tally, interval: Interval) -> str:
    share, low, high = _percent(tally, interval)
    return f"{share}{_CLOSE}% [{low},{_CLOSE}{high}]"


def _decisions(tally: Tally) -> str:
    return f"{tally.decided} decision{'s' * (tally.decided != 1)}"


def _p(p: float) -> str:
    text = f"p {small(p)}" if p < _SMALL else f"p = {small(p)}"
    return text.replace(" ", _CLOSE)
