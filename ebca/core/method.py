"""The interface of a method: what it may do in a cross-attention layer. The engine knows no more.

A method is a frozen dataclass. Its fields are its settings (`ebca.settings.declaration`); its
functions answer four questions and leave the computation to pure functions:

    texts     which texts, besides the main prompt, have to be encoded for a prompt
    mix       how the conditional output is composed:
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
"""The text of a branch: a string that the host encodes, or an encoding [t, c]."""


class Time(NamedTuple):
    """When an evaluation happens. All evaluations of one step have equal times.

    progress: the fraction of this run's steps that is done, 0 at the first step, below 1.
    denoised: the fraction done of the whole way from pure noise to the picture, also where this run
        goes only part of it: img2img and the pass of hires fix begin above 0.
    """

    progress: float
    denoised: float


class Clock:
    """The time of an evaluation, read from the host on first use only.

    Reading may have to wait for a GPU.
    """

    def __init__(self, read: Callable[[], tuple[float, float]]) -> None:
        self._read = read

    @cached_property
    def time(self) -> Time:
        """The time, read once."""
        return Time(*self._read())

    @property
    def progress(self) -> float:
        """`Time.progress`."""
        return self.time.progress

    @property
    def denoised(self) -> float:
        """`Time.denoised`."""
        return self.time.denoised


@dataclass(frozen=True)
class Moment:
    """When an evaluation happens, and what the method remembers.

    memory: the result of the method's `remember` for this image.
    guidance: the guidance scale (CFG), if the host tells it.
    whole: whether the evaluation covers the whole picture, and not a piece of it.
    tokens: `tokens(words)` gives the indices of words in the main context; none if they are not
        there.
    """

    clock: Clock
    memory: Any = None
    guidance: float | None = None
    whole: bool = True
    tokens: Callable[[str], Sequence[int]] = lambda words: ()

    def in_steps(self, start: float, stop: float) -> bool:
        """Return whether this run's steps are in the window [start, stop) of `progress`."""
        return (start, stop) == (0.0, 1.0) or in_window(self.clock.progress, start, stop)

    def in_noise(self, start: float, stop: float) -> bool:
        """Return whether the way from pure noise is in the window [start, stop) of `denoised`."""
        return (start, stop) == (0.0, 1.0) or in_window(self.clock.denoised, start, stop)


@dataclass(frozen=True)
class Branch:
    """One more attention in the mix: `weight` times attn(Q, C_source).

    weight: a number, or [h, w] in latent pixels, where it differs from place to place.
    edit: the prompt after AND that the branch stands for, if any.
    away: if true, the output is moved away from the branch instead, by weight (attn(Q, C_main) -
        attn(Q, C_source)), and scaled back to its size after all such moves.
    beyond: the text whose branch this one replaces; None for the main prompt. The branch then
        changes the output by weight (attn(Q, C_source) - attn(Q, C_beyond)).
    """

    weight: float | Tensor
    source: Source
    edit: Edit | None = None
    beyond: str | None = None
    away: bool = False


@dataclass(frozen=True)
class Veil:
    """Tokens of the main context that a part of the picture sees less, or not at all.

    seen: [h, w] in latent pixels, from 0 (not at all) to 1. It multiplies the attention of each
        pixel to each of `tokens`, before the attention is normalised to 1 again.
    """

    tokens: tuple[int, ...]
    seen: Tensor


