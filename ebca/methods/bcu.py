"""BCU, the Bayesian Context Update: a gradient step on log p(C | Q) after every layer.

The context of the next layer is (arXiv 2306.09869)

    C  <-  C + ( gamma_attn softmax_n(beta K Q^T) Q  -  gamma_norm diag(...) K ) W_K^T

Two terms are not in the paper: `gamma_spread`, a further prior whose gradient moves tokens apart,
and `centered`, which removes from each step what all tokens have in common.

    C  <-  C + step + gamma_spread (C - mean_t C),     then minus its mean over tokens

Shape letters as in `ebca.core.energy`. The functions are pure: tensors in, tensors out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ebca.core.attention import merge_heads, split_heads
from ebca.core.energy import PRIOR_BETA, conditional_gradient, prior_weight
from ebca.core.layers import Layer, check_layers, check_layers_of, names_layer
from ebca.core.method import MAIN, NEGATIVE, At, Method, Moment, Time
from ebca.core.method import Step as StepProtocol
from ebca.prompts.prompt import EDIT_GAMMA, Edit, Prompt
from ebca.settings.checks import FRACTION, Range, check_window, in_window
from ebca.settings.declaration import check_settings, setting

REFERENCE_DEPTH = 16
"""The number of cross-attention layers of SD1.5, for which the published step sizes are meant."""

GAMMA = Range(0.0, 10.0, slider=(0.0, 0.1, 0.001))
_MATMUL_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def context_update(
    query: Tensor,
    key: Tensor,
    key_weight: Tensor,
    *,
    heads: int,
    beta: float,
    gamma_attn: float,
    gamma_norm: float,
    formulation: str = "reference",
    token_weights: Tensor | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Return the update to add to the context, [b, t, c].

    query [b, n, h*d] and key [b, t, h*d] are what the layer's linears put out; key_weight is W_K^T
    [h*d, c], the layout of `nn.Linear.weight`; token_weights [b or 1, t, 1] multiply gamma_attn;
    mask is [b, n]. A term whose step size is zero costs nothing. The key may have several times as
    many rows as query and mask, see `ebca.core.energy.conditional_gradient`.

    The larger of the two step sizes is applied last, so that in half precision neither term leaves
    the range of its type.
    """
    largest = max(gamma_attn, gamma_norm)
    step: Tensor | None = None
    if gamma_attn:
        query_heads, key_heads = split_heads(query, heads), split_heads(key, heads)
        step = merge_heads(conditional_gradient(query_heads, key_heads, beta, formulation, mask))
        if gamma_attn != largest:
            step = step * (gamma_attn / largest)
        if token_weights is not None:
            step = step * token_weights.to(step.dtype)
    if gamma_norm:
        weight = prior_weight(key, PRIOR_BETA[formulation]).to(key.dtype)[:, :, None]
        hold = -gamma_norm / largest
        step = hold * weight * key if step is None else step.addcmul(weight, key, value=hold)
    if key_weight.dtype not in _MATMUL_DTYPES:  # stored in fp8 or a similar type
        key_weight = key_weight.to(key.dtype)
    if step is None:
        return key.new_zeros(*key.shape[:2], key_weight.shape[1])
    flat = step.flatten(0, 1).to(key_weight.dtype)
    update = torch.addmm(key_weight[0], flat, key_weight, beta=0, alpha=largest)
    return update.view(*step.shape[:2], update.shape[1])


def spread_apart(update: Tensor, context: Tensor, gamma_spread: float, centered: bool) -> Tensor:
    """Return `update` [b, t, c] with the terms that are not in the paper; `context` is [b, t, c].

    gamma_spread steps along the gradient of log p(C) = sum_t |c_t - mean c|^2 / 2 + const, which is
    c_t - mean c. `centered` subtracts the mean over tokens from the whole update: a shift that all
    keys share cancels in the softmax over tokens, and would act on the values alone.
    """
    if gamma_spread:
        apart = context if centered else context - context.mean(1, keepdim=True)
        update = update.add(apart.to(update.dtype), alpha=gamma_spread)
    return update - update.mean(1, keepdim=True) if centered else update


