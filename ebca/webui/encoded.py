"""Turn the WebUI's encoded prompts into the engine's `Image` objects.

The WebUI encodes all AND-separated prompts of an image, with their schedules, LoRAs, embeddings
and whatever else it knows. Where a method takes what follows AND, the denoiser is given the main
prompts alone, and the engine gets the encodings of the others.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from torch import Tensor

from ebca.core.evaluation import Image
from ebca.core.method import Method
from ebca.webui.prompts import ImagePrompt, Weigh
from ebca.webui.words import CHUNK


class _Whole(NamedTuple):
    """The complete prompts behind the `mains` that the denoiser is given."""

    mains: Any  # held, so that no other object gets its id
    cond: Any
    texts: Sequence[ImagePrompt]
    contexts: Mapping[str, Tensor]  # of the texts that methods asked for


class EncodedPrompts:
    """The encoded prompts of one batch during one sampling."""

    def __init__(
        self,
        methods: Sequence[Method],
        mask: Tensor | None,
        read: Callable[[Any], Sequence[ImagePrompt]],
        weigh: Weigh,
        encode: Callable[[Sequence[str]], Sequence[Any]],
        find: Callable[[str, str], Sequence[int]],
    ) -> None:
        """`mask` [h, w] in latent pixels is 1 where the image is repainted; `read` returns the
        texts of an encoded batch, `weigh` the factors on the tokens of a text, `find` the token
        indices of words in a text; `encode` encodes texts with the model in use."""
        self._methods, self._mask, self._read, self._weigh = methods, mask, read, weigh
        self._encode, self._find = encode, find
        self._whole: dict[int, _Whole] = {}
        self._made: dict[tuple[int, ...], list[Image]] = {}

    def mains(self, cond: Any) -> Any:
        """Return `cond` for the denoiser, without the parts that methods take."""
        texts = self._read(cond)
        wanted = asked_texts(self._methods, texts)
        encoded = zip(wanted, map(_context, self._encode(wanted) if wanted else ()), strict=True)
        mains = copy.copy(cond)
        mains.batch = [
            [_with_weight_one(prompts[0])] if image.absorbed else prompts
            for image, prompts in zip(texts, cond.batch, strict=True)
        ]
        self._whole[id(mains)] = _Whole(mains, cond, texts, dict(encoded))
        return mains

    def whole(self, cond: Any) -> Any:
        """Return what `mains` made `cond` from; None if `cond` lacks nothing of it."""
        whole = self._whole.get(id(cond))
        absorbed = whole is not None and any(image.absorbed for image in whole.texts)
        return whole.cond if whole is not None and absorbed else None

    def images(self, cond: Any, step: int) -> list[Image]:
        """Return an `Image` for each row of `cond`, made by `mains`, at a step of the denoiser."""
        whole = self._whole.get(id(cond))
        if whole is None:  # from another extension: its texts are unknown
            rows = [row for image in cond.batch for row in image]
            return [Image(mask=self._mask, number=number) for number in range(len(rows))]
        batch = whole.cond.batch
        key = (id(cond), *(_place(part.schedules, step) for image in batch for part in image))
        if key not in self._made:
            made = [
                dataclasses.replace(image, part_of=picture)
                for picture, (text, parts) in enumerate(zip(whole.texts, batch, strict=True))
                for image in self._image(text, parts, step, whole.contexts)
            ]
            self._made[key] = [
                dataclasses.replace(image, number=number) for number, image in enumerate(made)
            ]
        return self._made[key]

    def _image(
        self, text: ImagePrompt, parts: Any, step: int, contexts: Mapping[str, Tensor]
    ) -> list[Image]:
        if len(text.parts) != len(parts):  # another extension splits this prompt in its own way
            return [Image(mask=self._mask) for _ in parts]
        own = {
            part.at(step): _context(encoded.schedules[_place(encoded.schedules, step)].cond)
            for part, encoded in zip(text.parts[1:], parts[1:], strict=True)
            if text.absorbed
        }
        return [
            Image(
                prompt,
                {**contexts, **own},
                self._weigh(prompt.main),
                self._mask,
                tokens=partial(self._find, prompt.main),
            )
            for prompt in text.prompts(step, self._weigh)
        ]


def asked_texts(methods: Sequence[Method], images: Sequence[ImagePrompt]) -> list[str]:
    """Return the texts that methods need encoded in addition to the prompts of a batch."""
    asked = (
        text
        for image in images
        for prompt in image.all_prompts()
        for method in methods
        for text in method.texts(prompt)
    )
    return [text for text in dict.fromkeys(asked) if isinstance(text, str)]


def _context(encoding: Any) -> Tensor:
    """Return the context [t, c] in an encoding of the WebUI, which holds more for SDXL.

    A text takes whole chunks; surplus rows before it are another extension's: ControlNet marks an
    encoding as conditional with a row of 1024s, which the UNet's layers never see.
    """
    context: Tensor = encoding["crossattn"] if isinstance(encoding, dict) else encoding
    return context[len(context) % CHUNK :]


def _place(schedules: Sequence[Any], step: int) -> int:
    """Return the index of the schedule that the WebUI's own rule chooses at `step`."""
    return next((i for i, entry in enumerate(schedules) if step <= entry.end_at_step), 0)


def _with_weight_one(prompt: Any) -> Any:
    """Return the main prompt with weight 1: its own weight divides the others' and does not
    multiply the guidance."""
    main = copy.copy(prompt)
    main.weight = 1.0
    return main
