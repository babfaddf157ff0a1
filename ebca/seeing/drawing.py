"""Draw attention maps as a strip of panels beside a picture, and two pictures side by side.

This needs only PIL and numpy, which every host has. Sizes are PIL's: (width, height) in pixels.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ebca.core.maps import MOST_WORDS, Seen
from ebca.seeing.colours import AREAS, viridis

Font = Callable[[int], Any]
"""A function from a size in pixels to a PIL font."""
Colour = tuple[int, int, int]

_PANEL, _SMALL = 384, 256
"""The longer side of a panel in pixels: the maximum, and the side that small pictures aim at."""

_GAP, _LETTER = 10, 16
_PAPER, _INK = "white", "black"
_STRENGTH = 0.65
"""The opacity of a colour over the grey picture."""


class Frame(NamedTuple):
    """The part of the finished picture that the maps cover, in its pixels: all of it, or the crop
    that was painted ("only masked")."""

    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True)
class Drawn:
    """One panel: a picture, and the caption below it."""

    picture: Image.Image
    caption: str
    keys: tuple[tuple[str, Colour | None], ...] = ()  # names with their colours, below the caption
    scale: tuple[float, float] | None = None  # the values of the first and the last colour


def default_font(size: int) -> Any:
    """Return PIL's own font, which before PIL 10.1 has one size only."""
    try:
        return ImageFont.load_default(size)
    except TypeError:
        return ImageFont.load_default()


def strip(
    picture: Image.Image,
    seen: Seen,
    *,
    frame: Frame | None = None,
    title: str = "",
    font: Font = default_font,
) -> Image.Image:
    """Draw the picture, with the caption `title`, and panels beside it.

    There is a panel for each word with its share of the attention and a scale, one for each prompt
    after AND with its change, and one for the places that methods gave. A panel's colours go from
    its lowest value to its highest, or to twice the mean if that is more: an even map is dark.
    """
    frame = frame or Frame(0, 0, *picture.size)
    small = _fitted(picture)
    shown = [(word, "mean", share) for word, share in zip(seen.words, seen.maps, strict=True)]
    changes = [(each.name, "changes", each.change) for each in seen.used if each.change is not None]
    panels = [Drawn(small, title or "picture")]
    for name, what, values in [*shown, *changes[:MOST_WORDS]]:
        over = _over(values, picture.size, small.size, frame)
        caption = f"{name}\n{what} {_percent(values.mean())}, highest {_percent(values.max())}"
        scale = float(values.min()), float(max(values.max(), 2 * values.mean()))
        panels.append(Drawn(_heat(small, over, *scale), caption, scale=scale))
    panels += _areas(small, seen, picture.size, frame)
    return _sheet(panels, font)


def pair(off: Image.Image, on: Image.Image, font: Font = default_font) -> Image.Image:
    """Draw `off | on` with labels below, in their own size; small pictures are enlarged."""
    return _sheet([Drawn(_enlarged(off), "off"), Drawn(_enlarged(on), "on")], font)


def column(pictures: Sequence[Image.Image]) -> Image.Image:
    """Stack pictures below each other."""
    size = max(each.width for each in pictures), sum(each.height for each in pictures)
    whole = Image.new("RGB", size, _PAPER)
    top = 0
    for each in pictures:
        whole.paste(each, (0, top))
        top += each.height
    return whole


# Panels


def _fitted(picture: Image.Image) -> Image.Image:
    scale = _PANEL / max(picture.size)
    if scale >= 1.0:
        return _enlarged(picture)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    return picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)


