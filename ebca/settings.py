"""What a user can set: the only home of defaults, legal ranges and help texts.

`Settings` is the Bayesian Context Update (BCU) of one generation, `Edit` one editorial prompt of
the Compositional Averaging of Cross-Attention Output (CACAO). Both are frozen and validated on
construction, so whoever holds one may rely on it. This module imports neither torch nor a host.
"""

from __future__ import annotations

import dataclasses
import math
import numbers
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

FORMULATIONS = ("reference", "paper")
COMPOSITIONS = ("sum", "average")
PLACES = ("down", "mid", "up")
MIN_DENOMINATOR = 0.1
"""The smallest legal `1 + sum(alpha)` of an average; below it, noise is amplified."""

_LAYER_RANGE = re.compile(r"(\d+)(?:\s*-\s*(\d+))?")


class SettingsError(ValueError):
    """A value that cannot be used; the message names the field, the value and the legal range."""

    def __init__(self, field: str, value: object, legal: str) -> None:
        super().__init__(f"EBCA: {field} is {value!r}, but must be {legal}.")
        self.field, self.value, self.legal = field, value, legal


class Range(NamedTuple):
    """Legal values `low..high` of a number and the part of them that a slider shows."""

    low: float
    high: float
    slider: tuple[float, float, float] | None = None  # low, high, step

    def __str__(self) -> str:
        return f"a number from {self.low:g} to {self.high:g}"


GAMMA = Range(0.0, 10.0, slider=(0.0, 0.1, 0.001))
EDIT_GAMMA = Range(0.0, 10.0, slider=(0.0, 0.02, 0.0001))
FRACTION = Range(0.0, 1.0, slider=(0.0, 1.0, 0.01))
ALPHA = Range(-100.0, 100.0, slider=(-2.0, 2.0, 0.05))
TOKEN_WEIGHT = Range(0.0, 100.0, slider=(0.0, 10.0, 0.1))
CAP = Range(0.0, 1.0, slider=(0.0, 0.2, 0.001))
SPREAD = Range(0.0, 1.0, slider=(0.0, 0.1, 0.0005))
CONTRAST = Range(0.0, 10.0, slider=(0.0, 2.0, 0.01))


class StepSizes(NamedTuple):
    """How far one update goes along each of its terms."""

    attn: float = 0.0
    norm: float = 0.0
    spread: float = 0.0

    def times(self, factor: float) -> StepSizes:
        return StepSizes(*(size * factor for size in self))


