"""Answers the requests of a vote's page, for the WebUI's server and for `ebca.vote.server`."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from importlib import resources
from typing import Any

from ebca.settings import SettingsError
from ebca.vote import exchange
from ebca.vote.database import StoreError
from ebca.vote.maker import Maker
from ebca.vote.painter import Painter, checked_sampling
from ebca.vote.prompts import SETS, Asked, clean, named, read_list, some
from ebca.vote.results import about, result
from ebca.vote.sheet import sheet
from ebca.vote.sides import NAMED, read_side
from ebca.vote.store import Poll, Store
from ebca.vote.web import (
    Answer,
    Given,
    read_body,
    read_number,
    read_text,
    read_whole,
    refuse,
    respond,
    wrapped,
)

HEADER = "x-ebca-vote"
"""A header of all requests that change something. A page of another origin cannot send it."""

_FILES = {
    "": "text/html",
    "vote.css": "text/css",
    "vote.js": "text/javascript",
    "vote.svg": "image/svg+xml",
}
_MOST_SEEDS = 100


class Service:
    """The routes of the page, on a store, with a host's painter."""

    def __init__(self, store: Store, painter: Painter) -> None:
        self._store, self._painter = store, painter
        self.maker = Maker(store, painter)
        self._gets: dict[str, Callable[..., Any]] = {
            r"api/state": self._state,
            r"api/polls/(\d{1,15})": self._look,
            r"api/polls/(\d{1,15})/next": self._next,
            r"api/pairs/(\d{1,15})/(left|right)\.png": self._picture,
            r"api/polls/(\d{1,15})/result": lambda poll, _: result(self._store, self._poll(poll)),
            r"api/polls/(\d{1,15})/result\.png": self._sheet,
            r"api/polls/(\d{1,15})/votes\.(csv|json)": self._export,
        }
        self._posts: dict[str, Callable[..., Any]] = {
            r"api/polls": self._add,
            r"api/polls/(\d{1,15})/making": self._making,
            r"api/polls/(\d{1,15})/undo": self._undo,
            r"api/polls/(\d{1,15})/votes": self._import,
            r"api/votes": self._import_new,
            r"api/voters": lambda given: {"voter": self._store.voter(read_text(given, "name"))},
            r"api/pairs/(\d{1,15})": self._cast,
        }

    def answer(
        self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str],
        body: bytes = b"",
    ) -> Answer:  # fmt: skip
        """Answer a request. `path` is relative to the page and has no leading slash; header names
        are in lower case. Never raises for anything that a user or a stranger sends."""
        try:
            if method == "GET" and path in _FILES:
                return respond(200, _FILES[path], _file(path or "vote.html"))
            if method == "POST" and HEADER not in headers:
                return refuse(403, "This request does not come from the page of the vote.")
            routes = {"GET": self._gets, "POST": self._posts}.get(method, {})
            for pattern, function in routes.items():
                if found := re.fullmatch(pattern, path):
                    given = query if method == "GET" else read_body(body)
                    return wrapped(function(*found.groups(), given))
        except (SettingsError, StoreError) as error:
            return refuse(400, str(error).removeprefix("EBCA: "))
        return refuse(404, "There is nothing here.")

    def add(self, given: Given) -> Poll:
        """Add a poll from the values of the page's form. Raises SettingsError."""
        a, b = read_text(given, "a", "off"), read_text(given, "b", "defaults")
        sides = {"a": read_side("A", a), "b": read_side("B", b)}
        if sides["a"] == sides["b"]:
            raise SettingsError("B", b, "other settings than A")
        sampling = checked_sampling(given.get("sampling", {}), self._painter)
        facts = {**self._painter.conditions(), **sides, "sampling": sampling}
        first, count = (
            read_whole(given, "seed", 1, 2**31),
            read_whole(given, "seeds", 1, _MOST_SEEDS),
        )
        name = clean(read_text(given, "name"))[:200]
        asked = _asked(given)
        seeds = range(first, first + count)
        return self._store.add_poll(name, _title(a), _title(b), facts, asked, seeds)

    # Requests that read

    def _poll(self, number: str) -> Poll:
        return self._store.poll(int(number))

    def _state(self, query: Given) -> Given:
        """Return what the first view and the form show; `done` counts the named voter's votes."""
        voter = self._store.known(read_text(query, "voter"))
        return {
            "polls": [
                {**self._told(poll), "done": self._store.done(poll.id, voter)}
                for poll in self._store.polls()
            ],
            "sets": [
                {"name": name, "title": title, "count": len(make())}
                for name, (title, make) in SETS.items()
            ],
            "sides": list(NAMED),
            "sampling": self._painter.usual(),
            "samplers": self._painter.samplers(),
        }

    def _told(self, poll: Poll) -> Given:
        return {
            **about(poll),
            "pairs": self._store.states(poll.id),
            "making": self.maker.state(poll.id).poll == poll.id,
            "problem": self.maker.state(poll.id).problem,
        }

    def _look(self, number: str, _: Given) -> Given:
        return self._told(self._poll(number))

    def _next(self, number: str, query: Given) -> Given:
        return self._view(self._poll(number), read_number(query, "voter"))

    def _view(self, poll: Poll, voter: int) -> Given:
        """Return what a voter sees: the next pair, without anything that tells its sides apart."""
        pairs = self._store.next_pairs(poll.id, voter, 2)
        shown = [{"id": p.id, "prompt": p.prompt, "kind": p.kind} for p in pairs]
        return {
            "poll": self._told(poll),
            "done": self._store.done(poll.id, voter),
            "pair": shown[0] if shown else None,
            "after": shown[1]["id"] if len(shown) > 1 else None,
        }

    def _picture(self, number: str, side: str, query: Given) -> Answer:
        pair = self._store.pair(int(number))
        a_left = self._store.a_is_left(pair.id, read_number(query, "voter"))
        path = self._store.path(pair, "a" if (side == "left") == a_left else "b")
        if not path.exists():
            if pair.state == "ready":  # the file was deleted
                self._store.set_state(pair.id, "wanted")
            raise StoreError(f"Pair {number} has no pictures.")
        return respond(200, "image/png", path.read_bytes(), cache="private, max-age=3600")

    def _sheet(self, number: str, _: Given) -> Answer:
        file = io.BytesIO()
        sheet(result(self._store, self._poll(number)), self._painter.font).save(file, "PNG")
        return respond(200, "image/png", file.getvalue())

    def _export(self, number: str, form: str, _: Given) -> Answer:
        poll = self._poll(number)
        write, kind = {
            "csv": (exchange.as_csv, "text/csv"),
            "json": (exchange.as_json, "application/json"),
        }[form]
        name = {"content-disposition": f'attachment; filename="ebca-vote-{poll.id}.{form}"'}
        return respond(200, kind, write(self._store, poll).encode(), **name)

    # Requests that change something

    def _add(self, given: Given) -> Given:
        poll = self.add(given)
        self.maker.start(poll)
        return self._told(poll)

    def _making(self, number: str, given: Given) -> Given:
        poll = self._poll(number)
        if given.get("on"):
            self.maker.start(poll)
        else:
            self.maker.pause()
        return self._told(poll)

    def _cast(self, number: str, given: Given) -> Given:
        voter = read_number(given, "voter")
        self._store.cast(int(number), voter, read_text(given, "choice"))
        return self._view(self._store.poll(self._store.pair(int(number)).poll), voter)

    def _undo(self, number: str, given: Given) -> Given:
        poll, voter = self._poll(number), read_number(given, "voter")
        undone = self._store.undo(poll.id, voter)
        view = self._view(poll, voter)
        if undone is not None:  # show it again, whatever else is open
            pair = self._store.pair(undone)
            after = (view["pair"] or {}).get("id")
            again = {"id": pair.id, "prompt": pair.prompt, "kind": pair.kind}
            view |= {"pair": again, "after": after if after != pair.id else view["after"]}
        return view

    def _import(self, number: str, given: Given) -> Given:
        _, new = exchange.take_in(self._store, self._poll(number), read_text(given, "file"))
        return {"new": new}

    def _import_new(self, given: Given) -> Given:
        poll, new = exchange.take_in(self._store, None, read_text(given, "file"))
        return {"new": new, "poll": poll.id}


def _asked(given: Given) -> list[Asked]:
    chosen = read_text(given, "prompts", "everyday")
    asked = read_list(read_text(given, "list")) if chosen == "own" else named(chosen)
    return some(asked, read_whole(given, "count", len(asked), 2**31))


def _title(side: str) -> str:
    return " ".join(clean(side).split())[:200]


def _file(name: str) -> bytes:
    return (resources.files("ebca.vote") / "page" / name).read_bytes()
