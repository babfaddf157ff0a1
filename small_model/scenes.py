"""Scenes as data, drawn at random from a seed and turned into pictures."""

from __future__ import annotations

import functools
import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from small_model.sprites import ICONS

Picture = npt.NDArray[np.uint8]  # [height, width, 3]
_Floats = npt.NDArray[np.float32]

SIZE = 64  # pixels
SHAPES = tuple(sorted(ICONS.sprites))
COLOURS = tuple(ICONS.colours)
SCENES = tuple(ICONS.backdrops)
HORIZON = 0.6  # where the ground begins

_OBJECTS = {1: 0.42, 2: 0.43, 3: 0.15}  # how many objects a picture has, and how often
_SIDES = {1: (34, 46), 2: (22, 28), 3: (17, 21)}  # their least and greatest size in pixels
_LAYOUTS: dict[int, list[list[tuple[int, int]]]] = {  # the centres, before they are jittered
    1: [[(32, 32)]],
    2: [[(17, 32), (47, 32)], [(17, 32), (47, 32)], [(32, 17), (32, 47)]],
    3: [[(17, 18), (47, 18), (32, 46)], [(17, 46), (47, 46), (32, 17)]],
}
_JITTER = 3


@dataclass(frozen=True, order=True)
class Object:
    """A thing by its words. In a prompt, no colour means any colour."""

    shape: str
    colour: str = ""


@dataclass(frozen=True)
class Placed:
    """An object in a picture: its centre and side in pixels, and whether it is mirrored."""

    object: Object
    x: int
    y: int
    side: int
    mirrored: bool = False


@dataclass(frozen=True)
class Scene:
    """All that a picture shows. `sky` picks one of the backdrop's skies."""

    placed: tuple[Placed, ...]
    background: str = "plain"
    sky: int = 0

    @property
    def objects(self) -> tuple[Object, ...]:
        """What is there, sorted, duplicates kept: the truth that a judge should find."""
        return tuple(sorted(placed.object for placed in self.placed))


def draw_scene(
    rng: random.Random,
    objects: Sequence[Object] | None = None,
    background: str | None = None,
) -> Scene:
    """A scene of the training world, or with these objects (1 to 3, any pair) and background."""
    if objects is None:
        objects = [Object(shape, rng.choice(COLOURS)) for shape in _draw_shapes(rng)]
    layout = list(rng.choice(_LAYOUTS[len(objects)]))
    rng.shuffle(layout)
    placed = []
    for thing, (x, y) in zip(objects, layout, strict=True):
        low, high = _SIDES[len(objects)]
        side = rng.randrange(low, high + 1, 2)
        x, y = x + rng.randint(-_JITTER, _JITTER), y + rng.randint(-_JITTER, _JITTER)
        placed.append(Placed(thing, x, y, side, rng.random() < 0.5))
    if background is None:
        shares = [backdrop.share for backdrop in ICONS.backdrops.values()]
        background = rng.choices(SCENES, shares)[0]
    sky = rng.randrange(len(ICONS.backdrops[background].skies))
    return Scene(tuple(placed), background, sky)


def _draw_shapes(rng: random.Random) -> list[str]:
    """One to three different shapes by their frequency, no two of a held-out pair."""
    count = rng.choices(list(_OBJECTS), list(_OBJECTS.values()))[0]
    frequency = ICONS.frequency
    while True:
        shapes: list[str] = []
        while len(shapes) < count:
            shape = rng.choices(list(frequency), list(frequency.values()))[0]
            if shape not in shapes:
                shapes.append(shape)
        if not ICONS.is_held_out(*shapes):
            return shapes


def render(scene: Scene) -> Picture:
    """The picture of `scene`, [64, 64, 3]; the scene alone decides every pixel."""
    canvas = _backdrop(scene.background, scene.sky).copy()
    for placed in scene.placed:
        sprite = _sprite(placed.object.shape, placed.side, placed.mirrored)
        left, top = (
            min(max(centre - placed.side // 2, 0), SIZE - placed.side)
            for centre in (placed.x, placed.y)
        )
        patch = canvas[top : top + placed.side, left : left + placed.side]
        colour, alpha = sprite[..., :3], sprite[..., 3:]
        if placed.object.colour:
            colour = colour * _unit(ICONS.colours[placed.object.colour])
        patch += (colour - patch) * alpha
    return np.asarray((canvas * 255).round().clip(0, 255), np.uint8)


def _unit(values: object) -> _Floats:
    """0 to 255 as 0 to 1."""
    scaled: _Floats = np.asarray(values, np.float32) / np.float32(255)
    return scaled


@functools.cache
def _backdrop(name: str, sky: int) -> _Floats:
    backdrop = ICONS.backdrops[name]
    canvas = np.empty((SIZE, SIZE, 3), np.float32)
    canvas[:] = _unit(backdrop.skies[sky])
    if backdrop.ground is not None:
        canvas[round(HORIZON * SIZE) :] = _unit(backdrop.ground)
    return canvas


@functools.cache
def _sprite(shape: str, side: int, mirrored: bool) -> _Floats:
    """[side, side, rgba], 0 to 1."""
    picture = ICONS.sprites[shape]().resize((side, side), Image.Resampling.HAMMING)
    pixels = _unit(picture)
    return pixels[:, ::-1] if mirrored else pixels
