"""BCU, the Bayesian Context Update: one gradient step of the context on log p(C | Q).

    C  <-  C + ( gamma_attn softmax_n(beta K Q^T) Q  -  gamma_norm diag(...) K ) W_K^T

Shape letters as in `ebca.energy`. Pure: tensors in, tensors out.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ebca.attention import merge_heads, split_heads
from ebca.energy import PRIOR_BETA, conditional_gradient, prior_gradient

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
    mask [b, n]. The term whose step size is zero costs nothing.
    """
    key_heads = split_heads(key, heads)
    step = torch.zeros_like(key_heads, dtype=torch.promote_types(key.dtype, torch.float32))
    if gamma_attn:
        pull = conditional_gradient(split_heads(query, heads), key_heads, beta, formulation, mask)
        weight = gamma_attn if token_weights is None else gamma_attn * token_weights[:, None]
        step = step + weight * pull
    if gamma_norm:
        step = step + gamma_norm * prior_gradient(key_heads, PRIOR_BETA[formulation])
    if key_weight.dtype not in _MATMUL_DTYPES:  # stored in fp8 and the like
        key_weight = key_weight.to(key.dtype)
    update: Tensor = merge_heads(step).to(key_weight.dtype) @ key_weight
    return update


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
