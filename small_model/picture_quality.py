"""How unlike true objects the objects of a picture are: a measure of its quality.

Every object that the judge marks has the judge's features at its middle. The squared Mahalanobis
distance of these to the mean of the object's class (thing and colour), with one covariance for all
classes, tells how far the object is from what the judge has seen (Lee et al. 2018, arXiv
1807.03888). An object is *odd* if its distance is larger than that of 95 % of the objects in a
second set of reconstructions by the autoencoder, not the set that gave the means. So 5 % of the
objects in reconstructions are odd, and of half-made things, mixtures and smears more.

    python -m small_model.picture_quality    fits it anew, and says how it finds spoilt pictures
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from small_model.judge_net import JudgeNet, Peaks, peaks_of
from small_model.world import COLOURS, NAMES, STANDING, Scene, any_colour, draw_scene

FILE = Path(__file__).resolve().parent / "judge_weights" / "picture_quality.safetensors"
_SHARE = 0.95  # share of true objects that are not odd
_COLOURS = len(COLOURS) + 1  # one more: no colour
_CLASSES = len(NAMES) * _COLOURS


class PictureQuality:
    """Means of the classes [classes, features], the shared precision, and the limit."""

    def __init__(self, means: Tensor, precision: Tensor, limit: float) -> None:
        self._means, self._precision, self.limit = means, precision, limit

    @classmethod
    def load(cls, file: Path = FILE) -> PictureQuality:
        state = load_file(file)
        return cls(state["means"], state["precision"], float(state["limit"]))

    def save(self, file: Path = FILE) -> None:
        limit, precision = torch.tensor(self.limit), self._precision.contiguous()
        save_file({"means": self._means, "precision": precision, "limit": limit}, file)
        file.chmod(0o644)

    def distances(self, peaks: Peaks) -> Tensor:
        """Return the squared Mahalanobis distance of every object [objects] to its own class."""
        off = peaks.features - self._means[_classes(peaks)]
        return ((off @ self._precision) * off).sum(1)

    def shares(self, peaks: Peaks, pictures: int) -> list[float | None]:
        """Return the share of odd objects in each of `pictures` pictures; None without objects."""
        odd = self.distances(peaks) > self.limit
        each = [odd[peaks.picture == number] for number in range(pictures)]
        return [float(some.float().mean()) if len(some) else None for some in each]


def _classes(peaks: Peaks) -> Tensor:
    return peaks.name * _COLOURS + peaks.colour + 1


def fit(peaks: Peaks, others: Peaks) -> PictureQuality:
    """Take means and covariance from `peaks`, the limit from `others`, both of true pictures."""
    classes = _classes(peaks)
    count = torch.bincount(classes, minlength=_CLASSES).clamp(min=1)[:, None]
    means = torch.zeros(_CLASSES, peaks.features.shape[1]).index_add_(0, classes, peaks.features)
    means /= count
    off = peaks.features - means[classes]
    covariance = off.T @ off / len(off)
    ridge = 1e-3 * covariance.diagonal().mean() * torch.eye(len(covariance))
    fitted = PictureQuality(means, torch.linalg.inv(covariance + ridge), 0.0)
    fitted.limit = float(fitted.distances(others).quantile(_SHARE))
    return fitted


@torch.inference_mode()
def look(net: JudgeNet, threshold: float, pictures: Tensor) -> Peaks:
    """Return the objects that the judge marks in `pictures` [b, 3, 64, 64] in 0..1."""
    return peaks_of(net(pictures.clamp(0, 1)), threshold)


def _scenes(seed: str, count: int) -> list[Scene]:
    rng, scenes = random.Random(seed), []
    for number in range(count):
        things = [any_colour(name, rng) for name in rng.sample(STANDING, 1 + number % 3)]
        scenes.append(draw_scene(rng, things, style=""))
    return scenes


def main() -> None:
    """Run the command line."""
    from diffusers import AutoencoderKL

    from small_model.judge import Judge
    from small_model.judge_error import pictures_of, reconstruct

    parser = argparse.ArgumentParser(
        prog="python -m small_model.picture_quality", description=__doc__
    )
    parser.add_argument("--count", type=int, default=4000, help="pictures for the means")
    parser.add_argument("--out", type=Path, default=FILE)
    chosen = parser.parse_args()
    judge = Judge.load()
    weights = Path(__file__).resolve().parent / "weights"
    vae: Any = AutoencoderKL.from_pretrained(weights / "vae")

    def seen(pictures: Tensor) -> Peaks:
        return look(judge.net, judge.threshold, pictures)

    def true(seed: str, count: int) -> Tensor:
        return reconstruct(vae, pictures_of(_scenes(seed, count)))

    few = max(60, chosen.count // 4)
    quality = fit(seen(true("means", chosen.count)), seen(true("limit", few)))
    quality.save(chosen.out)
    fresh, renders = true("fresh", few), pictures_of(_scenes("fresh", few))
    spoilt = {
        "reconstructions": fresh,
        "renders": renders,
        "half of one picture and half of the next": (fresh + fresh.roll(1, 0)) / 2,
        "latents with 20 % of noise": reconstruct(vae, renders, noise=0.2),
        "latents with 40 % of noise": reconstruct(vae, renders, noise=0.4),
    }
    for name, pictures in spoilt.items():
        far = quality.distances(seen(pictures)) > quality.limit
        print(f"{name}: {float(far.float().mean()):.3f} of {len(far)} objects odd")


if __name__ == "__main__":
    main()
