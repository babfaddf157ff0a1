"""The host's description of one UNet evaluation: rows, images, time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from torch import Tensor

from ebca.core.method import Clock, Method, Source
from ebca.prompts.prompt import Prompt


class Row(NamedTuple):
    """One row of the UNet's batch: the image it belongs to, and whether it has the prompt."""

    image: int
    conditional: bool


@dataclass(frozen=True)
class Image:
    """The prompt of one image, with the encodings of all texts that methods need.

    `contexts` (text -> encoding [t, c]) has every text that a method named. `token_weights` maps a
    token index of the main context to a factor on gamma_attn. `mask` [h, w] in latent pixels is 1
    where the image is repainted. `number` tells images with equal prompts apart; `tokens(words)`
    gives the indices of words in the main context. `part_of` is set where a host joins prompts by
    itself, so that several images are parts of one picture: the picture's place in the batch.
    """

    prompt: Prompt = field(default_factory=Prompt)
    contexts: Mapping[str, Tensor] = field(default_factory=dict)
    token_weights: Mapping[int, float] = field(default_factory=dict)
    mask: Tensor | None = None
    number: int = 0
    tokens: Callable[[str], Sequence[int]] = lambda words: ()
    part_of: int | None = None

    @property
    def picture(self) -> int:
        """The place of the image's picture in the batch."""
        return self.number if self.part_of is None else self.part_of

    def context(self, source: Source) -> Tensor:
        """Return the encoding [t, c] of the source of a branch."""
        return self.contexts[source] if isinstance(source, str) else source


class Memories:
    """The memories of all methods and images in one sampling. A host makes one for each."""

    def __init__(self) -> None:
        self._kept: dict[tuple[Method, int], Any] = {}

    def of(self, method: Method, image: int) -> Any:
        """Return the memory of `method` for an image; at first the result of its `remember`."""
        if (method, image) not in self._kept:
            self._kept[method, image] = method.remember()
        return self._kept[method, image]


@dataclass(frozen=True)
class Evaluation:
    """One UNet evaluation as its host describes it.

    `rows` are the rows of the batch in order, `images` what they refer to; `size` is the latent's
    (h, w), `guidance` the guidance scale (CFG) if it is known; `whole` is false where only a piece
    of the picture is evaluated.
    """

    rows: Sequence[Row]
    images: Sequence[Image]
    clock: Clock
    size: tuple[int, int]
    memories: Memories = field(default_factory=Memories)
    guidance: float | None = None
    whole: bool = True
