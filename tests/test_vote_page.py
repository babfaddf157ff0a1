"""The page of a vote in a real browser, served by our own server."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_vote_store import HOSTILE
from votes import COLOURS, cast, made, served, service

from ebca.vote.service import Service

pytest.importorskip("playwright", reason="playwright is not installed")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), "")
if not CHROMIUM:
    pytest.skip("no Chromium is installed", allow_module_level=True)

from playwright.sync_api import Page, expect, sync_playwright  # noqa: E402
from vote_page import PATIENCE, VotePage  # noqa: E402

ROOT = Path(__file__).parents[1]
TEXTS = [text for text in HOSTILE if "\t" not in text]


@pytest.fixture(scope="module")
def browser_page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1200, "height": 900})
        page.set_default_timeout(15_000)
        yield page
        browser.close()


@pytest.fixture
def page(browser_page: Page) -> Iterator[Page]:
    """Which has complained of nothing, opened no dialog and asked nobody else."""
    trouble: list[str] = []
    asked: list[str] = []
    listeners = {
        "pageerror": lambda error: trouble.append(str(error)),
        "dialog": lambda dialog: (trouble.append(dialog.message), dialog.dismiss()),
        "console": lambda told: trouble.append(told.text) if told.type == "error" else None,
        "request": lambda request: asked.append(request.url),
    }
    for event, listener in listeners.items():
        browser_page.on(event, listener)
    yield browser_page
    for event, listener in listeners.items():
        browser_page.remove_listener(event, listener)
    browser_page.goto("about:blank")
    assert not [text for text in trouble if "400 (Bad Request)" not in text]  # these are told
    assert all(url.startswith("http://127.0.0.1:") for url in asked)


@pytest.fixture
def one(tmp_path: Path) -> Service:
    return service(tmp_path)


@pytest.fixture
def address(one: Service) -> Iterator[str]:
    with served(one) as address:
        yield address


def test_a_vote_by_keys_and_by_clicks(page: Page, address: str, one: Service) -> None:
    page.goto(address)
    vote = VotePage(page, page)
    vote.begin("a cat\na dog\na bird\na fish\n# others\na car", name="by hand")
    vote.all_made(5)
    first = vote.prompt
    vote.press("ArrowLeft")
    second = vote.prompt
    assert second != first
    vote.press("Backspace")
    assert vote.prompt == first
    for key in ("ArrowRight", "ArrowUp", "ArrowDown"):
        vote.press(key)
    vote.click("same")
    vote.press("ArrowLeft")
    expect(vote.find("#waiting")).to_have_text("You have voted on every pair. Thank you.")
    votes = one._store.votes(1)
    assert [each.choice for each in votes][1:4] == ["same", "bad", "same"]
    assert {votes[0].choice, votes[4].choice} <= {"a", "b"}
    assert "of 2 decisions" in vote.result()
    expect(vote.find("#table tr")).to_have_count(4)
    expect(vote.find("#sheet")).to_have_js_property("naturalWidth", 1000)


def test_a_key_that_is_held_or_meant_for_something_else_is_no_vote(
    page: Page, address: str
) -> None:
    page.goto(address)
    vote = VotePage(page, page)
    vote.begin("a cat\na dog\na bird")
    vote.all_made(3)
    page.keyboard.press("Control+ArrowLeft")
    vote.find("#voter").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Backspace")
    vote.voter("Ada")
    page.wait_for_timeout(300)
    assert vote.done == 0
    vote._seen()
    page.keyboard.down("ArrowUp")
    for _ in range(5):
        page.keyboard.down("ArrowUp")  # as a key does that is held
    page.keyboard.up("ArrowUp")
    page.wait_for_timeout(500)
    assert vote.done == 1


def test_a_reload_goes_on_where_it_was_and_voters_are_apart(page: Page, address: str) -> None:
    page.goto(address)
    vote = VotePage(page, page)
    vote.begin("a cat\na dog\na bird")
    vote.all_made(3)
    vote.press("ArrowUp")
    seen = vote.prompt
    page.reload()
    expect(vote.find("#progress")).to_have_text(re.compile("^1 of 3"))
    assert vote.prompt == seen
    vote.voter("somebody else")
    expect(vote.find("#progress")).to_have_text(re.compile("^0 of 3"))
    vote.press("ArrowDown")
    vote.result()
    expect(vote.find("#agreement")).to_contain_text("Several voters count as one")


def test_a_click_elsewhere_and_a_new_voter_wait_for_the_vote_that_is_under_way(
    page: Page, address: str, one: Service
) -> None:
    page.goto(address)
    vote = VotePage(page, page)
    vote.begin("a cat\na dog\na bird")
    vote.all_made(3)
    held = []
    page.route("**/api/pairs/*", lambda route: held.append(route))
    vote._seen()
    page.keyboard.press("ArrowUp")
    page.wait_for_timeout(200)
    vote.find("#voter").fill("another")
    vote.find("#voter").blur()
    page.evaluate("location.hash = location.hash.replace('vote', 'result')")
    page.wait_for_timeout(200)
    (route,) = held
    route.continue_()
    page.unroute("**/api/pairs/*")
    expect(vote.find("#result")).to_be_visible()
    page.go_back()
    expect(vote.find("#progress")).to_have_text(re.compile("^0 of 3"))  # of the new voter
    (kept,) = one._store.votes(one._store.polls()[0].id)
    assert (kept.voter, kept.choice) == ("me", "same")


def test_another_voter_sees_the_pair_as_it_is_for_them(
    page: Page, address: str, one: Service
) -> None:
    """Left and right are by chance for each voter; a vote is for the side that was seen."""
    page.goto(address)
    vote = VotePage(page, page)
    vote.begin("a cat")
    vote.all_made(1)
    (poll,) = one._store.polls()
    for name in "abcdefgh":
        vote.voter(name)
        expect(vote.find("#progress")).to_have_text(re.compile("^0 of 1"))
        vote._seen()
        colour = vote.find(".picture img").first.evaluate(
            "image => { const pen = Object.assign(document.createElement('canvas'), {width: 1,"
            " height: 1}).getContext('2d'); pen.drawImage(image, 0, 0, 1, 1);"
            " return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3); }"
        )
        vote.press("ArrowLeft")
        (kept,) = [each for each in one._store.votes(poll.id) if each.voter == name]
        assert tuple(colour) == COLOURS[kept.choice]


def test_a_picture_that_is_gone_is_told(page: Page, address: str, one: Service) -> None:
    page.goto(address)
    vote = VotePage(page, page)
    vote.begin("a cat\na dog")
    vote.all_made(2)
    for file in one._store.folder.rglob("*.png"):
        file.unlink()
    vote.voter("another")  # whose pictures are asked for anew
    expect(vote.find("#problem")).to_contain_text("cannot be loaded")
    page.reload()
    vote.find("#making").click()
    vote.all_made(2)
    page.reload()
    expect(vote.find("#pictures")).to_be_visible()
    vote.press("ArrowUp")


def test_hostile_texts_are_shown_as_they_are(page: Page, address: str, one: Service) -> None:
    page.goto(address)
    page.evaluate("localStorage.clear()")
    page.reload()
    vote = VotePage(page, page)
    vote.begin("\n".join(f"# {text[:60]}\n{text}" for text in TEXTS), name=HOSTILE[0])
    vote.voter(HOSTILE[0])
    expect(vote.find("#progress")).to_have_text(re.compile(f"^0 of {len(TEXTS)}"))
    vote.all_made(len(TEXTS))
    seen = set()
    for _ in TEXTS:
        seen.add(vote.prompt)
        inside = vote.find("#prompt").evaluate("box => [box.children.length, box.scrollWidth]")
        assert inside[0] == 0
        assert inside[1] <= 1200
        choices = vote.find("#choices").bounding_box()
        assert choices
        assert choices["y"] + choices["height"] < 900  # long texts push nothing away
        vote.press("ArrowUp")
    assert seen == set(TEXTS)
    vote.result()
    assert vote.find("#result-name").text_content() == HOSTILE[0]
    assert page.locator("script").count() == 1
    vote.find("#result a").first.click()
    expect(vote.find("#polls li span").first).to_have_text(HOSTILE[0])


def test_what_cannot_be_is_told_and_what_is_wrong_with_a_model_too(
    page: Page, address: str, one: Service
) -> None:
    page.goto(address)
    vote = VotePage(page, page)
    vote.fill("b", "off")
    vote.find("#new button").click()
    expect(vote.find("#problem")).to_have_text("B is 'off', but must be other settings than A.")
    poll = made(one, {"prompts": "own", "list": "a cat"})
    one._store.set_state(one._store.pairs(poll)[0].id, "wanted")
    one._painter.model = "another"
    page.goto(f"{address}#vote/{poll}")
    page.reload()
    vote.find("#making").click()
    expect(vote.find("#problem")).to_contain_text("model is 'another', not 'plain'")
    one._painter.model = "plain"
    vote.find("#making").click()
    vote.find("#pictures").wait_for()
    expect(vote.find("#problem")).to_be_hidden()


def test_votes_are_saved_and_added_from_a_file(
    page: Page, address: str, one: Service, tmp_path: Path
) -> None:
    page.goto(address)
    vote = VotePage(page, page)
    vote.begin("a cat\na dog")
    vote.all_made(2)
    vote.press("ArrowUp")
    vote.result()
    with page.expect_download() as download:
        vote.find("#save-csv").click()
    text = Path(download.value.path()).read_text(encoding="utf-8")
    file = tmp_path / "votes.csv"
    file.write_text(re.sub(r",me,|,somebody else,|,Ada,", ",you,", text), encoding="utf-8")
    vote.find("#import").set_input_files(file)
    expect(vote.find("#notes")).to_contain_text("1 new votes were added.")
    assert {each.voter for each in one._store.votes(1)} > {"you"}
    file.write_text(re.sub(r"[0-9a-f]{16},", "0123456789abcdef,", text), encoding="utf-8")
    vote.find("#import").set_input_files(file)
    expect(vote.find("#problem")).to_contain_text("cannot be mixed")


def test_the_list_says_what_is_left_to_vote_on(page: Page, address: str, one: Service) -> None:
    page.goto(address)
    vote = VotePage(page, page)

    def listed() -> str:
        vote.find("#booth a").first.click()
        vote.find("#polls li").wait_for()
        told = str(vote.find("#polls li span").nth(1).inner_text())
        vote.find("#polls a").first.click()
        vote.find("#booth").wait_for()
        return told.removeprefix("off against defaults; ")

    vote.begin("a cat\na dog\nrefused\nidentical twins")
    vote.all_made(2)
    assert listed() == "2 pairs to vote on, 1 could not be made"
    vote.press("ArrowUp")
    assert listed() == "1 of 2 pairs left to vote on, 1 could not be made"
    vote.press("ArrowUp")
    expect(vote.find("#ask")).to_be_hidden()
    assert listed() == "you have voted on all 2 pairs, 1 could not be made"
    one._store.add_pairs(1, [("k", "a bird", 1)])
    assert listed() == "1 of 3 pairs left to vote on, 1 not made yet, 1 could not be made"
    vote.voter("another")
    assert listed() == "3 pairs to vote on, 1 not made yet, 1 could not be made"


@pytest.mark.parametrize("width", [800, 1400])
def test_nothing_stands_alone_or_beside_the_page(
    page: Page, address: str, one: Service, width: int
) -> None:
    """The explanation of # is one text, and the table has room."""
    page.set_viewport_size({"width": width, "height": 900})
    try:
        page.goto(address)
        VotePage(page, page).fill("prompts", "own")
        mark, text = page.locator("#own code").bounding_box(), page.locator("#own").bounding_box()
        assert mark
        assert text
        assert mark["x"] > text["x"] + 100
        listed = [f"{'two animals' if n % 2 else 'a few colours'} {n}" for n in range(40)]
        kinds = [f"# {prompt[:-2].strip()}\n{prompt}" for prompt in listed]
        poll = made(one, {"prompts": "own", "list": "\n".join(kinds)})
        cast(one._store, poll, dict.fromkeys(listed, "b"), "somebody with a long name")
        cast(one._store, poll, {each: "ab"[n % 3 > 0] for n, each in enumerate(listed)})
        page.goto(f"{address}#result/{poll}")
        page.locator("#result").wait_for()
        for box in ("#table", "html"):
            size = page.locator(box).evaluate("box => [box.scrollWidth, box.clientWidth]")
            assert size[0] <= size[1], box
    finally:
        page.set_viewport_size({"width": 1200, "height": 900})


