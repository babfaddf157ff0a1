"""A bare UNet as a host: diffusers `UNet2DConditionModel`, ldm or sgm `UNetModel`.

The caller says which rows are conditional. Nothing tells the length of the schedule, so windows
are fractions of the 1,000 training timesteps of Stable Diffusion, counted from pure noise.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from ebca.core.engine import Call
from ebca.core.evaluation import Evaluation, Image, Memories, Row
from ebca.core.layers import find_layers
from ebca.core.method import Clock, Method, Source
from ebca.settings.checks import SettingsError

TRAINING_TIMESTEPS = 1000


class BareUNet:
    """Describes the evaluations of a UNet whose caller names the conditional rows."""

    def __init__(
        self,
        unet: nn.Module,
        methods: Sequence[Method],
        images: Sequence[Image],
        conditional_rows: Sequence[int] | None,
    ) -> None:
        self._images = images
        self._rows = None if conditional_rows is None else _checked_rows(conditional_rows)
        self._memories = Memories()  # kept for good: nothing tells where a new sampling begins
        check_contexts(methods, images, unet)

    def describe(self, call: Call) -> Evaluation:
        """Describe a batch. Raises SettingsError if the batch lacks a row that was named."""
        batch = call.sample.shape[0]
        conditional = list(range(batch)) if self._rows is None else self._rows
        if max(conditional, default=0) >= batch:
            legal = f"row indices of the UNet's batch, which has {batch} rows"
            raise SettingsError("conditional_rows", conditional, legal)
        if len(self._images) > 1 and len(self._images) != len(conditional):
            legal = f"one list per conditional row, which are {len(conditional)}"
            raise SettingsError("edits", f"{len(self._images)} lists", legal)
        rows = [Row(0, False)] * batch
        unconditional = (row for row in range(batch) if row not in conditional)
        for order, is_conditional in ((conditional, True), (unconditional, False)):
            for image, row in enumerate(order):
                rows[row] = Row(image % len(self._images), is_conditional)
        height, width = call.sample.shape[-2:]

        def read() -> tuple[float, float]:
            done = denoised(float(torch.as_tensor(call.timestep).flatten()[0]))
            return done, done

        return Evaluation(rows, self._images, Clock(read), (height, width), self._memories)


def denoised(timestep: float, first: float = TRAINING_TIMESTEPS - 1.0) -> float:
    """Return the fraction of the way from pure noise (at the timestep `first`) that is done at
    a training timestep."""
    return min(max(1.0 - (timestep + 1.0) / (first + 1.0), 0.0), 1.0)


def _checked_rows(rows: Sequence[int]) -> list[int]:
    checked = [int(row) for row in rows]
    if len(set(checked)) != len(checked) or any(row < 0 for row in checked):
        raise SettingsError("conditional_rows", list(rows), "distinct row indices of 0 or more")
    return checked


def sources(methods: Sequence[Method], image: Image) -> list[Source]:
    """Return the texts and contexts that an image needs besides its main prompt."""
    edits = [edit.source for edit in image.prompt.edits if not edit.empty]
    return [*edits, *(text for method in methods for text in method.texts(image.prompt))]


def check_contexts(methods: Sequence[Method], images: Sequence[Image], unet: nn.Module) -> None:
    """Raise SettingsError unless every source of the methods is encoded in the model's width."""
    width = getattr(find_layers(unet)[0].linear("to_k"), "in_features")  # noqa: B009
    legal = f"a tensor [tokens, {width}], the width of this model's contexts"
    for image in images:
        for source in sources(methods, image):
            if isinstance(source, str) and source not in image.contexts:
                name = f"contexts[{source!r}]" if source else "reference"
                raise SettingsError(name, None, _MISSING if source else _NO_REFERENCE)
            context = image.context(source)
            if context.shape[1] != width:
                raise SettingsError("context", tuple(context.shape), legal)


_MISSING = "a tensor [tokens, channels], its encoding: a bare UNet cannot encode a text"
_NO_REFERENCE = (
    "the encoding of the empty prompt where prompts after AND are summed (or and_means 'average')"
)
