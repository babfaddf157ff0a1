"""What the line under the controls says, against what happens, on a live WebUI in a browser.

Where it says that something will happen, the picture differs from one without EBCA; where it says
that nothing will, it is the same, bit by bit."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

URL = os.environ.get("EBCA_WEBUI", "")
if not URL:
    pytest.skip("EBCA_WEBUI, the address of a live WebUI, is not set", allow_module_level=True)
pytest.importorskip("playwright", reason="playwright is not installed")

from playwright.sync_api import expect  # noqa: E402

from ebca.options.presets import preset_values  # noqa: E402
from webui.browser_page import CHROMIUM, SLOWER, Tab, WebUIPage, choose, open_webui  # noqa: E402
from webui.client import WebUI  # noqa: E402
from webui.conftest import checkpoint  # noqa: E402
from webui.test_browser import settled  # noqa: E402
from webui.test_browser_keeping import show  # noqa: E402

if not CHROMIUM:
    pytest.skip("no Chromium is installed", allow_module_level=True)

PROMPT = "a cat and a red balloon"
STILL = {"gamma_attn": 0.0}
EDIT = preset_values("edit a picture")
NO_PLACES = "The subjects get no places"
STAYS = "the picture stays as it is"
LEFT = "Without effect"

STATES: dict[str, tuple[dict[str, Any], str, dict[str, float], str, bool]] = {
    # state: values, prompt, the host's sliders, part of the line, whether the picture changes
    "defaults": ({}, PROMPT, {}, "Will try to show all of: “a cat”, “a red balloon”.", True),
    "places alone": (STILL, PROMPT, {}, "Will try to show", True),
    "one subject": (STILL, "a cat", {}, "Fewer than two subjects found", False),
    "one subject, update": ({}, "a cat", {}, "brings out ignored words", True),
    "no prompt": ({}, "", {}, STAYS, False),
    "no strength": ({**STILL, "regions": 0.0}, PROMPT, {}, STAYS, False),
    "two steps": (STILL, PROMPT, {"steps": 2}, NO_PLACES, False),
    "two steps, update": ({}, PROMPT, {"steps": 2}, NO_PLACES, True),
    "three steps": (STILL, PROMPT, {"steps": 3}, "Will try to show", True),
    "a late update": ({"regions": 0.0, "start": 0.97}, PROMPT, {}, "update does nothing", False),
    "AND": ({**STILL, "regions": 0.0}, "a cat AND a red balloon", {}, "Adds after AND", True),
    "AND of subjects": (STILL, "a cat AND a red balloon", {}, "write “and” in small", True),
    "AND of strength 0": ({**STILL, "regions": 0.0}, "a cat AND on the grass :0", {}, STAYS, False),
    "the host's AND": (
        {**STILL, "and_means": "webui"}, f"{PROMPT} AND a hat", {}, "is left to", False,
    ),
    "a schedule": (STILL, "a cat and a red [balloon:hat:0.25]", {}, "Steps 1 to", True),
    "a late schedule": (STILL, "[a cat:a cat and a hat:0.95]", {}, NO_PLACES, False),
    "named": ({**STILL, "subjects": "balloon, cat"}, PROMPT, {}, "“balloon”, “cat”", True),
    "one named": ({**STILL, "subjects": "cat"}, PROMPT, {}, "One subject is too few", False),
    "left over": ({**STILL, "subjects": "owl, cow"}, PROMPT, {}, LEFT, True),
    "weight left over": ({**STILL, "token_weights": "cow:2"}, "a cat", {}, LEFT, False),
    "hires pass only, off": ({"hires": "only"}, PROMPT, {}, "hires fix is off", False),
}  # fmt: skip

OF_IMG2IMG: dict[str, tuple[dict[str, Any], str, dict[str, float], str, bool]] = {
    "much noise": (STILL, PROMPT, {"denoising_strength": 0.9}, "Will try to show", True),
    "little noise": (STILL, PROMPT, {"denoising_strength": 0.35}, NO_PLACES, False),
    "very little noise": (STILL, PROMPT, {"denoising_strength": 0.2}, NO_PLACES, False),
    "little noise, update": ({}, PROMPT, {"denoising_strength": 0.2}, NO_PLACES, True),
    "keep": (
        {**EDIT, "keep": True}, "a cat", {"denoising_strength": 0.7}, "Keeps your picture", True,
    ),
    "keep off": (EDIT, "a cat", {"denoising_strength": 0.7}, STAYS, False),
}  # fmt: skip


@pytest.fixture(scope="module")
def shared_webui() -> Iterator[WebUIPage]:
    host = WebUI(URL)
    host.load(checkpoint(host, "small"))
    host.txt2img(steps=1)  # Forge loads it now
    with open_webui(URL) as webui:
        yield webui


@pytest.fixture
def webui(shared_webui: WebUIPage) -> Iterator[WebUIPage]:
    with shared_webui.fresh() as webui:
        yield webui


def ready(tab: Tab, values: dict[str, Any], prompt: str, sliders: dict[str, float]) -> None:
    tab.small_job(steps=20)
    choose(tab.find("#{}_sampling"), "DPM++ 2M")
    choose(tab.find("#{}_scheduler"), "Karras")
    tab.set_prompt(prompt)
    for name, value in sliders.items():
        tab.set_number(name, value)
    tab.enable()
    tab.unfold()
    for name, value in values.items():
        tab.set(name, value)
    settled(tab)


def said(tab: Tab) -> tuple[str, str]:
    """The line, and whether it says that something will happen."""
    line = tab.line.locator("[data-acts]")
    return line.inner_text(), str(line.get_attribute("data-acts"))


def made(webui: WebUIPage, tab: Tab) -> bytes:
    """The pixels of a job that follows itself, see `test_browser_keeping.twice`."""
    if tab.name == "img2img":
        tab.generate()
    tab.generate()
    return webui.pixels(tab)


def holds(webui: WebUIPage, tab: Tab, text: str, acts: bool) -> None:
    """Hold the line to what happens, before a job and after it."""
    before = said(tab)
    assert text in before[0]
    assert before[1] == str(acts).lower()
    on = made(webui, tab)
    settled(tab)
    assert said(tab) == before
    tab.enable(False)
    assert (on != made(webui, tab)) == acts


@pytest.mark.parametrize("state", STATES)
def test_what_the_line_says_happens(webui: WebUIPage, state: str) -> None:
    values, prompt, sliders, text, acts = STATES[state]
    ready(webui.txt2img, values, prompt, sliders)
    holds(webui, webui.txt2img, text, acts)


@pytest.mark.parametrize("state", OF_IMG2IMG)
def test_what_the_line_says_happens_to_a_picture(webui: WebUIPage, state: str) -> None:
    values, prompt, sliders, text, acts = OF_IMG2IMG[state]
    webui.open("img2img")
    show(webui.img2img)
    ready(webui.img2img, values, prompt, sliders)
    holds(webui, webui.img2img, text, acts)


@pytest.mark.parametrize(("denoising", "acts"), [(0.9, True), (0.3, False)])
def test_what_the_line_says_of_the_hires_pass(
    webui: WebUIPage, denoising: float, acts: bool
) -> None:
    tab = webui.txt2img
    tab.find("#{}_hr > .label-wrap").click()
    tab.set_number("hr_scale", 1.5)
    ready(tab, {**STILL, "hires": "only"}, PROMPT, {"denoising_strength": denoising})
    holds(webui, tab, "Hires pass: " + ("Will try" if acts else NO_PLACES), acts)


def test_left_over_words_are_cleared_by_a_click(webui: WebUIPage) -> None:
    tab = webui.txt2img
    ready(tab, {"subjects": "owl, cow", "token_weights": "cow:2"}, PROMPT, {})
    assert said(tab)[0].count("Without effect") == 2
    tab.line.get_by_text("clear all").click()
    settled(tab)
    tab.line.locator(".ebca-wrong", has_text="cow:2").click()
    settled(tab)
    assert "Without effect" not in said(tab)[0]
    assert (tab.get("subjects"), tab.get("token_weights")) == ("", "")


def test_the_first_click_on_a_word_blocks_no_job(webui: WebUIPage) -> None:
    tab = webui.txt2img
    ready(tab, {}, "sunset over the sea", {})
    tab.line.locator(".ebca-chip", has_text="sunset").click()
    settled(tab)
    assert tab.get("subjects") == "sunset"
    assert "One subject is too few: click a second one below." in said(tab)[0]
    assert "Seed: 7," in tab.generate()
    tab.line.locator(".ebca-chip", has_text="sea").click()
    settled(tab)
    assert "Will try to show all of: “sunset”, “sea”." in said(tab)[0]


def test_the_line_speaks_of_the_chosen_model(webui: WebUIPage) -> None:
    """Forge loads it when the job begins; until then another one may be loaded."""
    host, tab = WebUI(URL), webui.txt2img
    flux, small = checkpoint(host, "flux"), checkpoint(host, "small")
    dropdown = webui.page.locator("#quicksettings .model_selection")
    if not dropdown.count():
        pytest.skip("the host loads a model when it is chosen")
    ready(tab, {}, PROMPT, {"steps": 4})

    def chosen(name: str, text: str) -> None:
        dropdown.locator("input").click()
        dropdown.locator(f"li[aria-label^='{name}.']").click()
        expect(tab.line).to_contain_text(text, timeout=15_000 * SLOWER)
        settled(tab)

    try:
        chosen(flux, "EBCA does nothing with this model")
        tab.set_number("cfg_scale", 1)
        holds(webui, tab, "EBCA does nothing with this model", False)
        tab.enable()
        tab.set_number("cfg_scale", 4)
        chosen(small, "Will try to show")
        holds(webui, tab, "Will try to show", True)
    finally:
        host.load(small)
