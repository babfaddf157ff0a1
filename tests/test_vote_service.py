"""What the page gets: blind pairs, kept votes, clear refusals, and nothing for strangers."""

from __future__ import annotations

import argparse
import io
import json
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from test_vote_store import HOSTILE
from votes import COLOURS, ask, made, served, service

from ebca import Settings, SettingsError
from ebca.options.presets import PRESETS
from ebca.vote.cli import add_vote, given
from ebca.vote.database import StoreError
from ebca.vote.painter import PaintingStoppedError
from ebca.vote.prompts import (
    ANIMALS,
    MOST_CHARACTERS,
    OBJECTS,
    SETS,
    named,
    read_list,
    some,
)
from ebca.vote.prompts import (
    COLOURS as NAMES_OF_COLOURS,
)
from ebca.vote.server import Server
from ebca.vote.service import Service
from ebca.vote.sides import NAMED, read_side, settings_of

FORM = {"name": "mine", "prompts": "own", "list": "a cat\na dog\na bird", "a": "off"}
HEADERS = {"x-ebca-vote": "1"}


@pytest.fixture
def one(tmp_path: Path) -> Service:
    return service(tmp_path)


@pytest.fixture
def voter(one: Service) -> int:
    return ask(one, "voters", {"name": "me"})["voter"]


# The prompts


def test_the_built_in_lists_are_as_long_as_they_say() -> None:
    assert {name: len(named(name)) for name in SETS} == {
        "everyday": 60, "attend-and-excite": 276, "animals": 66, "animals-objects": 144,
        "objects": 66,
    }  # fmt: skip
    for name in SETS:
        prompts = [each.prompt for each in named(name)]
        assert len(set(prompts)) == len(prompts)
        assert not [text for text in prompts if re.search(r"\ba [aeiou]|\ban [^aeiou]", text)]


def test_the_lists_of_attend_and_excite_are_all_combinations() -> None:
    assert named("animals")[0].prompt == "a cat and a dog"
    for name, words in (("animals", ANIMALS), ("objects", OBJECTS)):
        seen = [tuple(w for w in words if re.search(rf"\b{w}\b", p.prompt)) for p in named(name)]
        assert len(set(seen)) == 66
        assert all(len(pair) == 2 for pair in seen)
    for each in named("objects"):
        colours = [word for word in each.prompt.split() if word in NAMES_OF_COLOURS]
        assert len(set(colours)) == 2
    assert {each.kind for each in named("attend-and-excite")} == {
        "animals", "animals and objects", "objects",
    }  # fmt: skip


def test_a_list_has_kinds_and_every_prompt_once() -> None:
    text = "a cat\n\n# dogs\n a dog \r\na cat\na wolf\n#hashtag\n# \n"
    assert read_list(text) == [
        ("own", "a cat"), ("dogs", "a dog"), ("dogs", "a wolf"), ("dogs", "#hashtag"),
        ("dogs", "#"),
    ]  # fmt: skip
    for bad in ("", "  \n# kind\n", "\n".join(map(str, range(2001))), "x" * 20_001):
        with pytest.raises(SettingsError, match="prompt"):
            read_list(bad)
    assert len(read_list("x" * MOST_CHARACTERS)) == 1


def test_some_of_a_list_are_always_the_same_in_their_order() -> None:
    chosen = some(named("animals"), 20)
    assert chosen == some(named("animals"), 20)
    assert len(set(chosen)) == 20
    places = [named("animals").index(each) for each in chosen]
    assert places == sorted(places)
    assert some(named("animals"), 999) == named("animals")


# The sides


