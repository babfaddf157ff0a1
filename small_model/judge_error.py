"""How often the judge is wrong, measured where the truth is known."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from small_model.judge import Judge, Seen
from small_model.world import COLOURS, SHAPES, Object, Scene, draw_scene, render

# what can go wrong, each as a share of what is counted
RATES = {
    "missed": "objects that are there and whose shape is not seen",
    "wrong_colour": "objects whose shape is seen, but not in their colour",
    "invented": "pictures with an object more of some shape than there is",
    "doubled": "pictures in which a shape that is there once is seen twice or oftener",
    "shapes_wrong": "pictures whose shapes are not exactly those that are there",
    "anything_wrong": "pictures with any shape or colour wrong",
    "scene_wrong": "pictures whose scene is not seen",
}


def pictures_of(scenes: Sequence[Scene]) -> Tensor:
    """[b, 3, 64, 64] in 0..1."""
    pixels = np.stack([render(scene) for scene in scenes])
    return torch.from_numpy(pixels).movedim(3, 1).float() / 255


@torch.inference_mode()
def reconstruct(vae: Any, pictures: Tensor, noise: float = 0.0) -> Tensor:
    """What the autoencoder makes of `pictures`, with noise (relative) added to the latents."""
    rebuilt = []
    for part in torch.split(pictures, 16):
        latents = vae.encode(part.to(vae.device, vae.dtype) * 2 - 1).latent_dist.mean
        latents = latents + noise * latents.std() * torch.randn_like(latents)
        decoded = vae.decode(latents).sample.float().cpu()
        rebuilt.append((decoded / 2 + 0.5).clamp(0, 1))
    return torch.cat(rebuilt)


def measure(judge: Judge, vae: Any, count: int, seed: str = "measure") -> dict[str, Any]:
    """The judge's error on `count` pictures with 1, 2 and 3 objects, and on reconstructions.

    Shapes differ within a picture, all are equally frequent and any pair may meet, as in the
    prompts for evaluation. Reconstructions include what the autoencoder itself destroys.
    """
    rng = random.Random(seed)
    scenes = []
    for number in range(count):
        shapes = rng.sample(SHAPES, 1 + number % 3)
        scenes.append(draw_scene(rng, [Object(shape, rng.choice(COLOURS)) for shape in shapes]))
    pictures = pictures_of(scenes)
    error: dict[str, Any] = {}
    for on, shown in (("renders", pictures), ("reconstructions", reconstruct(vae, pictures))):
        pairs = list(zip(judge.look(shown), scenes, strict=True))
        error[on] = rates(pairs)
        for objects in (1, 2, 3):
            part = [(seen, scene) for seen, scene in pairs if len(scene.placed) == objects]
            error[f"{on}, {objects} object{'s' if objects > 1 else ''}"] = rates(part)
    return error


def rates(pairs: Sequence[tuple[Seen, Scene]]) -> dict[str, dict[str, float]]:
    """Every rate of `RATES`, with its 95 % interval."""
    wrong: Counter[str] = Counter()
    objects = shapes_seen = 0
    for seen, scene in pairs:
        said, true = _shapes(seen.objects), _shapes(scene.objects)
        found = (said & true).total()
        coloured = (Counter(seen.objects) & Counter(scene.objects)).total()
        objects, shapes_seen = objects + true.total(), shapes_seen + found
        wrong["missed"] += true.total() - found
        wrong["wrong_colour"] += found - coloured
        wrong["invented"] += bool(said - true)
        wrong["doubled"] += any(said[shape] > 1 for shape, there in true.items() if there == 1)
        wrong["shapes_wrong"] += said != true
        wrong["anything_wrong"] += seen.objects != scene.objects
        wrong["scene_wrong"] += seen.scene != scene.background
    of = dict.fromkeys(RATES, len(pairs)) | {"missed": objects, "wrong_colour": shapes_seen}
    return {name: interval(wrong[name], of[name]) for name in RATES}


def interval(count: int, of: int) -> dict[str, float]:
    """A share with its 95 % interval (Wilson's)."""
    z, n = 1.96, max(of, 1)
    share = count / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    bounds = {"rate": share, "low": max(middle - half, 0.0), "high": min(middle + half, 1.0)}
    return {name: round(value, 4) for name, value in bounds.items()} | {"n": of}


def _shapes(objects: Sequence[Object]) -> Counter[str]:
    return Counter(thing.shape for thing in objects)
