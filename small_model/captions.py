"""Captions as the web writes them: they leave things out, name absent ones, or only the scene.

A world whose captions say exactly what is there has almost no neglect, and "a star" comes to mean
"only a star"; these are what gives the model the faults of its big relatives.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from small_model.scenes import COLOURS, SHAPES, Object, Scene
from small_model.sprites import ICONS

_OBJECT_LEFT_OUT = 0.2
_COLOUR_LEFT_OUT = 0.35
_SCENE_LEFT_OUT = 0.35
_ABSENT_NAMED = 0.12
_SCENE_ALONE = 0.08  # of the pictures that have a scene
_VAGUE = 0.05
_VAGUE_WORDS = ("something", "a thing", "a picture of something")
_JOINTS = (" and ", " and ", " and ", " with ", " next to ", ", ")


def phrase(thing: Object) -> str:
    """`a red star`, `an orange ring`, `a moon`."""
    words = f"{thing.colour} {thing.shape}".strip()
    return ("an " if words[0] in "aeiou" else "a ") + words


def caption(scene: Scene, rng: random.Random) -> str:
    """One of the captions that the web might have for `scene`."""
    words = ICONS.backdrops[scene.background].phrase
    if words and rng.random() < _SCENE_ALONE:
        return words
    things = [placed.object for placed in scene.placed]
    rng.shuffle(things)
    named = [thing for thing in things if len(things) == 1 or rng.random() >= _OBJECT_LEFT_OUT]
    named = [_maybe_uncoloured(thing, rng) for thing in named or things[:1]]
    if rng.random() < _VAGUE:
        return f"{rng.choice(_VAGUE_WORDS)} {named[0].colour}".strip()
    if rng.random() < _ABSENT_NAMED:
        absent = _absent(things, rng)
        named[rng.randint(0, len(named)) : 0] = absent
    text = _join([phrase(thing) for thing in named], rng)
    if words and rng.random() >= _SCENE_LEFT_OUT:
        text += f" {words}"
    return text


def _maybe_uncoloured(thing: Object, rng: random.Random) -> Object:
    return Object(thing.shape) if rng.random() < _COLOUR_LEFT_OUT else thing


def _absent(things: Sequence[Object], rng: random.Random) -> list[Object]:
    """Something that is not there; rare shapes oftener than in pictures, never a held-out pair."""
    there = [thing.shape for thing in things]
    frequency = ICONS.frequency
    others = [
        shape for shape in SHAPES if shape not in there and not ICONS.is_held_out(shape, *there)
    ]
    if not others:
        return []
    shape = rng.choices(others, [frequency[other] ** -0.5 for other in others])[0]
    return [Object(shape, rng.choice(COLOURS) if rng.random() < 0.5 else "")]


def _join(phrases: list[str], rng: random.Random) -> str:
    if len(phrases) < 3:
        return rng.choice(_JOINTS).join(phrases)
    return ", ".join(phrases[:-1]) + " and " + phrases[-1]


def vocabulary() -> list[str]:
    """Texts that together have every word of every caption."""
    phrases = [backdrop.phrase for backdrop in ICONS.backdrops.values()]
    return [*SHAPES, *COLOURS, *phrases, *_VAGUE_WORDS, *_JOINTS, "a", "an", ", and"]
