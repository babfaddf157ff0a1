"""The built-in prompts: those of the small model's world, as tasks of this benchmark.

The world is a package beside `ebca` in the checkout, imported only when it is needed.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from typing import Any

from ebca.align.cases import Case, Source, Thing, joined
from ebca.prompts import split_prompt
from ebca.settings import SettingsError

TASKS = {
    "single": "one object",
    "multi": "two objects",
    "held-out": "two objects that never occur together in training",
    "three": "three objects",
    "binding": "two objects in colours far apart",
    "in-scene": "two objects that never occur together in training, in a scene",
    "wearing": "an animal that wears something",
    "scene": "an object AND a scene",
    "style": "an object, perhaps in a scene, AND a style of the whole picture",
    "attribute": "an object AND its colour",
    "negation": "two objects, one taken away by a negative weight",
    "inpaint": "an object to be painted into a half that is masked",
    "edit": "one of two objects changed into another of its kind",
    "dressing": "an animal edited so that it wears something",
    "edit-colour": "one of two objects edited so that it has another colour",
    "edit-scene": "an object in a scene, edited so that it is in another",
}
_KINDS = {
    "single": "single",
    "multi": "two_seen",
    "held-out": "two_held_out",
    "three": "three",
    "binding": "binding",
    "in-scene": "two_in_scene",
    "wearing": "worn",
    "dressing": "worn",
    "scene": "scene_and",
    "style": "style_and",
    "attribute": "attribute_and",
    "negation": "negation",
    "edit-scene": "single_scene",
}
SPLITS = {"development": "dev", "test": "test"}
_STRENGTH = 0.7  # denoising strength of an edit
_WITHOUT_COLOUR = 3  # draw so many times more prompts, as not all have a colour
_REMOVED = -0.3  # the weight of what an edit replaces


def cases(task: str, split: str, count: int, first_seed: int) -> list[Case]:
    """Return `count` cases of a task, each with a noise seed of its own."""
    make: Callable[[Any, int], Case] = {
        "inpaint": _inpaint, "edit": _edit, "dressing": _dressing,
        "edit-colour": _recoloured, "edit-scene": _moved,
    }.get(task, lambda prompt, seed: _case(task, prompt, seed))  # fmt: skip
    drawn = _WITHOUT_COLOUR * count if task == "edit-colour" else count
    found = the_world().prompts(_KINDS.get(task, "two_seen"), SPLITS[split], drawn)
    if task == "edit-colour":
        found = [each for each in found if any(thing.colour for thing in each.objects)][:count]
    return [make(prompt, first_seed + place) for place, prompt in enumerate(found)]


def understood(case: Case) -> Case:
    """Return a case of a user's own prompt with its things as the judge of the world knows them.

    Raises SettingsError if the judge does not know one of them.
    """
    world, things = the_world(), []
    for words in (thing.name.split() for thing in case.things):
        *colours, name = words
        colour, sprite = " ".join(colours), world.SPRITES.get(name)
        if sprite is None or (colour and not (sprite.takes_colour and colour in world.COLOURS)):
            known = f"a thing ({', '.join(world.NAMES)}), with a colour"
            known += f" ({', '.join(world.COLOURS)}) where it is no animal; --judge clip knows more"
            raise SettingsError("prompts", " ".join(words), known)
        things.append(Thing(name, colour))
    return dataclasses.replace(case, things=tuple(things))


def _case(task: str, prompt: Any, seed: int) -> Case:
    things, absent = _things(prompt.objects), _things(prompt.absent)
    parts = [part.text.strip() for part in split_prompt(prompt.text)]
    if task in ("scene", "style"):
        main, joint, composed = parts[0], " ".join(parts), prompt.text
    elif task == "in-scene":
        main = joint = prompt.text
        where = the_world().BACKDROPS[prompt.scene].phrase
        phrases = _phrases(prompt.text.removesuffix(f" {where}"))
        composed = " AND ".join(f"{phrase} {where}" for phrase in phrases)
    elif task == "attribute":
        main, joint, composed = parts[0], joined(things), prompt.text
    elif task == "negation":
        main = joint = parts[0]
        composed = prompt.text
    elif task == "wearing":
        main = joint = prompt.text
        composed = f"{_wearer(things).phrase} AND {prompt.text}"
    else:
        main = joint = prompt.text
        composed = " AND ".join(_phrases(prompt.text))
    negative = joined(absent) if absent else ""
    return Case(
        task, main, joint, composed, seed, things, prompt.scene, prompt.style, absent, negative
    )


def _inpaint(prompt: Any, seed: int) -> Case:
    kept, asked = _things(prompt.objects)
    side = "left" if seed % 2 else "right"
    source = Source((kept,), seed, 1.0, side, shows=kept.phrase)
    joint = joined((kept, asked))
    composed = f"{kept.phrase} AND {asked.phrase}"
    return Case("inpaint", joint, joint, composed, seed, (asked,), source=source)


def _edit(prompt: Any, seed: int) -> Case:
    world = the_world()
    old, kept = _things(prompt.objects)
    alike = [
        name
        for name in world.STANDING
        if name not in (old.name, kept.name)
        and world.SPRITES[name].takes_colour == world.SPRITES[old.name].takes_colour
    ]
    new = Thing(random.Random(seed).choice(alike), old.colour)
    joint = joined((new, kept))
    source = Source((old, kept), seed, _STRENGTH, shows=joined((old, kept)))
    return Case(
        "edit", joint, joint, f"{joint} AND {old.phrase} :{_REMOVED}", seed, (new, kept),
        absent=(Thing(old.name),), negative=old.phrase, source=source,
    )  # fmt: skip


def _dressing(prompt: Any, seed: int) -> Case:
    things = _things(prompt.objects)
    animal = _wearer(things)
    source = Source((animal,), seed, _STRENGTH, shows=animal.phrase)
    composed = f"{animal.phrase} AND {prompt.text}"
    return Case("dressing", prompt.text, prompt.text, composed, seed, things, source=source)


def _recoloured(prompt: Any, seed: int) -> Case:
    old, kept = sorted(_things(prompt.objects), key=lambda thing: not thing.colour)
    colour = random.Random(seed).choice(the_world().far_colours(old.colour))
    new = Thing(old.name, colour)
    joint = joined((new, kept))
    source = Source((old, kept), seed, _STRENGTH, shows=joined((old, kept)))
    return Case(
        "edit-colour", joint, joint, f"{joint} AND something {old.colour} :{_REMOVED}", seed,
        (new, kept), absent=(old,), source=source,
    )  # fmt: skip


def _moved(prompt: Any, seed: int) -> Case:
    backdrops, (thing,) = the_world().BACKDROPS, _things(prompt.objects)
    before = random.Random(seed).choice([name for name in backdrops if name != prompt.scene])
    here, there = backdrops[before].phrase, backdrops[prompt.scene].phrase
    source = Source((thing,), seed, _STRENGTH, scene=before, shows=f"{thing.phrase} {here}".strip())
    gone = f" AND {here} :{_REMOVED}" if here else ""
    return Case(
        "edit-scene", prompt.text, prompt.text, f"{thing.phrase} AND {there}{gone}", seed, (thing,),
        prompt.scene, source=source,
    )  # fmt: skip


def _wearer(things: tuple[Thing, ...]) -> Thing:
    return next(thing for thing in things if thing.name in the_world().WEARERS)


def _phrases(text: str) -> list[str]:
    return [part for joint in text.split(", ") for part in joint.split(" and ")]


def _things(objects: Any) -> tuple[Thing, ...]:
    return tuple(Thing(thing.name, thing.colour) for thing in objects)


def the_world() -> Any:
    """Import and return the small model's world. Raises SettingsError where it is missing."""
    try:
        from small_model import world
    except ImportError as error:
        legal = "a file: the built-in prompts are part of the checkout, in small_model"
        raise SettingsError("prompts", None, legal) from error
    return world
