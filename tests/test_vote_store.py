"""Votes are kept: at once, through a kill, out and in again, and never mixed."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import urllib.request
from http.client import HTTPException
from pathlib import Path

import pytest
from votes import FACTS, poll_of

from ebca.settings import SettingsError
from ebca.vote.database import StoreError
from ebca.vote.exchange import as_csv, as_json, differences, take_in
from ebca.vote.store import CHOICES, Store, Vote, as_stored, fingerprint

HOSTILE = [
    "<script>alert(1)</script> & <img src=x onerror=alert(2)>",
    "it's \"quoted\", `so` and ${so}; DROP TABLE votes; --",
    "x" * 10_000,
    "خروف أسود وقطة بيضاء \u202e reversed",
    "👩‍🚀 and a 🐈‍⬛, e\u0301",
    "=1+1", "+1", "-1", "@SUM(A1)", "'=1", "''=1", "'quoted'", "a\tb",
    "%s %d {} \\n \\",
]  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def voted(store: Store, *voters: str, count: int = 12, facts: dict = FACTS) -> int:
    poll = poll_of(store, count, kinds=3, facts=facts)
    rng = random.Random(0)
    for name in voters:
        for pair in store.pairs(poll.id)[: count - 2]:
            shown = rng.choice(["left", "right", "same", "bad"])
            store.cast(pair.id, store.voter(name), shown)
    return poll.id


def test_a_vote_means_the_side_that_was_there(store: Store) -> None:
    poll, me = poll_of(store, 40), store.voter("me")
    for pair in store.pairs(poll.id):
        a_left = store.a_is_left(pair.id, me)
        assert store.cast(pair.id, me, "left") == ("a" if a_left else "b")
    votes = store.votes(poll.id)
    assert {vote.choice for vote in votes} == {"a", "b"}
    assert all(vote.a_left == (vote.choice == "a") for vote in votes)
    right = store.pairs(poll_of(store, 1).id)[0].id
    assert store.cast(right, me, "right") == ("b" if store.a_is_left(right, me) else "a")


def test_the_first_vote_on_a_pair_counts(store: Store) -> None:
    poll, me = poll_of(store, 1), store.voter("me")
    (pair,) = store.pairs(poll.id)
    for shown in ("same", "bad"):
        store.cast(pair.id, me, shown)
    assert [vote.choice for vote in store.votes(poll.id)] == ["same"]


def test_what_cannot_be_voted_on_is_refused(store: Store) -> None:
    poll, me = poll_of(store, 1), store.voter("me")
    (pair,) = store.pairs(poll.id)
    with pytest.raises(SettingsError, match="choice is 'a', but must be one of left, right"):
        store.cast(pair.id, me, "a")
    with pytest.raises(StoreError, match="no voter 99"):
        store.cast(pair.id, 99, "left")
    with pytest.raises(StoreError, match="no pair 99"):
        store.cast(99, me, "left")
    for state in ("wanted", "identical", "failed", "elsewhere"):
        store.set_state(pair.id, state)
        with pytest.raises(StoreError, match="no pictures"):
            store.cast(pair.id, me, "left")
    assert store.votes(poll.id) == []


def test_undo_takes_back_one_s_own_last_vote_in_this_poll(store: Store) -> None:
    poll, other = poll_of(store, 3), poll_of(store, 3)
    me, you = store.voter("me"), store.voter("you")
    first, second, _ = (pair.id for pair in store.pairs(poll.id))
    store.cast(first, me, "left")
    store.cast(second, me, "left")
    store.cast(first, you, "left")
    store.cast(store.pairs(other.id)[0].id, me, "left")
    assert store.undo(poll.id, me) == second
    assert [pair.id for pair in store.next_pairs(poll.id, me)] == [second]
    assert store.undo(poll.id, me) == first
    assert store.undo(poll.id, me) is None
    assert [vote.voter for vote in store.votes(poll.id)] == ["you"]
    assert store.done(other.id, me) == 1


def test_what_is_done_is_of_the_pairs_that_are_asked_about(store: Store) -> None:
    """Votes from elsewhere, on pairs without pictures here, are neither counted nor taken back."""
    poll, me = poll_of(store, 3), store.voter("me")
    store.add_pairs(poll.id, [("k", "far away", 1)], state="elsewhere")
    store.add_votes(poll.id, [Vote("me", "k", "far away", 1, "a", True, "2026-01-01")])
    assert (store.done(poll.id, me), store.undo(poll.id, me)) == (0, None)
    pairs = store.pairs(poll.id, "ready")
    for pair in pairs:
        store.cast(pair.id, me, "left")
    store.set_state(pairs[0].id, "wanted")  # its pictures are gone, and will be there again
    assert store.done(poll.id, me) == 3
    store.set_state(pairs[2].id, "failed")
    assert store.undo(poll.id, me) == pairs[1].id
    assert [vote.prompt for vote in store.votes(poll.id)] == [
        "far away", pairs[0].prompt, pairs[2].prompt,
    ]  # fmt: skip


def test_a_voter_is_known_by_name_and_nobody_is_made_by_asking(store: Store) -> None:
    assert store.known("Ada") == store.known("") == 0
    number = store.voter("Ada")
    assert store.known(" Ada ") == number
    assert store.known("ada") == 0


def test_a_voter_has_one_number_whatever_the_spaces_and_must_have_a_name(store: Store) -> None:
    assert store.voter(" Ada  L. ") == store.voter("Ada L.") != store.voter("ada l.")
    for bad in ("", "  ", "x" * 81, "\x00"):
        with pytest.raises(SettingsError, match="voter"):
            store.voter(bad)


def test_a_store_goes_on_where_it_was(tmp_path: Path) -> None:
    first = Store(tmp_path)
    number = voted(first, "me")
    first.close()
    again = Store(tmp_path)
    assert again.done(number, again.voter("me")) == 10
    left = {pair.prompt for pair in again.next_pairs(number, again.voter("me"), 99)}
    assert len(left) == 2
    assert left.isdisjoint(vote.prompt for vote in again.votes(number))


def test_two_programs_may_use_one_file_at_a_time(tmp_path: Path) -> None:
    stores = [Store(tmp_path), Store(tmp_path)]
    poll = poll_of(stores[0], 40)
    pairs = [pair.id for pair in stores[0].pairs(poll.id)]

    def cast(store: Store, name: str) -> None:
        for pair in pairs:
            store.cast(pair, store.voter(name), "same")

    threads = [
        threading.Thread(target=cast, args=(s, n)) for s, n in zip(stores, "xy", strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(stores[1].votes(poll.id)) == 80


def test_other_files_and_files_of_a_newer_version_are_refused_and_left_alone(
    tmp_path: Path,
) -> None:
    path = tmp_path / "votes.sqlite3"
    path.write_text("this is no database, but long enough to be taken for one" * 40)
    with pytest.raises(StoreError, match="cannot be used"):
        Store(tmp_path)
    path.unlink()
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE recipes (name TEXT)")
    db.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="not a file of EBCA's votes"):
        Store(tmp_path)
    assert path.read_bytes() == before
    path.unlink()
    Store(tmp_path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 2")
    db.close()
    with pytest.raises(StoreError, match="newer EBCA: its schema is 2, and this EBCA knows 1"):
        Store(tmp_path)


def test_what_is_changed_together_is_changed_wholly_or_not_at_all(store: Store) -> None:
    def half() -> None:
        with store.together():
            poll_of(store, 3)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half()
    assert store.polls() == []


class Failing:
    """A connection that cannot end its next change, as where the disk is full."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db, self._fails = db, True

    def __getattr__(self, name: str) -> object:
        return getattr(self._db, name)

    def execute(self, query: str, *values: object) -> sqlite3.Cursor:
        if query == "COMMIT" and self._fails:
            self._fails = False
            raise sqlite3.OperationalError("database or disk is full")
        return self._db.execute(query, *values)


