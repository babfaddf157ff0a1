"""Prompts for evaluation by kind, in a development and a test split that share no content."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from small_model import sprites
from small_model.captions import phrase
from small_model.scenes import COLOURS, Object
from small_model.sprites import BACKDROPS, SPRITES, STANDING, STYLES, WEARERS, WORN

SPLITS = ("dev", "test")
_DEV_SHARE = 0.3
_BY_DAY = ("grass", "beach", "snow")  # scenes that may have a sunset
REMOVAL = -0.5  # the weight that a negation prompt gives to what it removes

# colours that even a right picture may mix up; binding prompts keep them apart
_NEIGHBOURS = (
    "red orange, red pink, red brown, orange yellow, orange brown, blue purple, purple pink, "
    "purple black, blue black, brown black, gray black, gray blue"
)
_CLOSE = {frozenset(pair.split()) for pair in _NEIGHBOURS.split(", ")}


@dataclass(frozen=True)
class Prompt:
    """A prompt and what a picture of it must show.

    `objects` are sorted; one without a colour may have any. `scene` and `style` may be anything if
    None. `held_out` tells that two of the things never occur together in training. `absent` is what
    a negation removes and the picture must not show.
    """

    text: str
    objects: tuple[Object, ...]
    kind: str
    scene: str | None = None
    style: str | None = None
    absent: tuple[Object, ...] = ()
    held_out: bool = False


def prompts(kind: str, split: str, count: int, seed: int = 0) -> list[Prompt]:
    """Return `count` prompts of a kind, in an order that `kind`, `split` and `seed` decide.

    Every set of things comes equally often, however many colours it can have. A prompt repeats only
    after all of its set have come, so give every place in the list a noise seed of its own. The
    content of a prompt (things, scene and style, in any order) decides its split. Raises ValueError
    for an unknown kind or split.
    """
    if kind not in _POOLS:
        raise ValueError(f"kind is {kind!r}, must be one of {', '.join(_POOLS)}")
    if split not in SPLITS:
        raise ValueError(f"split is {split!r}, must be one of {', '.join(SPLITS)}")
    sets: dict[tuple[str, ...], list[Prompt]] = {}
    for prompt in _POOLS[kind]():
        if _split(prompt) == split:
            sets.setdefault(_names(prompt), []).append(prompt)
    rng = random.Random(f"{kind} {split} {seed}")
    for some in sets.values():
        rng.shuffle(some)
    return list(itertools.islice(_in_turn(list(sets.values()), rng), count))


def _in_turn(sets: list[list[Prompt]], rng: random.Random) -> Iterator[Prompt]:
    for turn in itertools.count():
        rng.shuffle(sets)
        yield from (some[turn % len(some)] for some in sets)


def _names(prompt: Prompt) -> tuple[str, ...]:
    return tuple(sorted(thing.name for thing in (*prompt.objects, *prompt.absent)))


def far_colours(colour: str) -> list[str]:
    """Return the colours that even a right picture does not mix up with `colour`."""
    return [one for one in COLOURS if one != colour and frozenset((one, colour)) not in _CLOSE]


def _split(prompt: Prompt) -> str:
    things = sorted((*prompt.objects, *prompt.absent))
    content = repr([(it.name, it.colour) for it in things] + [prompt.scene, prompt.style])
    number = int.from_bytes(hashlib.sha256(content.encode()).digest()[:8], "big")
    return "dev" if number < _DEV_SHARE * 2**64 else "test"


def _prompt(
    kind: str, things: tuple[Object, ...], scene: str | None = None, joint: str = " "
) -> Prompt:
    phrases = [phrase(thing) for thing in things]
    text = " and ".join([*([", ".join(phrases[:-1])] if phrases[:-1] else []), phrases[-1]])
    if scene is not None:
        text += joint + BACKDROPS[scene].phrase
    held_out = sprites.is_held_out(*(thing.name for thing in things))
    return Prompt(text, tuple(sorted(things)), kind, scene, held_out=held_out)


def _coloured(names: tuple[str, ...]) -> Iterator[tuple[Object, ...]]:
    """Yield these things in all colours that they can have."""
    choices = [COLOURS if SPRITES[name].takes_colour else ("",) for name in names]
    for colours in itertools.product(*choices):
        yield tuple(map(Object, names, colours))


def _pairs() -> Iterator[tuple[Object, ...]]:
    """Yield both orders of every pair of things, in all colours."""
    for names in itertools.permutations(STANDING, 2):
        yield from _coloured(names)


def _single() -> Iterator[Prompt]:
    for name in STANDING:
        yield from (_prompt("single", things) for things in _coloured((name,)))


def _single_scene(kind: str = "single_scene", joint: str = " ") -> Iterator[Prompt]:
    for prompt, scene in itertools.product(_single(), (*_BY_DAY, "night")):
        yield _prompt(kind, prompt.objects, scene, joint=joint)


def _two(kind: str, held_out: bool) -> Iterator[Prompt]:
    for things in _pairs():
        prompt = _prompt(kind, things)
        if prompt.held_out == held_out:
            yield prompt


def _two_in_scene() -> Iterator[Prompt]:
    """Yield two things that never occur together in training, in a scene."""
    for names in itertools.permutations(STANDING, 2):
        if sprites.is_held_out(*names):
            for things, scene in itertools.product(_coloured(names), (*_BY_DAY, "night")):
                yield _prompt("two_in_scene", things, scene)


def _three() -> Iterator[Prompt]:
    """Yield every three things once, in colours drawn for them."""
    for names in itertools.combinations(STANDING, 3):
        rng = random.Random(" ".join(names))
        things = rng.choice(list(_coloured(names)))
        yield _prompt("three", tuple(rng.sample(things, 3)))


def _binding() -> Iterator[Prompt]:
    for things in _pairs():
        colours = frozenset(thing.colour for thing in things if thing.colour)
        if len(colours) == 2 and colours not in _CLOSE:
            yield _prompt("binding", things)


def _style_and() -> Iterator[Prompt]:
    """Yield prompts without colours, as a black and white picture has none."""
    styles = [style for style in STYLES if style]
    for name, scene, style in itertools.product(STANDING, (None, *_BY_DAY), styles):
        prompt = _prompt("style_and", (Object(name),), scene)
        text = f"{prompt.text} AND {STYLES[style][0]}"
        yield dataclasses.replace(prompt, text=text, style=style)


def _attribute_and() -> Iterator[Prompt]:
    for prompt in _single():
        (thing,) = prompt.objects
        if thing.colour:
            text = f"{phrase(Object(thing.name))} AND something {thing.colour}"
            yield Prompt(text, (thing,), "attribute_and")


def _negation() -> Iterator[Prompt]:
    for kept, removed in _pairs():
        both = _prompt("negation", (kept, removed))
        text = f"{both.text} AND {phrase(removed)} :{REMOVAL}"
        if not both.held_out:
            yield Prompt(text, (kept,), "negation", absent=(removed,))


def _worn() -> Iterator[Prompt]:
    """Yield an animal that wears something."""
    for animal in WEARERS:
        for name in WORN:
            if not sprites.is_held_out(animal, name):
                for things in _coloured((animal, name)):
                    text = " wearing ".join(phrase(thing) for thing in things)
                    yield Prompt(text, tuple(sorted(things)), "worn")


_POOLS: dict[str, Callable[[], Iterator[Prompt]]] = {
    "single": _single,
    "single_scene": _single_scene,
    "two_seen": lambda: _two("two_seen", held_out=False),
    "two_held_out": lambda: _two("two_held_out", held_out=True),
    "two_in_scene": _two_in_scene,
    "three": _three,
    "binding": _binding,
    "worn": _worn,
    "scene_and": lambda: _single_scene("scene_and", " AND "),
    "style_and": _style_and,
    "attribute_and": _attribute_and,
    "negation": _negation,
}
KINDS = tuple(_POOLS)
