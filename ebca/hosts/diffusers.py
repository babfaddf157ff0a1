"""A diffusers pipeline as a host: Stable Diffusion 1, 2, XL and models built like them.

diffusers itself is not imported: a pipeline is recognized by its attributes. The pipelines stack
the rows of a UNet batch unconditional first if guidance is on, then conditional, image-major;
InstructPix2Pix has (conditional, image, unconditional); with PAG perturbed rows come last.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ebca.core.engine import Call
from ebca.core.evaluation import Evaluation, Image, Memories, Row
from ebca.core.method import Clock, Method
from ebca.hosts.slices import place
from ebca.hosts.unet import check_contexts, denoised, sources
from ebca.prompts.words import find_tokens
from ebca.settings.checks import SettingsError

_INPAINT_CHANNELS = 9  # latent 4, mask 1, masked latent 4
_MASK_CHANNEL = 4


def is_pipeline(model: Any) -> bool:
    """Whether `model` is a pipeline that this module can serve."""
    return isinstance(getattr(model, "unet", None), nn.Module) and hasattr(model, "scheduler")


class Pipeline:
    """Describes the evaluations of a pipeline's UNet."""

    def __init__(
        self,
        pipe: Any,
        methods: Sequence[Method],
        images: Sequence[Image],
        word_weights: Sequence[tuple[str, float]] = (),
    ) -> None:
        """`images` has an image for each prompt, or one that all prompts share; `word_weights`
        are (words, factor) for words of the main prompts."""
        if not hasattr(type(pipe), "do_classifier_free_guidance"):
            legal = f"given: {type(pipe).__name__} does not tell which rows are the prompt's"
            raise SettingsError("conditional_rows", None, legal)
        self.unet: nn.Module = pipe.unet
        self._pipe, self._methods = pipe, methods
        self._images = [_weighed(pipe, image, word_weights) for image in images]
        self._encoded: dict[int | None, list[Image]] = {}
        self._steps: tuple[Tensor | None, list[float]] = (None, [])
        self._memories: tuple[Tensor | None, Memories] = (None, Memories())
        self._encode(None)  # now, so that a text that cannot be encoded fails before sampling

    def describe(self, call: Call) -> Evaluation:
        """Return the rows, images and time of the UNet call that the pipeline is making."""
        conditional = self._conditional(call.sample.shape[0])
        images = self._encode(getattr(self._pipe, "clip_skip", None))
        each, odd = divmod(conditional.count(True), len(images))
        if odd or not each:
            legal = f"one list per prompt; the batch has {conditional.count(True)} images"
            raise SettingsError("edits", f"{len(images)} lists", legal)
        count = each * len(images)
        seen = {True: 0, False: 0}
        rows = []
        for is_conditional in conditional:
            rows.append(Row(seen[is_conditional] % count, is_conditional))
            seen[is_conditional] += 1
        own = [
            dataclasses.replace(images[number // each], number=number) for number in range(count)
        ]
        if call.sample.shape[1] == _INPAINT_CHANNELS:
            own, rows = _with_own_masks(own, rows, call.sample)
        height, width = call.sample.shape[-2:]
        clock = Clock(lambda: self._time(call))
        guidance = getattr(self._pipe, "guidance_scale", None)
        memories = self._remembered()
        return Evaluation(rows, own, clock, (height, width), memories, guidance)

    def _conditional(self, batch: int) -> list[bool]:
        pipe = self._pipe
        guided = bool(pipe.do_classifier_free_guidance)
        if any("InstructPix2Pix" in kind.__name__ for kind in type(pipe).__mro__):
            pattern = [True, False, False] if guided else [True]
        else:
            perturbed = bool(getattr(pipe, "do_perturbed_attention_guidance", False))
            pattern = [False] * guided + [True] + [True] * perturbed
        return [kind for kind in pattern for _ in range(batch // len(pattern))]

    def _time(self, call: Call) -> tuple[float, float]:
        """Return the fractions done of this run's steps and of the way from pure noise; a schedule
        of few steps may begin well below the highest timestep."""
        schedule = self._schedule()
        run = dict.fromkeys(self._run(schedule))  # second-order schedulers list a timestep twice
        timestep = torch.as_tensor(call.timestep).flatten()[0]
        at = place(timestep[None], self._pipe.scheduler.timesteps)
        now = float(timestep) if at is None else schedule[at]
        return sum(step > now for step in run) / len(run), denoised(now, max(schedule))

    def _schedule(self) -> list[float]:
        """Return the scheduler's timesteps, read only once since reading waits for the GPU."""
        schedule = self._pipe.scheduler.timesteps
        if self._steps[0] is not schedule:
            self._steps = (schedule, [float(step) for step in schedule.tolist()])
        return self._steps[1]

    def _remembered(self) -> Memories:
        """Return the memories of this sampling; a new schedule tells that a new one began."""
        schedule = self._pipe.scheduler.timesteps
        if self._memories[0] is not schedule:
            self._memories = (schedule, Memories())
        return self._memories[1]

    def _run(self, steps: list[float]) -> list[float]:
        """Return this run's timesteps: img2img skips the schedule's head, others its tail."""
        pipe = self._pipe
        length = getattr(pipe, "num_timesteps", len(steps))
        ends_early = getattr(pipe, "denoising_end", None) is not None
        return steps[:length] if ends_early else steps[-length:]

    def _encode(self, clip_skip: int | None) -> list[Image]:
        """Return the images with every text encoded as the pipeline encodes its own prompts."""
        if clip_skip not in self._encoded:
            images = [self._with_contexts(image, clip_skip) for image in self._images]
            check_contexts(self._methods, images, self.unet)
            self._encoded[clip_skip] = images
        return self._encoded[clip_skip]

    def _with_contexts(self, image: Image, clip_skip: int | None) -> Image:
        texts = {text for text in sources(self._methods, image) if isinstance(text, str)}
        texts -= set(image.contexts)
        if texts and not hasattr(self._pipe, "encode_prompt"):
            kind = type(self._pipe).__name__
            legal = f"given as a context: {kind} cannot encode it by itself"
            raise SettingsError("prompt", min(texts), legal)
        encoded = {text: self._context(text, clip_skip) for text in sorted(texts)}
        return dataclasses.replace(image, contexts={**image.contexts, **encoded})

    @torch.no_grad()
    def _context(self, text: str, clip_skip: int | None) -> Tensor:
        """Return the pipeline's encoding of `text`, [t, c]."""
        skip = {} if clip_skip is None else {"clip_skip": clip_skip}
        encoded = self._pipe.encode_prompt(
            text,
            device=self._pipe._execution_device,
            num_images_per_prompt=1,
            do_classifier_free_guidance=False,
            **skip,
        )
        context: Tensor = encoded[0][0]
        return context


def places_of(pipe: Any, text: str, words: str) -> list[int]:
    """Return the indices of the tokens of `words` in the pipeline's encoding of `text`."""
    tokens = pipe.tokenizer(text, truncation=True).input_ids
    wanted = pipe.tokenizer(words, add_special_tokens=False).input_ids
    return list(find_tokens(wanted, tokens))


def _weighed(pipe: Any, image: Image, word_weights: Sequence[tuple[str, float]]) -> Image:
    """Return the image with a function that finds words' tokens, and its token weights. Raises
    SettingsError for weighted words that the main prompt lacks."""
    text, weights = image.prompt.main, dict(image.token_weights)

    def places(words: str) -> list[int]:
        return places_of(pipe, text, words)

    for words, factor in word_weights:
        if not (indices := places(words)):
            raise SettingsError("token_weights", words, f"words of the prompt {text.strip()!r}")
        weights.update(dict.fromkeys(indices, factor))
    return dataclasses.replace(image, token_weights=weights, tokens=places)


def _with_own_masks(
    images: Sequence[Image], rows: Sequence[Row], sample: Tensor
) -> tuple[list[Image], list[Row]]:
    """Return one image a row, each with the mask from an inpainting model's input, and new rows."""
    own = [
        dataclasses.replace(image, mask=sample[index, _MASK_CHANNEL])
        if image.mask is None
        else image
        for index, row in enumerate(rows)
        for image in (images[row.image],)
    ]
    return own, [Row(index, row.conditional) for index, row in enumerate(rows)]
