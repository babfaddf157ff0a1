"""Exports and imports votes as CSV and JSON. Votes on other facts are refused."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from typing import Any

from ebca.vote.database import StoreError
from ebca.vote.prompts import clean
from ebca.vote.store import CHOICES, Poll, Store, Vote, fingerprint

FORMAT = 1
_MARK = "ebca vote"
_COLUMNS = tuple(each.name for each in fields(Vote))
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
"""Matches cells that a spreadsheet would calculate, and cells that are quoted already."""


def as_json(store: Store, poll: Poll) -> str:
    """Return a poll with everything but its pictures."""
    pairs = store.pairs(poll.id)
    whole = {
        _MARK: FORMAT,
        "name": poll.name,
        "a": poll.a,
        "b": poll.b,
        "made_at": poll.made_at,
        "fingerprint": poll.fingerprint,
        "facts": poll.facts,
        "pairs": [{"kind": p.kind, "prompt": p.prompt, "seed": p.seed} for p in pairs],
        "votes": [asdict(vote) for vote in store.votes(poll.id)],
    }
    return json.dumps(whole, indent=1, ensure_ascii=False)


def as_csv(store: Store, poll: Poll) -> str:
    """Return a poll's votes, one a line."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["fingerprint", *_COLUMNS])
    for vote in store.votes(poll.id):
        cells = {**asdict(vote), "a_left": int(vote.a_left)}
        writer.writerow([poll.fingerprint, *(_quoted(str(cells[each])) for each in _COLUMNS)])
    return text.getvalue()


def take_in(store: Store, poll: Poll | None, text: str) -> tuple[Poll, int]:
    """Add the votes of a file by `as_json` or `as_csv` to `poll`, or without one to a new poll
    (JSON only). Returns the poll and the number of new votes. Raises StoreError, and changes
    nothing, for votes of other settings, models or versions, and for a file without votes."""
    whole: dict[str, Any] = _whole(text) if text.lstrip().startswith("{") else {}
    facts = whole.get("facts")
    votes: list[Vote] = whole["votes"] if whole else list(_of_csv(text, poll))
    pairs = [(p["kind"], p["prompt"], p["seed"]) for p in whole.get("pairs", ())]
    pairs += [(vote.kind, vote.prompt, vote.seed) for vote in votes]
    if poll is None and facts is None:
        raise StoreError("A CSV file has votes alone: open the vote that they belong to first.")
    if poll is not None and facts is not None and fingerprint(facts) != poll.fingerprint:
        raise StoreError(_mixed(poll.facts, facts))
    with store.together():
        if poll is None:
            assert facts is not None
            poll = store.add_poll(whole["name"], whole["a"], whole["b"], facts, [], [])
        store.add_pairs(poll.id, pairs, state="elsewhere")
        return poll, store.add_votes(poll.id, votes)


def differences(ours: Mapping[str, Any], theirs: Mapping[str, Any], of: str = "") -> Iterator[str]:
    """Yield the differences between two facts, as `model is 'x', not 'y'`."""
    for name in dict.fromkeys([*ours, *theirs]):
        one, other = ours.get(name), theirs.get(name)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            yield from differences(one, other, f"{of}{name} ")
        elif one != other:
            yield f"{of}{name} is {other!r}, not {one!r}"


def _mixed(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> str:
    listed = "; ".join(differences(ours, theirs))
    return f"These votes are not on the same pictures, so they cannot be mixed: {listed}."


def _whole(text: str) -> dict[str, Any]:
    try:
        whole = json.loads(text)
        if not isinstance(whole, dict) or whole.get(_MARK) != FORMAT:
            raise StoreError(f"This is no file of EBCA's votes of format {FORMAT}.")
        facts = dict(whole["facts"])
        names = {key: clean(str(whole[key])) for key in ("name", "a", "b")}
        pairs = [
            {"kind": clean(p["kind"]), "prompt": clean(p["prompt"]), "seed": _seed(p["seed"])}
            for p in whole["pairs"]
        ]
        votes = [_vote(each) for each in whole["votes"]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise StoreError(f"The file cannot be read: {error}.") from error
    return {**names, "facts": facts, "pairs": pairs, "votes": votes}


def _of_csv(text: str, poll: Poll | None) -> Iterator[Vote]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        if set(reader.fieldnames or ()) != {"fingerprint", *_COLUMNS}:
            raise StoreError("This is no file of EBCA's votes: the first line names other columns.")
        for row in reader:
            if poll is not None and row["fingerprint"] != poll.fingerprint:
                raise StoreError(
                    "These votes are not on the same pictures, so they cannot be mixed: their"
                    f" fingerprint is {row['fingerprint']!r}, not {poll.fingerprint!r}. A JSON file"
                    " tells what differs."
                )
            cells: dict[str, Any] = {name: _plain(row[name]) for name in _COLUMNS}
            cells |= {"seed": int(cells["seed"]), "a_left": cells["a_left"] == "1"}
            yield _vote(cells)
    except (ValueError, KeyError, TypeError, AttributeError, csv.Error) as error:
        raise StoreError(f"The file cannot be read: {error}.") from error


def _vote(cells: Mapping[str, Any]) -> Vote:
    """Return the vote in `cells`. Raises ValueError if there is none."""
    texts = {name: clean(cells[name]) for name in ("voter", "kind", "prompt", "choice", "at")}
    if texts["choice"] not in CHOICES or not texts["voter"]:
        raise ValueError(f"{texts['choice']!r} of {texts['voter']!r} is no vote")
    return Vote(**texts, seed=_seed(cells["seed"]), a_left=bool(cells["a_left"]))


def _seed(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise ValueError(f"{value!r} is no seed")
    return value


def _quoted(cell: str) -> str:
    return f"'{cell}" if _FORMULA.match(cell) else cell


def _plain(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
