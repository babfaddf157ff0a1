"""Has the pairs of a poll made in the background, one after the other."""

from __future__ import annotations

import threading
from typing import NamedTuple

from PIL import Image

from ebca.settings import SettingsError
from ebca.vote.database import StoreError
from ebca.vote.exchange import differences
from ebca.vote.painter import Painter, PaintingStoppedError
from ebca.vote.store import Pair, Poll, Store, as_stored

_PATIENCE = 3
"""The number of pairs in a row that may fail before the making ends."""


class Making(NamedTuple):
    """The poll whose pairs are being made, if any, and the problem that ended it, if any."""

    poll: int | None
    problem: str


class Maker:
    """Makes pairs in at most one thread, for one poll at a time, and only under the poll's own
    facts."""

    def __init__(self, store: Store, painter: Painter) -> None:
        self._store, self._painter = store, painter
        self._lock, self._thread = threading.Lock(), threading.Thread()
        self._working = False  # false before the thread ends: it may still be alive then
        self._wanted: int | None = None
        self._problems: dict[int, str] = {}

    def start(self, poll: Poll) -> None:
        """Make the missing pairs of a poll, including those that failed before."""
        with self._lock:
            for pair in self._store.pairs(poll.id, "failed"):
                self._store.set_state(pair.id, "wanted")
            self._problems.pop(poll.id, None)
            self._wanted = poll.id
            if not self._working:
                self._working = True
                self._thread = threading.Thread(target=self._work, name="ebca-vote", daemon=True)
                self._thread.start()

    def pause(self) -> None:
        """Stop when the current pair is done."""
        with self._lock:
            self._wanted = None

    def state(self, poll: int) -> Making:
        with self._lock:
            return Making(self._wanted if self._working else None, self._problems.get(poll, ""))

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until nothing is being made; returns whether that was within the time."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _work(self) -> None:
        failed = 0
        while (poll := self._next_poll()) is not None:
            try:
                failed = self._make_one(poll, failed)
            except Exception as error:  # a thread's errors reach nobody else
                self._end(poll, _message(error))

    def _make_one(self, poll: int, failed: int) -> int:
        """Make the next pair of a poll. Takes and returns how many pairs in a row have failed."""
        pairs = self._store.pairs(poll, "wanted")
        if not pairs:
            self._end(poll, "")
            return 0
        try:
            self._make(self._store.poll(poll), pairs[0])
        except (PaintingStoppedError, _OtherConditionsError, StoreError):
            raise
        except Exception as error:
            failed += 1
            self._store.set_state(pairs[0].id, "failed", _message(error))
            if failed >= _PATIENCE:
                told = f"{failed} pairs in a row could not be made: {_message(error)}"
                raise RuntimeError(told) from error
            return failed
        return 0

    def _next_poll(self) -> int | None:
        """Return the wanted poll; if there is none, the thread ends."""
        with self._lock:
            self._working = self._wanted is not None
            return self._wanted

    def _end(self, poll: int, problem: str) -> None:
        with self._lock:
            if problem:
                self._problems[poll] = problem
            if self._wanted == poll:
                self._wanted = None

    def _make(self, poll: Poll, pair: Pair) -> None:
        with self._painter.turn():
            now = as_stored(self._painter.conditions())
            ours = {name: poll.facts.get(name) for name in now}
            if listed := "; ".join(differences(ours, now)):
                raise _OtherConditionsError(
                    "This vote was begun with something else, and votes on other pictures are not"
                    f" mixed with it: {listed}. Put it back, or begin a new vote."
                )
            a, b = (self._paint(poll, pair, side) for side in "ab")
        path = self._store.path(pair, "a")
        path.parent.mkdir(parents=True, exist_ok=True)
        a.save(path)
        b.save(self._store.path(pair, "b"))
        identical = a.size == b.size and a.tobytes() == b.tobytes()
        self._store.set_state(pair.id, "identical" if identical else "ready")

    def _paint(self, poll: Poll, pair: Pair, side: str) -> Image.Image:
        values, sampling = poll.facts[side], poll.facts["sampling"]
        try:
            picture = self._painter.paint(pair.prompt, pair.seed, sampling, values)
        except SettingsError as error:
            raise RuntimeError(str(error).removeprefix("EBCA: ")) from error
        return picture.convert("RGB")  # drops the metadata that tells how it was made


def _message(error: Exception) -> str:
    return str(error).strip() or type(error).__name__


class _OtherConditionsError(Exception):
    """The host has changed since the poll was begun."""