def test_a_side_is_off_the_defaults_a_preset_values_or_an_infotext() -> None:
    assert settings_of(read_side("A", "off")) is None
    assert settings_of(read_side("A", "defaults")) == Settings()
    for name in NAMED[2:]:
        assert settings_of(read_side("A", name)) == Settings(**PRESETS[name])
    own = Settings(regions=0.5, layers="0-2, up", centered=False)
    assert settings_of(read_side("B", "regions=0.5, layers: 0-2, up; centered = off")) == own
    told = "a cat\nSteps: 20, Seed: 1, EBCA: on, EBCA version: 0.2.0, EBCA regions: 0.5"
    assert settings_of(read_side("B", told)) == Settings(regions=0.5, regions_words=0.0)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("regions=50", "regions is 50.0, but must be a number from 0"),
        ("region=1", "B is 'region', but must be one of the settings"),
        ("on", "B is 'on', but must be one of off, defaults"),
        ("please regions=1", "B is 'please regions=1', but"),
        ("subjects=cat, dog", "subjects is 'cat, dog', but must be left out"),
        ("token_weights=cat:2", "token_weights is 'cat:2', but must be left out"),
    ],
)
def test_a_side_that_cannot_be_is_told(one: Service, text: str, told: str) -> None:
    answer = ask(one, "polls", {**FORM, "b": text})
    assert answer["status"] == 400
    assert told in answer["error"]
    assert ask(one, "state")["polls"] == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"a": "defaults"}, "B is 'defaults', but must be other settings than A"),
        ({"list": ""}, "at least one prompt"),
        ({"prompts": "nothing"}, "prompts is 'nothing', but must be one of everyday"),
        ({"count": 0}, "count is 0"), ({"seeds": 1.5}, "seeds is 1.5"), ({"seeds": 101}, "seeds"),
        ({"seed": -1}, "seed is -1"), ({"seed": True}, "seed is True"), ({"name": 5}, "name is 5"),
        ({"sampling": {"steps": 0}}, "steps is 0, but must be a whole number from 1 to 150"),
        ({"sampling": {"cfg": "7"}}, "cfg is '7'"), ({"sampling": {"width": 100}}, "multiple of 8"),
        ({"sampling": {"width": float("nan")}}, "width is nan"),
        ({"sampling": {"height": float("inf")}}, "height is inf"),
        ({"sampling": {"sampler": "z"}}, "sampler is 'z'"), ({"sampling": []}, "sampling is []"),
        ({"sampling": {"negative": None}}, "negative is None"),
    ],
)  # fmt: skip
def test_a_form_that_cannot_be_is_told(one: Service, change: dict, told: str) -> None:
    answer = ask(one, "polls", {**FORM, **change})
    assert answer["status"] == 400
    assert told in answer["error"]
    assert ask(one, "state")["polls"] == []


# Making and voting


def picture(one: Service, pair: int, side: str, voter: int) -> tuple[int, int, int]:
    answer = one.answer("GET", f"api/pairs/{pair}/{side}.png", {"voter": str(voter)}, {})
    with Image.open(io.BytesIO(answer.body)) as shown:
        assert not shown.info  # nothing tells how it was made
        return shown.convert("RGB").getpixel((0, 0))


def test_a_vote_from_the_form_to_the_result(one: Service, voter: int) -> None:
    poll = made(one, FORM)
    seen = []
    view = ask(one, f"polls/{poll}/next?voter={voter}")
    while pair := view["pair"]:
        assert set(pair) == {"id", "prompt", "kind"}  # nothing of sides or seeds
        shown = {side: picture(one, pair["id"], side, voter) for side in ("left", "right")}
        assert sorted(shown.values()) == sorted(COLOURS.values())
        (blue,) = (side for side, colour in shown.items() if colour == COLOURS["b"])
        seen.append(pair["prompt"])
        view = ask(one, f"pairs/{pair['id']}", {"voter": voter, "choice": blue})
    assert sorted(seen) == ["a bird", "a cat", "a dog"]
    assert view["done"] == 3
    told = ask(one, f"polls/{poll}/result")["together"]
    assert (told["a"], told["b"], told["count"]) == (0, 3, 3)


def test_the_list_says_what_a_voter_has_done(one: Service, voter: int) -> None:
    poll = made(one, FORM)
    for pair in one._store.pairs(poll)[:2]:
        ask(one, f"pairs/{pair.id}", {"voter": voter, "choice": "left"})
    done = {n: ask(one, f"state?voter={n}")["polls"][0]["done"] for n in ("me", "you", "")}
    assert done == {"me": 2, "you": 0, "": 0}
    assert ask(one, "state")["polls"][0]["done"] == 0


def test_an_undone_pair_is_shown_again_as_it_was(one: Service, voter: int) -> None:
    poll = made(one, FORM)
    first = ask(one, f"polls/{poll}/next?voter={voter}")
    pair = first["pair"]["id"]
    before = picture(one, pair, "left", voter)
    second = ask(one, f"pairs/{pair}", {"voter": voter, "choice": "same"})
    assert second["pair"]["id"] == first["after"]
    again = ask(one, f"polls/{poll}/undo", {"voter": voter})
    assert (again["pair"]["id"], again["done"]) == (pair, 0)
    assert picture(one, pair, "left", voter) == before
    assert ask(one, f"polls/{poll}/undo", {"voter": voter})["pair"]["id"] == pair