@dataclass(frozen=True)
class Mix:
    """The conditional output: the main attention with a weight and veils, and further branches."""

    main: float | Tensor = 1.0
    branches: tuple[Branch, ...] = ()
    veils: tuple[Veil, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether the mix is the host's own output."""
        more = self.branches or self.veils
        return not more and not isinstance(self.main, Tensor) and self.main == 1.0

    def __add__(self, other: Mix) -> Mix:
        """Apply both: each is a change of the plain output, and changes add up."""
        return Mix(
            self.main + other.main - 1.0,
            self.branches + other.branches,
            self.veils + other.veils,
        )


PLAIN = Mix()
"""The host's own output."""


@dataclass(frozen=True)
class At:
    """One layer's inputs for some contexts, for a step or a memory.

    query [b, n, h*d] and key [b, t, h*d] are what the layer's linears put out, context is [b, t,
    c], key_weight W_K^T [h*d, c], token_weights [b, t, 1] or None. `mask()` returns [b, n], 1 where
    the picture is repainted, or None. `pull_back(update)` turns a gradient with respect to to_k's
    input into the gradient with respect to the context.
    """

    layer: Layer
    layers: int  # how many the UNet has
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
    """One conditional row of a layer that a method observes.

    `mask` [h, w] in latent pixels is 1 where the image is repainted.
    """

    prompt: Prompt
    moment: Moment
    mask: Tensor | None = None


class Step(Hashable, Protocol):
    """The move of a context at a layer. Contexts with equal steps move together."""

    def acts(self, layer: Layer) -> bool:
        """Return whether anything moves at `layer`."""
        ...

    def update(self, at: At) -> Tensor:
        """Return the update [b, t, c] that is added to the contexts before the next layer."""
        ...


MAIN, NEGATIVE = "main", "negative"
"""The main and the negative prompt, as `whose` in `Method.step`."""


class Method:
    """The base of all methods. This one does nothing."""

    @property
    def active(self) -> bool:
        """Whether the method ever does anything with these settings."""
        return True

    @property
    def uses_mask(self) -> bool:
        """Whether the method uses the mask of the part that is repainted."""
        return False

    @property
    def needs_subjects(self) -> bool:
        """Whether the method acts only on prompts with two or more subjects."""
        return False

    @property
    def needs_whole(self) -> bool:
        """Whether the method does nothing where an extension makes the picture in pieces."""
        return False

    def acts_on(self, prompt: Prompt) -> bool:
        """Return whether the method ever does anything with `prompt`."""
        return self.active

    def check(self, prompt: Prompt) -> None:
        """Raise SettingsError if the method cannot do what `prompt` asks."""

    def check_model(self, layers: list[Layer]) -> None:
        """Raise SettingsError if the method cannot work on a UNet with these layers."""

    def absorbs(self, prompt: Prompt) -> bool:
        """Return whether the method takes over the prompts after AND from the host."""
        return False

    def texts(self, prompt: Prompt) -> tuple[Source, ...]:
        """Return the sources of branches that `mix` may use, without the prompts after AND."""
        return ()

    def mix(self, prompt: Prompt, moment: Moment) -> Mix:
        """Return how the conditional output of an image is composed."""
        return PLAIN

    def step(self, prompt: Prompt, whose: str | Edit, moment: Moment) -> Step | None:
        """Return how a context moves, if it does: MAIN's, NEGATIVE's or a prompt after AND's."""
        return None

    def remember(self) -> Any:
        """Return a new memory for one image and one sampling; None for no memory."""
        return None

    def see(self, at: At, rows: Sequence[SeenRow]) -> None:
        """Observe a layer, after `sees` has returned true; `rows` are those of `at`."""

    def sees(self, moment: Moment) -> bool:
        """Return whether the method wants to observe the layers of an evaluation."""
        return False

    def saw(self, rows: Sequence[SeenRow]) -> None:
        """Handle the end of an evaluation in which the method observed the layers of `rows`."""

    def forecast(self, steps: Sequence[tuple[Time, Prompt]]) -> list[bool]:
        """Return for each step of a sampling, before it begins, whether the method will act."""
        return [self.acts_on(prompt) for _, prompt in steps]

    def tell(self, prompt: Prompt) -> str:
        """Return one sentence for the user on what the method will do; empty for nothing."""
        return ""

    @property
    def idle(self) -> str:
        """The sentence for the user if a prompt asked for the method but no step let it act."""
        return ""
