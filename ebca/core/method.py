"""What a method may do in a cross-attention layer; the engine knows methods by this alone.

A method is a frozen dataclass: its fields are its settings (`ebca.settings.declaration`), its
methods answer four questions and have pure functions do the work:

    texts     which texts, besides the main prompt, have to be encoded for a prompt
    mix       what the conditional output is made of:
              out = main attn(Q, C_main) + sum_i weight_i attn(Q, C_i)
    step      how a context moves on its way from layer to layer
    remember  what is kept during one sampling; `see` fills it layer by layer. What was seen in a
              step acts from the next step on, also where an extension evaluates a step twice

Shape letters: `b` rows of the UNet's batch, `h` heads, `n` pixels, `t` text tokens, `d` width of a
head, `c` width of the context.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from torch import Tensor

from ebca.prompts.prompt import Edit, Prompt
from ebca.settings.checks import in_window

if TYPE_CHECKING:
    from ebca.core.layers import Layer

Source = str | Tensor
"""What a branch attends to: a text that the host encodes, or an encoding [t, c]."""


class Time(NamedTuple):
    """When an evaluation happens. Evaluations of one step have equal times.

    progress: the fraction done of the steps of this run, 0 at the first, below 1.
    denoised: the fraction done of the whole way from pure noise to the picture, whatever part of
        it this run goes: img2img and the pass of hires fix begin above 0.
    """

    progress: float
    denoised: float


class Clock:
    """Tells when an evaluation happens; read only if somebody asks, since that may wait for a
    GPU."""

    def __init__(self, read: Callable[[], tuple[float, float]]) -> None:
        self._read = read

    @cached_property
    def time(self) -> Time:
        """The time, read once."""
        return Time(*self._read())

    @property
    def progress(self) -> float:
        """As in `Time`."""
        return self.time.progress

    @property
    def denoised(self) -> float:
        """As in `Time`."""
        return self.time.denoised


@dataclass(frozen=True)
class Moment:
    """When an evaluation happens, and what was seen before it.

    memory: what the method's `remember` gave for this image.
    guidance: the guidance scale (CFG), if the host tells it.
    whole: whether it is the whole picture, and not a piece of it.
    tokens: `tokens(words)` gives the indices of words in the main context, none if they are not
        there.
    """

    clock: Clock
    memory: Any = None
    guidance: float | None = None
    whole: bool = True
    tokens: Callable[[str], Sequence[int]] = lambda words: ()

    def in_steps(self, start: float, stop: float) -> bool:
        """Whether the window [start, stop) of this run's steps is open."""
        return (start, stop) == (0.0, 1.0) or in_window(self.clock.progress, start, stop)

    def in_noise(self, start: float, stop: float) -> bool:
        """Whether the window [start, stop) of the way from pure noise is open."""
        return (start, stop) == (0.0, 1.0) or in_window(self.clock.denoised, start, stop)


@dataclass(frozen=True)
class Branch:
    """One more attention of the mix: `weight` times attn(Q, C_source).

    weight: a number, or [h, w] in latent pixels, where it differs from place to place.
    edit: the prompt after AND that it is, if it is one.
    away: the output is moved away from it instead, by weight (attn(Q, C_main) - attn(Q, C_source)),
        and with all such moves done brought back to the size that it had.
    beyond: the text, of another branch, that it is added in the place of; None for the main prompt.
        What it changes is weight (attn(Q, C_source) - attn(Q, C_beyond)).
    """

    weight: float | Tensor
    source: Source
    edit: Edit | None = None
    beyond: str | None = None
    away: bool = False


@dataclass(frozen=True)
class Veil:
    """Tokens of the main context that a part of the picture sees less, or not at all.

    seen: [h, w] in latent pixels, from 0 (not at all) to 1; it multiplies what the pixel gives
        each of `tokens` before its shares are made to add up to 1 again.
    """

    tokens: tuple[int, ...]
    seen: Tensor


