"""The cascade: contexts that change from layer to layer within one UNet evaluation.

A cascade is made when an evaluation begins and dropped when the evaluation ends, so every
evaluation starts again from the encoded prompts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from ebca.core.evaluation import Evaluation, Image
from ebca.core.layers import Layer
from ebca.core.method import MAIN, NEGATIVE, PLAIN, Branch, Method, Mix, Moment, Step, Veil
from ebca.prompts.prompt import Edit
from ebca.settings.checks import SettingsError

_REACH = 16.0
"""A context in fp16 may grow to this multiple of its largest starting value. Step sizes that exceed
it have long destroyed the picture, but must not overflow; wider types get a wider bound."""

_UNSEEN = 1e-6
"""The lowest visibility through a veil: not 0, since its logarithm must be finite, in fp16 too."""

Rows = slice | Tensor
"""Row indices of a batch: a slice where they are contiguous (no copy), else an index tensor."""

Steps = tuple[Step, ...]
"""The steps of all methods for one context; contexts with equal steps move together."""


Likeness = tuple[bool, tuple[tuple[int, Steps, bool], ...]]
"""Images with equal likenesses have their mixes computed together: whether there are veils; of each
branch its context's length, its steps, and `Branch.away`."""


class DriftingContext:
    """A context [b, t, c] with the sum of its updates since the first layer, in fp32 or better.

    One update in bf16 is smaller than bf16's own rounding.
    """

    def __init__(self) -> None:
        self._update: Tensor | None = None
        self._bounds: tuple[Tensor, Tensor] | None = None

    def current(self, start: Tensor) -> Tensor:
        """Return the context for the next layer; the host itself would pass `start`."""
        if self._update is None or self._bounds is None or self._update.shape != start.shape:
            return start
        moved = (start + self._update).clamp_(*self._bounds)
        return moved.to(start.dtype)

    def advance(self, start: Tensor, update: Tensor, rows: Rows) -> None:
        """Add `update` to `rows`; `start` is the context as it was before the first layer."""
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


@dataclass(frozen=True)
class Plan:
    """The mix and the steps of all methods for one image in one evaluation."""

    mix: Mix
    main: Steps
    negative: Steps
    branches: tuple[Steps, ...]  # one for each branch of the mix, in order
    acting: frozenset[Method] = frozenset()  # the methods that do something

    @classmethod
    def of(cls, image: Image, methods: Sequence[Method], evaluation: Evaluation) -> Plan:
        moments = [moment_of(method, image, evaluation) for method in methods]
        pairs = list(zip(methods, moments, strict=True))
        mix, acting = PLAIN, set()
        for method, moment in pairs:
            added = method.mix(image.prompt, moment)
            mix = mix + added
            if not added.is_plain:
                acting.add(method)

        def steps(whose: str | Edit) -> Steps:
            taken = {m: m.step(image.prompt, whose, moment) for m, moment in pairs}
            acting.update(method for method, step in taken.items() if step is not None)
            return tuple(step for step in taken.values() if step is not None)

        branches = tuple(steps(each.edit) if each.edit else () for each in mix.branches)
        return cls(mix, steps(MAIN), steps(NEGATIVE), branches, frozenset(acting))

    @property
    def idle(self) -> bool:
        """Whether the host's own output stays as it is."""
        return self.mix.is_plain and not (self.main or self.negative)


def moment_of(method: Method, image: Image, evaluation: Evaluation) -> Moment:
    """Return the time of the evaluation and what `method` remembers of `image`."""
    memory = evaluation.memories.of(method, image.number)
    return Moment(evaluation.clock, memory, evaluation.guidance, evaluation.whole, image.tokens)


@dataclass
class Branches:
    """Branches of a group of rows with contexts of equal length that move alike.

    `start` [s*r, t, c] holds the r rows of the first branch, then of the second, ...; `places` are
    the branches' indices in the mix of their image, `weights` their weights in each row.
    """

    start: Tensor
    places: list[int]  # [s]
    away: list[bool]  # [s], `Branch.away`
    weights: list[list[float | Tensor]]  # [s][r]
    steps: Steps
    token_weights: Tensor | None  # [s*r, t, 1]
    context: DriftingContext = field(default_factory=DriftingContext)
    current: Tensor = field(init=False)  # this and the next two belong to the current layer
    key: Tensor = field(init=False)
    value: Tensor = field(init=False)


@dataclass
class MixedRows:
    """Conditional rows with mixes that are alike, so that they are computed together."""

    rows: Rows
    indices: list[int]
    main: list[float | Tensor]  # the weight of the main attention in each row
    veils: list[tuple[Veil, ...]]  # the veils of each row over the main context
    stacks: list[Branches]

    @property
    def veiled(self) -> bool:
        """Whether any row sees the main context through a veil."""
        return any(self.veils)


@dataclass
class MovingRows:
    """Rows with main or negative contexts that move alike."""

    rows: Rows
    indices: list[int]
    steps: Steps
    token_weights: Tensor | None  # [r, t, 1]


