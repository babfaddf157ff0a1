"""Votes and their polls in one SQLite file: written at once, safe from a kill.

A poll is a list of pairs and the facts that decide their pictures: both settings, the model, the
sampling, the versions. Every pair belongs to one poll, so votes on other facts cannot mix.
"""

from __future__ import annotations

import hashlib
import json
import random
import secrets
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

from ebca.settings import SettingsError
from ebca.vote.database import Database, StoreError
from ebca.vote.prompts import Asked, clean

SHOWN = ("left", "right", "same", "bad")
"""The answers that a voter can give about two pictures."""

CHOICES = ("a", "b", "same", "bad")
"""The choices that those answers stand for."""


class Poll(NamedTuple):
    """A vote that people take part in. `a` and `b` are the user's names of the two settings."""

    id: int
    name: str
    a: str
    b: str
    facts: dict[str, Any]
    fingerprint: str
    made_at: str


class Pair(NamedTuple):
    """Two pictures of one prompt and seed. `state`: `wanted`, `ready`, `identical` (pixel for
    pixel, so nobody is asked), `failed` (see `note`), `elsewhere` (only votes were imported)."""

    id: int
    poll: int
    kind: str
    prompt: str
    seed: int
    state: str
    note: str


_ASKED = "state IN ('ready', 'wanted')"
"""Selects the pairs that voters are asked about, now or when their pictures are made."""


@dataclass(frozen=True)
class Vote:
    """A voter's answer about a pair; `choice` is one of `CHOICES`."""

    voter: str
    kind: str
    prompt: str
    seed: int
    choice: str
    a_left: bool
    at: str


_VOTE = tuple(each.name for each in fields(Vote))


