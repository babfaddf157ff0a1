"""The cascade: contexts on their way down the layers of one UNet evaluation.

The only mutable state of the core. It is made when an evaluation begins and dropped when the
evaluation ends, so that every evaluation starts again from the encoded prompts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from ebca.bcu import limit_update
from ebca.composition import Evaluation
from ebca.layers import Layer
from ebca.settings import Edit, Settings, SettingsError, StepSizes

_REACH = 16.0
"""In fp16 a context stays within this multiple of its largest starting value. Step sizes that carry
it further have long destroyed the picture, but must not overflow; wider types get a wider bound."""

Rows = slice | Tensor
"""Row indices of a batch: a slice where they are contiguous (no copy), else an index tensor."""


class DriftingContext:
    """A context [b, t, c] and the sum of the updates that it has taken since the first layer.

    The sum is kept in fp32 or better: one update of bf16 is smaller than bf16's own rounding.
    """

    def __init__(self, max_relative_update: float | None) -> None:
        self._cap = max_relative_update
        self._update: Tensor | None = None
        self._bounds = torch.empty(0), torch.empty(0)

    def current(self, start: Tensor) -> Tensor:
        """The context that the next layer sees, given the one that its host would hand it."""
        if self._update is None or self._update.shape != start.shape:
            return start
        moved = (start + self._update).clamp_(*self._bounds)
        return moved.to(start.dtype)

    def advance(self, start: Tensor, update: Tensor, rows: Rows) -> Tensor:
        """Add `update` to `rows`; `start` is the context as it was before the first layer.

        Returns the update as it was taken, which the cap may have shortened.
        """
        if self._cap:
            update = limit_update(update, self.current(start)[rows], self._cap)
        if self._update is None:
            precise = torch.promote_types(start.dtype, torch.float32)
            self._update = torch.zeros_like(start, dtype=precise)
            room = torch.finfo(start.dtype).max ** 0.25  # 16 in fp16, 4e9 in bf16 and fp32
            bound = (_REACH * start.abs().amax()).to(precise).clamp(min=room)
            self._bounds = -bound, bound
        if isinstance(rows, slice):
            self._update[rows].add_(update)
        else:
            self._update[rows] += update
        return update


@dataclass
class Stack:
    """Editorial contexts of one bundle that have the same length and step sizes.

    `start` [s*r, t, c] holds the r rows of the first slot, then of the second, ...; `alphas` has
    one weight per slot.
    """

    start: Tensor
    alphas: tuple[float, ...]
    step_sizes: StepSizes
    context: DriftingContext
    token_weights: Tensor | None  # [s*r, t, 1]
    current: Tensor = field(init=False)  # this and the next two: at the layer being visited
    key: Tensor = field(init=False)
    value: Tensor = field(init=False)

    def slots(self, packed: Tensor) -> Sequence[Tensor]:
        """The rows of every slot of a tensor whose first axis is like that of `start`."""
        return packed.chunk(len(self.alphas))


@dataclass
class Bundle:
    """Conditional rows whose images are composed alike, so that they are computed together."""

    rows: Rows
    stacks: list[Stack]


@dataclass
class Cascade:
    """State of one UNet evaluation: who is updated, by how much, and how far it has come."""

    evaluation: Evaluation
    settings: Settings
    step_sizes: StepSizes  # of the main contexts, scaled for depth
    depth_scale: float
    main: DriftingContext = field(init=False)
    bundles: list[Bundle] = field(default_factory=list, init=False)
    first: Layer | None = field(default=None, init=False)
    update_rows: Rows = field(default_factory=lambda: slice(0, 0), init=False)
    token_weights: Tensor | None = field(default=None, init=False)
    _masks: dict[int, Tensor] = field(default_factory=dict, init=False)

    @property
    def moves(self) -> bool:
        """Whether any context takes a step in this evaluation."""
        stacks = (stack.step_sizes for bundle in self.bundles for stack in bundle.stacks)
        return any(self.step_sizes) or any(map(any, stacks))

    @property
    def begun(self) -> bool:
        """Whether a layer has been visited."""
        return self.first is not None

    def begin(self, context: Tensor, first: Layer) -> None:
        """Prepare for contexts like `context` [b, t, c]: its device, precision and length.

        `first` is the layer that is visited first. A host that visits it again within one
        evaluation (the WebUI's ControlNet, for a reference picture) starts over.
        """
        self.first = first
        self.main = DriftingContext(self.settings.max_relative_update)
        rows, images = self.evaluation.rows, self.evaluation.images
        updated = [
            index
            for index, row in enumerate(rows)
            if row.conditional or self.settings.update_unconditional
        ]
        self.update_rows = as_rows(updated, context.device)
        self.token_weights = _token_weights(
            [
                images[rows[index].image].token_weights if rows[index].conditional else {}
                for index in updated
            ],
            context,
            context.shape[1],
        )
        alike: dict[tuple[object, ...], list[int]] = {}
        for index, row in enumerate(rows):
            if row.conditional and (edits := self._active(row.image)):
                alike.setdefault(tuple(map(_likeness, edits)), []).append(index)
        self.bundles = [self._bundle(members, context) for members in alike.values()]

    @property
    def masked(self) -> bool:
        """Whether only some pixels are to pull on the contexts of any image."""
        images = self.evaluation.images
        return self.settings.mask and any(image.mask is not None for image in images)

    def mask(self, like: Tensor) -> Tensor | None:
        """Masks [b, n] for a query `like` [b, n, h*d]: every row's; None if no image has one, or
        if the layer's size is no level of the latent's."""
        images, pixels, size = self.evaluation.images, like.shape[1], self.evaluation.size
        level = level_size(size, pixels) if self.masked else None
        if level is None:
            return None
        if pixels not in self._masks:
            levels = [_at_level(image.mask, size, level, like) for image in images]
            self._masks[pixels] = torch.stack([levels[row.image] for row in self.evaluation.rows])
        return self._masks[pixels]

    def _active(self, image: int) -> list[Edit]:
        return self.evaluation.images[image].active(self.evaluation.progress)

    def _bundle(self, members: list[int], context: Tensor) -> Bundle:
        """Gather the active edits of the member rows, which are alike, into stacks."""
        slots = [self._active(self.evaluation.rows[index].image) for index in members]
        stacks: dict[tuple[object, ...], list[list[Edit]]] = {}
        for slot in zip(*slots, strict=True):
            first = slot[0]
            key = (len(first.encoding), first.step_sizes)
            stacks.setdefault(key, []).append(list(slot))
        return Bundle(
            as_rows(members, context.device),
            [self._stack(same, context) for same in stacks.values()],
        )

    def _stack(self, slots: list[list[Edit]], context: Tensor) -> Stack:
        first = slots[0][0]
        edits = [edit for slot in slots for edit in slot]
        return Stack(
            torch.stack([edit.encoding.to(context) for edit in edits]),
            tuple(slot[0].alpha for slot in slots),
            first.step_sizes.times(self.depth_scale),
            DriftingContext(self.settings.max_relative_update),
            _token_weights([edit.token_weights for edit in edits], context, len(first.encoding)),
        )


def as_rows(indices: Sequence[int], device: torch.device) -> Rows:
    """`indices`, ascending, as a slice if they are contiguous, else as a tensor."""
    if not indices:
        return slice(0, 0)
    if list(indices) == list(range(indices[0], indices[-1] + 1)):
        return slice(indices[0], indices[-1] + 1)
    return torch.tensor(indices, device=device)


def level_size(size: tuple[int, int], pixels: int) -> tuple[int, int] | None:
    """(h, w) of the UNet level that has `pixels` pixels; every level is half the last, rounded up.
    None if no level of a latent of `size` has that many."""
    height, width = size
    while height * width > pixels and height * width > 1:
        height, width = -(-height // 2), -(-width // 2)
    return (height, width) if height * width == pixels else None


def _at_level(
    mask: Tensor | None, latent: tuple[int, int], level: tuple[int, int], like: Tensor
) -> Tensor:
    """A mask [h, w] at a UNet level, [n]; ones for None.

    First to the latent's size, nearest, as diffusers does (nothing to do for a latent mask), then
    to the level's, bilinear, as the authors' code does.
    """
    precise = torch.promote_types(like.dtype, torch.float32)
    if mask is None:
        return like.new_ones(level[0] * level[1], dtype=precise)
    mask = F.interpolate(mask.to(like.device, precise)[None, None], size=latent)
    return F.interpolate(mask, size=level, mode="bilinear", align_corners=True).flatten()


def _likeness(edit: Edit) -> tuple[object, ...]:
    return (len(edit.encoding), edit.alpha, edit.step_sizes)


def _token_weights(
    wanted: Sequence[Mapping[int, float]], like: Tensor, tokens: int
) -> Tensor | None:
    """Factors on gamma_attn, [rows, tokens, 1], of the rows' `wanted` ones; None if all are 1."""
    if not any(wanted):
        return None
    precise = torch.promote_types(like.dtype, torch.float32)
    weights = torch.ones(len(wanted), tokens, 1, dtype=precise)
    for row, factors in enumerate(wanted):
        for token, factor in factors.items():
            if token >= tokens:
                raise SettingsError("token_weights", token, f"a token index below {tokens}")
            weights[row, token] = factor
    return weights.to(like.device)
