"""The result of a vote as a picture that can be shown to others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PIL import Image, ImageDraw

_WIDTH, _MARGIN, _BAR = 1000, 40, 30
_COLOURS = {"a": "#b45309", "same": "#6b7280", "bad": "#374151", "b": "#1d4ed8"}
_WORDS = {"a": "A", "same": "the same", "bad": "both bad", "b": "B"}
_MOST_KINDS = 12


def sheet(result: dict[str, Any], font: Callable[[int], Any]) -> Image.Image:
    """A bar for all votes and one for each kind of prompt, with the figures beside them."""
    kinds = result["kinds"][:_MOST_KINDS]
    several = len(result["kinds"]) > 1
    picture = Image.new("RGB", (_WIDTH, 400 + 100 * len(kinds)), "white")
    pen = _Pen(ImageDraw.Draw(picture), font)
    poll, together = result["poll"], result["together"]
    pen.line(poll["name"] or "A blind vote", 28)
    pen.line(f"A: {poll['a']}", 18)
    pen.line(f"B: {poll['b']}", 18)
    pen.bar(together)
    pen.line(verdict(together), 22)
    voters = len(result["voters"])
    pen.line(
        f"{together['count']} pairs, {voters} voter{'s' * (voters != 1)}; B or A, without ties,"
        " with 95 % Wilson interval; exact sign test", 15,
    )  # fmt: skip
    if several:
        pen.down(20)
        for each in kinds:
            pen.line(f"{each['kind']}: {verdict(each)}", 16)
            pen.bar(each)
    facts = poll["facts"]
    pen.line(f"{facts.get('model', '')}, {facts.get('host', '')}, EBCA {poll['version']}", 15)
    return picture.crop((0, 0, _WIDTH, pen.y + _MARGIN - 12))


def verdict(tally: dict[str, Any]) -> str:
    """The preference in words."""
    if tally["preference"] is None:
        return "nobody has preferred A or B yet" if not tally["count"] else "ties only"
    share, low, high = (100 * value for value in tally["preference"])
    return (
        f"B in {share:.0f} % [{low:.0f}, {high:.0f}] of {tally['a'] + tally['b']} decisions,"
        f" p = {tally['p']:.2g}"
    )


class _Pen:
    """Writes and draws from the top down."""

    def __init__(self, draw: ImageDraw.ImageDraw, font: Callable[[int], Any]) -> None:
        self._draw, self._font, self.y = draw, font, _MARGIN

    def down(self, pixels: int) -> None:
        self.y += pixels

    def line(self, text: str, size: int) -> None:
        """One line; what is too long for it ends in dots."""
        font, text = self._font(size), " ".join(text.split())
        room = _WIDTH - 2 * _MARGIN
        while text and self._draw.textlength(text, font=font) > room:
            text = text[: min(len(text), 200) - 4].rstrip() + "..." if len(text) > 7 else ""
        self._draw.text((_MARGIN, self.y), text, fill="black", font=font)
        self.y += size + 12

    def bar(self, tally: dict[str, Any]) -> None:
        """The shares of what was said, A at the left and B at the right."""
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