def test_a_vote_that_could_not_be_written_is_told_and_the_next_one_is_kept(
    store: Store, tmp_path: Path
) -> None:
    poll = poll_of(store, 2)
    first, second = (pair.id for pair in store.pairs(poll.id))
    me = store.voter("me")
    store._db._db = Failing(store._db._db)
    with pytest.raises(StoreError, match="cannot be read or written now: database or disk is full"):
        store.cast(first, me, "same")
    store.cast(second, me, "bad")
    again = Store(tmp_path)  # what another program sees
    assert [vote.choice for vote in again.votes(poll.id)] == ["bad"]
    again.close()


def test_a_file_that_another_program_has_locked_is_told(store: Store, tmp_path: Path) -> None:
    poll = poll_of(store, 1)
    (pair,), me = store.pairs(poll.id), store.voter("me")
    store._db._db.execute("PRAGMA busy_timeout = 50")
    other = sqlite3.connect(tmp_path / "votes.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="locked"):
        store.cast(pair.id, me, "same")
    assert store.votes(poll.id) == []  # it can be read meanwhile
    other.execute("ROLLBACK")
    other.close()
    store.cast(pair.id, me, "same")
    assert len(store.votes(poll.id)) == 1


def test_a_folder_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StoreError, match="cannot be used"):
            Store(folder)