@dataclass(frozen=True)
class Mix:
    """What the conditional output is made of: the main attention with a weight, through veils,
    and branches."""

    main: float | Tensor = 1.0
    branches: tuple[Branch, ...] = ()
    veils: tuple[Veil, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether it is the host's own output."""
        more = self.branches or self.veils
        return not more and not isinstance(self.main, Tensor) and self.main == 1.0

    def __add__(self, other: Mix) -> Mix:
        """Both at once: each is a change of the plain output, and changes add up."""
        return Mix(
            self.main + other.main - 1.0,
            self.branches + other.branches,
            self.veils + other.veils,
        )


PLAIN = Mix()
"""The host's own output."""


@dataclass(frozen=True)
class At:
    """One layer's inputs for some contexts: what a step and a memory are made from.

    query [b, n, h*d] and key [b, t, h*d] as the layer's linears put them out, context [b, t, c];
    key_weight W_K^T [h*d, c]; token_weights [b, t, 1] or None. `mask()` gives [b, n], 1 where the
    picture is repainted, or None; `pull_back(update)` turns a gradient by what to_k was given into
    one by the context.
    """

    layer: Layer
    layers: int  # of the UNet
    latent: tuple[int, int]  # (h, w) of the picture
    size: tuple[int, int] | None  # (h, w) of the layer; None if it is no level of the latent's
    query: Tensor
    key: Tensor
    context: Tensor
    key_weight: Tensor
    token_weights: Tensor | None
    mask: Callable[[], Tensor | None]
    pull_back: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class SeenRow:
    """One conditional row of a layer that a method looks at.

    `mask` [h, w] in latent pixels is 1 where the image is repainted.
    """

    prompt: Prompt
    moment: Moment
    mask: Tensor | None = None


class Step(Hashable, Protocol):
    """How contexts move at a layer. Contexts with equal steps move together."""

    def acts(self, layer: Layer) -> bool:
        """Whether anything moves at that layer."""
        ...

    def update(self, at: At) -> Tensor:
        """What is added to the contexts before the next layer sees them, [b, t, c]."""
        ...


MAIN, NEGATIVE = "main", "negative"
"""Whose context a step may be for besides an `Edit`'s: the main and the negative prompt."""


class Method:
    """The base of all methods: one that does nothing."""

    @property
    def active(self) -> bool:
        """Whether it ever does anything with these settings."""
        return True

    @property
    def uses_mask(self) -> bool:
        """Whether it wants to know which part of the picture is repainted."""
        return False

    @property
    def needs_subjects(self) -> bool:
        """Whether it acts on prompts with two or more subjects only."""
        return False

    @property
    def needs_whole(self) -> bool:
        """Whether it does nothing where another extension makes the picture in pieces."""
        return False

    def acts_on(self, prompt: Prompt) -> bool:
        """Whether it ever does anything with that prompt."""
        return self.active

    def check(self, prompt: Prompt) -> None:
        """Raise SettingsError if it cannot do what `prompt` asks."""

    def check_model(self, layers: list[Layer]) -> None:
        """Raise SettingsError if it cannot work on a UNet with those cross-attention layers."""

    def absorbs(self, prompt: Prompt) -> bool:
        """Whether the prompts after AND are its own, so that the host evaluates none of them."""
        return False

    def texts(self, prompt: Prompt) -> tuple[Source, ...]:
        """What `mix` may name as the source of a branch, without the prompts after AND."""
        return ()

    def mix(self, prompt: Prompt, moment: Moment) -> Mix:
        """What the conditional output of an image is made of."""
        return PLAIN

    def step(self, prompt: Prompt, whose: str | Edit, moment: Moment) -> Step | None:
        """How the context of `whose` (MAIN, NEGATIVE, or a prompt after AND) moves, if it does."""
        return None

    def remember(self) -> Any:
        """What is kept of one image during one sampling; None for nothing."""
        return None

    def see(self, at: At, rows: Sequence[SeenRow]) -> None:
        """Look at a layer, once `sees` said so; `rows` are those of `at`."""

    def sees(self, moment: Moment) -> bool:
        """Whether it wants to see the layers of an evaluation."""
        return False

    def saw(self, rows: Sequence[SeenRow]) -> None:
        """An evaluation is over in which it saw the layers of `rows`."""

    def forecast(self, steps: Sequence[tuple[Time, Prompt]]) -> list[bool]:
        """Whether it does something at each of the steps of a sampling, told before it begins."""
        return [self.acts_on(prompt) for _, prompt in steps]

    def tell(self, prompt: Prompt) -> str:
        """One sentence on what it will do with `prompt`, for the user; empty for nothing."""
        return ""

    @property
    def idle(self) -> str:
        """The sentence for the user where a prompt asked for it and no step let it act."""
        return ""
