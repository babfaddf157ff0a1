"""Makes the pictures of a batch of cases by one method. A case's seed alone decides its noise."""

from __future__ import annotations

import dataclasses
import hashlib
import statistics
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from ebca.align.alternative import Alternative, alternative
from ebca.align.attend_and_excite import SCALE, AttendAndExcite
from ebca.align.cases import Case
from ebca.align.core_and import core_and
from ebca.align.halves import SHARE, halves
from ebca.align.methods import EDITING, NEGATIVE, PATCHED, Method
from ebca.align.sources import draw_source
from ebca.core.trace import Trace
from ebca.generate import load_pipeline
from ebca.hosts.diffusers import places_of
from ebca.hosts.keeping import invert
from ebca.hosts.source_model import encoded
from ebca.options.keeping import Keeping
from ebca.prompts import Composed, Prompt, compose
from ebca.session import apply_patch
from ebca.settings import declarations

Pictures = npt.NDArray[np.uint8]  # [b, height, width, 3]
SCHEDULERS = {"ddim": "DDIMScheduler", "euler": "EulerDiscreteScheduler", "pndm": "PNDMScheduler"}


@dataclass(frozen=True)
class Sampling:
    """How pictures are sampled, the same for all methods. None means the model's own value."""

    model: str | None = None
    config: str | None = None
    device: str = "cpu"
    dtype: str = "float32"
    steps: int = 20
    cfg: float = 4.0
    sampler: str | None = None
    size: int | None = None  # pixels

    def facts(self) -> dict[str, Any]:
        """Return the values that decide the pictures, besides the weights."""
        names = ("dtype", "steps", "cfg", "sampler", "size")
        return {name: getattr(self, name) for name in names}


