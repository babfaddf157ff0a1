"""The judges of pictures: that of the small model's world, and CLIP.

A judge turns pictures into what it saw, as values for JSON; `ebca.align.score` counts those.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image

from ebca.align.cases import Case
from ebca.align.painter import Pictures, half
from ebca.align.sources import draw_source, empty, outside
from ebca.generate import ModelError
from ebca.settings import SettingsError


class Judge(Protocol):
    """A judge of pictures. Results are stored under `name`, so a judge with a new name looks again;
    `error` is the measured error that `ebca.align.score.reliability` uses, or empty."""

    @property
    def name(self) -> str: ...
    @property
    def error(self) -> dict[str, Any]: ...
    def look(self, pictures: Pictures, cases: Sequence[Case]) -> list[dict[str, Any]]: ...


class WorldJudge:
    """Names the objects of a picture, their colours, its scene and its style. `error` has the
    judge's measured error rates."""

    def __init__(self, judge: Any = None) -> None:
        if judge is None:
            try:
                from small_model.judge import Judge as Trained

                judge = Trained.load()
            except (ImportError, OSError) as error:
                legal = "clip here: the judge of the built-in prompts is not in this checkout"
                raise SettingsError("judge", "world", legal) from error
        self._judge = judge
        self.error: dict[str, Any] = judge.error

    @property
    def name(self) -> str:
        net = getattr(self._judge, "net", None)
        total = 0.0 if net is None else sum(float(p.abs().sum()) for p in net.parameters())
        quality = getattr(self._judge, "quality", None)
        limit = f" {quality.limit:.3f}" if quality else ""
        return f"world {total:.3f} {getattr(self._judge, 'threshold', 0)}{limit}"

    def look(self, pictures: Pictures, cases: Sequence[Case]) -> list[dict[str, Any]]:
        shown = np.stack([_in_mask(p, case) for p, case in zip(pictures, cases, strict=True)])
        seen = self._judge.look(torch.from_numpy(shown).movedim(3, 1).float() / 255)
        return [
            {
                "seen": [[thing.name, thing.colour] for thing in each.objects],
                "scene": each.scene,
                "style": each.style,
                "odd": each.odd,
                **_kept(picture, case),
            }
            for each, picture, case in zip(seen, pictures, cases, strict=True)
        ]


class ClipJudge:
    """Measures similarity to the prompt and to the least similar of its things, as the authors of
    Attend-and-Excite report them."""

    def __init__(self, model: str, device: str = "cpu") -> None:
        from transformers import CLIPImageProcessor, CLIPModel, CLIPTokenizerFast

        try:
            self._model: Any = CLIPModel.from_pretrained(model).to(device).eval()
            self._tokens: Any = CLIPTokenizerFast.from_pretrained(model)
            self._prepare: Any = CLIPImageProcessor.from_pretrained(model)
        except (OSError, ValueError, ImportError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ModelError(f"cannot load the CLIP model {model!r}: {reason}") from error
        self.name, self._device = f"clip {model}", device
        self.error: dict[str, Any] = {}

    @torch.no_grad()
    def look(self, pictures: Pictures, cases: Sequence[Case]) -> list[dict[str, Any]]:
        images = self._prepare([Image.fromarray(p) for p in pictures], return_tensors="pt")
        seen = self._unit(self._model.vision_model, self._model.visual_projection, **images)
        found = []
        for picture, case in zip(seen, cases, strict=True):
            texts = [case.joint, *(thing.phrase for thing in case.things)]
            tokens = self._tokens(texts, padding=True, truncation=True, return_tensors="pt")
            words = self._unit(self._model.text_model, self._model.text_projection, **tokens)
            full, *each = (words @ picture).tolist()
            found.append({"full": full, "each": each})
        return found

    def _unit(self, tower: Any, projection: Any, **inputs: torch.Tensor) -> torch.Tensor:
        inputs = {name: tensor.to(self._device) for name, tensor in inputs.items()}
        output: torch.Tensor = projection(tower(**inputs).pooler_output)
        unit: torch.Tensor = output / output.norm(dim=-1, keepdim=True)
        return unit


def _in_mask(picture: Any, case: Case) -> Any:
    """Put the repainted half of an inpainting on an empty picture; return others unchanged."""
    if case.source is None or not case.source.mask:
        return picture
    mask = half(case.source.mask, picture.shape[0])[..., None]
    return np.where(mask, picture, np.asarray(empty().resize(picture.shape[1::-1])))


def _kept(picture: Any, case: Case) -> dict[str, float]:
    """Return the distances of an edited picture to its source: `structure`, `whole`, and `rest`,
    which leaves out the mask or the edited region."""
    if case.source is None:
        return {}
    source = np.asarray(draw_source(case.source, picture.shape[0]), float) / 255
    made = np.asarray(picture, float) / 255
    side, masked = picture.shape[0], case.source.mask
    apart = np.abs(made - source)
    rest = ~half(masked, side) if masked else outside(case, side)
    found = {"structure": structure_distance(source, made), "whole": float(apart.mean())}
    return found | ({"rest": float(apart[rest].mean())} if rest.any() else {})


def structure_distance(one: Any, other: Any, parts: int = 8) -> float:
    """Return the mean difference between the self-similarities of two pictures [h, w, 3] in 0..1.

    Self-similarity is how alike any two of parts x parts patches are in their mean colour. The
    distance is 0 for the same layout, even if the colours change as a whole.
    """

    def similarity(picture: Any) -> Any:
        side = picture.shape[0] // parts
        patches = picture[: side * parts, : side * parts].reshape(parts, side, parts, side, 3)
        means = patches.mean((1, 3)).reshape(-1, 3)
        distance = np.linalg.norm(means[:, None] - means[None], axis=-1)
        return distance / max(float(distance.max()), 1e-6)

    return float(np.abs(similarity(one) - similarity(other)).mean())
