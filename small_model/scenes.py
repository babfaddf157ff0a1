"""Scenes as data, drawn at random from a seed and turned into pictures."""

from __future__ import annotations

import functools
import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from small_model import sprites
from small_model.sprites import (
    BACKDROPS,
    BLACK_AND_WHITE,
    SPRITES,
    STYLES,
    WEARERS,
    WORN,
    Pixels,
    unit,
)

Picture = npt.NDArray[np.uint8]  # [height, width, 3]

SIZE = 64  # pixels
NAMES = tuple(sorted(SPRITES))
COLOURS = tuple(sprites.COLOURS)
SCENES = tuple(BACKDROPS)
HORIZON = 0.6  # where the ground begins

_KINDS = {"one": 0.36, "two": 0.39, "three": 0.11, "many": 0.06, "worn": 0.08}  # how often
_SIDES = {1: (36, 48), 2: (25, 30), 3: (20, 23)}  # in pixels, by number of things: least, greatest
_LAYOUTS: dict[int, list[list[tuple[int, int]]]] = {  # the centres, before they are jittered
    1: [[(32, 32)]],
    2: [[(16, 32), (48, 32)], [(16, 32), (48, 32)], [(32, 16), (32, 48)]],
    3: [[(16, 17), (48, 17), (32, 47)], [(16, 47), (48, 47), (32, 17)]],
}
_JITTER = 3


@dataclass(frozen=True, order=True)
class Object:
    """A thing in words. No colour: the thing has none of its own, or in a prompt, any will do."""

    name: str
    colour: str = ""


@dataclass(frozen=True)
class Placed:
    """An object in a picture: its centre and side in pixels, whether it is mirrored, and whether
    the object before it wears it."""

    object: Object
    x: int
    y: int
    side: int
    mirrored: bool = False
    worn: bool = False


@dataclass(frozen=True)
class Scene:
    """The content of a picture. `sky` picks one of the backdrop's skies."""

    placed: tuple[Placed, ...]
    background: str = "plain"
    sky: int = 0
    style: str = ""

    @property
    def objects(self) -> tuple[Object, ...]:
        """The objects, sorted, duplicates kept: the truth that a judge should find.

        In black and white nothing has a colour.
        """
        things = [placed.object for placed in self.placed]
        if self.style == BLACK_AND_WHITE:
            things = [Object(thing.name) for thing in things]
        return tuple(sorted(things))


def draw_scene(
    rng: random.Random,
    objects: Sequence[Object] | None = None,
    background: str | None = None,
    style: str | None = None,
) -> Scene:
    """Draw a scene of the training world, or one with given objects (1 to 3, any pair) or looks."""
    worn: Object | None = None
    if objects is None:
        objects, worn = _draw_objects(rng)
    placed = _place(rng, objects)
    if worn is not None:
        placed.append(put_on(placed[0], worn))
    if background is None:
        shares = [backdrop.share for backdrop in BACKDROPS.values()]
        background = rng.choices(SCENES, shares)[0]
    if style is None:
        style = rng.choices(list(STYLES), [share for _, share in STYLES.values()])[0]
    return Scene(tuple(placed), background, rng.randrange(len(BACKDROPS[background].skies)), style)


def any_colour(name: str, rng: random.Random) -> Object:
    """Return the thing, in a random colour if it takes one."""
    return Object(name, rng.choice(COLOURS) if SPRITES[name].takes_colour else "")


def _draw_objects(rng: random.Random) -> tuple[list[Object], Object | None]:
    """Draw things by frequency, no two of a held-out pair, and what the first of them wears."""
    kind = rng.choices(list(_KINDS), list(_KINDS.values()))[0]
    count = {"two": 2, "three": 3}.get(kind, 1)
    frequency = sprites.frequency()
    while True:
        names: list[str] = []
        while len(names) < count:
            name = rng.choices(list(frequency), list(frequency.values()))[0]
            if name not in names and (kind != "worn" or name in WEARERS):
                names.append(name)
        worn = rng.choice(WORN) if kind == "worn" else None
        if not sprites.is_held_out(*names, *([worn] if worn else [])):
            break
    things = [any_colour(name, rng) for name in names]
    if kind == "many":
        things *= rng.choice((2, 2, 3))
    return things, any_colour(worn, rng) if worn else None


def _place(rng: random.Random, objects: Sequence[Object]) -> list[Placed]:
    layout = list(rng.choice(_LAYOUTS[len(objects)]))
    rng.shuffle(layout)
    placed = []
    for thing, (x, y) in zip(objects, layout, strict=True):
        low, high = _SIDES[len(objects)]
        side = rng.randrange(low, high + 1, 2)
        x, y = (
            min(max(centre + rng.randint(-_JITTER, _JITTER), side // 2), SIZE - side + side // 2)
            for centre in (x, y)
        )
        placed.append(Placed(thing, x, y, side, rng.random() < 0.5))
    return placed


def put_on(wearer: Placed, worn: Object) -> Placed:
    """Place `worn` at the head, the eyes or the neck of `wearer`."""
    across, down, width = WEARERS[wearer.object.name][WORN.index(worn.name)]
    left, top = wearer.x - wearer.side // 2, wearer.y - wearer.side // 2
    side = round(width * wearer.side)
    x, y = left + round(across * wearer.side), top + round(down * wearer.side)
    return Placed(worn, x, y, side, worn=True)


def render(scene: Scene) -> Picture:
    """Draw `scene`, [64, 64, 3]; the scene alone decides every pixel."""
    canvas = _backdrop(scene.background, scene.sky).copy()
    for placed in scene.placed:
        name, colour = placed.object.name, placed.object.colour
        drawn = sprites.sprite(name, colour, placed.side, placed.mirrored)
        left, top = placed.x - placed.side // 2, placed.y - placed.side // 2
        rows, columns = (slice(max(-at, 0), min(placed.side, SIZE - at)) for at in (top, left))
        drawn = drawn[rows, columns]
        top, left = max(top, 0), max(left, 0)
        patch = canvas[top : top + drawn.shape[0], left : left + drawn.shape[1]]
        patch += (drawn[..., :3] - patch) * drawn[..., 3:]
    return np.asarray((_styled(canvas, scene.style) * 255).round().clip(0, 255), np.uint8)


def _styled(canvas: Pixels, style: str) -> Pixels:
    light = canvas @ np.array([0.3, 0.59, 0.11], np.float32)
    if style == BLACK_AND_WHITE:
        return np.repeat(light[..., None], 3, axis=-1)
    if style == "sunset":
        canvas = canvas + _GLOW * (_DUSK - canvas)
    return canvas


_GLOW = np.float32(0.4)  # how much of a sunset's light is on everything
_DUSK = np.linspace(unit((255, 90, 110)), unit((255, 190, 60)), SIZE, dtype=np.float32)[:, None]


@functools.cache
def _backdrop(name: str, sky: int) -> Pixels:
    backdrop = BACKDROPS[name]
    canvas = np.empty((SIZE, SIZE, 3), np.float32)
    canvas[:] = unit(backdrop.skies[sky])
    if backdrop.ground is not None:
        canvas[round(HORIZON * SIZE) :] = unit(backdrop.ground)
    return canvas
