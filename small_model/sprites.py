"""The tables of the world: sprites, colours, scenes, styles, and who wears what and where.

The sprites are Twemoji's, in the order of `SPRITES` in one picture beside this file, `emoji.png`,
which `sprite_sheet.py` makes. Another world needs other tables and another such picture.
"""

from __future__ import annotations

import functools
import itertools
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

Colour = tuple[int, int, int]
Spot = tuple[float, float, float]  # middle and width of a worn thing, by the wearer's side
Pixels = npt.NDArray[np.float32]  # 0 to 1

SHEET = Path(__file__).resolve().parent / "emoji.png"
TILE = 96  # pixels of the side of a sprite in the sheet
_SKEW = 0.6  # the n-th thing's frequency falls as n to the power of -skew
_HELD_OUT_SHARE = 0.2  # share of all pairs


@dataclass(frozen=True)
class Sprite:
    """An emoji by its code point. With `takes_colour` it is tinted, else it looks as it does."""

    code: str
    takes_colour: bool = False
    plural: str = ""


@dataclass(frozen=True)
class Backdrop:
    """A scene: its phrase in captions, its frequency, its sky and its ground.

    Without a ground one of the skies fills the whole picture.
    """

    phrase: str
    share: float
    skies: tuple[Colour, ...]
    ground: Colour | None = None


# The commonest first. All but the zebra, which is for edits, are the vocabulary of
# Attend-and-Excite's benchmark (arXiv 2301.13826), as far as there are emoji.
SPRITES = {
    "cat": Sprite("1f431"),
    "car": Sprite("1f697", takes_colour=True),
    "dog": Sprite("1f436"),
    "apple": Sprite("1f34e", takes_colour=True),
    "rabbit": Sprite("1f430"),
    "balloon": Sprite("1f388", takes_colour=True),
    "bear": Sprite("1f43b"),
    "crown": Sprite("1f451", takes_colour=True),
    "horse": Sprite("1f434"),
    "clock": Sprite("23f0", takes_colour=True),
    "lion": Sprite("1f981"),
    "backpack": Sprite("1f392", takes_colour=True),
    "frog": Sprite("1f438"),
    "bow": Sprite("1f380", takes_colour=True),
    "mouse": Sprite("1f42d", plural="mice"),
    "chair": Sprite("1fa91", takes_colour=True),
    "bird": Sprite("1f426"),
    "suitcase": Sprite("1f9f3", takes_colour=True),
    "elephant": Sprite("1f418"),
    "bowl": Sprite("1f963", takes_colour=True),
    "monkey": Sprite("1f435"),
    "turtle": Sprite("1f422"),
    "zebra": Sprite("1f993"),
    "glasses": Sprite("1f453", takes_colour=True, plural="glasses"),
}

COLOURS: dict[str, Colour] = {
    "red": (215, 35, 45),
    "orange": (245, 135, 25),
    "yellow": (250, 215, 40),
    "green": (45, 170, 65),
    "blue": (45, 95, 220),
    "purple": (135, 65, 190),
    "pink": (250, 135, 185),
    "brown": (125, 75, 40),
    "gray": (140, 142, 148),
    "black": (35, 35, 42),
}

BACKDROPS = {
    "plain": Backdrop(
        "",
        0.52,
        (
            (255, 255, 255),
            (255, 240, 225),
            (225, 240, 255),
            (236, 226, 250),
            (226, 245, 226),
        ),
    ),
    "grass": Backdrop("on the grass", 0.12, ((160, 212, 250),), (125, 195, 95)),
    "beach": Backdrop("on the beach", 0.12, ((130, 205, 240),), (240, 222, 165)),
    "snow": Backdrop("in the snow", 0.12, ((190, 210, 230),), (248, 250, 255)),
    "night": Backdrop("at night", 0.12, ((28, 32, 74),), (48, 54, 96)),
}

