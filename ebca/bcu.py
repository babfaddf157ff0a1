"""BCU, the Bayesian Context Update: one gradient step of the context on log p(C | Q).

    C  <-  C + ( gamma_attn softmax_n(beta K Q^T) Q  -  gamma_norm diag(...) K ) W_K^T

Not in the paper: a further prior whose gradient moves tokens apart, and steps without what all
tokens have in common (`spread_apart`).

Shape letters as in `ebca.energy`. Pure: tensors in, tensors out.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ebca.attention import merge_heads, split_heads
from ebca.energy import PRIOR_BETA, conditional_gradient, prior_weight

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
    """The update to add to the context, [b, t, c].

    query [b, n, h*d] and key [b, t, h*d] as the layer's linears put them out; key_weight W_K^T
    [h*d, c], the layout of `nn.Linear.weight`; token_weights [b or 1, t, 1] multiply gamma_attn;
    mask [b, n]. The term whose step size is zero costs nothing. The key may have several times as
    many rows as query and mask, see `ebca.energy.conditional_gradient`.

    The larger of the two step sizes is applied last, so that in half precision neither term
    leaves the range of its type.
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
    if key_weight.dtype not in _MATMUL_DTYPES:  # stored in fp8 and the like
        key_weight = key_weight.to(key.dtype)
    if step is None:
        return key.new_zeros(*key.shape[:2], key_weight.shape[1])
    flat = step.flatten(0, 1).to(key_weight.dtype)
    update = torch.addmm(key_weight[0], flat, key_weight, beta=0, alpha=largest)
    return update.view(*step.shape[:2], update.shape[1])


def spread_apart(update: Tensor, context: Tensor, gamma_spread: float, centered: bool) -> Tensor:
    """`update` [b, t, c] with the terms that are not in the paper; `context` [b, t, c].

    gamma_spread steps along the gradient of log p(C) = sum_t |c_t - mean c|^2 / 2 + const, which
    is c_t - mean c. `centered` takes the mean over tokens out of the whole update: a shift that
    all keys share cancels in the softmax over tokens, and is left to act on the values alone.
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