@dataclass
class Cascade:
    """The state of one UNet evaluation: all images' plans, and how far contexts have moved."""

    evaluation: Evaluation
    methods: Sequence[Method]
    plans: list[Plan] = field(init=False)
    main: DriftingContext = field(init=False)
    mixed: list[MixedRows] = field(default_factory=list, init=False)
    moving: list[MovingRows] = field(default_factory=list, init=False)
    first: Layer | None = field(default=None, init=False)
    _masks: dict[int, Tensor] = field(default_factory=dict, init=False)
    _levels: dict[tuple[int, int], Tensor] = field(default_factory=dict, init=False)
    _weights: dict[tuple[int, int, torch.dtype], Tensor] = field(default_factory=dict, init=False)
    _biases: dict[tuple[int, int], Tensor] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        images = self.evaluation.images
        self.plans = [Plan.of(image, self.methods, self.evaluation) for image in images]

    @property
    def seeing(self) -> list[Method]:
        """The methods that want to look at the layers of this evaluation."""
        return [
            method
            for method in self.methods
            if any(
                method.sees(moment_of(method, image, self.evaluation))
                for image in self.evaluation.images
            )
        ]

    @property
    def idle(self) -> bool:
        """Whether no method does anything in this evaluation."""
        return all(plan.idle for plan in self.plans) and not self.seeing

    @property
    def moves(self) -> bool:
        """Whether any context takes a step in this evaluation."""
        stacks = (stack.steps for group in self.mixed for stack in group.stacks)
        return any(group.steps for group in self.moving) or any(stacks)

    @property
    def started(self) -> bool:
        """Whether a layer has been called."""
        return self.first is not None

    def begin(self, context: Tensor, first: Layer) -> None:
        """Prepare for contexts like `context` [b, t, c]: its device, precision and length.

        `first` is the layer that is called first. A host that calls it again within one evaluation
        (the WebUI's ControlNet, for a reference picture) starts over.
        """
        self.first = first
        self.main = DriftingContext()
        self.moving = list(self._moving(context))
        alike: dict[Likeness, list[int]] = {}
        for index, row in enumerate(self.evaluation.rows):
            if row.conditional and not self.plans[row.image].mix.is_plain:
                alike.setdefault(self._likeness(row.image), []).append(index)
        self.mixed = [self._mixed(members, context) for members in alike.values()]

    @property
    def masked(self) -> bool:
        """Whether any image has a mask: only the pixels in it pull on the contexts."""
        return any(image.mask is not None for image in self.evaluation.images)

    def mask(self, like: Tensor) -> Tensor | None:
        """Return all rows' masks [b, n] for a query `like` [b, n, h*d].

        None if no image has a mask, or if the layer's size is no level of the latent's.
        """
        images, pixels = self.evaluation.images, like.shape[1]
        if not self.masked or level_size(self.evaluation.size, pixels) is None:
            return None
        if pixels not in self._masks:
            ones = like.new_ones(pixels, dtype=_precise(like))
            levels = [
                ones if image.mask is None else self.at_level(image.mask, like) for image in images
            ]
            self._masks[pixels] = torch.stack([levels[row.image] for row in self.evaluation.rows])
        return self._masks[pixels]

    def at_level(self, places: Tensor, like: Tensor) -> Tensor:
        """Resize `places` [h, w] in latent pixels to the level of a query `like` [b, n, h*d]: [n].

        If the layer's size is no level of the latent's, every pixel gets the mean.
        """
        size, pixels = self.evaluation.size, like.shape[1]
        key = (id(places), pixels)
        if key not in self._levels:
            level = level_size(size, pixels)
            self._levels[key] = (
                places.to(like.device, _precise(like)).mean().expand(pixels)
                if level is None
                else _at_level(places, size, level, like)
            )
        return self._levels[key]

    def weight(self, weights: list[float | Tensor], like: Tensor) -> float | Tensor:
        """Return the weights of several rows for a query `like` [b, n, h*d].

        They are one number or [rows, 1 or n, 1]. `weights` must be a list of this cascade: its
        identity is the cache's key.
        """
        first = weights[0]
        if not isinstance(first, Tensor) and all(
            not isinstance(each, Tensor) and each == first for each in weights
        ):
            return first
        key = (id(weights), like.shape[1], like.dtype)
        if key not in self._weights:
            levels = [
                self.at_level(each, like)
                if isinstance(each, Tensor)
                else like.new_full((like.shape[1],), each)
                for each in weights
            ]
            rows = torch.stack([level.to(like.dtype) for level in levels])
            self._weights[key] = rows[:, :, None]
        return self._weights[key]

    def bias(self, group: MixedRows, like: Tensor, tokens: int) -> Tensor:
        """Return what the veils add to the scores of a group's rows, [r, 1, n, t].

        That is the logarithm of the visibility. `like` [r, n, h*d] are the rows' queries, `tokens`
        the main context's length t.
        """
        key = (id(group), like.shape[1])
        if key not in self._biases:
            self._biases[key] = torch.stack(
                [self._bias(veils, like, tokens) for veils in group.veils]
            )[:, None]
        return self._biases[key]

    def _bias(self, veils: Sequence[Veil], like: Tensor, tokens: int) -> Tensor:
        """Return the bias of one row, [n, t]."""
        of_veil = torch.zeros(len(veils), tokens)
        for place, veil in enumerate(veils):
            of_veil[place, [token for token in veil.tokens if token < tokens]] = 1.0
        seen = torch.stack([self.at_level(veil.seen, like) for veil in veils])  # [v, n]
        return seen.clamp(min=_UNSEEN).log().mT @ of_veil.to(seen)

    def _moving(self, context: Tensor) -> Iterator[MovingRows]:
        groups: dict[Steps, list[int]] = {}
        for index, row in enumerate(self.evaluation.rows):
            plan = self.plans[row.image]
            if steps := plan.main if row.conditional else plan.negative:
                groups.setdefault(steps, []).append(index)
        for steps, members in groups.items():
            rows = [self.evaluation.rows[index] for index in members]
            wanted = [
                self.evaluation.images[row.image].token_weights if row.conditional else {}
                for row in rows
            ]
            weights = _token_weights(wanted, context, context.shape[1])
            yield MovingRows(as_rows(members, context.device), members, steps, weights)

    def _likeness(self, image: int) -> Likeness:
        plan = self.plans[image]
        branches = (
            (len(self.evaluation.images[image].context(branch.source)), steps, branch.away)
            for branch, steps in zip(plan.mix.branches, plan.branches, strict=True)
        )
        return bool(plan.mix.veils), tuple(branches)

    def _mixed(self, members: list[int], context: Tensor) -> MixedRows:
        """Gather the branches of the rows `members`, which are alike, into stacks."""
        images = [self.evaluation.rows[index].image for index in members]
        _, likeness = self._likeness(images[0])
        stacks: dict[object, list[int]] = {}
        for place, (length, steps, _) in enumerate(likeness):
            stacks.setdefault((length, steps), []).append(place)
        return MixedRows(
            as_rows(members, context.device),
            members,
            [self.plans[image].mix.main for image in images],
            [self.plans[image].mix.veils for image in images],
            [self._stack(places, images, context) for places in stacks.values()],
        )

    def _stack(self, places: list[int], images: list[int], context: Tensor) -> Branches:
        slots = [[self.plans[image].mix.branches[place] for image in images] for place in places]
        encoded = [
            self.evaluation.images[image].context(branch.source)
            for slot in slots
            for image, branch in zip(images, slot, strict=True)
        ]
        wanted = [_weights_of(branch) for slot in slots for branch in slot]
        return Branches(
            torch.stack([each.to(context) for each in encoded]),
            places,
            [slot[0].away for slot in slots],
            [[branch.weight for branch in slot] for slot in slots],
            self.plans[images[0]].branches[places[0]],
            _token_weights(wanted, context, len(encoded[0])),
        )