def _enlarged(picture: Image.Image) -> Image.Image:
    """Enlarge a small picture by a whole number."""
    times = max(1, _SMALL // max(picture.size))
    size = picture.width * times, picture.height * times
    return picture.convert("RGB").resize(size, Image.Resampling.NEAREST)


def _over(
    share: Tensor,
    whole: tuple[int, int],
    size: tuple[int, int],
    frame: Frame,
    how: Image.Resampling = Image.Resampling.BILINEAR,
) -> NDArray[np.float32]:
    """Resize a map [h, w] of a frame to its place in the picture: [height, width], nan outside.

    `whole` is the picture's size, in whose pixels the frame is; `size` is that of the result."""
    across, down = size[0] / whole[0], size[1] / whole[1]
    left, top = round(frame.left * across), round(frame.top * down)
    width = max(1, round((frame.left + frame.width) * across) - left)
    height = max(1, round((frame.top + frame.height) * down) - top)
    source = Image.fromarray(share.float().numpy())
    fine = source.resize((width, height), how)
    canvas = Image.new("F", size, float("nan"))
    canvas.paste(fine, (left, top))
    return np.asarray(canvas)


def _heat(
    picture: Image.Image, values: NDArray[np.float32], low: float, high: float
) -> Image.Image:
    """Lay values, coloured from `low` to `high`, over the grey picture."""
    grey = 0.8 * np.asarray(picture.convert("L").convert("RGB"), dtype=np.float64)
    colours = viridis((values - low) / max(high - low, 1e-9))
    there = ~np.isnan(values)[..., None]
    mixed = np.where(there, (1 - _STRENGTH) * grey + _STRENGTH * colours, 0.5 * grey + 120)
    return Image.fromarray(mixed.round().clip(0, 255).astype(np.uint8))


def _areas(picture: Image.Image, seen: Seen, whole: tuple[int, int], frame: Frame) -> list[Drawn]:
    """Return one panel of the places that methods gave and of what they added everywhere.

    The list is empty if everything used has a panel of its own."""
    used = [each for each in seen.used if each.change is None]
    placed = [each for each in used if isinstance(each.weight, Tensor)]
    keys: list[tuple[str, Colour | None]] = []
    mixed = np.asarray(picture.convert("L").convert("RGB"), dtype=np.float64)
    if placed:
        where = (whole, picture.size, frame, Image.Resampling.NEAREST)
        weights = np.stack([_over(torch.as_tensor(each.weight), *where) for each in placed])
        spread = weights.max(0) - weights.min(0)
        decided = spread > 0.25 * max(float(np.nanmax(spread)), 1e-9)
        tints = np.array([_area(n) for n in range(len(placed))], dtype=np.float64)
        tint = tints[np.nan_to_num(weights, nan=-np.inf).argmax(0)]
        mixed = np.where(decided[..., None], 0.45 * mixed + 0.55 * tint, mixed)
        keys += [(each.name, _area(n)) for n, each in enumerate(placed)]
    everywhere = [each for each in used if not isinstance(each.weight, Tensor)]
    keys += [(f"{each.name}: {each.weight:+.2g} everywhere", None) for each in everywhere]
    if not keys:
        return []
    drawn = Image.fromarray(mixed.round().clip(0, 255).astype(np.uint8))
    caption = "places given by EBCA" if placed else "added by EBCA"
    return [Drawn(drawn, caption, tuple(keys))]


def _area(number: int) -> Colour:
    red, green, blue = AREAS[number % len(AREAS)].tolist()
    return red, green, blue


# The sheet


def _sheet(panels: Sequence[Drawn], font: Font) -> Image.Image:
    """Draw panels beside each other, each with its caption, keys and scale below."""
    letters = font(_LETTER)
    texts = [_below(panel, letters) for panel in panels]
    width = sum(each.picture.width + _GAP for each in panels) + _GAP
    high = max(panel.picture.height for panel in panels)
    height = high + max(map(_height, texts)) + 2 * _GAP
    sheet = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    left = _GAP
    for panel, lines in zip(panels, texts, strict=True):
        sheet.paste(panel.picture, (left, _GAP))
        _write(draw, lines, (left, _GAP + high + 4), letters)
        if panel.scale is not None:
            bar = _scale(*panel.scale, panel.picture.width, letters)
            sheet.paste(bar, (left, _GAP + high + 4 + (_LETTER + 4) * (len(lines) - 1)))
        left += panel.picture.width + _GAP
    return sheet


class _Line(NamedTuple):
    text: str
    colour: Colour | None = None  # of the square before the text


def _below(panel: Drawn, font: Any) -> list[_Line]:
    """Return the lines below a panel, wrapped to its width."""
    width = panel.picture.width
    captions = panel.caption.split("\n")
    lines = [_Line(each) for part in captions for each in _broken(part, width, font)]
    for name, colour in panel.keys:
        first, *more = _broken(name, width - _LETTER - 6, font)
        lines += [_Line(first, colour), *(_Line(each) for each in more)]
    return [*lines, _Line("")] if panel.scale is not None else lines  # the last line is the scale's


def _broken(text: str, width: int, font: Any) -> list[str]:
    """Wrap `text` into three lines at most, none wider than `width` pixels."""
    text = " ".join(text.split())
    letters = max(4, int(width / max(font.getlength("n"), 1.0)))
    lines = textwrap.wrap(text, letters, max_lines=3, placeholder=" …") or [""]
    return [_cut(each, width, font) for each in lines]


def _cut(text: str, width: int, font: Any) -> str:
    """Shorten `text` to `width` pixels, with an ellipsis."""
    while len(text) > 1 and font.getlength(text) > width:
        text = text[:-2] + "…"
    return text


def _height(lines: Sequence[_Line]) -> int:
    return 4 + len(lines) * (_LETTER + 4)


def _write(
    draw: ImageDraw.ImageDraw, lines: Sequence[_Line], corner: tuple[int, int], font: Any
) -> None:
    left, top = corner
    for line in lines:
        shift = 0
        if line.colour is not None:
            box = (left, top + 2, left + _LETTER - 2, top + _LETTER)
            draw.rectangle(box, fill=line.colour, outline=_INK)
            shift = _LETTER + 4
        draw.text((left + shift, top), line.text, fill=_INK, font=font)
        top += _LETTER + 4


def _scale(low: float, high: float, width: int, letters: Any) -> Image.Image:
    """Draw a bar of the colours between the values of its ends."""
    ends = _percent(low), _percent(high)
    before, after = (int(letters.getlength(each)) + 6 for each in ends)
    length = max(1, width - before - after)
    bar = Image.new("RGB", (width, _LETTER + 4), _PAPER)
    draw = ImageDraw.Draw(bar)
    colours = viridis(np.linspace(0.0, 1.0, length)).round().astype(np.uint8)
    bar.paste(Image.fromarray(np.repeat(colours[None], _LETTER - 4, axis=0)), (before, 3))
    draw.text((0, 0), ends[0], fill=_INK, font=letters)
    draw.text((before + length + 6, 0), ends[1], fill=_INK, font=letters)
    return bar


def _percent(share: float | Tensor) -> str:
    percent = 100 * float(share)
    return f"{percent:.0f}%" if percent >= 99.5 else f"{percent:.2g}%"
