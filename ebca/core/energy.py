"""Energies of a cross-attention layer and their analytic gradients (arXiv 2306.09869).

Shape letters: `b` rows of the UNet's batch, `h` heads, `n` pixels, `t` text tokens, `d` width of
a head, `c` width of the context. Query Q [b, h, n, d] comes from the image, key K = C W_K
[b, h, t, d] from the text context C [b, t, c]; beta = 1/sqrt(d).

    E(Q; K) = - sum_t (1/beta)   logsumexp_n( beta <k_t, q_n> )     summed over heads
    E(K)    =   (1/beta_p) logsumexp_t( beta_p |k_t|^2 / 2 )        over all heads together
    log p(C | Q) = - E(Q; K) - E(K) + const

    d log p / dK = softmax_n(beta K Q^T) Q  -  diag(softmax_t(beta_p |k_t|^2 / 2)) K

Mind the axes: the first softmax runs over pixels for each token, the second over tokens. An
*energy* is a scalar to lower, a *gradient* is of log p, so an *update* is added.

`paper` has beta_p = 1. The authors' released code has no 1/2 in the second softmax, which is
beta_p = 2 (`reference`). With an inpainting mask, `paper` restricts E(Q; K) to the repainted
pixels; `reference` keeps the softmax over all pixels and multiplies the pull of each by the mask,
which is the gradient for frozen softmax weights.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ebca.core.attention import attend, merge_heads

PRIOR_BETA = {"reference": 2.0, "paper": 1.0}


def conditional_energy(
    query: Tensor, key: Tensor, beta: float, mask: Tensor | None = None
) -> Tensor:
    """Return E(Q; K) for each row, [b], in fp32 or better. `mask` [b, n] weighs pixels (`paper`).

    The function takes the tokens in turn, so it stores [b, h, n] and never [b, h, t, n].
    """
    query, key = _precise(query), _precise(key)
    bias = mask_bias(mask, query.dtype)
    energy = query.new_zeros(query.shape[0])
    for token in range(key.shape[2]):
        score = beta * torch.einsum("bhnd,bhd->bhn", query, key[:, :, token])
        if bias is not None:
            score = score + bias[:, 0]
        energy = energy - score.logsumexp(-1).sum(-1) / beta
    return energy


def prior_energy(key: Tensor, prior_beta: float) -> Tensor:
    """Return E(K) for each row, [b], in fp32 or better."""
    return (prior_beta * _square_norm(key) / 2).logsumexp(-1) / prior_beta


def conditional_gradient(
    query: Tensor, key: Tensor, beta: float, formulation: str, mask: Tensor | None = None
) -> Tensor:
    """Return -dE(Q; K)/dK = softmax_n(beta K Q^T) Q, [b, h, t, d]: attention with swapped roles.

    `mask` [b, n] is 1 where a pixel may pull on the context, 0 where not. `key` may have several
    times as many rows as `query`: one set for each of several contexts, in the order of the query's
    rows.
    """
    if len(key) > len(query):
        slots = torch.split(key, len(query))
        return torch.cat(
            [conditional_gradient(query, slot, beta, formulation, mask) for slot in slots]
        )
    if mask is None:
        return attend(key, query, query, beta)
    mask = mask.to(query.dtype)
    if formulation == "reference":
        return attend(key, query, query * mask[:, None, :, None], beta)
    pull = attend(key, query, query, beta, bias=mask_bias(mask, query.dtype))
    anywhere = (mask > 0).any(-1)  # without a single pixel there is nothing to pull
    return pull.where(anywhere[:, None, None, None], torch.zeros_like(pull))


def prior_gradient(key: Tensor, prior_beta: float) -> Tensor:
    """Return -dE(K)/dK = -diag(softmax_t(beta_p |k_t|^2 / 2)) K, [b, h, t, d], in fp32 or more."""
    return -prior_weight(merge_heads(key), prior_beta)[:, None, :, None] * _precise(key)


def prior_weight(key: Tensor, prior_beta: float) -> Tensor:
    """Return softmax_t(beta_p |k_t|^2 / 2), [b, t], in fp32 or better; `key` is [b, t, h*d]."""
    precise = torch.promote_types(key.dtype, torch.float32)  # fp16 ends at 65504
    square_norm = torch.linalg.vector_norm(key, dim=-1, dtype=precise).square()
    if prior_beta != 2.0:
        square_norm = square_norm * (prior_beta / 2)
    return torch.softmax(square_norm, -1)


def mask_bias(mask: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """Return log(mask), [b, 1, 1, n], to add to scores; a floor spares an empty mask a NaN."""
    if mask is None:
        return None
    floor = torch.finfo(dtype).min / 4
    return mask.to(dtype).log().clamp(min=floor)[:, None, None, :]


def _square_norm(key: Tensor) -> Tensor:
    """Return |k_t|^2 over all heads, [b, t], in fp32 or better, since fp16 ends at 65504."""
    return _precise(key).square().sum((1, 3))


def _precise(tensor: Tensor) -> Tensor:
    return tensor if tensor.dtype == torch.float64 else tensor.float()