@pytest.mark.parametrize(
    ("choices", "headline", "cell"),
    [
        ("aaaaaabbb", "Still open: A (off) is ahead of B (defaults) in 67 % [35, 88] of 9"
         " decisions, p = 0.508. The interval has 50 % in it, so this may be chance.",
         "open: A 67 % [35, 88]"),
        ("aaaaaaaab", "A (off) is preferred to B (defaults) in 89 % [57, 98] of 9 decisions,"
         " p = 0.039.", "A 89 % [57, 98]"),
        ("bbbbbbbbb", "B (defaults) is preferred to A (off) in 100 % [70, 100] of 9 decisions,"
         " p = 0.004.", "B 100 % [70, 100]"),
        ("aaaabbbb", "A tie so far: A (off) and B (defaults) are each preferred in 50 % [22, 78]"
         " of 8 decisions, p = 1.000.", "tie: 50 % [22, 78]"),
        ("", "Nobody has voted yet.", ""),
    ],
)  # fmt: skip
def test_the_headline_names_the_winner(
    page: Page, address: str, one: Service, choices: str, headline: str, cell: str
) -> None:
    listed = [f"prompt {n}" for n in range(9)]
    poll = made(one, {"prompts": "own", "list": "\n".join(listed), "a": "off", "b": "defaults"})
    cast(one._store, poll, dict(zip(listed, choices, strict=False)))
    page.goto(f"{address}#result/{poll}")
    expect(page.locator("#verdict")).to_have_text(headline)
    expect(page.locator("#table tr").nth(1).locator("td").nth(6)).to_have_text(cell)


