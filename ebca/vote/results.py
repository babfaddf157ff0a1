"""The result of a poll, as plain values that the page and the picture show."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ebca.align.statistics import Interval, bootstrap
from ebca.vote.statistics import Tally, alpha_interval, majority
from ebca.vote.store import Poll, Store, Vote

Key = tuple[str, int]  # prompt, seed


def result(store: Store, poll: Poll) -> dict[str, Any]:
    """Counts, preferences, tests and agreement. Several voters count together as one that says of
    each pair what most of them say, so that no pair counts twice."""
    votes, states = store.votes(poll.id), store.states(poll.id)
    voters = list(dict.fromkeys(vote.voter for vote in votes))
    said = _by_pair(votes)
    kinds = {(vote.prompt, vote.seed): vote.kind for vote in votes}
    together = {key: majority(choices) for key, choices in said.items()}
    return {
        "poll": about(poll),
        "pairs": {"all": sum(states.values()), **states},
        "voters": [
            {"name": name, **told(Tally.of([v.choice for v in votes if v.voter == name]))}
            for name in voters
        ],
        "together": told(Tally.of(list(together.values()))),
        "over_prompts": _shown(_over_prompts(together)),
        "kinds": [
            {
                "kind": kind,
                **told(Tally.of([c for key, c in together.items() if kinds[key] == kind])),
            }
            for kind in sorted(set(kinds.values()))
        ],
        "alpha": _shown(alpha_interval(list(said.values()))) if len(voters) > 1 else None,
        "shared": sum(len(choices) > 1 for choices in said.values()),
    }


def about(poll: Poll) -> dict[str, Any]:
    return {**poll._asdict(), "version": poll.facts.get("version", "")}


def told(tally: Tally) -> dict[str, Any]:
    """A tally as plain values."""
    return {
        "a": tally.a, "b": tally.b, "same": tally.same, "bad": tally.bad, "count": tally.count,
        "preference": _shown(tally.preference) if tally.decided else None, "p": tally.p,
        "difference": tally.difference, "needed": tally.needed, "more": tally.more,
    }  # fmt: skip


def _by_pair(votes: Iterable[Vote]) -> dict[Key, list[str]]:
    said: dict[Key, list[str]] = {}
    for vote in votes:
        said.setdefault((vote.prompt, vote.seed), []).append(vote.choice)
    return said


def _over_prompts(together: dict[Key, str]) -> Interval | None:
    """The preference with an interval that draws whole prompts, for seeds of one prompt are alike;
    None where every prompt has one seed."""
    decided = [(key[0], choice == "b") for key, choice in together.items() if choice in "ab"]
    prompts: Sequence[str] = [prompt for prompt, _ in decided]
    if len(set(prompts)) == len(prompts):
        return None
    return bootstrap([float(is_b) for _, is_b in decided], prompts)


def _shown(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [float(value) for value in interval]
