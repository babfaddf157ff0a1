"""A WebUI's page in a browser, as a user sees it: tabs, EBCA's controls, Generate."""

from __future__ import annotations

import io
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from PIL import Image
from playwright.sync_api import Locator, Page, expect, sync_playwright

from ebca.options.job import fields
from ebca.options.presets import preset_values
from ebca.settings.declaration import GROUPS

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]
_FLAGS += ["--disable-component-update", "--disable-sync", "--no-first-run"]
SLOWER = float(os.environ.get("EBCA_WEBUI_SLOWER", "1"))
"""How many times slower everything may be than on a machine that does nothing else."""

_PATIENCE = 60_000 * SLOWER
"""Milliseconds for what takes long, such as a job."""

expect.set_options(timeout=5_000 * SLOWER)

_SHOWN_ONCE = """button => {
    const seen = {shown: false};
    const look = () => { seen.shown ||= button.style.display === "block"; };
    new MutationObserver(look).observe(button, {attributes: true});
    return seen;
}"""
"""Notes whether a button is ever shown: a small job may be over before anybody looks."""


def shown_in(tab: str) -> list[str]:
    """The fields that a tab shows: what keeps a picture needs one."""
    return [n for n, each in fields().items() if tab == "img2img" or each.group != "keep"]


@contextmanager
def open_webui(url: str, theme: str = "light", width: int = 1500) -> Iterator[WebUIPage]:
    """The WebUI at `url` in a browser of its own, ready to be used."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_FLAGS)
        page = browser.new_page(viewport={"width": width, "height": 1600})
        webui = WebUIPage(page, url.rstrip("/"))
        webui.load(theme)
        try:
            yield webui
        finally:
            browser.close()


class WebUIPage:
    """The page, and what its console complained of."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self._url = page, url
        self.complaints: list[str] = []
        page.set_default_timeout(15_000 * SLOWER)
        # whatever is elsewhere fails at once: the page asks for fonts and for a script of a CDN
        page.route(lambda address: not address.startswith(url), lambda route: route.abort())
        page.on("pageerror", lambda error: self.complaints.append(error.stack or str(error)))
        page.on("console", self._listen)
        self.txt2img, self.img2img = Tab(self, "txt2img"), Tab(self, "img2img")

    @contextmanager
    def fresh(self) -> Iterator[WebUIPage]:
        """The page, freshly loaded, which afterwards has complained of nothing that is EBCA's."""
        self.complaints.clear()
        self.load()
        yield self
        assert not [text for text in self.complaints if "ebca" in text.lower()]

    def _listen(self, message: Any) -> None:
        if message.type == "error":
            self.complaints.append(f"{message.text} {message.location.get('url')}")

    def load(self, theme: str = "light") -> None:
        """Anew, so that everything has its default."""
        self.page.goto(
            f"{self._url}/?__theme={theme}", wait_until="domcontentloaded", timeout=_PATIENCE
        )
        self.page.wait_for_selector(
            "#ebca_img2img_enabled-visible-checkbox", state="attached", timeout=_PATIENCE
        )

    def open(self, title: str) -> None:
        """One of the WebUI's own tabs, by the title on its button."""
        named = re.compile(rf"^\s*{re.escape(title)}\s*$", re.IGNORECASE)  # Forge: Txt2img
        self.page.locator("#tabs > .tab-nav > button").filter(has_text=named).click()

    def read_info(self, picture: bytes) -> None:
        """Give a picture to the tab PNG Info."""
        self.open("PNG Info")
        remove = self.page.locator("#pnginfo_image [aria-label='Clear']")
        if remove.count():
            remove.click()
        file = {"name": "picture.png", "mimeType": "image/png", "buffer": picture}
        self.page.set_input_files("#pnginfo_image input[type=file]", file)
        self.page.wait_for_selector("#tab_pnginfo p:has-text('Steps: ')")

    def pixels(self, tab: Tab) -> bytes:
        """Of the picture in the gallery of a tab."""
        return Image.open(io.BytesIO(self.picture(tab))).convert("RGB").tobytes()

    def picture(self, tab: Tab) -> bytes:
        """The file of the picture that the gallery of a tab shows."""
        address = self.page.locator(f"#{tab.name}_gallery img").first.get_attribute("src")
        return self.page.request.get(address).body()