def test_pairs_that_are_identical_are_told_and_not_asked_about(one: Service, voter: int) -> None:
    poll = made(one, {**FORM, "list": "identical twins\na cat"})
    assert ask(one, f"polls/{poll}")["pairs"] == {"identical": 1, "ready": 1}
    assert ask(one, f"polls/{poll}/next?voter={voter}")["after"] is None
    assert ask(one, f"polls/{poll}/result")["pairs"]["identical"] == 1


def test_a_prompt_that_is_refused_does_not_stop_the_others(one: Service) -> None:
    poll = made(one, {**FORM, "list": "a cat\nrefused\na dog"})
    assert ask(one, f"polls/{poll}")["pairs"] == {"failed": 1, "ready": 2}
    assert ask(one, f"polls/{poll}")["problem"] == ""


def test_after_three_failures_in_a_row_nothing_more_is_tried_until_it_is_asked_for(
    one: Service,
) -> None:
    listed = "\n".join(f"refused {n}" for n in range(5))
    poll = made(one, {**FORM, "list": listed})
    told = ask(one, f"polls/{poll}")
    assert told["pairs"] == {"failed": 3, "wanted": 2}
    assert "3 pairs in a row could not be made: weight is 'refused" in told["problem"]
    ask(one, f"polls/{poll}/making", {"on": True})
    assert one.maker.wait(30)
    assert ask(one, f"polls/{poll}")["pairs"] == {"failed": 3, "wanted": 2}


def test_an_interrupted_picture_pauses_and_is_made_later(one: Service) -> None:
    one._painter.trouble = PaintingStoppedError
    poll = made(one, {**FORM, "list": "stopped"})
    assert ask(one, f"polls/{poll}")["problem"] == "stopped"
    assert ask(one, f"polls/{poll}")["pairs"] == {"wanted": 1}


def test_pairs_are_not_made_with_another_model(one: Service) -> None:
    poll = made(one, FORM)
    one._store.set_state(one._store.pairs(poll)[0].id, "wanted")
    one._painter.model = "another"
    count = len(one._painter.painted)
    ask(one, f"polls/{poll}/making", {"on": True})
    assert one.maker.wait(30)
    assert "model is 'another', not 'plain'" in ask(one, f"polls/{poll}")["problem"]
    assert len(one._painter.painted) == count
    one._painter.model = "plain"
    ask(one, f"polls/{poll}/making", {"on": True})
    assert one.maker.wait(30)
    assert ask(one, f"polls/{poll}")["pairs"] == {"ready": 3}
    assert ask(one, f"polls/{poll}")["problem"] == ""


def test_options_that_are_no_plain_values_are_the_same_later(one: Service) -> None:
    one._painter.options = {"sizes": (1, 2), "path": Path("x")}
    poll = made(one, FORM)
    assert ask(one, f"polls/{poll}")["problem"] == ""
    assert ask(one, f"polls/{poll}")["pairs"] == {"ready": 3}


