"""The words of a result: who is preferred, what is open, and the same in all places."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from votes import FACTS, Plain, cast, poll_of

from ebca.align.statistics import Interval
from ebca.vote.prompts import Asked
from ebca.vote.results import result
from ebca.vote.sheet import _Pen, sheet
from ebca.vote.statistics import Tally
from ebca.vote.store import Store
from ebca.vote.verdict import ahead, preferred, side, verdict


def plain(text: str) -> str:
    """With spaces at which a line may end."""
    return text.replace("\u00a0", " ")


OPEN = " The interval has 50 % in it, so this may be chance."


@pytest.mark.parametrize(
    ("tally", "sentence", "cell"),
    [
        (Tally(), "Nobody has voted yet.", ""),
        (Tally(same=3, bad=1), "Only ties: nobody has preferred A (off) or B (on) yet.",
         "only ties"),
        (Tally(a=1), "Still open: A (off) is ahead of B (on) in 100 % [21, 100] of 1 decision,"
         " p = 1.000." + OPEN, "open: A 100 % [21, 100]"),
        (Tally(a=6, b=3), "Still open: A (off) is ahead of B (on) in 67 % [35, 88] of 9"
         " decisions, p = 0.508." + OPEN, "open: A 67 % [35, 88]"),
        (Tally(a=3, b=6, same=9), "Still open: B (on) is ahead of A (off) in 67 % [35, 88] of 9"
         " decisions, p = 0.508." + OPEN, "open: B 67 % [35, 88]"),
        (Tally(a=60, b=30, bad=4), "A (off) is preferred to B (on) in 67 % [56, 76] of 90"
         " decisions, p = 0.002.", "A 67 % [56, 76]"),
        (Tally(a=30, b=70), "B (on) is preferred to A (off) in 70 % [60, 78] of 100 decisions,"
         " p < 0.001.", "B 70 % [60, 78]"),
        (Tally(a=4, b=4, same=2), "A tie so far: A (off) and B (on) are each preferred in 50 %"
         " [22, 78] of 8 decisions, p = 1.000.", "tie: 50 % [22, 78]"),
    ],
)  # fmt: skip
def test_the_winner_is_named_and_what_is_open_is_called_so(
    tally: Tally, sentence: str, cell: str
) -> None:
    assert plain(verdict(tally, None, "A (off)", "B (on)")) == sentence
    assert plain(preferred(tally)) == cell


def test_a_and_b_are_told_alike() -> None:
    """Whoever is called A: the same votes give the same sentence."""
    for a in range(40):
        for b in range(40):
            one = verdict(Tally(a, b), None, "it", "the other")
            if a != b:
                assert one == verdict(Tally(b, a), None, "the other", "it")
                assert preferred(Tally(a, b))[-12:] == preferred(Tally(b, a))[-12:]


def test_what_is_written_with_a_50_is_open() -> None:
    tally = Tally(a=6, b=15)
    assert 0.5 < tally.preference.low < 0.505
    assert plain(verdict(tally)).startswith("Still open: B is ahead of A in 71 % [50, ")


def test_it_is_open_while_whole_prompts_say_so() -> None:
    """Many pictures of few prompts are fewer votes than they look."""
    tally, wide = Tally(a=60, b=30), Interval(1 / 3, 0.1, 0.55)
    assert plain(verdict(tally, wide)) == (
        "Still open: A is ahead of B in 67 % [56, 76] of 90 decisions, p = 0.002. Pictures of one"
        " prompt are alike: by prompts the interval is [45, 90], so this may be chance."
    )
    assert plain(preferred(tally, wide)) == "open: A 67 % [56, 76]"
    assert plain(ahead(tally, wide)) == "A 67 % [45, 90]"
    narrow = Interval(1 / 3, 0.2, 0.45)
    assert plain(verdict(tally, narrow)).startswith("A is preferred to B in 67 % [56, 76]")
    assert plain(preferred(tally, narrow)) == "A 67 % [56, 76]"


def test_a_long_name_is_cut_and_none_is_left_out() -> None:
    assert side("A", "off") == "A (off)"
    assert side("B", "") == "B"
    assert side("B", "x=1,\n y=2") == "B (x=1, y=2)"
    assert len(side("B", "x" * 200)) == 64


@pytest.fixture
def found(tmp_path: Path) -> dict[str, Any]:
    """6 to 3 for A; of its two kinds one is a tie, and two voters do not see it alike."""
    store = Store(tmp_path)
    poll = poll_of(store, 12, kinds=2)
    choices = ["a", "a", "a", "a", "a", "a", "b", "b", "b", "same", "same", "bad"]
    by_prompt = {f"prompt {n}": choice for n, choice in enumerate(choices)}
    for name in ("me", "you"):
        cast(store, poll.id, by_prompt, name)
    cast(store, poll.id, {f"prompt {n}": "b" for n in range(3)}, "third")
    return result(store, poll)


def test_the_headline_the_rows_and_the_picture_have_the_same_words(
    found: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    headline = "Still open: A (off) is ahead of B (on) in 67 % [35, 88] of 9 decisions, p = 0.508."
    assert plain(found["together"]["verdict"]) == headline + OPEN
    assert plain(found["together"]["preferred"]) == "open: A 67 % [35, 88]"
    rows = {each["kind"]: plain(each["preferred"]) for each in found["kinds"]}
    assert rows == {"kind 0": "open: A 60 % [23, 88]", "kind 1": "open: A 75 % [30, 95]"}
    assert plain(found["voters"][2]["preferred"]) == "open: B 100 % [44, 100]"
    written: list[str] = []
    draw = _Pen.line
    monkeypatch.setattr(
        _Pen, "line", lambda pen, text, size: (written.append(text), draw(pen, text, size))
    )
    sheet(found, Plain().font).save(io.BytesIO(), "PNG")
    text = plain(" ".join(written))
    assert headline + OPEN in text
    for kind in found["kinds"]:
        assert plain(f"{kind['kind']} {kind['verdict']}") in text
    assert not [line for line in written if line.startswith(("=", "<", "%", "0."))]


def test_the_longest_words_have_room_in_the_picture(tmp_path: Path) -> None:
    """Wide names, and all kinds as open as they can be."""
    store, wide = Store(tmp_path), "W " * 100
    asked = [Asked(f"{wide} {n % 12}", f"prompt {n}") for n in range(60)]
    poll = store.add_poll(wide, wide, wide, FACTS, asked, range(1, 41))
    with store.together():
        for pair in store.pairs(poll.id):
            store.set_state(pair.id, "ready")
        cast(store, poll.id, {each.prompt: "ab"[n % 5 > 2] for n, each in enumerate(asked)})
    found = result(store, poll)
    assert all("by prompts the interval is" in each["verdict"] for each in found["kinds"])
    picture = sheet(found, Plain().font)
    assert _white(picture.crop((0, picture.height - 25, picture.width, picture.height)))
    assert not _white(picture.crop((0, picture.height - 60, picture.width, picture.height - 25)))


def _white(picture: Image.Image) -> bool:
    return picture.getextrema() == ((255, 255),) * 3
