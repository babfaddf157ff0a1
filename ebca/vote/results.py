"""The result of a poll, as plain values for the page and the picture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ebca.align.statistics import Interval, bootstrap
from ebca.vote.statistics import Tally, alpha_interval, majority
from ebca.vote.store import Poll, Store, Vote
from ebca.vote.verdict import ahead, preferred, side, small, verdict

Key = tuple[str, int]  # prompt, seed
Said = Mapping[Key, str]
"""One choice for each pair."""


def result(store: Store, poll: Poll) -> dict[str, Any]:
    """Return counts, preferences, tests and agreement. Several voters count together as one voter
    who gives each pair the majority's choice, so that no pair counts twice."""
    votes, states = store.votes(poll.id), store.states(poll.id)
    voters = list(dict.fromkeys(vote.voter for vote in votes))
    said = _by_pair(votes)
    kinds = {_key(vote): vote.kind for vote in votes}
    together = {key: majority(choices) for key, choices in said.items()}
    return {
        "poll": about(poll),
        "pairs": {"all": sum(states.values()), **states},
        "voters": [
            {"name": name, **told({_key(v): v.choice for v in votes if v.voter == name})}
            for name in voters
        ],
        "together": told(together, side("A", poll.a), side("B", poll.b)),
        "over_prompts": _shown(_over_prompts(together)),
        "kinds": [
            {"kind": kind, **told({key: c for key, c in together.items() if kinds[key] == kind})}
            for kind in sorted(set(kinds.values()))
        ],
        "alpha": _shown(alpha_interval(list(said.values()))) if len(voters) > 1 else None,
        "shared": sum(len(choices) > 1 for choices in said.values()),
    }


def about(poll: Poll) -> dict[str, Any]:
    return {**poll._asdict(), "version": poll.facts.get("version", "")}


def told(said: Said, a: str = "A", b: str = "B") -> dict[str, Any]:
    """Return the result of the choices, in figures and in words that call the sides `a` and `b`."""
    tally, by_prompt = Tally.of(list(said.values())), _over_prompts(said)
    return {
        "a": tally.a, "b": tally.b, "same": tally.same, "bad": tally.bad, "count": tally.count,
        "preference": _shown(tally.preference) if tally.decided else None, "p": tally.p,
        "difference": tally.difference, "needed": tally.needed, "more": tally.more,
        "verdict": verdict(tally, by_prompt, a, b), "preferred": preferred(tally, by_prompt),
        "by_prompt": ahead(tally, by_prompt) if by_prompt else "",
        "p_written": small(tally.p) if tally.decided else "",
    }  # fmt: skip


def _by_pair(votes: Iterable[Vote]) -> dict[Key, list[str]]:
    said: dict[Key, list[str]] = {}
    for vote in votes:
        said.setdefault(_key(vote), []).append(vote.choice)
    return said


def _key(vote: Vote) -> Key:
    return vote.prompt, vote.seed


def _over_prompts(together: Said) -> Interval | None:
    """Return the preference with an interval from drawing whole prompts, as seeds of a prompt are
    alike; None where every prompt has one seed."""
    decided = [(key[0], choice == "b") for key, choice in together.items() if choice in "ab"]
    prompts: Sequence[str] = [prompt for prompt, _ in decided]
    if len(set(prompts)) == len(prompts):
        return None
    return bootstrap([float(is_b) for _, is_b in decided], prompts)


def _shown(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [float(value) for value in interval]