def test_what_ends_the_making_is_told(one: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here the file of votes, at a moment when no pair is to blame."""
    poll = one.add(FORM)

    def broken(*_: object) -> list[object]:
        raise StoreError("The votes cannot be read now.")

    with monkeypatch.context() as patch:
        patch.setattr(one.maker._store, "set_state", broken)
        one.maker.start(poll)
        assert one.maker.wait(30)
    told = ask(one, f"polls/{poll.id}")
    assert (told["making"], told["problem"]) == (False, "The votes cannot be read now.")
    assert told["pairs"] == {"wanted": 3}
    one.maker.start(poll)
    assert one.maker.wait(30)
    assert ask(one, f"polls/{poll.id}")["pairs"] == {"ready": 3}


def test_making_that_is_asked_for_while_it_ends_begins_again(one: Service) -> None:
    """The thread that found nothing more to do may be alive for a moment still."""
    poll = one.add(FORM)
    ended, go_on, found = threading.Event(), threading.Event(), one.maker._next_poll

    def next_poll() -> int | None:
        number = found()
        if number is None and not ended.is_set():
            ended.set()
            assert go_on.wait(30)
        return number

    one.maker._next_poll = next_poll
    one.maker.start(poll)
    assert ended.wait(30)
    for pair in one._store.pairs(poll.id):
        one._store.set_state(pair.id, "wanted")
    first = one.maker._thread
    one.maker.start(poll)
    go_on.set()
    first.join(30)
    assert one.maker.wait(30)
    assert ask(one, f"polls/{poll.id}")["pairs"] == {"ready": 3}


def test_pictures_that_were_deleted_are_made_again(one: Service, voter: int) -> None:
    poll = made(one, {**FORM, "list": "a cat"})
    (pair,) = one._store.pairs(poll)
    before = one._store.path(pair, "b").read_bytes()
    for side in "ab":
        one._store.path(pair, side).unlink()
    path = f"api/pairs/{pair.id}/left.png"
    assert one.answer("GET", path, {"voter": str(voter)}, {}).status == 400
    assert ask(one, f"polls/{poll}")["pairs"] == {"wanted": 1}
    assert ask(one, f"polls/{poll}/next?voter={voter}")["pair"] is None
    ask(one, f"polls/{poll}/making", {"on": True})
    assert one.maker.wait(30)
    assert one._store.path(pair, "b").read_bytes() == before
    assert one.answer("GET", path, {"voter": str(voter)}, {}).status == 200


def test_making_is_paused_and_goes_on(one: Service) -> None:
    with one._painter.lock:  # somebody uses the model
        poll = one.add(FORM).id
        assert ask(one, f"polls/{poll}/making", {"on": True})["making"]
        assert not ask(one, f"polls/{poll}/making", {"on": False})["making"]
    assert one.maker.wait(30)
    assert ask(one, f"polls/{poll}")["pairs"].get("wanted", 0) >= 2
    ask(one, f"polls/{poll}/making", {"on": True})
    assert one.maker.wait(30)
    assert ask(one, f"polls/{poll}")["pairs"] == {"ready": 3}


def test_every_prompt_is_made_with_every_seed_and_both_sides(one: Service) -> None:
    made(one, {**FORM, "seeds": 2, "seed": 7})
    wanted = {
        (p, s, on) for p in ("a cat", "a dog", "a bird") for s in (7, 8) for on in (True, False)
    }
    assert set(one._painter.painted) == wanted
    assert len(one._painter.painted) == len(wanted)


# Hostile users and strangers


def test_hostile_texts_come_back_as_text(one: Service) -> None:
    texts = [text for text in HOSTILE if "\t" not in text]
    form = {"name": HOSTILE[0], "prompts": "own", "list": "\n".join(texts)}
    poll = made(one, form)
    voter = ask(one, "voters", {"name": HOSTILE[0]})["voter"]
    seen = set()
    view = ask(one, f"polls/{poll}/next?voter={voter}")
    while pair := view["pair"]:
        seen.add(pair["prompt"])
        view = ask(one, f"pairs/{pair['id']}", {"voter": voter, "choice": "same"})
    assert seen == set(texts)
    assert ask(one, f"polls/{poll}/result")["poll"]["name"] == HOSTILE[0]
    for path in ("result.png", "votes.csv", "votes.json"):
        assert one.answer("GET", f"api/polls/{poll}/{path}", {}, {}).status == 200


def test_halves_of_characters_and_zeros_are_taken_out(one: Service) -> None:
    poll = made(one, {**FORM, "list": "a \ud83d cat\x00\x1b[31m"})
    assert [pair.prompt for pair in one._store.pairs(poll)] == ["a  cat[31m"]


def test_a_name_of_ten_thousand_characters_fits_into_the_picture(one: Service) -> None:
    poll = made(one, {**FORM, "name": "W" * 10_000, "b": "regions=0.5," + " " * 9000})
    shown = one.answer("GET", f"api/polls/{poll}/result.png", {}, {})
    assert Image.open(io.BytesIO(shown.body)).width == 1000


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("api/polls", b"{"), ("api/polls", b"[]"), ("api/polls", b"[" * 100_000),
        ("api/polls/1/making", b"{}"), ("api/pairs/1", b"{}"), ("api/voters", b'{"name": []}'),
        ("api/pairs/1", b'{"voter": "x"}'), ("api/pairs/1", b'{"voter": 1e999}'),
        ("api/polls/999999999999999/undo", b'{"voter": 1}'),
        ("api/pairs/1", b'{"voter": 9223372036854775808, "choice": "left"}'),
        ("api/votes", b'{"file": "nonsense"}'),
    ],
)  # fmt: skip
def test_a_bad_request_is_refused_with_a_sentence(one: Service, path: str, body: bytes) -> None:
    answer = one.answer("POST", path, {}, HEADERS, body)
    assert answer.status == 400
    assert json.loads(answer.body)["error"]


@pytest.mark.parametrize(
    "path",
    ["vote.html", "../votes.sqlite3", "votes.sqlite3", "api", "api/pairs/1/../../votes.sqlite3",
     "api/pairs/1/a.png", "api/polls/1e3", "api/polls/-1", f"api/polls/{'9' * 30}"],
)  # fmt: skip
def test_there_is_nothing_but_what_is_there(one: Service, path: str) -> None:
    assert one.answer("GET", path, {}, {}).status == 404


def test_what_does_not_come_from_the_page_changes_nothing(one: Service) -> None:
    body = json.dumps(FORM).encode()
    assert one.answer("POST", "api/polls", {}, {}, body).status == 403
    assert one.answer("PUT", "api/polls", {}, HEADERS, body).status == 404
    assert ask(one, "state")["polls"] == []


def test_the_page_takes_nothing_from_elsewhere_and_puts_no_text_in_as_html(one: Service) -> None:
    page, script, style = (
        one.answer("GET", name, {}, {}).body.decode() for name in ("", "vote.js", "vote.css")
    )
    for text in (page, script, style):
        assert "//" not in re.sub(r"^\s*//.*$|\s// .*$", "", text, flags=re.MULTILINE)
        assert "http" not in text
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", script)
    assert not re.search(r"<script>|<style| style=| on\w+=", page)
    policy = one.answer("GET", "", {}, {}).headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self'" in policy
    assert "unsafe" not in policy


# The server of the command line


@pytest.fixture
def address(one: Service) -> Iterator[str]:
    with served(one) as address:
        yield address


def fetched(url: str, headers: dict[str, str], body: bytes | None = None) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=10) as got:
            return int(got.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def test_the_server_is_for_this_machine_alone(address: str) -> None:
    assert address.startswith("http://127.0.0.1:")
    host = address.split("/")[2]
    assert fetched(f"{address}api/state", {}) == 200
    assert fetched(f"{address}api/state", {"Host": host.replace("127.0.0.1", "localhost")}) == 200
    assert fetched(f"{address}api/state", {"Host": "evil.example"}) == 403
    assert fetched(f"{address}api/state", {"Host": "evil.example:" + host.split(":")[1]}) == 403


def test_the_server_takes_votes_from_its_page_alone(address: str) -> None:
    body = b'{"name": "me"}'
    assert fetched(f"{address}api/voters", {}, body) == 403
    assert fetched(f"{address}api/voters", {"X-EBCA-Vote": "1"}, body) == 200
    assert fetched(f"{address}nothing", {}) == 404
    for length, status in {
        str(10**9): 413,
        "9" * 5000: 413,
        "-1": 411,
        "\xb2": 411,
        "x": 411,
    }.items():
        wrong = {"X-EBCA-Vote": "1", "Content-Length": length}
        assert fetched(f"{address}api/voters", wrong, b"") == status


def test_at_the_port_of_the_web_itself_browsers_name_no_port(
    one: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Server, "server_bind", lambda self: setattr(self, "server_port", 80))
    monkeypatch.setattr(Server, "server_activate", lambda self: None)
    with Server(one, 80) as server:
        assert {"127.0.0.1", "localhost:80"} <= server.names


def test_a_file_of_prompts_may_begin_with_a_mark_of_its_encoding(tmp_path: Path) -> None:
    file = tmp_path / "prompts.txt"
    file.write_bytes(b"\xef\xbb\xbfa cat\r\n# night\r\na dog")
    parser = argparse.ArgumentParser()
    command = add_vote(parser.add_subparsers())
    asked = given(command.parse_args(["--prompts", str(file)]))
    assert read_list(asked["list"]) == [("own", "a cat"), ("night", "a dog")]
    with pytest.raises(SettingsError, match="a text file that can be read"):
        given(command.parse_args(["--prompts", str(tmp_path)]))
