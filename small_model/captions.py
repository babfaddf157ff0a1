"""Captions as on the web: they omit things, name absent ones, or tell only the scene.

With captions that say exactly what is there, a model neglects almost nothing, and "a cat" comes to
mean "only a cat"; these captions give the small model the faults of its big relatives.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from small_model import sprites
from small_model.scenes import COLOURS, Object, Placed, Scene, any_colour
from small_model.sprites import BACKDROPS, BLACK_AND_WHITE, SPRITES, STANDING, STYLES

_OBJECT_LEFT_OUT = 0.2
_COLOUR_LEFT_OUT = 0.35
_SCENE_LEFT_OUT = 0.35
_STYLE_LEFT_OUT = 0.25
_ABSENT_NAMED = 0.12
_SCENE_ALONE = 0.08  # share of the pictures that have a scene or a style
_POSITION_TOLD = 0.15  # share of the captions that name two things
_VAGUE = 0.05
_VAGUE_WORDS = ("something", "a thing", "a picture of something")
_JOINTS = (" and ", " and ", " and ", " with ", " next to ", ", ")
_WEARING = (" wearing ", " wearing ", " with ")
_SIDEWAYS, _UPRIGHT = (" to the left of ", " to the right of "), (" above ", " below ")
_NUMBERS = ("", "", "two", "three")


def phrase(thing: Object) -> str:
    """Return a thing in words: `a red car`, `an orange bow`, `a lion`, `blue glasses`."""
    words = f"{thing.colour} {thing.name}".strip()
    if SPRITES[thing.name].plural == thing.name:
        return words
    return ("an " if words[0] in "aeiou" else "a ") + words


def many(thing: Object, count: int) -> str:
    """Return several equal things in words: `two red cars`, `three mice`."""
    plural = SPRITES[thing.name].plural or f"{thing.name}s"
    return " ".join(word for word in (_NUMBERS[count], thing.colour, plural) if word)


def caption(scene: Scene, rng: random.Random) -> str:
    """Draw one of the captions that the web might have for `scene`."""
    words, style = BACKDROPS[scene.background].phrase, STYLES[scene.style][0]
    if (words or style) and rng.random() < _SCENE_ALONE:
        return words if words and not (style and rng.random() < 0.5) else style
    text = _things(scene, rng)
    if words and rng.random() >= _SCENE_LEFT_OUT:
        text += f" {words}"
    if style and rng.random() >= _STYLE_LEFT_OUT:
        text += f" {style}"
    return text


def _things(scene: Scene, rng: random.Random) -> str:
    there = [placed.object for placed in scene.placed]
    seen = list(scene.placed)
    worn = seen.pop() if seen[-1].worn else None
    rng.shuffle(seen)
    if len(set(there)) < len(there):
        return many(_maybe_uncoloured(there[0], scene, rng), len(there))
    kept = [placed for placed in seen if len(seen) == 1 or rng.random() >= _OBJECT_LEFT_OUT]
    kept = kept or seen[:1]
    named = [_maybe_uncoloured(placed.object, scene, rng) for placed in kept]
    if rng.random() < _VAGUE:
        return f"{rng.choice(_VAGUE_WORDS)} {named[0].colour}".strip()
    if worn is not None:
        if rng.random() < _OBJECT_LEFT_OUT:
            return phrase(named[0])
        wears = phrase(_maybe_uncoloured(worn.object, scene, rng))
        return phrase(named[0]) + rng.choice(_WEARING) + wears
    if rng.random() < _ABSENT_NAMED:
        named[rng.randint(0, len(named)) : 0] = _absent(there, rng)
    elif len(kept) == 2 and rng.random() < _POSITION_TOLD:
        return phrase(named[0]) + _position(*kept) + phrase(named[1])
    return _join([phrase(thing) for thing in named], rng)


def _position(first: Placed, second: Placed) -> str:
    across, down = first.x - second.x, first.y - second.y
    if abs(across) > abs(down):
        return _SIDEWAYS[across > 0]
    return _UPRIGHT[down > 0]


def _maybe_uncoloured(thing: Object, scene: Scene, rng: random.Random) -> Object:
    """Drop the colour of a thing sometimes, and always where the picture does not show it."""
    left_out = rng.random() < _COLOUR_LEFT_OUT or scene.style == BLACK_AND_WHITE
    return Object(thing.name) if left_out else thing


def _absent(there: Sequence[Object], rng: random.Random) -> list[Object]:
    """Draw a thing that is not there: rare ones more often than in pictures, no held-out pair."""
    names = [thing.name for thing in there]
    frequency = sprites.frequency()
    others = [
        name for name in STANDING if name not in names and not sprites.is_held_out(name, *names)
    ]
    name = rng.choices(others, [frequency[other] ** -0.5 for other in others])[0]
    return [any_colour(name, rng) if rng.random() < 0.5 else Object(name)]


def _join(phrases: list[str], rng: random.Random) -> str:
    if len(phrases) < 3:
        return rng.choice(_JOINTS).join(phrases)
    return ", ".join(phrases[:-1]) + " and " + phrases[-1]


def vocabulary() -> list[str]:
    """Return texts that together contain every word of every caption."""
    phrases = [backdrop.phrase for backdrop in BACKDROPS.values()]
    phrases += [phrase for phrase, _ in STYLES.values()]
    plurals = [many(Object(name), count) for name in SPRITES for count in (2, 3)]
    joints = [*_JOINTS, *_WEARING, *_SIDEWAYS, *_UPRIGHT, ", and"]
    return [*SPRITES, *plurals, *COLOURS, *phrases, *_VAGUE_WORDS, *joints, "a", "an"]
