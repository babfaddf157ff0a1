"""The SQLite file of votes: its tables, its version, and all-or-nothing changes."""

from __future__ import annotations

import sqlite3
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SCHEMA = 1
_APPLICATION = 0x45424341  # "EBCA", in the file's header
_TABLES = """
CREATE TABLE polls (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, a TEXT NOT NULL, b TEXT NOT NULL,
    facts TEXT NOT NULL, fingerprint TEXT NOT NULL, made_at TEXT NOT NULL, salt TEXT NOT NULL
);
CREATE TABLE pairs (
    id INTEGER PRIMARY KEY, poll INTEGER NOT NULL REFERENCES polls, place INTEGER NOT NULL,
    kind TEXT NOT NULL, prompt TEXT NOT NULL, seed INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'wanted'
        CHECK (state IN ('wanted', 'ready', 'identical', 'failed', 'elsewhere')),
    note TEXT NOT NULL DEFAULT '', UNIQUE (poll, prompt, seed)
);
CREATE TABLE voters (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE votes (
    id INTEGER PRIMARY KEY AUTOINCREMENT, pair INTEGER NOT NULL REFERENCES pairs,
    voter INTEGER NOT NULL REFERENCES voters,
    choice TEXT NOT NULL CHECK (choice IN ('a', 'b', 'same', 'bad')),
    a_left INTEGER NOT NULL CHECK (a_left IN (0, 1)), at TEXT NOT NULL, UNIQUE (pair, voter)
);
CREATE INDEX pairs_of_poll ON pairs (poll, place);
"""


class StoreError(Exception):
    """A file cannot be used, or a thing is missing; the message is a sentence for the user."""


class Database:
    """A file of votes. Several threads and several processes may use it."""

    def __init__(self, path: Path) -> None:
        """Raises StoreError for a file that is not one of votes, or of a newer version."""
        self._path, self._lock = path, threading.RLock()
        self._trouble = f"{path} cannot be used"
        with self._told():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(
                path, timeout=30, isolation_level=None, check_same_thread=False
            )
            weakref.finalize(self, self._db.close)
            self._check()
            for setting in ("foreign_keys = ON", "journal_mode = WAL", "synchronous = FULL"):
                self._db.execute(f"PRAGMA {setting}")
            self._make()
        self._trouble = "The votes cannot be read or written now"

    def close(self) -> None:
        with self._lock:
            self._db.close()

    @contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """Make changes in one transaction, which is on the disk when the block ends. Raises
        StoreError if the file cannot be written."""
        with self._lock, self._told():
            if self._db.in_transaction:  # a part of a larger change
                yield self._db
                return
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # some errors have ended it
                    self._db.execute("ROLLBACK")
                raise

    def rows(self, query: str, *values: Any) -> list[Any]:
        """Return the rows of a query. Raises StoreError if the file cannot be read."""
        with self._lock, self._told():
            return self._db.execute(query, values).fetchall()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn errors of the file, such as a full disk or a lock, into StoreErrors."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"{self._trouble}: {error}.") from error

    def _number(self, query: str) -> int:
        return int(self.rows(query)[0][0])

    def _check(self) -> None:
        """Raise StoreError unless the file is empty or of a version that this EBCA can read."""
        if not self._number("SELECT count(*) FROM sqlite_master"):
            return
        if self._number("PRAGMA application_id") != _APPLICATION:
            raise StoreError(f"{self._path} is not a file of EBCA's votes.")
        version = self._number("PRAGMA user_version")
        if version > SCHEMA:
            raise StoreError(
                f"{self._path} is of a newer EBCA: its schema is {version}, and this EBCA knows"
                f" {SCHEMA}. Update EBCA."
            )

    def _make(self) -> None:
        with self.changing() as db:
            if self._number("SELECT count(*) FROM sqlite_master"):
                return
            for statement in filter(str.strip, _TABLES.split(";")):
                db.execute(statement)
            db.execute(f"PRAGMA application_id = {_APPLICATION}")
            db.execute(f"PRAGMA user_version = {SCHEMA}")