BLACK_AND_WHITE = "black and white"
# a style is how the whole picture looks: how captions name it, and how often it is seen
STYLES = {
    "": ("", 0.84),
    BLACK_AND_WHITE: ("in black and white", 0.08),
    "sunset": ("at sunset", 0.08),
}

WORN = ("crown", "glasses", "bow")
WEARERS: dict[str, tuple[Spot, Spot, Spot]] = {  # the spot of each of `WORN`
    "cat": ((0.5, 0.04, 0.56), (0.5, 0.52, 0.8), (0.5, 0.98, 0.46)),
    "dog": ((0.5, 0.0, 0.56), (0.5, 0.42, 0.7), (0.5, 0.98, 0.46)),
    "bear": ((0.5, 0.02, 0.56), (0.5, 0.5, 0.7), (0.5, 0.98, 0.46)),
    "lion": ((0.5, 0.0, 0.56), (0.5, 0.42, 0.6), (0.5, 0.98, 0.46)),
    "frog": ((0.5, 0.06, 0.5), (0.5, 0.13, 0.9), (0.5, 0.98, 0.46)),
    "mouse": ((0.5, 0.2, 0.5), (0.5, 0.6, 0.6), (0.5, 1.0, 0.46)),
    "rabbit": ((0.5, 0.36, 0.5), (0.5, 0.66, 0.62), (0.5, 1.0, 0.4)),
    "monkey": ((0.5, 0.02, 0.56), (0.5, 0.42, 0.66), (0.5, 0.98, 0.46)),
}

STANDING = tuple(name for name in SPRITES if name != "glasses")  # things that may stand alone


def frequency() -> dict[str, float]:
    """Return thing -> how often it is drawn, relative to the commonest."""
    return {name: (1 + rank) ** -_SKEW for rank, name in enumerate(STANDING)}


@functools.cache
def held_out() -> frozenset[frozenset[str]]:
    """Return the fifth of all pairs of things that never occur together in training."""
    pairs = [frozenset(pair) for pair in itertools.combinations(sorted(STANDING), 2)]
    return frozenset(random.Random("held out").sample(pairs, round(_HELD_OUT_SHARE * len(pairs))))


def is_held_out(*names: str) -> bool:
    """Tell whether two of these things never occur together in training."""
    return any(frozenset(pair) in held_out() for pair in itertools.combinations(names, 2))


@functools.cache
def sprite(name: str, colour: str, side: int, mirrored: bool) -> Pixels:
    """Return a sprite, [side, side, rgba]; without a colour as in the sheet."""
    place = list(SPRITES).index(name)
    with Image.open(SHEET) as sheet:
        tile = sheet.convert("RGBA").crop((place * TILE, 0, (place + 1) * TILE, TILE))
    pixels = unit(tile.resize((side, side), Image.Resampling.HAMMING))
    if colour:
        pixels = np.concatenate([_tinted(pixels, unit(COLOURS[colour])), pixels[..., 3:]], axis=-1)
    return pixels[:, ::-1] if mirrored else pixels


def _tinted(pixels: Pixels, colour: Pixels) -> Pixels:
    """Tint pixels, [h, w, rgb]: those of the sprite's average lightness become `colour`, lighter
    ones go to white, darker ones to black."""
    alpha = pixels[..., 3]
    light = pixels[..., :3] @ np.array([0.3, 0.59, 0.11], np.float32)
    middle = (light * alpha).sum() / alpha.sum()
    shade = np.clip(0.5 + light - middle, 0, 1)[..., None]
    dark, bright = colour * (0.25 + 1.5 * shade), colour + (1 - colour) * (2 * shade - 1) * 0.8
    tinted: Pixels = np.where(shade < 0.5, dark, bright).clip(0, 1).astype(np.float32)
    return tinted


def unit(values: object) -> Pixels:
    """Scale 0..255 to 0..1."""
    scaled: Pixels = np.asarray(values, np.float32) / np.float32(255)
    return scaled
