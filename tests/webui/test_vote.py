"""The blind vote in a live WebUI: its pictures, its place in the queue, its login, its tab."""

from __future__ import annotations

import io
import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from webui.client import WebUI
from webui.conftest import checkpoint

SAMPLING = {"steps": 4, "cfg": 4.0, "width": 64, "height": 64, "sampler": "DDIM"}
PROMPTS = "a red car and a blue crown\na cat and a dog"
_PATIENCE = 240  # seconds for a few small pictures, on a machine that does much else


class Votes:
    """What the page asks."""

    def __init__(self, url: str, cookie: str = "") -> None:
        self._url, self._cookie = url.rstrip("/") + "/ebca-vote/", cookie

    def raw(self, path: str, given: Any = None, headers: dict[str, str] | None = None) -> bytes:
        sent = {"X-EBCA-Vote": "1", "Cookie": self._cookie} if headers is None else headers
        data = None if given is None else json.dumps(given).encode()
        request = urllib.request.Request(self._url + path, data, sent)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return bytes(answer.read())

    def ask(self, path: str, given: Any = None) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.raw(f"api/{path}", given))
        return answer

    def begin(self, listed: str = PROMPTS, **more: Any) -> int:
        form = {"name": "test", "prompts": "own", "list": listed, "sampling": SAMPLING, "seed": 7}
        return int(self.ask("polls", {**form, **more})["id"])

    def made(self, poll: int) -> dict[str, Any]:
        """The poll when nothing of it is being made any more."""
        end = time.monotonic() + _PATIENCE
        while (told := self.ask(f"polls/{poll}"))["making"]:
            assert time.monotonic() < end, told
            time.sleep(0.2)
        return told

    def pictures(self, poll: int, name: str) -> dict[str, dict[str, np.ndarray]]:
        """Prompt -> `a`, `b` -> the picture, as a voter who says "left" of everything finds out."""
        voter = self.ask("voters", {"name": name})["voter"]
        shown: dict[str, dict[str, np.ndarray]] = {}
        view = self.ask(f"polls/{poll}/next?voter={voter}")
        while pair := view["pair"]:
            files = (
                self.raw(f"api/pairs/{pair['id']}/{side}.png?voter={voter}")
                for side in ("left", "right")
            )
            shown[pair["prompt"]] = dict(zip(("left", "right"), map(_array, files), strict=True))
            view = self.ask(f"pairs/{pair['id']}", {"voter": voter, "choice": "left"})
        exported = json.loads(self.raw(f"api/polls/{poll}/votes.json"))
        left = {v["prompt"]: v["a_left"] for v in exported["votes"] if v["voter"] == name}
        return {
            prompt: {"a": each["left" if left[prompt] else "right"],
                     "b": each["right" if left[prompt] else "left"]}
            for prompt, each in shown.items()
        }  # fmt: skip


def _array(file: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(file)).convert("RGB"))


LOGIN = os.environ.get("EBCA_WEBUI_LOGIN", "")
"""`user:password`, where the WebUI was begun with `--gradio-auth user:password`."""


def cookie(url: str) -> str:
    """Of somebody who has logged in."""
    user, _, password = LOGIN.partition(":")
    form = urllib.parse.urlencode({"username": user, "password": password}).encode()
    with urllib.request.urlopen(url.rstrip("/") + "/login", form, timeout=30) as answer:
        set_cookies = answer.headers.get_all("Set-Cookie")
    return "; ".join(each.partition(";")[0] for each in set_cookies)


@pytest.fixture
def votes(host: WebUI) -> Votes:
    return Votes(host._url, cookie(host._url) if LOGIN else "")


def test_the_pictures_are_those_of_the_api_without_and_with_ebca(
    any_webui: WebUI, kind: str, votes: Votes
) -> None:
    poll = votes.begin()
    told = votes.made(poll)
    assert told["pairs"] == {"ready": 2}
    assert checkpoint(any_webui, kind) in told["facts"]["model"]
    scheduled = "scheduler" in any_webui._fields
    job = {"steps": 4, "scheduler": "Automatic"} if scheduled else {"steps": 4}
    for prompt, pair in votes.pictures(poll, f"me {poll}").items():
        off = any_webui.txt2img(prompt=prompt, **job).picture
        on = any_webui.txt2img(prompt=prompt, ebca={}, **job).picture
        assert np.array_equal(pair["a"], off)
        assert np.array_equal(pair["b"], on)
        assert not np.array_equal(off, on)


def test_sides_are_presets_or_values(webui: WebUI, votes: Votes) -> None:
    poll = votes.begin(a="regions=0, gamma_attn=0.03", b="paper: multi-concept")
    votes.made(poll)
    (prompt, pair), *_ = votes.pictures(poll, f"me {poll}").items()
    for side, ebca in (("a", {"regions": 0, "gamma_attn": 0.03}), ("b", {"preset": "paper: multi-concept"})):  # noqa: E501  # fmt: skip
        assert np.array_equal(pair[side], webui.txt2img(prompt=prompt, ebca=ebca, steps=4).picture)


def test_a_prompt_that_is_refused_is_told_and_the_rest_is_made(webui: WebUI, votes: Votes) -> None:
    before = webui.txt2img().picture
    told = votes.made(votes.begin("a cat :0 AND a dog\na cat and a dog"))
    assert told["pairs"] == {"failed": 1, "ready": 1}
    assert np.array_equal(webui.txt2img().picture, before)


