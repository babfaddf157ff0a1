"""Regions: every subject in a place of its own. Not in the paper.

    out = u |own| / |u|,     u = own + c ( own - mean_{l != j} attn(Q, C_l) )
          for pixels in the region of subject j,     c = regions * 9 / guidance scale
    own = softmax_t( beta q . k_t + log m_t ) V,     k and V of C_main
          m_t = 1 - regions_words for the nouns of subjects l != j, 1 for all other tokens

A picture of `a cat and a dog` fails by showing one of them twice, or something between them. Within
the region of one subject the nouns of the *others* are not seen, and the output moves away from the
others: C_l encodes subject l alone. The output keeps its size |own|, over all heads, at every
pixel: without that, a strong move distorts the picture.

The regions are chosen once, not optimised. In the first step the attention to the subjects' nouns
tells where the picture begins to show each; the partition (`ebca.methods.partitions`) that agrees
best with that is kept from the next step to the end. Other evaluations of the first step, which
extensions such as PAG make, are neither observed nor changed. The strength is divided by the
guidance scale, which multiplies its effect. The method ends at a noise level: late steps only add
detail.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from ebca.core.attention import split_heads
from ebca.core.method import (
    PLAIN,
    At,
    Branch,
    Method,
    Mix,
    Moment,
    SeenRow,
    Source,
    Time,
    Veil,
)
from ebca.methods.partitions import best_partition, partitions
from ebca.methods.places import place_of
from ebca.methods.telling import NO_PLACES, tell_subjects
from ebca.prompts.prompt import Prompt, noun_tokens
from ebca.settings.checks import FRACTION, Range, in_window
from ebca.settings.declaration import check_settings, setting

STRENGTH = 9.0
"""c times the guidance scale, for `regions` 1: measured at 4 and 7, see docs/alignment.md."""

_LEAST_GUIDANCE = 3.0
"""Below this guidance scale the strength no longer grows."""

_USUAL_GUIDANCE = 7.0
_BEST_PIXELS = 256
"""The pixels of the best level of a UNet for the maps, about 16 x 16."""

MOST_SUBJECTS = 8


@dataclass
class RegionsMemory:
    """The memory of one image: the maps of its first step, then the regions."""

    maps: Tensor | None = None  # [k, n] at `level`
    seen: Time | None = None  # when the maps became complete
    level: tuple[int, int] | None = None
    latent: tuple[int, int] = (0, 0)
    mask: Tensor | None = None
    weights: list[Tensor] = field(default_factory=list)  # [h, w], one for each subject's branch
    own: list[Tensor] = field(default_factory=list)  # [h, w]: where each subject's noun is seen
    nouns: dict[Prompt, list[tuple[int, ...]]] = field(default_factory=dict)

    @property
    def known(self) -> bool:
        return bool(self.weights)

    def forget(self) -> None:
        """Drop the maps, to look for other subjects."""
        self.maps = self.seen = self.level = None


@dataclass(frozen=True)
class Regions(Method):
    """The settings of the regions, and their answers to the engine."""

    regions: float = setting(
        1.0,
        "How strongly to show every requested subject, each in a place of its own. 0 is off.",
        label="Strength of the subjects",
        new_row=True,
        neutral=0.0,
        since="0.2.0",
        legal=Range(0.0, 10.0, slider=(0.0, 2.0, 0.05)),
    )
    regions_stop: float = setting(
        0.7,
        "When the subjects stop being kept to their places. It counts noise, not steps: 0 is pure"
        " noise, 1 the finished picture. Later steps only add detail.",
        label="Stop placing subjects at",
        group="subjects",
        neutral=0.7,
        since="0.2.0",
        legal=FRACTION,
    )

    regions_words: float = setting(
        1.0,
        "How far the word of one subject is kept out of the places of the others. At 0 it is seen"
        " everywhere.",
        label="Keep words to their places",
        group="subjects",
        neutral=0.0,
        since="0.4.0",
        legal=FRACTION,
    )

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def active(self) -> bool:
        return self.regions > 0.0 and self.regions_stop > 0.0

    @property
    def uses_mask(self) -> bool:
        return True

    @property
    def needs_subjects(self) -> bool:
        return self.active

    @property
    def needs_whole(self) -> bool:
        return True

    def acts_on(self, prompt: Prompt) -> bool:
        return bool(self._subjects(prompt))

    def texts(self, prompt: Prompt) -> tuple[Source, ...]:
        return self._subjects(prompt)

    def remember(self) -> RegionsMemory:
        return RegionsMemory()

    def sees(self, moment: Moment) -> bool:
        fresh = moment.whole and not moment.memory.known
        return fresh and moment.in_noise(0.0, self.regions_stop)

    def see(self, at: At, rows: Sequence[SeenRow]) -> None:
        """Add up the maps of the layers at the available level nearest to `_BEST_PIXELS`."""
        if at.size is None:
            return
        for index, row in enumerate(rows):
            memory: RegionsMemory = row.moment.memory
            subjects = self._subjects(row.prompt)
            if memory.seen is not None and _count(memory.maps) != len(subjects):
                memory.forget()  # the prompt's schedule has changed the subjects
            again = at.size == memory.level
            done = not subjects or memory.known or memory.seen is not None
            if done or not (again or _far(at.size) < _far(memory.level)):
                continue
            maps = noun_maps(at, index, nouns_of(row.prompt, row.moment))
            memory.maps = memory.maps + maps if again and memory.maps is not None else maps
            memory.level = at.size
            memory.latent, memory.mask = at.latent, row.mask

    def saw(self, rows: Sequence[SeenRow]) -> None:
        for row in rows:
            memory: RegionsMemory = row.moment.memory
            if memory.maps is not None and memory.seen is None:
                memory.seen = row.moment.clock.time

    def mix(self, prompt: Prompt, moment: Moment) -> Mix:
        subjects, memory = self._subjects(prompt), moment.memory
        if not subjects or not moment.whole or not moment.in_noise(0.0, self.regions_stop):
            return PLAIN
        if not memory.known:
            if memory.seen in (None, moment.clock.time) or _count(memory.maps) != len(subjects):
                return PLAIN  # this step only observes
            settle(memory, prompt, subjects)
        if len(memory.weights) != len(subjects):
            return PLAIN  # the prompt's schedule has changed the subjects
        guidance = moment.guidance or _USUAL_GUIDANCE
        strength = self.regions * STRENGTH / max(guidance, _LEAST_GUIDANCE)
        others = zip(subjects, memory.weights, strict=True)
        return Mix(
            branches=tuple(Branch(strength * weight, each, away=True) for each, weight in others),
            veils=self._veils(prompt, moment),
        )

    def _veils(self, prompt: Prompt, moment: Moment) -> tuple[Veil, ...]:
        """Keep each noun to its own region, except nouns that two subjects share."""
        nouns = nouns_of(prompt, moment) if self.regions_words else []
        times = Counter(token for tokens in nouns for token in tokens)
        kept = [tuple(token for token in tokens if times[token] == 1) for tokens in nouns]
        return tuple(
            Veil(tokens, 1.0 - self.regions_words * (1.0 - own))
            for tokens, own in zip(kept, moment.memory.own, strict=False)
            if tokens
        )

    def forecast(self, steps: Sequence[tuple[Time, Prompt]]) -> list[bool]:
        """Nothing acts at the first step with subjects, which only observes."""
        acts: list[bool] = []
        seen = 0  # how many subjects were observed
        for time, prompt in steps:
            count = len(self._subjects(prompt))
            if not count or not in_window(time.denoised, 0.0, self.regions_stop):
                acts.append(False)
                continue
            acts.append(count == seen)
            if not any(acts):
                seen = count
        return acts

    def tell(self, prompt: Prompt) -> str:
        return tell_subjects(self._subjects(prompt))

    @property
    def idle(self) -> str:
        return NO_PLACES

    def _subjects(self, prompt: Prompt) -> tuple[str, ...]:
        return prompt.subjects[:MOST_SUBJECTS] if self.active and prompt.single else ()


def settle(memory: RegionsMemory, prompt: Prompt, subjects: Sequence[str]) -> None:
    """Choose the regions by the maps; they stay until the sampling ends."""
    assert memory.maps is not None
    assert memory.level is not None
    maps, count = memory.maps, len(subjects)
    mask = None if memory.mask is None else _resized(memory.mask, memory.level)
    places = torch.tensor([place_of(prompt.main, each) for each in subjects]).to(maps)
    parts = partitions(memory.level, count, mask).to(maps)
    turn, order = best_partition(maps, parts, places, memory.level)
    whole = None if memory.mask is None else _resized(memory.mask, memory.latent)
    fine = partitions(memory.latent, count, whole).to(maps)
    regions = fine.index_select(0, turn[None])[0].index_select(0, order)  # [k, n]
    others = (regions.sum(0) - regions) / (count - 1)
    memory.weights = list(others.view(count, *memory.latent))
    outside = 0.0 if whole is None else 1.0 - whole.to(maps).flatten()
    memory.own = list((regions + outside).view(count, *memory.latent))


def nouns_of(prompt: Prompt, moment: Moment) -> list[tuple[int, ...]]:
    """Return the token indices of each subject's noun, found once for each prompt."""
    known: dict[Prompt, list[tuple[int, ...]]] = moment.memory.nouns
    if prompt not in known:
        known[prompt] = [tuple(each) for each in noun_tokens(prompt, moment.tokens)]
    return known[prompt][:MOST_SUBJECTS]


