"""Prompts for evaluation by kind, in a development and a test split that share no content."""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from small_model.captions import phrase
from small_model.scenes import COLOURS, SCENES, SHAPES, Object
from small_model.sprites import ICONS

SPLITS = ("dev", "test")
_DEV_SHARE = 0.3
REMOVAL = -0.5  # the weight that a negation prompt gives to what it removes

# colours that even a right picture may mix up; binding prompts keep them apart
_NEIGHBOURS = (
    "red orange, red pink, orange yellow, blue purple, purple pink, purple black, blue black"
)
_CLOSE = {frozenset(pair.split()) for pair in _NEIGHBOURS.split(", ")}


@dataclass(frozen=True)
class Prompt:
    """A prompt and what a picture of it must show.

    `objects` are sorted; one without a colour may have any. `scene` None: any scene will do.
    `held_out`: two of the shapes never occur together in training. `absent`: what a negation
    removes and the picture must not show.
    """

    text: str
    objects: tuple[Object, ...]
    scene: str | None
    kind: str
    held_out: bool
    absent: tuple[Object, ...] = ()


def prompts(kind: str, split: str, count: int, seed: int = 0) -> list[Prompt]:
    """`count` prompts of a kind, in an order that `kind`, `split` and `seed` decide.

    All prompts of the pool come once before any comes again: give every place in the list a noise
    seed of its own. What a prompt is about (objects and scene, in any order) decides its split.
    Raises ValueError for a kind or split that does not exist.
    """
    if kind not in _POOLS:
        raise ValueError(f"kind is {kind!r}, must be one of {', '.join(_POOLS)}")
    if split not in SPLITS:
        raise ValueError(f"split is {split!r}, must be one of {', '.join(SPLITS)}")
    pool = [prompt for prompt in _POOLS[kind]() if _split(prompt) == split]
    random.Random(f"{kind} {split} {seed}").shuffle(pool)
    return list(itertools.islice(itertools.cycle(pool), count))


def _split(prompt: Prompt) -> str:
    things = sorted((*prompt.objects, *prompt.absent))
    content = repr([(thing.shape, thing.colour) for thing in things] + [prompt.scene])
    number = int.from_bytes(hashlib.sha256(content.encode()).digest()[:8], "big")
    return "dev" if number < _DEV_SHARE * 2**64 else "test"


def _prompt(
    kind: str, things: tuple[Object, ...], scene: str | None = None, joint: str = " "
) -> Prompt:
    phrases = [phrase(thing) for thing in things]
    text = " and ".join([*([", ".join(phrases[:-1])] if phrases[:-1] else []), phrases[-1]])
    if scene is not None:
        text += joint + ICONS.backdrops[scene].phrase
    held_out = ICONS.is_held_out(*(thing.shape for thing in things))
    return Prompt(text, tuple(sorted(things)), scene, kind, held_out)


def _coloured(shapes: tuple[str, ...]) -> Iterator[tuple[Object, ...]]:
    for colours in itertools.product(COLOURS, repeat=len(shapes)):
        yield tuple(map(Object, shapes, colours))


def _pairs() -> Iterator[tuple[Object, ...]]:
    """Both orders of every pair of shapes, in all colours."""
    for shapes in itertools.permutations(SHAPES, 2):
        yield from _coloured(shapes)


def _named_scenes() -> list[str]:
    return [scene for scene in SCENES if ICONS.backdrops[scene].phrase]


def _single() -> Iterator[Prompt]:
    for shape in SHAPES:
        yield from (_prompt("single", things) for things in _coloured((shape,)))


def _single_scene() -> Iterator[Prompt]:
    for prompt, scene in itertools.product(_single(), _named_scenes()):
        yield _prompt("single_scene", prompt.objects, scene)


def _two(kind: str, held_out: bool) -> Iterator[Prompt]:
    for things in _pairs():
        prompt = _prompt(kind, things)
        if prompt.held_out == held_out:
            yield prompt


def _three() -> Iterator[Prompt]:
    for shapes in itertools.combinations(SHAPES, 3):
        yield from (_prompt("three", things) for things in _coloured(shapes))


def _binding() -> Iterator[Prompt]:
    for things in _pairs():
        colours = frozenset(thing.colour for thing in things)
        if len(colours) == 2 and colours not in _CLOSE:
            yield _prompt("binding", things)


def _scene_and() -> Iterator[Prompt]:
    for prompt, scene in itertools.product(_single(), _named_scenes()):
        yield _prompt("scene_and", prompt.objects, scene, joint=" AND ")


def _attribute_and() -> Iterator[Prompt]:
    for shape, colour in itertools.product(SHAPES, COLOURS):
        text = f"{phrase(Object(shape))} AND something {colour}"
        yield Prompt(text, (Object(shape, colour),), None, "attribute_and", held_out=False)


def _negation() -> Iterator[Prompt]:
    for kept, removed in _pairs():
        both = _prompt("negation", (kept, removed))
        text = f"{both.text} AND {phrase(removed)} :{REMOVAL}"
        if not both.held_out:
            yield Prompt(text, (kept,), None, "negation", held_out=False, absent=(removed,))


_POOLS: dict[str, Callable[[], Iterator[Prompt]]] = {
    "single": _single,
    "single_scene": _single_scene,
    "two_seen": lambda: _two("two_seen", held_out=False),
    "two_held_out": lambda: _two("two_held_out", held_out=True),
    "three": _three,
    "binding": _binding,
    "scene_and": _scene_and,
    "attribute_and": _attribute_and,
    "negation": _negation,
}
KINDS = tuple(_POOLS)
