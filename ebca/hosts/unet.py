"""A bare UNet as a host: diffusers `UNet2DConditionModel`, ldm or sgm `UNetModel`.

The caller says which rows are conditional. Nothing tells the length of the schedule, so windows
are fractions of the 1,000 training timesteps of Stable Diffusion, counted from pure noise.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from ebca.composition import Composition, Evaluation, Row
from ebca.engine import Call
from ebca.layers import find_layers
from ebca.settings import Settings, SettingsError

TRAINING_TIMESTEPS = 1000


class BareUNet:
    """Describes the evaluations of a UNet whose caller names the conditional rows."""

    def __init__(
        self,
        unet: nn.Module,
        settings: Settings,
        images: Sequence[Composition],
        conditional_rows: Sequence[int] | None,
    ) -> None:
        self._images = images
        self._rows = None if conditional_rows is None else _checked_rows(conditional_rows)
        self._timed = is_timed(settings, images)
        check_contexts(settings, images, unet)

    def describe(self, call: Call) -> Evaluation:
        """The evaluation of a batch. Raises SettingsError if it lacks a row that was named."""
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
        return Evaluation(rows, self._images, self._progress(call), (height, width))

    def _progress(self, call: Call) -> float:
        if not self._timed:
            return 0.0
        timestep = float(torch.as_tensor(call.timestep).flatten()[0])
        return 1.0 - (timestep + 1.0) / TRAINING_TIMESTEPS


def is_timed(settings: Settings, images: Sequence[Composition]) -> bool:
    """Whether any window is narrower than the schedule, so that the time must be known."""
    windows = [(settings.start, settings.stop)]
    windows += [(edit.start, edit.stop) for image in images for edit in image.edits]
    return any(window != (0.0, 1.0) for window in windows)


def _checked_rows(rows: Sequence[int]) -> list[int]:
    checked = [int(row) for row in rows]
    if len(set(checked)) != len(checked) or any(row < 0 for row in checked):
        raise SettingsError("conditional_rows", list(rows), "distinct row indices of 0 or more")
    return checked


def check_contexts(settings: Settings, images: Sequence[Composition], unet: nn.Module) -> None:
    """Raise SettingsError unless everything that is composed has a context of the model's width."""
    width = getattr(find_layers(unet)[0].linear("to_k"), "in_features")  # noqa: B009
    legal = f"a tensor [tokens, {width}], the width of this model's contexts"
    for image in images:
        for edit in image.edits:
            if edit.context is None and (edit.prompt or "").strip():
                missing = "encoded, a tensor [tokens, channels]: a bare UNet cannot encode a prompt"
                raise SettingsError("context", edit.prompt, missing)
            if edit.context is not None and edit.context.shape[1] != width:
                raise SettingsError("context", tuple(edit.context.shape), legal)
        if image.reference is not None and image.reference.shape[1] != width:
            raise SettingsError("reference", tuple(image.reference.shape), legal)
        composed = any(
            edit.alpha and not edit.contrast and edit.context is not None for edit in image.edits
        )
        if composed and image.reference is None and settings.composition == "sum":
            missing = (
                "the encoding of the empty prompt where edits are summed (or composition 'average')"
            )
            raise SettingsError("reference", None, missing)
