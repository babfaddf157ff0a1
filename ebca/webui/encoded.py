"""The WebUI's encoded prompts as the engine's compositions.

The WebUI encodes all AND-separated prompts of an image, with their schedules, LoRAs, embeddings
and whatever else it knows. For CACAO the main ones alone stay in what its denoiser is given, and
the others come along as editorial contexts.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from ebca.composition import Composition
from ebca.settings import Edit
from ebca.webui.composing import ImagePrompt
from ebca.webui.options import Options
from ebca.webui.words import CHUNK


class _Whole(NamedTuple):
    """What stands behind the `mains` that the denoiser is given."""

    mains: Any  # kept, so that its id stays its own
    cond: Any
    texts: Sequence[ImagePrompt]
    contexts: Mapping[str, Tensor]  # of things alone and, where prompts are summed, of ""


class EncodedPrompts:
    """One batch's encoded prompts during one sampling."""

    def __init__(
        self,
        options: Options,
        mask: Tensor | None,
        read: Callable[[Any], Sequence[ImagePrompt]],
        weigh: Callable[[str], dict[int, float]],
        encode: Callable[[Sequence[str]], Sequence[Any]],
    ) -> None:
        """`mask` [h, w] in latent pixels is 1 where the image is repainted; `read` gives the
        texts that belong to an encoded batch, `weigh` the factors on the tokens of a text,
        `encode` texts as the WebUI does, by the model in use."""
        self._options, self._mask, self._read, self._weigh = options, mask, read, weigh
        self._encode = encode
        self._whole: dict[int, _Whole] = {}
        self._made: dict[tuple[int, ...], list[Composition]] = {}

    def mains(self, cond: Any) -> Any:
        """What the denoiser gets instead of `cond`: without what CACAO composes into it."""
        texts = self._read(cond)
        wanted = [thing for image in texts for thing in image.all_contrasts()]
        if self._options.composition == "sum" and any(image.composed for image in texts):
            wanted.append("")
        wanted = list(dict.fromkeys(wanted))
        encoded = zip(wanted, map(_context, self._encode(wanted) if wanted else ()), strict=True)
        mains = copy.copy(cond)
        mains.batch = [
            [_with_weight_one(prompts[0])] if image.composed else prompts
            for image, prompts in zip(texts, cond.batch, strict=True)
        ]
        self._whole[id(mains)] = _Whole(mains, cond, texts, dict(encoded))
        return mains

    def whole(self, cond: Any) -> Any:
        """What `mains` was given for `cond`; None if `cond` has all of it."""
        whole = self._whole.get(id(cond))
        composed = whole is not None and any(image.composed for image in whole.texts)
        return whole.cond if whole is not None and composed else None

    def compositions(self, cond: Any, step: int) -> list[Composition]:
        """One for each row of `cond`, which `mains` has given, at a step of the denoiser."""
        whole = self._whole.get(id(cond))
        if whole is None:  # another extension's: nothing is known of its texts
            return [Composition(mask=self._mask) for image in cond.batch for _ in image]
        batch = whole.cond.batch
        key = (id(cond), *(_place(part.schedules, step) for image in batch for part in image))
        if key not in self._made:
            self._made[key] = [
                composition
                for image, prompts in zip(whole.texts, batch, strict=True)
                for composition in self._compose(image, prompts, step, whole.contexts)
            ]
        return self._made[key]

    def _compose(
        self, image: ImagePrompt, prompts: Any, step: int, contexts: Mapping[str, Tensor]
    ) -> list[Composition]:
        alone = [
            self._alone(contexts[thing], contrast)
            for thing, contrast in image.contrasts(step).items()
        ]
        if image.composed:
            edits = [
                self._edit(prompts[index], image.parts[index].at(step), alpha, step)
                for index, alpha in image.active(step)
            ]
            text = image.parts[0].at(step)
            return [self._composition(text, (*edits, *alone), contexts.get(""))]
        if len(image.parts) != len(prompts):  # read in another way by who composes it
            return [Composition(mask=self._mask) for _ in prompts]
        return [self._composition(part.at(step), tuple(alone)) for part in image.parts]

    def _alone(self, context: Tensor, contrast: float) -> Edit:
        return Edit(context=context, contrast=contrast, stop=self._options.contrast_stop)

    def _composition(
        self, text: str, edits: tuple[Edit, ...] = (), reference: Tensor | None = None
    ) -> Composition:
        return Composition(edits, self._weigh(text), self._mask, reference)

    def _edit(self, prompt: Any, text: str, alpha: float, step: int) -> Edit:
        encoding = _context(prompt.schedules[_place(prompt.schedules, step)].cond)
        return self._options.edit(context=encoding, alpha=alpha, token_weights=self._weigh(text))


def _context(encoding: Any) -> Tensor:
    """The context [t, c] in an encoding of the WebUI, which for SDXL has more.

    Texts take whole chunks. What stands before them is another extension's: ControlNet marks an
    encoding as conditional with a row of 1024s, which the UNet's layers never see.
    """
    context: Tensor = encoding["crossattn"] if isinstance(encoding, dict) else encoding
    return context[len(context) % CHUNK :]


def _place(schedules: Sequence[Any], step: int) -> int:
    """Which of a prompt's schedules is used at `step`, by the WebUI's own rule."""
    return next((i for i, entry in enumerate(schedules) if step <= entry.end_at_step), 0)


def _with_weight_one(prompt: Any) -> Any:
    """The main prompt: its own weight divides the others' and does not multiply the guidance."""
    main = copy.copy(prompt)
    main.weight = 1.0
    return main