class Tab:
    """txt2img or img2img."""

    def __init__(self, webui: WebUIPage, name: str) -> None:
        self._webui, self.name = webui, name

    def find(self, selector: str) -> Locator:
        """In the page; `{}` in `selector` stands for the name of the tab."""
        return self._webui.page.locator(selector.replace("{}", self.name))

    def control(self, field: str) -> Locator:
        return self.find(f"#ebca_{{}}_{field}")

    # The WebUI's own controls

    def set_prompt(self, prompt: str) -> None:
        self.find("#{}_prompt textarea").fill(prompt)

    def set_number(self, name: str, value: float) -> None:
        """One of the WebUI's sliders, e.g. `steps`."""
        _fill(self.find(f"#{{}}_{name} input[type=number]").first, str(value))

    def small_job(self, steps: int = 4) -> None:
        """Settings that take a moment only."""
        for name, value in {"steps": steps, "width": 64, "height": 64, "cfg_scale": 4}.items():
            self.set_number(name, value)

    def generate(self, seed: int = 7) -> str:
        """Press Generate, wait, and return the infotext, or the message of an error."""
        _fill(self.find("#{}_seed input"), str(seed))
        begun = self.find("#{}_interrupt").evaluate_handle(_SHOWN_ONCE)
        self.find("#{}_generate").click()
        self._webui.page.wait_for_function("seen => seen.shown", arg=begun)
        self.wait()
        done = self.find(f"#html_info_{{}}:has-text('Seed: {seed},'), #html_log_{{}} .error")
        done.first.wait_for()
        return done.first.inner_text()

    def wait(self) -> None:
        """Until no job runs."""
        for button in ("interrupt", "interrupting"):
            self.find(f"#{{}}_{button}").wait_for(state="hidden", timeout=_PATIENCE)

    def paste(self, infotext: str) -> None:
        """Put an infotext into the prompt and press the arrow."""
        self.set_prompt(infotext)
        self.find("#{}_tools #paste").click()
        prompt = self.find("#{}_prompt textarea")
        expect(prompt).not_to_have_value(infotext, timeout=_PATIENCE)  # but the server's answer
        self._webui.page.wait_for_timeout(1000 * SLOWER)

    # EBCA's

    @property
    def enabled(self) -> bool:
        return self.find("#ebca_{}_enabled-visible-checkbox").is_checked()

    def enable(self, wanted: bool = True) -> None:
        if self.enabled != wanted:
            self.find("#ebca_{}_enabled > .label-wrap").click()
            self._webui.page.wait_for_timeout(300 * SLOWER)

    @property
    def shown(self) -> list[str]:
        """The fields that the tab has controls for."""
        return shown_in(self.name)

    def unfold(self) -> None:
        """Open the groups that are folded."""
        for group in filter(GROUPS.get, GROUPS):
            some = next(name for name, each in fields().items() if each.group == group)
            if some in self.shown and not self.control(some).is_visible():
                self.control(f"group_{group}").locator("> .label-wrap").click()

    def set(self, field: str, value: Any) -> None:
        control = self.control(field)
        if fields()[field].is_number:
            _fill(control.locator("input[type=number]"), str(value))
        elif field == "preset":
            choose(control, value)
            if changed := preset_values(value):  # what it sets comes from the server
                shown = self.control("gamma_attn").locator("input[type=number]")
                expect(shown).to_have_value(f"{changed['gamma_attn']:g}")
        elif fields()[field].choices:
            control.locator(f"input[value='{value}']").check()
        elif isinstance(value, bool):
            control.locator("input").set_checked(value)
        else:
            _fill(control.locator("input, textarea"), value)

    def get(self, field: str) -> Any:
        control = self.control(field)
        if field == "enabled":
            return self.enabled
        if fields()[field].is_number:
            return float(control.locator("input[type=number]").input_value())
        if fields()[field].choices and field != "preset":
            return control.locator("input:checked").input_value()
        if fields()[field].is_flag:
            return control.locator("input").is_checked()
        return control.locator("input, textarea").input_value()

    def values(self) -> dict[str, Any]:
        """What all of EBCA's controls say."""
        return {name: self.get(name) for name in fields()}

    @property
    def line(self) -> Locator:
        """The line that says what will be done with the prompt."""
        return self.control("line").first


def choose(dropdown: Locator, value: str) -> None:
    """An entry of a dropdown, of Gradio 3 or 4."""
    dropdown.locator("input").click()
    dropdown.locator(f"li[data-value='{value}'], li[aria-label='{value}']").click()


def _fill(box: Locator, text: str) -> None:
    box.fill(text)
    box.blur()  # not by the Tab key: a dropdown that gets the focus unfolds