def test_facts_of_a_host_s_own_types_are_compared_as_they_are_kept(store: Store) -> None:
    facts = {"options": {"sizes": (1, 2), "path": Path("x")}}
    poll = store.add_poll("", "a", "b", facts, [], [])
    assert poll.facts == as_stored(facts) == {"options": {"sizes": [1, 2], "path": "x"}}
    assert poll.fingerprint == fingerprint(as_stored(facts))


# Out and in


@pytest.mark.parametrize("write", [as_json, as_csv])
def test_votes_go_out_and_in_again(tmp_path: Path, write) -> None:
    here, there = Store(tmp_path / "here"), Store(tmp_path / "there")
    number = voted(here, "me", "you")
    other = poll_of(there, 12, kinds=3)
    text = write(here, here.poll(number))
    assert take_in(there, other, text) == (other, 20)
    assert take_in(there, other, text) == (other, 0)
    assert sorted(map(repr, there.votes(other.id))) == sorted(map(repr, here.votes(number)))


def test_a_whole_poll_goes_elsewhere_without_its_pictures(tmp_path: Path) -> None:
    here, there = Store(tmp_path / "here"), Store(tmp_path / "there")
    number = voted(here, "me")
    poll, new = take_in(there, None, as_json(here, here.poll(number)))
    assert new == 10
    assert (poll.facts, poll.fingerprint) == (FACTS, here.poll(number).fingerprint)
    assert there.states(poll.id) == {"elsewhere": 12}
    assert there.next_pairs(poll.id, there.voter("me")) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"model": "n [2]"}, "model is 'n [2]', not 'm [1]'"),
        ({"version": "2"}, "version is '2', not '1'"),
        ({"b": {"enabled": True, "regions": 0.5}}, "b regions is 0.5, not 1.0"),
        ({"sampling": {**FACTS["sampling"], "steps": 2}}, "sampling steps is 2, not 1"),
        ({"options": {"Clip skip": 2}}, "options is {'Clip skip': 2}, not None"),
    ],
)
def test_votes_on_other_facts_are_refused_and_nothing_is_changed(
    store: Store, change: dict, told: str
) -> None:
    ours = store.poll(voted(store, "me"))
    theirs = store.poll(voted(store, "you", facts={**FACTS, **change}))
    before = store.votes(ours.id)
    with pytest.raises(StoreError, match="cannot be mixed") as refused:
        take_in(store, ours, as_json(store, theirs))
    assert str(refused.value).endswith(f": {told}.")
    with pytest.raises(StoreError, match="cannot be mixed: their fingerprint is"):
        take_in(store, ours, as_csv(store, theirs))
    assert store.votes(ours.id) == before


def test_differences_name_what_is_only_on_one_side() -> None:
    assert list(differences({"a": 1, "c": {"d": 1}}, {"b": 2, "c": {"d": 1}})) == [
        "a is None, not 1", "b is 2, not None",
    ]  # fmt: skip


@pytest.mark.parametrize("write", [as_json, as_csv])
def test_hostile_prompts_kinds_and_voters_come_back_as_they_were(tmp_path: Path, write) -> None:
    here, there = Store(tmp_path / "here"), Store(tmp_path / "there")
    asked = [(text[:80], text) for text in HOSTILE]
    polls = [store.add_poll("", "a", "b", FACTS, asked, [1]) for store in (here, there)]
    for pair in here.pairs(polls[0].id):
        here.set_state(pair.id, "ready")
        here.cast(pair.id, here.voter(pair.prompt[:60]), "same")
    assert take_in(there, polls[1], write(here, here.poll(polls[0].id)))[1] == len(HOSTILE)
    assert {vote.prompt for vote in there.votes(polls[1].id)} == set(HOSTILE)
    assert there.states(polls[1].id) == {"wanted": len(HOSTILE)}  # none was taken for another