def limit_update(update: Tensor, context: Tensor, max_relative_update: float) -> Tensor:
    """Shorten `update` [b, t, c] so that |dC| <= max_relative_update |C| in every row."""
    allowed = max_relative_update * torch.linalg.vector_norm(
        context, dim=(1, 2), keepdim=True, dtype=torch.promote_types(context.dtype, torch.float32)
    )
    length = torch.linalg.vector_norm(
        update, dim=(1, 2), keepdim=True, dtype=torch.promote_types(update.dtype, torch.float32)
    )
    shortening: Tensor = (allowed / length.clamp(min=torch.finfo(length.dtype).tiny)).clamp(max=1.0)
    return update * shortening


class StepSizes(NamedTuple):
    """The step size of each term of one update."""

    attn: float = 0.0
    norm: float = 0.0
    spread: float = 0.0


@dataclass(frozen=True)
class BCU(Method):
    """The settings of the update, and its answers to the engine."""

    gamma_attn: float = setting(
        0.002,
        "The paper's update: how strongly to bring out words that the picture ignores. Too much"
        " breaks the picture; 0 is off.",
        label="Bring out words (gamma_attn)",
        new_row=True,
        neutral=0.0,
        legal=GAMMA,
    )
    gamma_norm: float = setting(
        0.0,
        "The paper's update: how strongly to hold back words that dominate the picture. Too much"
        " breaks the picture; 0 is off.",
        label="Hold back words (gamma_norm)",
        group="update",
        neutral=0.0,
        legal=GAMMA,
    )
    start: float = setting(
        0.0,
        "When the paper's update begins: 0 is the first step, 0.5 half of the steps.",
        label="Paper's update from",
        group="when",
        neutral=0.0,
        legal=FRACTION,
    )
    stop: float = setting(
        1.0,
        "When the paper's update ends: 0.5 is half of the steps, 1 the last step.",
        label="Paper's update until",
        group="when",
        neutral=1.0,
        legal=FRACTION,
    )
    formulation: str = setting(
        "reference",
        "reference: as the authors' code calculates it; their step sizes belong to it. paper: the"
        " equations as printed.",
        label="Formula of the update",
        group="update",
        neutral="reference",
        legal=("reference", "paper"),
    )
    update_unconditional: bool = setting(
        False,
        "Also apply the update to the negative prompt, as the authors' code does.",
        label="Update the negative prompt too",
        group="update",
        neutral=False,
    )
    scale_with_depth: bool = setting(
        True,
        "The same values then mean about the same on SDXL, which has more attention layers than"
        " SD1.5: they are multiplied by 16 / number of layers.",
        label="Same strength on every model",
        group="update",
        neutral=True,
    )
    max_relative_update: float = setting(
        0.0,
        "The most that the update may change the prompt's encoding in one layer, as a share of its"
        " size. 0.02 is careful, 0 is no limit.",
        label="Limit of one update (0 = none)",
        group="update",
        neutral=0.0,
        legal=Range(0.0, 1.0, slider=(0.0, 0.2, 0.001)),
    )
    layers: str = setting(
        "all",
        "In which attention layers the update acts: all, or a list of down, mid, up, numbers and"
        " ranges such as '0-3, 8, up'.",
        label="Attention layers",
        group="when",
        neutral="all",
        hint="all",
        check=check_layers,
    )
    mask: bool = setting(
        True,
        "When inpainting, the update looks only at the part that is repainted.",
        label="Inpainting: only the repainted part counts",
        group="when",
        neutral=True,
        flag="--masked-update",
    )
    gamma_spread: float = setting(
        0.0,
        "How strongly to make the words of the prompt differ from each other. Not in the paper,"
        " and of no use in the latest measurements.",
        label="Move words apart (gamma_spread)",
        group="update",
        neutral=0.0,
        legal=Range(0.0, 1.0, slider=(0.0, 0.1, 0.0005)),
    )
    centered: bool = setting(
        True,
        "A shift that all words share does not change which word a part of the picture follows."
        " Leave it out of the update. Not in the paper.",
        label="Ignore shifts shared by all words",
        group="update",
        neutral=False,
    )
    edit_gamma_attn: float = setting(
        0.0,
        "How strongly to bring out words of the prompts after AND that the picture ignores. 0 is"
        " off.",
        label="gamma_attn after AND",
        group="and",
        neutral=0.0,
        legal=EDIT_GAMMA,
    )
    edit_gamma_norm: float = setting(
        0.0,
        "How strongly to hold back words of the prompts after AND that dominate the picture. 0 is"
        " off.",
        label="gamma_norm after AND",
        group="and",
        neutral=0.0,
        legal=EDIT_GAMMA,
    )

    def __post_init__(self) -> None:
        check_settings(self)
        check_window("start", self.start, "stop", self.stop)

    @property
    def active(self) -> bool:
        """Always true: a prompt after AND may have step sizes of its own."""
        return True

    @property
    def uses_mask(self) -> bool:
        return self.mask

    def check_model(self, layers: list[Layer]) -> None:
        check_layers_of(layers, self.layers)

    def acts_on(self, prompt: Prompt) -> bool:
        edits = any(any(self._sizes_of(edit)) for edit in prompt.edits)
        return self._updates(prompt) or edits

    def _updates(self, prompt: Prompt) -> bool:
        """Return whether any step is taken: an empty main prompt has no words to bring out."""
        return any(self._sizes) and (not prompt.blank or self.update_unconditional)

    @property
    def _sizes(self) -> StepSizes:
        return StepSizes(self.gamma_attn, self.gamma_norm, self.gamma_spread)

    def _sizes_of(self, edit: Edit) -> StepSizes:
        return StepSizes(
            self.edit_gamma_attn if edit.gamma_attn is None else edit.gamma_attn,
            self.edit_gamma_norm if edit.gamma_norm is None else edit.gamma_norm,
        )

    def step(self, prompt: Prompt, whose: str | Edit, moment: Moment) -> StepProtocol | None:
        if isinstance(whose, Edit):
            sizes = self._sizes_of(whose)
            return _Step(self, sizes) if any(sizes) else None
        mine = (whose == MAIN and not prompt.blank) or (
            whose == NEGATIVE and self.update_unconditional
        )
        acts = mine and any(self._sizes) and moment.in_steps(self.start, self.stop)
        return _Step(self, self._sizes) if acts else None

    def forecast(self, steps: Sequence[tuple[Time, Prompt]]) -> list[bool]:
        return [
            (self._updates(prompt) and in_window(time.progress, self.start, self.stop))
            or any(any(self._sizes_of(edit)) for edit in prompt.edits)
            for time, prompt in steps
        ]

    @property
    def idle(self) -> str:
        return "The paper's update does nothing: no step lies in the part that it acts in."

    def tell(self, prompt: Prompt) -> str:
        if not self._updates(prompt):
            return ""
        terms = ((self.gamma_attn, "brings out ignored"), (self.gamma_norm, "holds back dominant"))
        done = " and ".join(f"{verb} words ({size:g})" for size, verb in terms if size)
        return f"The paper's update {done or 'moves words apart'}."


@dataclass(frozen=True)
class _Step:
    """One gradient step with the given sizes."""

    settings: BCU
    sizes: StepSizes

    def acts(self, layer: Layer) -> bool:
        return names_layer(self.settings.layers, layer)

    def update(self, at: At) -> Tensor:
        settings = self.settings
        scale = REFERENCE_DEPTH / at.layers if settings.scale_with_depth else 1.0
        attn, norm, spread = (size * scale for size in self.sizes)
        update = context_update(
            at.query,
            at.key,
            at.key_weight,
            heads=at.layer.heads,
            beta=at.layer.beta(at.key.shape[-1]),
            gamma_attn=attn,
            gamma_norm=norm,
            formulation=settings.formulation,
            token_weights=at.token_weights,
            mask=at.mask() if settings.mask else None,
        )
        update = spread_apart(at.pull_back(update), at.context, spread, settings.centered)
        cap = settings.max_relative_update
        return limit_update(update, at.context, cap) if cap else update