class Painter:
    """A pipeline, loaded once, that makes pictures batch by batch."""

    def __init__(self, sampling: Sampling, pipe: Any = None) -> None:
        """Load the model. Raises `ebca.generate.ModelError` if that fails."""
        import diffusers

        self.sampling = sampling
        dtype = getattr(torch, sampling.dtype)
        self.pipe = pipe or load_pipeline(sampling.model, sampling.config, sampling.device, dtype)
        if sampling.sampler:
            kind = getattr(diffusers, SCHEDULERS[sampling.sampler])
            self.pipe.scheduler = kind.from_config(self.pipe.scheduler.config)
        self.pipe.set_progress_bar_config(disable=True)
        self._native = int(self.pipe.unet.config.sample_size) * 8

    def fingerprint(self) -> str:
        """Return a short hash that tells these weights from others."""
        digest = hashlib.sha256()
        for part in ("text_encoder", "text_encoder_2", "unet", "vae"):
            for tensor in getattr(getattr(self.pipe, part, None), "parameters", list)():
                some = tensor.detach().flatten()[:: max(1, tensor.numel() // 64)]
                digest.update(some.float().cpu().numpy().tobytes())
        return digest.hexdigest()[:16]

    @torch.no_grad()
    def paint(
        self, cases: Sequence[Case], method: Method, *, traced: bool = False
    ) -> tuple[Pictures, dict[str, float]]:
        """Make pictures of cases that share a `batch`; if `traced`, also summarise the updates."""
        pipe, inputs = self._prepared(cases)
        if method.kind == "autoencoder":
            return self._autoencoded(pipe, inputs["image"]), {}
        trace = Trace() if traced else None
        with ExitStack() as stack:
            texts = [case.prompt(method.kind) for case in cases]
            negatives = [case.negative if method.kind in NEGATIVE else "" for case in cases]
            if method.kind in EDITING:
                inputs |= stack.enter_context(self._from_picture(pipe, cases, method))
            if method.kind == "core-and":
                texts = stack.enter_context(core_and(pipe, texts, method.alpha))
            elif method.kind in PATCHED:
                composed = _times(compose(texts), method.alpha)
                texts = list(composed.main)
                mask = _latent_mask(cases[0], self._native)
                patch = apply_patch(pipe, method.settings, prompt=composed, mask=mask, trace=trace)
                stack.enter_context(patch)
            elif method.kind == "halves":
                columns = [case.columns for case in cases]
                stack.callback(halves(pipe, texts, columns, method.alpha * SHARE).remove)
            elif method.kind == "attend-and-excite":
                inputs |= self._excited(cases, texts, method.alpha)
            output = pipe(
                prompt=list(texts),
                **{
                    "negative_prompt": negatives,
                    "num_inference_steps": self.sampling.steps,
                    **inputs,
                },
                guidance_scale=self.sampling.cfg if method.cfg is None else method.cfg,
                generator=[torch.Generator("cpu").manual_seed(case.seed) for case in cases],
                output_type="np",
            ).images
        pictures: Pictures = np.asarray((output * 255).round().clip(0, 255), np.uint8)
        return pictures, {} if trace is None else summary(trace)

    @contextmanager
    def _from_picture(
        self, pipe: Any, cases: Sequence[Case], method: Method
    ) -> Iterator[dict[str, Any]]:
        """Let `pipe` begin with the noise of the cases' source pictures while the block runs.
        Yields the inputs to call it with."""
        sources = [case.source for case in cases if case.source]
        native = self.sampling.size or self._native
        pictures = [draw_source(source, native) for source in sources]
        shows, steps = [source.shows for source in sources], self.sampling.steps
        if isinstance(method.part, Alternative):
            with alternative(pipe, pictures, shows, steps, method.part) as inputs:
                yield inputs
        elif isinstance(method.part, Keeping):
            chosen = {
                each.name: getattr(method.part, each.name)
                for each in declarations(Keeping)
                if each.name not in ("keep", "keep_source")
            }
            inversion = invert(
                pipe, pictures, source=shows, steps=steps, strength=sources[0].strength,
                seed=[case.seed for case in cases], **chosen,
            )  # fmt: skip
            with inversion.on(pipe):
                yield inversion.inputs

    def _autoencoded(self, pipe: Any, pictures: Sequence[Image.Image]) -> Pictures:
        latents = encoded(pipe, pictures) / pipe.vae.config.scaling_factor
        decoded = pipe.image_processor.postprocess(pipe.vae.decode(latents).sample, "np")
        return np.asarray((decoded * 255).round().clip(0, 255), np.uint8)

    def _excited(self, cases: Sequence[Case], texts: Sequence[str], scale: float) -> dict[str, Any]:
        """Return the inputs that make the pipeline do Attend-and-Excite."""
        tokens = [
            [places_of(self.pipe, text, thing.name) for thing in case.things]
            for case, text in zip(cases, texts, strict=True)
        ]
        excite = AttendAndExcite(self.pipe, texts, tokens, self.sampling.steps, scale * SCALE)
        side = (self.sampling.size or self._native) // self.pipe.vae_scale_factor
        shape = (1, self.pipe.unet.config.in_channels, side, side)
        noise = [
            torch.randn(shape, generator=torch.Generator("cpu").manual_seed(case.seed))
            for case in cases
        ]
        first = torch.cat(noise).to(self.pipe.device, self.pipe.unet.dtype)
        return {"latents": excite.first(first), "callback_on_step_end": excite.after_step}

    def _prepared(self, cases: Sequence[Case]) -> tuple[Any, dict[str, Any]]:
        """Return the pipeline for cases of this kind, and its inputs besides prompts and noise."""
        import diffusers

        size = self.sampling.size or self._native
        source = cases[0].source
        if source is None:
            return self.pipe, {"height": size, "width": size}
        pictures = [draw_source(case.source, size) for case in cases if case.source]
        inputs: dict[str, Any] = {"image": pictures, "strength": source.strength}
        if not source.mask:
            pipe = diffusers.AutoPipelineForImage2Image.from_pipe(self.pipe)
            pipe.set_progress_bar_config(disable=True)
            return pipe, inputs
        pipe = diffusers.AutoPipelineForInpainting.from_pipe(self.pipe)
        pipe.set_progress_bar_config(disable=True)
        mask = Image.fromarray(half(source.mask, size).astype(np.uint8) * 255)
        inputs |= {"mask_image": [mask] * len(cases), "height": size, "width": size}
        return pipe, inputs


def _times(composed: Composed, alpha: float) -> Composed:
    """Multiply the weights of the prompts after AND by `alpha`."""

    def weighed(prompt: Prompt) -> Prompt:
        edits = (dataclasses.replace(edit, alpha=edit.alpha * alpha) for edit in prompt.edits)
        return dataclasses.replace(prompt, edits=tuple(edits))

    return dataclasses.replace(composed, prompts=tuple(map(weighed, composed.prompts)))


def half(side: str, size: int) -> npt.NDArray[np.bool_]:
    """Return a mask of the pixels of the `left` or `right` half, [size, size]."""
    mask = np.zeros((size, size), bool)
    mask[:, : size // 2] = True
    return mask if side == "left" else ~mask


def _latent_mask(case: Case, size: int) -> torch.Tensor | None:
    if case.source is None or not case.source.mask:
        return None
    return torch.from_numpy(half(case.source.mask, size)).float()


def summary(trace: Trace) -> dict[str, float]:
    """Summarise the updates of all layers and steps that took one: mean and largest |dC| / |C|,
    mean changes of the energies, and the share of updates after which their sum was lower."""
    taken = [row for row in trace.table() if row["relative_update"] is not None]
    if not taken:
        return {}
    relative = [row["relative_update"] for row in taken]
    changes = [
        (row["conditional_after"] - row["conditional"], row["prior_after"] - row["prior"])
        for row in taken
    ]
    return {
        "relative_update": statistics.fmean(relative),
        "largest_relative_update": max(relative),
        "conditional_change": statistics.fmean(change for change, _ in changes),
        "prior_change": statistics.fmean(change for _, change in changes),
        "energy_fell": statistics.fmean(sum(change) < 0 for change in changes),
    }
