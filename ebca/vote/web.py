"""The page's requests and answers: input from a browser is checked, and answers are closed to other
pages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from ebca.settings import SettingsError
from ebca.vote.database import StoreError

MOST_BYTES = 50_000_000
"""The largest request that is accepted."""

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " frame-ancestors 'self'; form-action 'none'; base-uri 'none'"
)
_MOST = 2**53

Given = dict[str, Any]
"""The content of a request: a JSON object, or the query of an address."""


class Answer(NamedTuple):
    """An answer to the browser."""

    status: int
    kind: str
    body: bytes
    headers: dict[str, str]


def read_body(body: bytes) -> Given:
    if len(body) > MOST_BYTES:
        raise StoreError("That is too much at once.")
    try:
        given = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        raise StoreError("The request is no JSON object.")
    return given


def read_text(given: Mapping[str, Any], name: str, usual: str = "") -> str:
    """Return the text `name`. Raises SettingsError if it is not a text."""
    value = given.get(name, usual)
    if not isinstance(value, str):
        raise SettingsError(name, value, "a text")
    return value


def read_number(given: Mapping[str, Any], name: str) -> int:
    """Return the number of a pair, poll or voter. Raises SettingsError if it is not one."""
    try:
        if 0 <= (value := int(given[name])) < _MOST:
            return value
    except (KeyError, TypeError, ValueError, OverflowError):
        pass
    raise SettingsError(name, given.get(name), "a number")


def read_whole(given: Mapping[str, Any], name: str, usual: int, most: int) -> int:
    """Return a whole number up to `most`. Raises SettingsError if it is not one."""
    value = given.get(name, usual)
    low = 0 if name == "seed" else 1
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= most:
        raise SettingsError(name, value, f"a whole number from {low} to {most}")
    return value


def wrapped(made: Any) -> Answer:
    if isinstance(made, Answer):
        return made
    return respond(200, "application/json", json.dumps(made).encode())


def refuse(status: int, message: str) -> Answer:
    return respond(status, "application/json", json.dumps({"error": message}).encode())


def respond(status: int, kind: str, body: bytes, cache: str = "no-store", **headers: str) -> Answer:
    """Build an answer that no page of another origin can show or read."""
    written = kind.startswith(("text/", "application/json"))
    return Answer(
        status,
        kind + "; charset=utf-8" * written,
        body,
        {
            "cache-control": cache,
            "content-security-policy": _POLICY,
            "referrer-policy": "no-referrer",
            "x-content-type-options": "nosniff",
            **headers,
        },
    )
