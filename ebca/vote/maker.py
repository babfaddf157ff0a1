"""Has the pairs of a poll made in the background, one after the other."""

from __future__ import annotations

import threading
from typing import NamedTuple

from PIL import Image

from ebca.settings import SettingsError
from ebca.vote.exchange import differences
from ebca.vote.painter import Painter, PaintingStoppedError
from ebca.vote.store import Pair, Poll, Store

_PATIENCE = 3
"""So many pairs in a row may fail before nothing more is tried."""


class Making(NamedTuple):
    """Which poll's pairs are being made, if any, and why that ended, if not by itself."""

    poll: int | None
    problem: str


class Maker:
    """One thread at most, for one poll at a time. All pairs are made under the poll's own facts,
    or not at all."""

    def __init__(self, store: Store, painter: Painter) -> None:
        self._store, self._painter = store, painter
        self._lock, self._thread = threading.Lock(), threading.Thread()
        self._wanted: int | None = None
        self._problems: dict[int, str] = {}

    def start(self, poll: Poll) -> None:
        """Make what is missing, also what could not be made before."""
        with self._lock:
            for pair in self._store.pairs(poll.id, "failed"):
                self._store.set_state(pair.id, "wanted")
            self._problems.pop(poll.id, None)
            self._wanted = poll.id
            if not self._thread.is_alive():
                self._thread = threading.Thread(target=self._work, name="ebca-vote", daemon=True)
                self._thread.start()

    def pause(self) -> None:
        """When the pair is done that is being made."""
        with self._lock:
            self._wanted = None

    def state(self, poll: int) -> Making:
        with self._lock:
            working = self._thread.is_alive() and self._wanted is not None
            return Making(self._wanted if working else None, self._problems.get(poll, ""))

    def wait(self, seconds: float | None = None) -> bool:
        """Until nothing is being made; whether that was within the time."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _work(self) -> None:
        failed = 0
        while (poll := self._next_poll()) is not None:
            pairs = self._store.pairs(poll.id, "wanted")
            if not pairs:
                self._end(poll, "")
                continue
            try:
                self._make(poll, pairs[0])
                failed = 0
            except (PaintingStoppedError, _OtherConditionsError) as reason:
                self._end(poll, str(reason))
            except Exception as error:  # a thread's errors reach nobody else
                failed += 1
                message = str(error).strip() or type(error).__name__
                self._store.set_state(pairs[0].id, "failed", message)
                if failed >= _PATIENCE:
                    self._end(poll, f"{failed} pairs in a row could not be made: {message}")

    def _next_poll(self) -> Poll | None:
        with self._lock:
            return None if self._wanted is None else self._store.poll(self._wanted)

    def _end(self, poll: Poll, problem: str) -> None:
        with self._lock:
            if problem:
                self._problems[poll.id] = problem
            if self._wanted == poll.id:
                self._wanted = None

    def _make(self, poll: Poll, pair: Pair) -> None:
        with self._painter.turn():
            ours = {name: poll.facts.get(name) for name in self._painter.conditions()}
            if listed := "; ".join(differences(ours, self._painter.conditions())):
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
        return picture.convert("RGB")  # and without what tells how it was made


class _OtherConditionsError(Exception):
    """The host is not as it was when the poll was begun."""
