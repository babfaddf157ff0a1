"""What a host tells the engine about one UNet evaluation: rows, images, time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from torch import Tensor

from ebca.settings import Edit, SettingsError


class Row(NamedTuple):
    """One row of the UNet's batch: the image it belongs to, conditional (prompt) or not."""

    image: int
    conditional: bool


@dataclass(frozen=True)
class Composition:
    """What one image is made of besides its main prompt.

    `edits` have their contexts encoded. `token_weights` (token index of the main context ->
    factor on gamma_attn). `mask` [h, w] in latent pixels: 1 where the image is repainted.
    `reference` [t, c], the encoding of the empty prompt: edits add what they say beyond it; None:
    they are averaged with the main prompt. Whoever makes one has checked the edits' alphas.
    """

    edits: tuple[Edit, ...] = ()
    token_weights: Mapping[int, float] = field(default_factory=dict)
    mask: Tensor | None = None
    reference: Tensor | None = None

    def active(self, progress: float) -> list[Edit]:
        """The edits that take part in a step at `progress`, as the average of `ebca.cacao` wants
        them: the reference among them, contrasts turned into negative alphas."""
        active = [edit for edit in self.edits if edit.active(progress)]
        edits = [edit for edit in active if not edit.contrast]
        total = math.fsum(edit.alpha for edit in edits)
        if self.reference is not None and total:
            edits.append(Edit(context=self.reference, alpha=-total))
            total = 0.0
        alone = [edit for edit in active if edit.contrast]
        if not alone:
            return edits
        main = 1.0 + (1.0 + total) * math.fsum(edit.contrast for edit in alone)
        return [
            *(replace(edit, alpha=edit.alpha / main) for edit in edits),
            *(
                replace(edit, alpha=-(1.0 + total) * edit.contrast / main, contrast=0.0)
                for edit in alone
            ),
        ]


@dataclass(frozen=True)
class Evaluation:
    """One UNet evaluation as its host describes it.

    `rows` names every row of the batch in order, `images` what the rows' image indices refer to.
    `progress` is the fraction of the schedule done (0 at the first step, below 1), `size` the
    latent's (h, w).
    """

    rows: Sequence[Row]
    images: Sequence[Composition]
    progress: float
    size: tuple[int, int]


def per_image(edits: Sequence[Edit] | Sequence[Sequence[Edit]]) -> list[tuple[Edit, ...]]:
    """One tuple of edits per image; a flat sequence is one tuple that all images share."""
    images: Sequence[Any] = edits
    if not edits or any(isinstance(edit, Edit) for edit in edits):
        images = [edits]
    for image in images:
        for edit in image if isinstance(image, (list, tuple)) else [image]:
            if not isinstance(edit, Edit) or edit is image:
                raise SettingsError("edits", edit, "a list of Edit, or one such list per image")
    return [tuple(image) for image in images]
