"""The page of a vote in a browser, as a voter uses it; for the page of the command line and for
that in the WebUI."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import FrameLocator, Page, expect

PATIENCE = 60_000
"""Milliseconds for pictures to be made."""


class VotePage:
    """`page` has the keyboard; `where` is the page or the frame that shows the vote."""

    def __init__(self, page: Page, where: Page | FrameLocator) -> None:
        self.page, self._where = page, where

    def find(self, selector: str) -> Any:
        return self._where.locator(selector)

    def fill(self, name: str, value: str) -> None:
        field = self.find(f"#new [name={name}]")
        if field.evaluate("field => field.tagName") == "SELECT":
            field.select_option(value)
        else:
            field.fill(value)

    def begin(self, listed: str, **fields: str) -> None:
        """A vote on a list of prompts; its first pair is seen when this returns."""
        self.fill("prompts", "own")
        self.fill("list", listed)
        for name, value in fields.items():
            self.fill(name, value)
        self.find("#new button").click()
        self.find("#pictures").wait_for(timeout=PATIENCE)

    def all_made(self, count: int) -> None:
        expect(self.find("#progress")).to_contain_text(f"{count} made", timeout=PATIENCE)

    def voter(self, name: str) -> None:
        """Another voter; what they see is there when this returns."""
        with self.page.expect_response("**/api/voters"):
            self.find("#voter").fill(name)
            self.find("#voter").blur()
        expect(self.find("body")).not_to_have_attribute("aria-busy", "true")

    @property
    def prompt(self) -> str:
        return str(self.find("#prompt").text_content())

    @property
    def done(self) -> int:
        return int(re.match(r"\d+", self.find("#progress").inner_text())[0])

    def press(self, key: str) -> None:
        """Wait for both pictures, press a key, and wait until the vote is stored."""
        before = self.done
        self._seen()
        self.page.keyboard.press(key)
        self._counts(before + (-1 if key == "Backspace" else 1))

    def click(self, choice: str) -> None:
        before = self.done
        self._seen()
        self.find(f"#choices [data-choice={choice}]").click()
        self._counts(before + 1)

    def result(self) -> str:
        """The verdict."""
        self.find("#to-result").click()
        self.find("#result").wait_for()
        return str(self.find("#verdict").inner_text())

    def _seen(self) -> None:
        for side in ("left", "right"):
            picture = self.find(f".picture[data-choice={side}] img")
            expect(picture).to_have_js_property("complete", True)
            assert picture.evaluate("image => image.naturalWidth") > 0

    def _counts(self, done: int) -> None:
        expect(self.find("#progress")).to_have_text(re.compile(f"^{done} of "))
        expect(self.find("body")).not_to_have_attribute("aria-busy", "true")
