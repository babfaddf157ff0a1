"""Measures how often the judge is wrong, on pictures whose truth is known."""

from __future__ import annotations

import dataclasses
import math
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from small_model.judge import Judge, Seen
from small_model.sprites import BLACK_AND_WHITE
from small_model.world import (
    STANDING,
    WEARERS,
    WORN,
    Object,
    Scene,
    any_colour,
    draw_scene,
    put_on,
    render,
)

# possible errors, each a share of what its text begins with
RATES = {
    "missed": "objects that are there and not seen",
    "wrong_colour": "objects that are seen, but not in their colour, of those that have one",
    "invented": "pictures with an object more of some kind than there is",
    "doubled": "pictures in which a thing that is there once is seen twice or oftener",
    "things_wrong": "pictures whose things are not exactly those that are there",
    "anything_wrong": "pictures with any thing or colour wrong",
    "scene_wrong": "pictures whose scene is not seen",
    "style_wrong": "pictures whose style is not seen",
}


def pictures_of(scenes: Sequence[Scene]) -> Tensor:
    """Render scenes as a tensor [b, 3, 64, 64] in 0..1."""
    pixels = np.stack([render(scene) for scene in scenes])
    return torch.from_numpy(pixels).movedim(3, 1).float() / 255


@torch.inference_mode()
def reconstruct(vae: Any, pictures: Tensor, noise: float = 0.0) -> Tensor:
    """Encode and decode `pictures`, with noise (relative) added to the latents."""
    rebuilt = []
    for part in torch.split(pictures, 16):
        latents = vae.encode(part.to(vae.device, vae.dtype) * 2 - 1).latent_dist.mean
        latents = latents + noise * latents.std() * torch.randn_like(latents)
        decoded = vae.decode(latents).sample.float().cpu()
        rebuilt.append((decoded / 2 + 0.5).clamp(0, 1))
    return torch.cat(rebuilt)


def measure(judge: Judge, vae: Any, count: int, seed: str = "measure") -> dict[str, Any]:
    """Return the judge's error on `count` pictures with 1, 2 and 3 objects and with something worn,
    and on their reconstructions.

    The things in a picture differ, all are equally frequent and any pair may meet, as in the
    prompts for evaluation. Errors on reconstructions include what the autoencoder itself destroys.
    """
    rng = random.Random(seed)
    scenes = [_true_scene(rng, number % 4) for number in range(count)]
    pictures = pictures_of(scenes)
    error: dict[str, Any] = {}
    for on, shown in (("renders", pictures), ("reconstructions", reconstruct(vae, pictures))):
        pairs = list(zip(judge.look(shown), scenes, strict=True))
        standing = [(seen, scene) for seen, scene in pairs if not scene.placed[-1].worn]
        error[on] = rates(standing)
        for objects in (1, 2, 3):
            part = [(seen, scene) for seen, scene in standing if len(scene.placed) == objects]
            error[f"{on}, {objects} object{'s' if objects > 1 else ''}"] = rates(part)
        error[f"{on}, worn"] = rates([pair for pair in pairs if pair[1].placed[-1].worn])
    return error


def _true_scene(rng: random.Random, objects: int) -> Scene:
    """Draw a scene with so many objects or, for 0, with one that wears another."""
    if objects:
        return draw_scene(rng, [any_colour(name, rng) for name in rng.sample(STANDING, objects)])
    alone = draw_scene(rng, [Object(rng.choice(list(WEARERS)))])
    worn = put_on(alone.placed[0], any_colour(rng.choice(WORN), rng))
    return dataclasses.replace(alone, placed=(*alone.placed, worn))


def rates(pairs: Sequence[tuple[Seen, Scene]]) -> dict[str, dict[str, float]]:
    """Return every rate of `RATES`, with its 95 % interval."""
    wrong: Counter[str] = Counter()
    objects = coloured_seen = 0
    for seen, scene in pairs:
        told = objects_told(seen, scene)
        said, true = _names(told), _names(scene.objects)
        with_colour = Counter(thing for thing in scene.objects if thing.colour)
        there = (said & _names(with_colour.elements())).total()
        objects, coloured_seen = objects + true.total(), coloured_seen + there
        wrong["missed"] += true.total() - (said & true).total()
        wrong["wrong_colour"] += there - (Counter(told) & with_colour).total()
        wrong["invented"] += bool(said - true)
        wrong["doubled"] += any(said[name] > 1 for name, count in true.items() if count == 1)
        wrong["things_wrong"] += said != true
        wrong["anything_wrong"] += told != scene.objects
        wrong["scene_wrong"] += seen.scene != scene.background
        wrong["style_wrong"] += seen.style != scene.style
    of = dict.fromkeys(RATES, len(pairs)) | {"missed": objects, "wrong_colour": coloured_seen}
    return {name: interval(wrong[name], of[name]) for name in RATES}


def objects_told(seen: Seen, scene: Scene) -> tuple[Object, ...]:
    """Return the objects that the judge sees, without colours where `scene` shows none."""
    if scene.style != BLACK_AND_WHITE:
        return seen.objects
    return tuple(sorted(Object(thing.name) for thing in seen.objects))


def interval(count: int, of: int) -> dict[str, float]:
    """Return a share with its 95 % interval (Wilson's)."""
    z, n = 1.96, max(of, 1)
    share = count / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    bounds = {"rate": share, "low": max(middle - half, 0.0), "high": min(middle + half, 1.0)}
    return {name: round(value, 4) for name, value in bounds.items()} | {"n": of}


def _names(objects: Iterable[Object]) -> Counter[str]:
    return Counter(thing.name for thing in objects)
