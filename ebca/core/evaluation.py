"""What a host tells the engine about one UNet evaluation: rows, images, time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from torch import Tensor

from ebca.core.method import Clock, Method, Source
from ebca.prompts.prompt import Prompt


class Row(NamedTuple):
    """One row of the UNet's batch: the image it belongs to, conditional (prompt) or not."""

    image: int
    conditional: bool


@dataclass(frozen=True)
class Image:
    """What one image is asked to be, with all that methods need encoded.

    `contexts` (text -> encoding [t, c]) has every text that a method named. `token_weights`
    (token index of the main context -> factor on gamma_attn). `mask` [h, w] in latent pixels: 1
    where the image is repainted. `number` tells images apart whose prompts are the same;
    `tokens(words)` gives the indices of words in the main context. `part_of` is the place in the
    batch of the picture of which several images are parts, where a host joins prompts by itself.
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
        """The place of its picture in the batch."""
        return self.number if self.part_of is None else self.part_of

    def context(self, source: Source) -> Tensor:
        """The encoding [t, c] of what a branch attends to."""
        return self.contexts[source] if isinstance(source, str) else source


class Memories:
    """What methods remember of the images of one sampling. A host makes one for each."""

    def __init__(self) -> None:
        self._kept: dict[tuple[Method, int], Any] = {}

    def of(self, method: Method, image: int) -> Any:
        """What `method` remembers of an image, which begins as its `remember` says."""
        if (method, image) not in self._kept:
            self._kept[method, image] = method.remember()
        return self._kept[method, image]


@dataclass(frozen=True)
class Evaluation:
    """One UNet evaluation as its host describes it.

    `rows` names every row of the batch in order, `images` what the rows' image indices refer to;
    `size` is the latent's (h, w), `guidance` the guidance scale (CFG) if it is known,
    `whole` is false where it is a piece of the picture.
    """

    rows: Sequence[Row]
    images: Sequence[Image]
    clock: Clock
    size: tuple[int, int]
    memories: Memories = field(default_factory=Memories)
    guidance: float | None = None
    whole: bool = True