def as_stored(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return facts as the file gives them back: a host's own types are text, a tuple is a list."""
    stored: dict[str, Any] = json.loads(json.dumps(facts, default=str))
    return stored


def fingerprint(facts: Mapping[str, Any]) -> str:
    """Return a short hash of the facts that decide the pictures."""
    text = json.dumps(facts, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


class Store:
    """The file `votes.sqlite3` in a folder, and the pictures beside it. Several threads and several
    processes may use it."""

    def __init__(self, folder: Path) -> None:
        """Raises StoreError for a file that is not one of votes, or of a newer version."""
        self.folder, self._db = folder, Database(folder / "votes.sqlite3")

    def close(self) -> None:
        self._db.close()

    def together(self) -> AbstractContextManager[object]:
        """Make all changes inside the block, or none."""
        return self._db.changing()

    # Polls and pairs

    def add_poll(
        self, name: str, a: str, b: str, facts: Mapping[str, Any], asked: Sequence[Asked],
        seeds: Iterable[int],
    ) -> Poll:  # fmt: skip
        """Add a poll of all prompts with all seeds, in random order."""
        facts = as_stored(facts)
        pairs = [(*each, seed) for seed in seeds for each in asked]
        random.SystemRandom().shuffle(pairs)
        with self._db.changing() as db:
            made = db.execute(
                "INSERT INTO polls (name, a, b, facts, fingerprint, made_at, salt)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (name, a, b, json.dumps(facts), fingerprint(facts), now(), secrets.token_hex(16)),
            )
            number = int(made.lastrowid or 0)
            self.add_pairs(number, pairs)
        return self.poll(number)

    def add_pairs(
        self, poll: int, pairs: Iterable[tuple[str, str, int]], state: str = "wanted"
    ) -> None:
        """Append (kind, prompt, seed) pairs to a poll; those that it has stay as they are."""
        (last,) = self._db.rows("SELECT coalesce(max(place), 0) FROM pairs WHERE poll = ?", poll)[0]
        with self._db.changing() as db:
            db.executemany(
                "INSERT INTO pairs (poll, place, kind, prompt, seed, state)"
                " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (poll, prompt, seed) DO NOTHING",
                [(poll, last + n, *each, state) for n, each in enumerate(pairs, 1)],
            )

    def polls(self) -> list[Poll]:
        """Return all polls, the newest first."""
        columns = ", ".join(Poll._fields)
        return [
            _poll(row) for row in self._db.rows(f"SELECT {columns} FROM polls ORDER BY id DESC")
        ]

    def poll(self, number: int) -> Poll:
        columns = ", ".join(Poll._fields)
        for row in self._db.rows(f"SELECT {columns} FROM polls WHERE id = ?", number):
            return _poll(row)
        raise StoreError(f"There is no vote {number}.")

    def forget(self, poll: int) -> None:
        """Remove a poll without votes. Raises StoreError for one with votes."""
        if self.votes(poll):
            raise StoreError(f"Vote {poll} has votes.")
        with self._db.changing() as db:
            db.execute("DELETE FROM pairs WHERE poll = ?", (poll,))
            db.execute("DELETE FROM polls WHERE id = ?", (poll,))

    def pairs(self, poll: int, state: str | None = None) -> list[Pair]:
        """Return the pairs of a poll in its order, all or those in one state."""
        columns = ", ".join(Pair._fields)
        rows = self._db.rows(f"SELECT {columns} FROM pairs WHERE poll = ? ORDER BY place", poll)
        return [pair for pair in map(Pair._make, rows) if state in (None, pair.state)]

    def pair(self, number: int) -> Pair:
        columns = ", ".join(Pair._fields)
        for row in self._db.rows(f"SELECT {columns} FROM pairs WHERE id = ?", number):
            return Pair._make(row)
        raise StoreError(f"There is no pair {number}.")

    def set_state(self, pair: int, state: str, note: str = "") -> None:
        with self._db.changing() as db:
            db.execute("UPDATE pairs SET state = ?, note = ? WHERE id = ?", (state, note, pair))

    def path(self, pair: Pair, side: str) -> Path:
        """Return where the picture of side `a` or `b` is, when the pair is ready."""
        return self.folder / "pictures" / f"{pair.poll:04d}" / f"{pair.id:06d}-{side}.png"

    # Voters and votes

    def voter(self, name: str) -> int:
        """Return the number of a voter, who is added if the name is new. Raises SettingsError for a
        name that cannot be one."""
        name = _one_line(name)
        if not 1 <= len(name) <= 80:
            raise SettingsError("voter", name[:80], "a name of 1 to 80 characters")
        with self._db.changing() as db:
            db.execute("INSERT INTO voters (name) VALUES (?) ON CONFLICT DO NOTHING", (name,))
            (number,) = db.execute("SELECT id FROM voters WHERE name = ?", (name,)).fetchone()
        return int(number)

    def known(self, name: str) -> int:
        """Return the number of a voter; for an unknown name 0, a number without votes."""
        rows = self._db.rows("SELECT id FROM voters WHERE name = ?", _one_line(name))
        return int(rows[0][0]) if rows else 0

    def a_is_left(self, pair: int, voter: int) -> bool:
        """Choose the left side by chance, but the same whenever the voter sees the pair again."""
        (salt,) = self._db.rows(
            "SELECT salt FROM polls JOIN pairs ON pairs.poll = polls.id WHERE pairs.id = ?", pair
        )[0]
        return bool(hashlib.sha256(f"{salt}/{pair}/{voter}".encode()).digest()[0] & 1)

    def next_pairs(self, poll: int, voter: int, count: int = 1) -> list[Pair]:
        """Return the next ready pairs that the voter has not voted on."""
        columns = ", ".join(f"pairs.{name}" for name in Pair._fields)
        rows = self._db.rows(
            f"SELECT {columns} FROM pairs LEFT JOIN votes"
            " ON votes.pair = pairs.id AND votes.voter = ?"
            " WHERE poll = ? AND state = 'ready' AND votes.id IS NULL ORDER BY place LIMIT ?",
            voter, poll, count,
        )  # fmt: skip
        return [Pair._make(row) for row in rows]

    def cast(self, pair: int, voter: int, shown: str) -> str:
        """Store a voter's answer, one of `SHOWN`, and return the choice that it stands for. A vote
        on the same pair stays: the first one counts. Raises SettingsError for another word."""
        if shown not in SHOWN:
            raise SettingsError("choice", shown, "one of " + ", ".join(SHOWN))
        self._check_can_vote(pair, voter)
        a_left = self.a_is_left(pair, voter)
        choice = {"left": "ba"[a_left], "right": "ab"[a_left]}.get(shown, shown)
        with self._db.changing() as db:
            db.execute(
                "INSERT INTO votes (pair, voter, choice, a_left, at) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (pair, voter) DO NOTHING",
                (pair, voter, choice, a_left, now()),
            )
        return choice

    def _check_can_vote(self, pair: int, voter: int) -> None:
        if self.pair(pair).state != "ready":
            raise StoreError(f"Pair {pair} has no pictures to vote on.")
        if not self._db.rows("SELECT 1 FROM voters WHERE id = ?", voter):
            raise StoreError(f"There is no voter {voter}.")

    def undo(self, poll: int, voter: int) -> int | None:
        """Remove a voter's last vote among those that `done` counts. Returns the pair's number, or
        None if there is no such vote."""
        with self._db.changing() as db:
            row = db.execute(
                "SELECT votes.id, pair FROM votes JOIN pairs ON pairs.id = votes.pair"
                f" WHERE poll = ? AND voter = ? AND {_ASKED} ORDER BY votes.id DESC LIMIT 1",
                (poll, voter),
            ).fetchone()
            if row is None:
                return None
            db.execute("DELETE FROM votes WHERE id = ?", (row[0],))
        return int(row[1])

    def votes(self, poll: int) -> list[Vote]:
        """Return all votes of a poll, in the order in which they came."""
        rows = self._db.rows(
            "SELECT voters.name, kind, prompt, seed, choice, a_left, at FROM votes"
            " JOIN pairs ON pairs.id = votes.pair JOIN voters ON voters.id = votes.voter"
            " WHERE poll = ? ORDER BY votes.id", poll,
        )  # fmt: skip
        return [
            Vote(**{**dict(zip(_VOTE, row, strict=True)), "a_left": bool(row[5])}) for row in rows
        ]

    def add_votes(self, poll: int, votes: Iterable[Vote]) -> int:
        """Add imported votes on pairs of the poll, all or none, and return how many were new. Where
        a voter has voted on a pair already, the stored vote stays."""
        votes = list(votes)
        voters = {name: self.voter(name) for name in dict.fromkeys(vote.voter for vote in votes)}
        numbers = {(pair.prompt, pair.seed): pair.id for pair in self.pairs(poll)}
        with self._db.changing() as db:
            before = db.total_changes
            db.executemany(
                "INSERT INTO votes (pair, voter, choice, a_left, at) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (pair, voter) DO NOTHING",
                [
                    (numbers[v.prompt, v.seed], voters[v.voter], v.choice, v.a_left, v.at)
                    for v in votes
                ],
            )
            return db.total_changes - before

    def done(self, poll: int, voter: int) -> int:
        """Return how many of the pairs that are asked about here a voter has voted on."""
        ((count,),) = self._db.rows(
            "SELECT count(*) FROM votes JOIN pairs ON pairs.id = votes.pair"
            f" WHERE poll = ? AND voter = ? AND {_ASKED}", poll, voter,
        )  # fmt: skip
        return int(count)

    def states(self, poll: int) -> dict[str, int]:
        """Return the number of a poll's pairs in each state."""
        rows = self._db.rows(
            "SELECT state, count(*) FROM pairs WHERE poll = ? GROUP BY state", poll
        )
        return dict(rows)


def _one_line(name: str) -> str:
    return " ".join(clean(name).split())


def _poll(row: Sequence[Any]) -> Poll:
    poll = Poll._make(row)
    return poll._replace(facts=json.loads(row[4]))
