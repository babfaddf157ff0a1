"""The automatic judge, which names a picture's objects, their colours, its scene and its style."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from small_model.judge_net import JudgeNet, peaks_of, read
from small_model.picture_quality import PictureQuality
from small_model.world import SIZE, Object

WEIGHTS = Path(__file__).resolve().parent / "judge_weights"
NAME, QUALITY = "judge", "picture_quality"
_AT_ONCE = 256  # pictures


@dataclass(frozen=True)
class Seen:
    """What the judge sees in one picture; objects are sorted, duplicates kept.

    Objects have colours in a black and white picture too: a gray apple on white looks like both.
    `odd` is the share of them that are unlike true ones, see `small_model.picture_quality`; None if
    there are no objects, if the picture has a style, or if the judge was not taught what true ones
    are like.
    """

    objects: tuple[Object, ...]
    scene: str
    style: str = ""
    odd: float | None = None


class Judge:
    """Looks at pictures. `error` has its measured error rates with 95 % intervals.

    `error[on][rate]` is `{"rate", "low", "high", "n"}`. `on` is "renders" (true pictures) or
    "reconstructions" (renders after the released autoencoder), or one of these followed by ", 1
    object", ", 2 objects" or ", 3 objects", or by ", worn" for an animal that wears something;
    `rate` is one of `judge_error.RATES`.
    """

    def __init__(
        self,
        net: JudgeNet,
        threshold: float,
        error: dict[str, Any],
        quality: PictureQuality | None = None,
    ) -> None:
        self.net = net.eval().requires_grad_(False)
        self.threshold = threshold
        self.error, self.quality = error, quality

    @classmethod
    def load(cls, folder: Path = WEIGHTS) -> Judge:
        """Load the released judge, or another one from its folder."""
        facts = json.loads((folder / f"{NAME}.json").read_text(encoding="utf-8"))
        net = JudgeNet()
        state = load_file(folder / f"{NAME}.safetensors")
        net.load_state_dict({name: tensor.float() for name, tensor in state.items()})
        quality = folder / f"{QUALITY}.safetensors"
        known = PictureQuality.load(quality) if quality.exists() else None
        return cls(net, facts["threshold"], facts["error"], known)

    @torch.inference_mode()
    def look(self, pictures: Tensor) -> list[Seen]:
        """Return what each of `pictures` [b, 3, 64, 64] in 0..1 shows."""
        if pictures.shape[1:] != (3, SIZE, SIZE):
            shape = tuple(pictures.shape)
            raise ValueError(f"Expected pictures of [b, 3, {SIZE}, {SIZE}] but got {shape}.")
        seen = []
        for part in torch.split(pictures.detach().to("cpu", torch.float32), _AT_ONCE):
            readings = self.net(part.clamp(0, 1))
            peaks = peaks_of(readings, self.threshold)
            odd = self.quality.shares(peaks, len(part)) if self.quality else [None] * len(part)
            read_all = zip(read(readings, peaks), odd, strict=True)
            seen += [
                Seen(objects, scene, style, None if style else share)
                for (objects, scene, style), share in read_all
            ]
        return seen