def _weights_of(branch: Branch) -> Mapping[int, float]:
    return branch.edit.token_weights if branch.edit else {}


def _precise(like: Tensor) -> torch.dtype:
    return torch.promote_types(like.dtype, torch.float32)


def as_rows(indices: Sequence[int], device: torch.device) -> Rows:
    """Return `indices`, ascending, as a slice if they are contiguous, else as a tensor."""
    if not indices:
        return slice(0, 0)
    if list(indices) == list(range(indices[0], indices[-1] + 1)):
        return slice(indices[0], indices[-1] + 1)
    return torch.tensor(indices, device=device)


def level_size(size: tuple[int, int], pixels: int) -> tuple[int, int] | None:
    """Return (h, w) of the UNet level that has `pixels` pixels; None if there is none.

    The first level is the latent's `size`; every other is half the one before, rounded up.
    """
    height, width = size
    while height * width > pixels and height * width > 1:
        height, width = -(-height // 2), -(-width // 2)
    return (height, width) if height * width == pixels else None


def _at_level(
    mask: Tensor, latent: tuple[int, int], level: tuple[int, int], like: Tensor
) -> Tensor:
    """Resize a mask [h, w] to a UNet level; returns [n].

    The mask goes to the latent's size, nearest, as in diffusers (nothing to do for a latent mask),
    then to the level's, bilinear, as in the authors' code.
    """
    precise = _precise(like)
    mask = F.interpolate(mask.to(like.device, precise)[None, None], size=latent)
    return F.interpolate(mask, size=level, mode="bilinear", align_corners=True).flatten()


def _token_weights(
    wanted: Sequence[Mapping[int, float]], like: Tensor, tokens: int
) -> Tensor | None:
    """Return factors on gamma_attn, [rows, tokens, 1], one mapping a row; None if all are 1."""
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
