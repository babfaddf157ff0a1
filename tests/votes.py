"""For the tests of the vote: a painter that paints plain colours, and a service on it."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image, ImageFont

from ebca.settings import SettingsError
from ebca.vote.maker import Maker
from ebca.vote.prompts import Asked
from ebca.vote.server import Server
from ebca.vote.service import Service
from ebca.vote.store import Poll, Store

FACTS = {
    "model": "m [1]",
    "version": "1",
    "a": {"enabled": False},
    "b": {"enabled": True, "regions": 1.0},
    "sampling": {"steps": 1, "cfg": 1.0, "width": 8, "height": 8, "negative": ""},
}
COLOURS = {"a": (200, 0, 0), "b": (0, 0, 200)}
"""Of the pictures of the two settings."""


class Plain:
    """A painter: A is red and B is blue, whatever is asked."""

    def __init__(self) -> None:
        self.lock, self.model, self.trouble = threading.Lock(), "plain", Exception
        self.options: dict[str, Any] = {}
        self.painted: list[tuple[str, int, bool]] = []

    def turn(self) -> contextlib.AbstractContextManager[object]:
        return self.lock

    def conditions(self) -> dict[str, Any]:
        return {"version": "0", "model": self.model, "options": self.options}

    def usual(self) -> dict[str, Any]:
        return {"steps": 2, "cfg": 4.0, "width": 64, "height": 64, "sampler": "x", "negative": ""}

    def samplers(self) -> list[str]:
        return ["x", "y"]

    def paint(
        self, prompt: str, seed: int, sampling: dict[str, Any], side: dict[str, Any]
    ) -> Image.Image:
        assert self.lock.locked()
        if "refused" in prompt:
            raise SettingsError("weight", prompt, "another one")
        if "stopped" in prompt:
            raise self.trouble("stopped")
        self.painted.append((prompt, seed, side["enabled"]))
        same = "identical" in prompt
        colour = COLOURS["b" if side["enabled"] and not same else "a"]
        return Image.new("RGB", (sampling["width"], sampling["height"]), colour)

    def font(self, size: int) -> Any:
        return ImageFont.load_default(size)


def service(folder: Path) -> Service:
    return Service(Store(folder), Plain())


def ask(service: Service, path: str, given: dict[str, Any] | None = None) -> dict[str, Any]:
    """What the page gets; an error is an answer too."""
    path, _, query = path.partition("?")
    if given is None:
        values = dict(part.split("=") for part in query.split("&") if part)
        answer = service.answer("GET", f"api/{path}", values, {})
    else:
        body = json.dumps(given).encode()
        answer = service.answer("POST", f"api/{path}", {}, {"x-ebca-vote": "1"}, body)
    assert answer.kind.startswith("application/json")
    return {"status": answer.status, **json.loads(answer.body)}


def poll_of(store: Store, prompts: int, kinds: int = 1, facts: dict[str, Any] = FACTS) -> Poll:
    """A poll whose pairs are all ready, without pictures."""
    asked = [Asked(f"kind {n % kinds}", f"prompt {n}") for n in range(prompts)]
    poll = store.add_poll("a poll", "off", "on", facts, asked, [1])
    with store.together():
        for pair in store.pairs(poll.id):
            store.set_state(pair.id, "ready")
    return poll


def cast(store: Store, poll: int, choices: dict[str, str], name: str = "me") -> None:
    """Votes of one voter: prompt -> `a`, `b`, `same` or `bad`."""
    voter = store.voter(name)
    for pair in store.pairs(poll):
        left, right = "ab" if store.a_is_left(pair.id, voter) else "ba"
        if (choice := choices.get(pair.prompt)) is not None:
            store.cast(pair.id, voter, {left: "left", right: "right"}.get(choice, choice))


def made(service: Service, given: dict[str, Any]) -> int:
    """A poll of the form's values, whose pairs have been made."""
    poll = service.add(given)
    maker: Maker = service.maker
    maker.start(poll)
    assert maker.wait(60)
    return poll.id


@contextlib.contextmanager
def served(one: Service) -> Iterator[str]:
    """The address of a server of the command line that answers for `one` while the block runs."""
    with Server(one) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.address
        finally:
            server.shutdown()
            thread.join()
