"""The pictures that edits and inpaintings begin with, and what a perfect edit makes of them."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ebca.align.cases import Case, Source
from ebca.align.world import the_world

_MARGIN = 2  # pixels around an edited thing that count as part of it


def draw_source(source: Source, size: int) -> Image.Image:
    """Draw the picture that an edit or an inpainting starts from."""
    return _drawn(_scene(source), size)


def draw_edited(case: Case, size: int) -> Image.Image:
    """Draw the result of a perfect edit, in which everything keeps its place."""
    return _drawn(_edited(case), size)


def outside(case: Case, size: int) -> npt.NDArray[np.bool_]:
    """Return a mask [size, size] of the pixels that an edit must keep: if the scene changes, those
    of its things, or else all outside of the edited thing's square."""
    assert case.source is not None
    before, after = _scene(case.source), _edited(case)
    if before.background != after.background:
        pictures = [np.asarray(_drawn(scene, size)) for scene in (before, after)]
        return np.asarray((pictures[0] == pictures[1]).all(-1))
    stays = np.ones((size, size), bool)
    scale = size / the_world().SIZE
    changed = [each for each in (*before.placed, *after.placed) if each not in before.placed]
    for each in (*changed, before.placed[0]):
        reach = each.side / 2 + _MARGIN
        rows, columns = (
            slice(max(round((at - reach) * scale), 0), round((at + reach) * scale))
            for at in (each.y, each.x)
        )
        stays[rows, columns] = False
    return stays


def empty() -> Image.Image:
    """Draw the plain scene with nothing in it."""
    world = the_world()
    return Image.fromarray(np.asarray(world.render(world.Scene(()))))


def _scene(source: Source) -> Any:
    world, rng = the_world(), random.Random(source.seed)
    things = [world.Object(*thing) for thing in source.things]
    if source.mask:  # a single object, in the half that is kept
        across = 48 if source.mask == "left" else 16
        placed = (world.Placed(things[0], across, 32, rng.choice((26, 28)), rng.random() < 0.5),)
        return world.Scene(placed)
    return world.draw_scene(rng, things, source.scene, "")


def _edited(case: Case) -> Any:
    """Return the source's scene with the first thing replaced, a thing put on it, or the background
    changed, as the case asks."""
    assert case.source is not None
    world, scene = the_world(), _scene(case.source)
    first, *others = scene.placed
    new = [thing for thing in case.things if thing not in case.source.things]
    if new and new[0].name in world.WORN and len(case.source.things) == 1:
        others = [*others, world.put_on(first, world.Object(*new[0]))]
    elif new:
        first = dataclasses.replace(first, object=world.Object(*new[0]))
    background = case.scene or scene.background
    sky = scene.sky if background == scene.background else 0
    placed = (first, *others)
    return dataclasses.replace(scene, placed=placed, background=background, sky=sky)


def _drawn(scene: Any, size: int) -> Image.Image:
    world = the_world()
    picture = Image.fromarray(np.asarray(world.render(scene)))
    return picture if size == world.SIZE else picture.resize((size, size))