def test_another_model_is_not_mixed_in(webui: WebUI, votes: Votes, other: str) -> None:
    poll = votes.begin("\n".join(f"a cat and a dog, {n}" for n in range(12)))
    votes.ask(f"polls/{poll}/making", {"on": False})
    webui.txt2img()  # its turn comes after that of the pair that was on its way
    time.sleep(2)  # in which that one is stored
    before = votes.ask(f"polls/{poll}")["pairs"]
    assert before["wanted"]
    webui.load(other)
    try:
        votes.ask(f"polls/{poll}/making", {"on": True})
        told = votes.made(poll)
        assert f"model is '{other}" in told["problem"]
        assert told["pairs"] == before
    finally:
        webui.load(told["facts"]["model"].split(" [")[0])
    with webui.options(CLIP_stop_at_last_layers=2):
        votes.ask(f"polls/{poll}/making", {"on": True})
        assert "options Clip skip is 2, not None" in votes.made(poll)["problem"]
    votes.ask(f"polls/{poll}/making", {"on": True})
    told = votes.made(poll)
    assert (told["pairs"], told["problem"]) == ({"ready": 12}, "")


def test_interrupt_pauses_and_no_half_picture_is_kept(webui: WebUI, votes: Votes) -> None:
    poll = votes.begin(PROMPTS, sampling={**SAMPLING, "steps": 150, "width": 256, "height": 256})
    end = time.monotonic() + _PATIENCE
    while not webui.get("/sdapi/v1/progress?skip_current_image=true")["state"]["sampling_step"]:
        assert time.monotonic() < end
        time.sleep(0.05)
    webui.post("/sdapi/v1/interrupt")
    told = votes.made(poll)
    assert told["problem"].startswith("Interrupted")
    assert told["pairs"].get("wanted")
    assert not told["pairs"].get("failed")


def test_other_people_s_jobs_are_not_kept_waiting_for_all_pairs(webui: WebUI, votes: Votes) -> None:
    poll = votes.begin("\n".join(f"a cat and a dog, {n}" for n in range(40)))
    webui.txt2img()
    assert votes.ask(f"polls/{poll}")["making"]
    votes.ask(f"polls/{poll}/making", {"on": False})


def test_what_does_not_come_from_the_page_changes_nothing(votes: Votes) -> None:
    with pytest.raises(urllib.error.HTTPError, match="403") as refused:
        votes.raw("api/voters", {"name": "x"}, headers={"Cookie": votes._cookie})
    refused.value.close()


def test_who_has_not_logged_in_gets_nothing(webui: WebUI) -> None:
    if not LOGIN:
        pytest.skip("EBCA_WEBUI_LOGIN is not set: the WebUI has no login")
    stranger = Votes(webui._url)
    for path in ("", "vote.js", "api/state", "api/pairs/1/left.png?voter=1"):
        with pytest.raises(urllib.error.HTTPError, match="401") as refused:
            stranger.raw(path)
        refused.value.close()
    with pytest.raises(urllib.error.HTTPError, match="401") as refused:
        stranger.raw("api/voters", {"name": "x"})
    refused.value.close()
    assert Votes(webui._url, cookie(webui._url)).ask("state")["sets"]


# The tab


@pytest.fixture
def in_tab(webui: WebUI) -> Iterator[Any]:
    pytest.importorskip("playwright", reason="playwright is not installed")
    from vote_page import VotePage

    from webui.browser_page import CHROMIUM, open_webui

    if not CHROMIUM or LOGIN:
        pytest.skip("no Chromium is installed, or one must log in")
    with open_webui(webui._url, "dark", 1200) as opened:
        asked: list[str] = []
        opened.page.on("request", lambda request: asked.append(request.url))
        opened.page.wait_for_timeout(1000)
        assert not [url for url in asked if "ebca-vote" in url]  # before the tab is opened
        opened.open("EBCA vote")
        frame = opened.page.frame_locator("#ebca_vote iframe")
        frame.locator("#new").wait_for()
        yield VotePage(opened.page, frame)
        ours = [url for url in asked if "ebca-vote" in url]
        assert ours
        assert all(url.startswith(webui._url) for url in ours)
        assert not [text for text in opened.complaints if "vote" in text]


def test_a_vote_in_the_tab(in_tab: Any, votes: Votes) -> None:
    assert in_tab.find("html").get_attribute("class") == "dark"  # as the WebUI is
    hostile = '<b>a cat</b> & a "dog", <script>alert(1)</script>'
    fields = {"width": "64", "height": "64", "steps": "2"}
    in_tab.begin(f"{hostile}\na cat and a dog\na red car and a crown", name="in the tab", **fields)
    in_tab.voter("in the tab")
    in_tab.find("#pictures").wait_for()
    poll = votes.ask("state")["polls"][0]
    assert poll["name"] == "in the tab"
    ready = votes.made(poll["id"])["pairs"]["ready"]
    in_tab.all_made(ready)
    seen = set()
    for key in ("ArrowLeft", "ArrowUp", "ArrowDown")[:ready]:
        seen.add(in_tab.prompt)
        in_tab.press(key)
    assert seen <= {hostile, "a cat and a dog", "a red car and a crown"}
    in_tab.press("Backspace")
    in_tab.press("ArrowDown")
    exported = json.loads(votes.raw(f"api/polls/{poll['id']}/votes.json"))
    assert [each["voter"] for each in exported["votes"]] == ["in the tab"] * ready
    assert "decisions" in in_tab.result() or ready < 3
