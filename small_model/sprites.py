"""What the world is made of, as a table: shapes, colours, scenes, and which pairs are held out.

A sprite is a square RGBA picture. Flat icons are white and take any colour; another set of sprites
(emoji, say) is another `SpriteSet`, nothing else changes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from PIL import Image, ImageDraw

Colour = tuple[int, int, int]
Point = tuple[float, float]

_SIDE = 256  # sprites are drawn at this size and made smaller


@dataclass(frozen=True)
class Backdrop:
    """A scene: how captions name it, how often it is seen, its sky and its ground.

    Without a ground the whole picture is of one of the skies.
    """

    phrase: str
    share: float
    skies: tuple[Colour, ...]
    ground: Colour | None = None


@dataclass(frozen=True)
class SpriteSet:
    """A world's table. `sprites` are in the order of their frequency, the commonest first."""

    name: str
    sprites: Mapping[str, Callable[[], Image.Image]]
    colours: Mapping[str, Colour]
    backdrops: Mapping[str, Backdrop]
    held_out: frozenset[frozenset[str]]
    skew: float  # the n-th shape's frequency falls as n to the power of -skew

    @property
    def frequency(self) -> dict[str, float]:
        """Shape -> how often it is drawn, relative to the commonest."""
        return {name: (1 + rank) ** -self.skew for rank, name in enumerate(self.sprites)}

    def is_held_out(self, *shapes: str) -> bool:
        """Whether two of these never occur together in training."""
        return any(frozenset(pair) in self.held_out for pair in itertools.combinations(shapes, 2))


class _Pen:
    """Draws one white icon; coordinates run from 0 to 1, y downwards."""

    def __init__(self) -> None:
        self._mask = Image.new("L", (_SIDE, _SIDE))
        self._draw = ImageDraw.Draw(self._mask)

    def ellipse(self, left: float, top: float, right: float, bottom: float, ink: int = 255) -> None:
        self._draw.ellipse([value * _SIDE for value in (left, top, right, bottom)], fill=ink)

    def box(self, left: float, top: float, right: float, bottom: float, ink: int = 255) -> None:
        self._draw.rectangle([value * _SIDE for value in (left, top, right, bottom)], fill=ink)

    def polygon(self, *points: Point) -> None:
        self._draw.polygon([(x * _SIDE, y * _SIDE) for x, y in points], fill=255)

    def done(self) -> Image.Image:
        white = Image.new("RGBA", self._mask.size, "white")
        white.putalpha(self._mask)
        return white


def _circle() -> Image.Image:
    pen = _Pen()
    pen.ellipse(0.03, 0.03, 0.97, 0.97)
    return pen.done()


def _square() -> Image.Image:
    pen = _Pen()
    pen.box(0.08, 0.08, 0.92, 0.92)
    return pen.done()


def _triangle() -> Image.Image:
    pen = _Pen()
    pen.polygon((0.5, 0.04), (0.98, 0.92), (0.02, 0.92))
    return pen.done()


def _star() -> Image.Image:
    pen = _Pen()
    tips = [(0.5 if corner % 2 == 0 else 0.21, corner * math.pi / 5) for corner in range(10)]
    pen.polygon(*((0.5 + far * math.sin(at), 0.53 - far * math.cos(at)) for far, at in tips))
    return pen.done()


def _heart() -> Image.Image:
    pen = _Pen()
    pen.polygon(*(_heart_point(2 * math.pi * step / 96) for step in range(96)))
    return pen.done()


def _heart_point(at: float) -> Point:
    """The heart curve x = 16 sin^3, y = 13 cos - 5 cos 2 - 2 cos 3 - cos 4."""
    height = sum(size * math.cos(n * at) for n, size in ((1, 13), (2, -5), (3, -2), (4, -1)))
    return 0.5 + 0.031 * 16 * math.sin(at) ** 3, 0.47 - 0.031 * height


def _moon() -> Image.Image:
    pen = _Pen()
    pen.ellipse(0.06, 0.03, 0.99, 0.96)
    pen.ellipse(0.37, -0.02, 1.25, 0.82, ink=0)
    return pen.done()


def _ring() -> Image.Image:
    pen = _Pen()
    pen.ellipse(0.03, 0.03, 0.97, 0.97)
    pen.ellipse(0.28, 0.28, 0.72, 0.72, ink=0)
    return pen.done()


def _cross() -> Image.Image:
    pen = _Pen()
    pen.box(0.36, 0.03, 0.64, 0.97)
    pen.box(0.03, 0.36, 0.97, 0.64)
    return pen.done()


def _fish() -> Image.Image:
    pen = _Pen()
    pen.ellipse(0.02, 0.22, 0.77, 0.78)
    pen.polygon((0.62, 0.5), (0.99, 0.16), (0.99, 0.84))
    pen.ellipse(0.16, 0.39, 0.27, 0.5, ink=0)
    return pen.done()


def _house() -> Image.Image:
    pen = _Pen()
    pen.polygon((0.5, 0.02), (0.99, 0.45), (0.01, 0.45))
    pen.box(0.14, 0.44, 0.86, 0.97)
    pen.box(0.41, 0.63, 0.59, 0.97, ink=0)
    return pen.done()


# The nine of 45 pairs that the released weights have never seen together. They and the order of
# the shapes are those of the program that drew the released model's training pictures.
_HELD_OUT = (
    "circle triangle, cross fish, cross heart, cross moon, cross ring, fish house, moon ring, "
    "moon star, square triangle"
)

ICONS = SpriteSet(
    name="icons",
    sprites={
        "triangle": _triangle,
        "star": _star,
        "square": _square,
        "circle": _circle,
        "fish": _fish,
        "cross": _cross,
        "ring": _ring,
        "moon": _moon,
        "heart": _heart,
        "house": _house,
    },
    colours={
        "red": (222, 40, 48),
        "orange": (245, 135, 30),
        "yellow": (246, 205, 40),
        "green": (50, 165, 75),
        "blue": (45, 95, 215),
        "purple": (135, 70, 185),
        "pink": (245, 130, 180),
        "black": (40, 40, 48),
    },
    backdrops={
        "plain": Backdrop(
            "",
            0.64,
            ((255, 255, 255), (255, 242, 228), (230, 242, 255), (240, 232, 250)),
        ),
        "grass": Backdrop("on the grass", 0.12, ((205, 232, 252),), (165, 215, 140)),
        "beach": Backdrop("on the beach", 0.12, ((190, 228, 245),), (245, 228, 185)),
        "night": Backdrop("at night", 0.12, ((70, 75, 120),)),
    },
    held_out=frozenset(frozenset(pair.split()) for pair in _HELD_OUT.split(", ")),
    skew=0.7,
)