@pytest.mark.diffusers
@pytest.mark.skipif(os.name == "nt", reason="stops the program as Ctrl+C does")
def test_the_command_makes_pictures_of_the_small_model_to_vote_on(
    page: Page, tmp_path: Path
) -> None:
    arguments = ["--prompts", "animals", "--count", "4", "--steps", "4", "--no-browser"]
    arguments += ["--port", "0", "--device", "cpu", "--data", str(tmp_path)]
    for begun in (False, True):
        process = subprocess.Popen(
            [sys.executable, "-m", "ebca", "vote", *arguments],
            stdout=subprocess.PIPE, text=True, cwd=ROOT,
        )  # fmt: skip
        try:
            assert process.stdout
            address = process.stdout.readline().strip()
            assert address.endswith("#vote/1")  # the second time it goes on
            page.goto(address)
            vote = VotePage(page, page)
            vote.find("#pictures").wait_for(timeout=PATIENCE)
            vote.all_made(4)
            assert vote.done == (2 if begun else 0)
            vote.press("ArrowLeft")
            vote.press("ArrowRight")
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 130
            process.stdout.close()
    assert "of 4 decisions" in _verdict(tmp_path)


def _verdict(folder: Path) -> str:
    from ebca.vote.results import result
    from ebca.vote.store import Store

    store = Store(folder)
    return str(result(store, store.poll(1))["together"]["verdict"])