def check_number(field: str, value: object, legal: Range) -> float:
    """Return `value` as a float, or raise `SettingsError` if it is no number within `legal`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise SettingsError(field, value, str(legal))
    number = float(value)
    if math.isnan(number) or not legal.low <= number <= legal.high:
        raise SettingsError(field, value, str(legal))
    return number


def check_flag(field: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise SettingsError(field, value, "true or false")
    return value


def check_choice(field: str, value: object, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise SettingsError(field, value, "one of " + ", ".join(choices))
    return str(value)


def check_window(start_field: str, start: float, stop_field: str, stop: float) -> None:
    if start >= stop:
        raise SettingsError(start_field, start, f"less than {stop_field}, which is {stop:g}")


def in_window(progress: float, start: float, stop: float) -> bool:
    """Whether a step at `progress` (fraction of the schedule done, 0 at the first step) is in."""
    return start <= progress < stop or (stop == 1.0 and progress >= 1.0)


class LayerRule(NamedTuple):
    """One comma-separated part of a `layers` setting: a place, or indices first..last."""

    place: str | None
    first: int
    last: int

    def matches(self, place: str, index: int) -> bool:
        return place == self.place or (self.place is None and self.first <= index <= self.last)


def parse_layers(text: str) -> tuple[LayerRule, ...] | None:
    """Read a `layers` setting, e.g. `all`, `mid, up`, `0-3, 8`; None stands for all layers."""
    if not isinstance(text, str):
        raise SettingsError("layers", text, _LAYERS_LEGAL)
    parts = [part.strip().lower() for part in text.split(",")]
    if parts == ["all"]:
        return None
    rules = []
    for part in parts:
        match = _LAYER_RANGE.fullmatch(part)
        if part in PLACES:
            rules.append(LayerRule(part, 0, 0))
        elif match and int(match[1]) <= int(match[2] or match[1]):
            rules.append(LayerRule(None, int(match[1]), int(match[2] or match[1])))
        else:
            raise SettingsError("layers", text, _LAYERS_LEGAL)
    return tuple(rules)


_LAYERS_LEGAL = "'all', or a list of down, mid, up, indices and ranges such as '0-3, 8, up'"


def _field(default: Any, help_text: str, **facts: Any) -> Any:
    """A dataclass field that knows its help text, legal values and label."""
    return dataclasses.field(default=default, metadata={"help": help_text, **facts})


CONTRAST_OPTION: Any = _field(
    1.3,
    "How far the picture is moved away from showing only one of the things that the prompt asks"
    " for, as 'a cat and a dog' asks for two: more of them appear, and some of them twice. 0: not"
    " at all. Not in the paper.",
    range=CONTRAST,
)
"""What the surfaces offer: `contrast` of all things together, see `ebca.prompts.contrasts`."""

CONTRAST_STOP_OPTION: Any = _field(
    0.3,
    "Fraction of the steps at which the contrast ends. The first steps decide what there is; later"
    " it shows more things twice and draws them worse.",
    range=FRACTION,
)

THINGS_OPTION: Any = _field(
    "",
    "What the contrast takes for the things that the prompt asks for, as they stand there:"
    " 'cat, red hat'. Empty: every noun that has an article or a number before it.",
)


@dataclass(frozen=True)
class Settings:
    """The Bayesian Context Update of one generation.

    The defaults are what `docs/alignment.md` measured. The paper's: gamma_attn 0.01, gamma_norm
    0.02, no spread term, not centered. Raises `SettingsError` on construction if a value is
    outside its legal range.
    """

    gamma_attn: float = _field(
        0.002,
        "Step size of the attention term: how strongly every token's context is pulled towards the"
        " parts of the image that attend to it. Larger makes neglected words appear, too large"
        " breaks the picture.",
        range=GAMMA,
    )
    gamma_norm: float = _field(
        0.0,
        "Step size of the prior term: how strongly dominant tokens are held back so that no word"
        " takes over.",
        range=GAMMA,
    )
    start: float = _field(0.0, "Fraction of the steps at which the update begins.", range=FRACTION)
    stop: float = _field(1.0, "Fraction of the steps at which the update ends.", range=FRACTION)
    formulation: str = _field(
        "reference",
        "reference: the authors' released code, to which their published step sizes belong."
        " paper: the equations as printed (a flatter prior term, masks restrict the softmax).",
        choices=FORMULATIONS,
    )
    update_unconditional: bool = _field(
        False, "Also update the context of the negative prompt, as the authors' code does."
    )
    scale_with_depth: bool = _field(
        True,
        "Multiply the step sizes by 16 / number of cross-attention layers, so that they mean the"
        " same on SDXL (70 layers) as on SD1.5 (16 layers).",
    )
    max_relative_update: float | None = _field(
        None,
        "Cap on the relative size |dC| / |C| of one layer's update; 0.02 is a careful value."
        " 0 or None: no cap.",
        range=CAP,
    )
    layers: str = _field(
        "all",
        "Cross-attention layers that update the context: all, or a list of down, mid, up, indices"
        " and ranges, e.g. '0-3, 8, up'.",
    )
    token_weights: Mapping[int, float] = dataclasses.field(
        default_factory=dict,
        hash=False,
        metadata={
            "help": "Factors on gamma_attn for single tokens of the main prompt, by token index"
            " (0 is the start token).",
            "range": TOKEN_WEIGHT,
        },
    )
    mask: bool = _field(
        True, "When inpainting, only the pixels that are repainted pull on the context."
    )
    gamma_spread: float = _field(
        0.0,
        "Step size of the spread term, which is not in the paper: every token moves away from the"
        " mean of all tokens by this share of its distance. Knows nothing of the picture.",
        range=SPREAD,
    )
    centered: bool = _field(
        True,
        "Take out of every update what all tokens have in common, which cannot change who attends"
        " to whom. Not in the paper.",
    )
    composition: str = _field(
        "sum",
        "How CACAO weighs what follows AND. sum: every prompt adds, by its weight, what it makes of"
        " the picture beyond an empty prompt, as the WebUI's AND does. average: the paper's average"
        " with the main prompt, in which every prompt takes a share from the others.",
        choices=COMPOSITIONS,
    )

    def __post_init__(self) -> None:
        def put(name: str, value: object) -> None:
            object.__setattr__(self, name, value)

        for name, span in number_ranges(type(self)).items():
            value = getattr(self, name)
            if not (value is None and name == "max_relative_update"):
                put(name, check_number(name, value, span))
        for name in ("update_unconditional", "scale_with_depth", "mask", "centered"):
            check_flag(name, getattr(self, name))
        check_window("start", self.start, "stop", self.stop)
        check_choice("formulation", self.formulation, FORMULATIONS)
        check_choice("composition", self.composition, COMPOSITIONS)
        parse_layers(self.layers)
        put("token_weights", _checked_token_weights(self.token_weights))

    @property
    def inert(self) -> bool:
        """Whether these settings can never move a context."""
        return not any(StepSizes(self.gamma_attn, self.gamma_norm, self.gamma_spread))

    def step_sizes(self, progress: float) -> StepSizes:
        """The step sizes at `progress`; zeros outside the window."""
        if in_window(progress, self.start, self.stop):
            return StepSizes(self.gamma_attn, self.gamma_norm, self.gamma_spread)
        return StepSizes()


@dataclass(frozen=True)
class Edit:
    """One editorial prompt (or its encoding) composed into the main one by CACAO.

    `prompt` is encoded by the pipeline; `context` [t tokens, c channels] is taken as it is. Give
    one of them. `start` and `stop` are the window, in fractions of the schedule, in which the
    prompt takes part. Raises `SettingsError` on construction if a value cannot be used.
    """

    prompt: str | None = _field(None, "Text of the editorial prompt.")
    context: Tensor | None = dataclasses.field(
        default=None, compare=False, metadata={"help": "Its encoding, [tokens, channels]."}
    )
    alpha: float = _field(
        1.0, "Weight relative to the main prompt's, which is 1; may be negative.", range=ALPHA
    )
    gamma_attn: float = _field(0.0, "Step size of this context's attention term.", range=EDIT_GAMMA)
    gamma_norm: float = _field(0.0, "Step size of this context's prior term.", range=EDIT_GAMMA)
    start: float = _field(0.0, "Fraction of the steps at which it is added.", range=FRACTION)
    stop: float = _field(1.0, "Fraction of the steps at which it is taken away.", range=FRACTION)
    token_weights: Mapping[int, float] = dataclasses.field(
        default_factory=dict,
        hash=False,
        metadata={
            "help": "Factors on gamma_attn for single tokens of this prompt, by token index.",
            "range": TOKEN_WEIGHT,
        },
    )
    contrast: float = _field(
        0.0,
        "How far the picture is moved away from this prompt alone, which is then one of the things"
        " that the main prompt asks for; alpha does not count.",
        range=CONTRAST,
    )

    def __post_init__(self) -> None:
        for name, span in number_ranges(type(self)).items():
            object.__setattr__(self, name, check_number(name, getattr(self, name), span))
        check_window("start", self.start, "stop", self.stop)
        object.__setattr__(self, "token_weights", _checked_token_weights(self.token_weights))
        if (self.prompt is None) == (self.context is None):
            legal = "given, or else context (one of the two)"
            raise SettingsError("prompt", self.prompt, legal)
        if self.prompt is not None and not isinstance(self.prompt, str):
            raise SettingsError("prompt", self.prompt, "a text")
        if self.context is not None and getattr(self.context, "ndim", None) != 2:
            shape = tuple(getattr(self.context, "shape", ())) or type(self.context).__name__
            raise SettingsError("context", shape, "a tensor of shape [tokens, channels]")

    @property
    def step_sizes(self) -> StepSizes:
        """Of its context, whenever it takes part."""
        return StepSizes(self.gamma_attn, self.gamma_norm)

    @property
    def encoding(self) -> Tensor:
        """`context` of an edit that has been encoded."""
        assert self.context is not None, f"the editorial prompt {self.prompt!r} was never encoded"
        return self.context

    def active(self, progress: float) -> bool:
        """Whether this prompt takes part in a step at `progress`."""
        empty = self.prompt is not None and self.context is None and not self.prompt.strip()
        weighs = self.alpha != 0.0 or self.contrast != 0.0
        return weighs and not empty and in_window(progress, self.start, self.stop)


def number_ranges(owner: type[Settings] | type[Edit]) -> dict[str, Range]:
    """Legal ranges of the numeric fields of `Settings` or `Edit`, by field name."""
    return {
        field.name: field.metadata["range"]
        for field in dataclasses.fields(owner)
        if "range" in field.metadata and field.name != "token_weights"
    }


def check_alphas(edits: Iterable[Edit], composition: str) -> None:
    """Raise `SettingsError` if at any time of the schedule the alphas cannot be composed.

    An average divides by `1 + sum(alpha)` over the prompts active at a step, so this must be at
    least `MIN_DENOMINATOR` in every stretch between two window borders. In a sum minus their sum
    is the weight of the empty prompt, which must be in the range of an alpha.
    """
    edits = list(edits)
    for progress in sorted({0.0, *(edit.start for edit in edits), *(edit.stop for edit in edits)}):
        alphas = [e.alpha for e in edits if e.active(progress) and not e.contrast]
        total, values = math.fsum(alphas), " + ".join(f"({alpha:g})" for alpha in alphas)
        if composition == "average" and 1.0 + total < MIN_DENOMINATOR - 1e-9:
            raise SettingsError(
                "alpha",
                values,
                f"such that 1 + their sum is at least {MIN_DENOMINATOR:g}, the main prompt"
                " counting 1 (raise the main prompt's weight or the negative ones)",
            )
        if composition == "sum" and not ALPHA.low <= total <= ALPHA.high:
            raise SettingsError("alpha", values, f"such that their sum is {ALPHA}")


def _checked_token_weights(weights: object) -> Mapping[int, float]:
    wanted = f"a mapping of token index (0 or more) to {TOKEN_WEIGHT}"
    if not isinstance(weights, Mapping):
        raise SettingsError("token_weights", weights, wanted)
    checked: dict[int, float] = {}
    for index, weight in sorted(weights.items()):
        if isinstance(index, bool) or not isinstance(index, numbers.Integral) or index < 0:
            raise SettingsError("token_weights", index, wanted)
        checked[int(index)] = check_number(f"token_weights[{index}]", weight, TOKEN_WEIGHT)
    return MappingProxyType(checked)
