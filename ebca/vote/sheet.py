"""The result of a vote as a picture to show to others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PIL import Image, ImageDraw

_WIDTH, _MARGIN, _BAR = 1000, 40, 30
_COLOURS = {"a": "#b45309", "same": "#6b7280", "bad": "#374151", "b": "#1d4ed8"}
_WORDS = {"a": "A", "same": "the same", "bad": "both bad", "b": "B"}
_MOST_KINDS = 12


def sheet(result: dict[str, Any], font: Callable[[int], Any]) -> Image.Image:
    """Draw a bar for all votes and one for each kind of prompt, with figures and verdicts."""
    kinds = result["kinds"][:_MOST_KINDS]
    several = len(result["kinds"]) > 1
    picture = Image.new("RGB", (_WIDTH, 600 + 170 * len(kinds)), "white")
    pen = _Pen(ImageDraw.Draw(picture), font)
    poll, together = result["poll"], result["together"]
    pen.line(poll["name"] or "A blind vote", 28)
    pen.line(f"A: {poll['a']}", 18)
    pen.line(f"B: {poll['b']}", 18)
    pen.bar(together)
    pen.lines(together["verdict"], 22)
    voters = len(result["voters"])
    pen.line(
        f"{together['count']} pairs, {voters} voter{'s' * (voters != 1)}; ties are no decisions; in"
        " brackets the 95 % Wilson interval; exact sign test", 15,
    )  # fmt: skip
    if several:
        for each in kinds:
            pen.down(20)
            pen.line(each["kind"], 18)
            pen.bar(each)
            pen.lines(each["verdict"], 15)
        pen.down(20)
    facts = poll["facts"]
    pen.line(f"{facts.get('model', '')}, {facts.get('host', '')}, EBCA {poll['version']}", 15)
    return picture.crop((0, 0, _WIDTH, pen.y + _MARGIN - 12))


class _Pen:
    """Writes and draws from the top down."""

    def __init__(self, draw: ImageDraw.ImageDraw, font: Callable[[int], Any]) -> None:
        self._draw, self._font, self.y = draw, font, _MARGIN

    def down(self, pixels: int) -> None:
        self.y += pixels

    def lines(self, text: str, size: int) -> None:
        """Write a text in as many lines as it takes."""
        line = ""
        for word in text.split(" "):  # never at the no-break spaces inside figures
            if line and not self._fits(f"{line} {word}", self._font(size)):
                self.line(line, size)
                line = ""
            line = f"{line} {word}".strip()
        self.line(line, size)

    def line(self, text: str, size: int) -> None:
        """Write one line; a text that is too long ends in dots."""
        font, text = self._font(size), " ".join(text.split())
        while text and not self._fits(text, font):
            text = text[: min(len(text), 200) - 4].rstrip() + "..." if len(text) > 7 else ""
        self._draw.text((_MARGIN, self.y), text, fill="black", font=font)
        self.y += size + 12

    def _fits(self, text: str, font: Any) -> bool:
        return bool(self._draw.textlength(text, font=font) <= _WIDTH - 2 * _MARGIN)

    def bar(self, tally: dict[str, Any]) -> None:
        """Draw the shares of the choices, A at the left and B at the right."""
        x, room = float(_MARGIN), _WIDTH - 2 * _MARGIN
        for name, colour in _COLOURS.items():
            wide = room * tally[name] / max(1, tally["count"])
            if wide:
                self._draw.rectangle((x, self.y, x + wide, self.y + _BAR), fill=colour)
                self._label(f"{_WORDS[name]} {tally[name]}", x, wide)
            x += wide
        if not tally["count"]:
            end = _WIDTH - _MARGIN, self.y + _BAR
            self._draw.rectangle((_MARGIN, self.y, *end), outline="black")
        self.y += _BAR + 12

    def _label(self, text: str, x: float, wide: float) -> None:
        font = self._font(15)
        if self._draw.textlength(text, font=font) + 8 < wide:
            self._draw.text((x + 5, self.y + 6), text, fill="white", font=font)
