"""The group *Keep the picture* in the page of a live WebUI, and its buttons that ask the WebUI's
interrogators; these are stand-ins, so that nothing is downloaded.

`EBCA_WEBUI=http://127.0.0.1:7860 python -m pytest tests/webui/test_browser_keeping.py --confcutdir
tests/webui`, with the project's small model and `testing_extension` in the WebUI.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator

import pytest
from PIL import Image

URL = os.environ.get("EBCA_WEBUI", "")
if not URL:
    pytest.skip("EBCA_WEBUI, the address of a live WebUI, is not set", allow_module_level=True)
pytest.importorskip("playwright", reason="playwright is not installed")

from playwright.sync_api import expect  # noqa: E402

from ebca.webui.asking import BATCH, FAILED, NO_PICTURE, NOBODY  # noqa: E402
from webui.browser_page import CHROMIUM, Tab, WebUIPage, open_webui  # noqa: E402
from webui.client import WebUI  # noqa: E402

if not CHROMIUM:
    pytest.skip("no Chromium is installed", allow_module_level=True)

GROUP = "#ebca_{}_group_keep"
ASKED = "#ebca_{}_enabled .ebca-asked"


@pytest.fixture(scope="module")
def shared_webui() -> Iterator[WebUIPage]:
    with open_webui(URL) as webui:
        yield webui


@pytest.fixture
def webui(shared_webui: WebUIPage) -> Iterator[WebUIPage]:
    with shared_webui.fresh() as webui:
        yield webui


@pytest.fixture
def img2img(webui: WebUIPage) -> Tab:
    webui.open("img2img")
    tab = webui.img2img
    tab.enable()
    tab.unfold()
    return tab


@pytest.fixture
def interrogators() -> Iterator[Callable[..., None]]:
    """interrogators(CLIP="a cat", DeepBooru=None): what they say, or that there is none."""
    host = WebUI(URL)

    def stand_in(**says: str | None) -> None:
        host.post("/ebca-testing/interrogators", says)

    yield stand_in
    stand_in()


def show(tab: Tab, picture: str = "img2img_image", colour: str = "white") -> None:
    """Put a picture into one of the WebUI's own boxes."""
    data = io.BytesIO()
    Image.new("RGB", (64, 48), colour).save(data, "PNG")
    file = {"name": "p.png", "mimeType": "image/png", "buffer": data.getvalue()}
    tab.find(f"#{picture} input[type=file]").set_input_files(file)
    tab.find(f"#{picture} :is(img, canvas):visible").first.wait_for()  # a sketch hides its img


def draw(tab: Tab, picture: str) -> None:
    """A mask, by hand: reForge can read no picture to be inpainted without one."""
    canvas = tab.find(f"#{picture} canvas:visible, #{picture} img:visible").last
    for place in ({"x": 20, "y": 20}, {"x": 30, "y": 25}):
        canvas.click(position=place, force=True)


def ask(tab: Tab, name: str) -> None:
    tab.find(f"#ebca_{{}}_ask_{name.lower()}").click()


def front(tab: Tab, title: str) -> None:
    """One of the tabs of img2img, by its title."""
    tab.find("#mode_{} > .tab-nav > button").get_by_text(title, exact=True).click()


def twice(tab: Tab, webui: WebUIPage) -> tuple[str, bytes]:
    """The infotext and the pixels of a job that follows itself: the WebUI encodes a picture with
    whatever random numbers the last job has left."""
    tab.generate()
    return tab.generate(), webui.pixels(tab)


def test_the_group_is_where_a_picture_is(webui: WebUIPage, img2img: Tab) -> None:
    assert img2img.find(GROUP).is_visible()
    assert img2img.control("keep_source").is_visible()
    webui.open("txt2img")
    webui.txt2img.enable()
    assert not webui.txt2img.find(GROUP).is_visible()


def test_a_picture_is_kept(img2img: Tab, webui: WebUIPage) -> None:
    show(img2img)
    img2img.small_job(steps=6)
    img2img.set_prompt("a red car")
    plain, before = twice(img2img, webui)
    assert "EBCA keep" not in plain
    img2img.set("keep", True)
    img2img.set("keep_source", "nothing")
    kept = img2img.generate(seed=8)
    assert "EBCA keep: True" in kept
    assert "EBCA keep_source: nothing" in kept
    img2img.set("keep_more", 1)
    img2img.generate(seed=9)
    shown = webui.pixels(img2img)
    assert sum(shown) / len(shown) > 240 > sum(before) / len(before)  # white, as it was
    img2img.set("keep", False)
    plain, after = twice(img2img, webui)
    assert "EBCA keep: True" not in plain
    assert "EBCA keep_source: nothing, EBCA keep_more: 1" in plain  # as all that is set
    assert after == before


@pytest.mark.parametrize("name", ["CLIP", "DeepBooru"])
def test_an_interrogator_says_what_the_picture_shows(
    img2img: Tab, interrogators: Callable[..., None], name: str
) -> None:
    interrogators(CLIP="a cat", DeepBooru="a cat")
    show(img2img)
    ask(img2img, name)
    box = img2img.control("keep_source").locator("textarea, input")
    expect(box).to_have_value("a cat (RGB 64x48)")
    expect(img2img.find(f"{ASKED} .error")).to_have_count(0)


def test_the_tab_in_front_decides_which_picture(
    img2img: Tab, interrogators: Callable[..., None]
) -> None:
    interrogators(CLIP="a mask")
    show(img2img)
    front(img2img, "Inpaint")
    ask(img2img, "CLIP")
    expect(img2img.find(f"{ASKED} .error")).to_have_text(NO_PICTURE)
    show(img2img, "img2maskimg")
    front(img2img, "img2img")  # what lies in the other tab is not sent
    ask(img2img, "CLIP")
    said = img2img.control("keep_source").locator("textarea, input")
    expect(said).to_have_value("a mask (RGB 64x48)")
    img2img.set("keep_source", "")
    front(img2img, "Inpaint")
    draw(img2img, "img2maskimg")
    ask(img2img, "CLIP")
    expect(said).to_have_value("a mask (RGB 64x48)")
    front(img2img, "Batch")
    ask(img2img, "CLIP")
    expect(img2img.find(f"{ASKED} .error")).to_have_text(BATCH)


def test_where_nobody_answers_a_line_says_so(
    img2img: Tab, interrogators: Callable[..., None]
) -> None:
    interrogators(CLIP=None, DeepBooru="fail")
    show(img2img)
    img2img.set("keep_source", "a dog")
    for name, line in {"CLIP": NOBODY, "DeepBooru": FAILED}.items():
        ask(img2img, name)
        expect(img2img.find(f"{ASKED} .error")).to_have_text(line.format(name))
    assert img2img.get("keep_source") == "a dog"
    interrogators(CLIP="fail")
    ask(img2img, "CLIP")
    expect(img2img.find(f"{ASKED} .error")).to_have_text(FAILED.format("CLIP"))
