"""A picture carried from one host to another: the same controls there, and the same picture.

`EBCA_WEBUI=http://127.0.0.1:7860 EBCA_OTHER_WEBUI=http://127.0.0.1:7861 python -m pytest
tests/webui/test_carried.py --confcutdir tests/webui`, with the small model in use on both.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

URL, OTHER = (os.environ.get(name, "") for name in ("EBCA_WEBUI", "EBCA_OTHER_WEBUI"))
if not (URL and OTHER):
    reason = "EBCA_WEBUI and EBCA_OTHER_WEBUI, the addresses of two live WebUIs, are not both set"
    pytest.skip(reason, allow_module_level=True)
pytest.importorskip("playwright", reason="playwright is not installed")

from playwright.sync_api import expect  # noqa: E402

from webui.browser_page import CHROMIUM, SLOWER, Tab, WebUIPage, open_webui  # noqa: E402
from webui.client import distance, labels, opened  # noqa: E402
from webui.test_browser import IN_TXT2IMG, PROMPT, fill_in  # noqa: E402

if not CHROMIUM:
    pytest.skip("no Chromium is installed", allow_module_level=True)


def off(_: Tab) -> None:
    """Nothing of EBCA's."""


def installed(tab: Tab) -> None:
    """As installed."""
    tab.enable()


def changed(tab: Tab) -> None:
    """Much that is not as installed, all of it EBCA's own."""
    tab.enable()
    tab.unfold()
    for name, value in {"regions": 1.4, "subjects": "red car, crown", "gamma_norm": 0.01}.items():
        tab.set(name, value)


JOBS = [off, installed, changed]


@dataclass(frozen=True)
class Made:
    """What one host made."""

    file: bytes
    infotext: str


@pytest.fixture(scope="module", params=["there", "back"])
def ways(request: pytest.FixtureRequest) -> tuple[str, str]:
    """From where, to where."""
    return (URL, OTHER) if request.param == "there" else (OTHER, URL)


@pytest.fixture(scope="module")
def made(ways: tuple[str, str]) -> dict[Callable[[Tab], None], Made]:
    """A picture of every job, from the first host."""
    made = {}
    with open_webui(ways[0]) as webui:
        for job in [*JOBS, fill_in]:
            with webui.fresh():
                tab = webui.txt2img
                tab.set_prompt(PROMPT)
                tab.small_job(steps=8)
                job(tab)
                infotext = tab.generate()
                made[job] = Made(webui.picture(tab), infotext)
    return made


@pytest.fixture(scope="module")
def shared_webui(
    ways: tuple[str, str], made: dict[Callable[[Tab], None], Made]
) -> Iterator[WebUIPage]:
    """The other host, when the first one's browser is closed: playwright wants one at a time."""
    with open_webui(ways[1]) as webui:
        yield webui


@pytest.fixture
def webui(shared_webui: WebUIPage) -> Iterator[WebUIPage]:
    with shared_webui.fresh() as webui:
        yield webui


def send(webui: WebUIPage, file: bytes) -> Tab:
    """By the tab PNG Info to txt2img."""
    webui.read_info(file)
    webui.page.locator("#tab_pnginfo #txt2img_tab").click()
    expect(webui.txt2img.find("#{}_prompt textarea")).to_have_value(PROMPT, timeout=60_000)
    webui.page.wait_for_timeout(500 * SLOWER)
    return webui.txt2img


@pytest.mark.parametrize("way", ["PNG Info", "the arrow"])
def test_every_control_is_as_it_was(
    webui: WebUIPage, made: dict[Callable[[Tab], None], Made], way: str
) -> None:
    if way == "PNG Info":
        send(webui, made[fill_in].file)
    else:
        webui.txt2img.paste(made[fill_in].infotext)
    webui.txt2img.find("#ebca_{}_enabled.input-accordion-open").wait_for()
    assert webui.txt2img.values() == IN_TXT2IMG


@pytest.mark.parametrize("job", JOBS, ids=[job.__name__ for job in JOBS])
def test_the_picture_is_the_same(
    webui: WebUIPage, made: dict[Callable[[Tab], None], Made], job: Callable[[Tab], None]
) -> None:
    before = made[job]
    tab = send(webui, before.file)
    assert tab.enabled == (job is not off)
    infotext = tab.generate()
    assert labels(infotext) == labels(before.infotext)
    picture = opened(webui.picture(tab))
    # the hosts' own levels of noise differ: by 0.05 to 0.08 without EBCA, up to 0.17 with it
    assert distance(picture, opened(before.file)) < 0.5