def noun_maps(at: At, row: int, nouns: Sequence[Sequence[int]]) -> Tensor:
    """Return one row's attention to each subject's noun, [k, n], each map with mean 1."""
    heads, beta = at.layer.heads, at.layer.beta(at.key.shape[-1])
    query = split_heads(at.query[row : row + 1], heads)[0].float()
    key = split_heads(at.key[row : row + 1], heads)[0].float()
    # one head at a time: all at once would be the largest tensor in memory at the finest level
    pairs = zip(query, key, strict=True)
    share = sum((beta * q @ k.mT).softmax(-1) for q, k in pairs) / heads  # [n, t]
    maps = torch.stack(
        [
            share[:, list(tokens)].sum(-1) if tokens else share.new_ones(len(share))
            for tokens in nouns
        ]
    )
    return maps / maps.mean(-1, keepdim=True).clamp(min=1e-8)


def _count(maps: Tensor | None) -> int:
    return 0 if maps is None else len(maps)


def _far(level: tuple[int, int] | None) -> float:
    """Return how far a level (h, w) is from `_BEST_PIXELS`."""
    return math.inf if level is None else abs(math.log(level[0] * level[1] / _BEST_PIXELS))


def _resized(mask: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize a mask [h, w]."""
    how = "area" if size[0] * size[1] < mask.numel() else "nearest"
    return F.interpolate(mask.float()[None, None], size=size, mode=how)[0, 0]