def test_no_cell_of_a_table_is_a_formula(tmp_path: Path) -> None:
    store = Store(tmp_path)
    asked = [(text, text) for text in HOSTILE]
    poll = store.add_poll("", "a", "b", FACTS, asked, [1])
    for pair in store.pairs(poll.id):
        store.set_state(pair.id, "ready")
        store.cast(pair.id, store.voter("=me()"), "bad")
    rows = list(csv.reader(io.StringIO(as_csv(store, poll), newline="")))
    assert len(rows) == 1 + len(HOSTILE)
    assert not [cell for row in rows for cell in row if cell[:1] in tuple("=+-@\t\r")]


@pytest.mark.parametrize(
    "text",
    [
        "", "nonsense", "{", "{}", '{"ebca vote": 2}', '{"ebca vote": 1}', "a,b\n1,2\n",
        '{"ebca vote": 1, "name": "", "a": "", "b": "", "facts": [], "pairs": 5, "votes": []}',
        '{"ebca vote": ' + "[" * 200_000,
    ],
)  # fmt: skip
def test_what_is_no_file_of_votes_is_refused(store: Store, text: str) -> None:
    poll = poll_of(store, 1)
    with pytest.raises(StoreError):
        take_in(store, poll, text)
    with pytest.raises(StoreError):
        take_in(store, None, text)
    assert len(store.polls()) == 1


@pytest.mark.parametrize(
    "change",
    [{"choice": "left"}, {"voter": ""}, {"seed": "1"}, {"seed": -1}, {"prompt": 5}, {"at": None}],
)
def test_a_bad_vote_in_a_file_spoils_the_file(store: Store, change: dict) -> None:
    whole = json.loads(as_json(store, store.poll(voted(store, "me"))))
    whole["votes"][-1] |= change
    with pytest.raises(StoreError):
        take_in(store, None, json.dumps(whole))
    assert len(store.polls()) == 1


# The kill

_SERVER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from votes import poll_of, service
from ebca.vote.server import Server
one = service(Path(sys.argv[1]))
if not one._store.polls():
    poll_of(one._store, 300)
with Server(one) as server:
    print(server.address, flush=True)
    server.serve_forever()
"""


def serving(folder: Path) -> tuple[subprocess.Popen, str]:
    command = [sys.executable, "-c", _SERVER, str(folder), str(Path(__file__).parent)]
    root = Path(__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=root, env=environment
    )
    assert process.stdout
    return process, process.stdout.readline().strip()


def post(address: str, path: str, given: dict) -> dict:
    headers = {"X-EBCA-Vote": "1", "Content-Type": "application/json"}
    request = urllib.request.Request(address + path, json.dumps(given).encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


@pytest.mark.skipif(os.name == "nt", reason="there is no kill -9")
def test_a_kill_in_the_middle_of_voting_loses_nothing(tmp_path: Path) -> None:
    """Every vote that was answered is there, whenever the program is killed; again and again."""
    answered: dict[int, str] = {}
    rng = random.Random(0)
    for killed_after in (3, 17, 40):
        process, address = serving(tmp_path)
        try:
            me = post(address, "api/voters", {"name": "me"})["voter"]
            with urllib.request.urlopen(f"{address}api/polls/1/next?voter={me}") as answer:
                view = json.load(answer)
            assert 0 <= view["done"] - len(answered) <= 3  # it goes on where it was
            cast = 0
            while cast < killed_after:
                pair, choice = view["pair"]["id"], rng.choice(["same", "bad"])
                view = post(address, f"api/pairs/{pair}", {"voter": me, "choice": choice})
                answered[pair] = choice
                cast += 1
            last = {"voter": me, "choice": "same"}
            late = threading.Thread(
                target=_late, args=(address, view["pair"]["id"], last, answered)
            )
            late.start()  # one that is on its way when it happens
            process.send_signal(signal.SIGKILL)
            late.join()
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
    db = sqlite3.connect(tmp_path / "votes.sqlite3")
    assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    stored = dict(db.execute("SELECT pair, choice FROM votes"))
    db.close()
    assert answered.items() <= stored.items()
    assert len(stored) - len(answered) <= 3  # of those on the way
    assert set(stored.values()) <= set(CHOICES)


def _late(address: str, pair: int, given: dict, answered: dict[int, str]) -> None:
    try:
        post(address, f"api/pairs/{pair}", given)
    except (OSError, HTTPException, ValueError):
        return  # it was not answered, or not wholly
    answered[pair] = given["choice"]
