"""Multi-head attention as the engine needs it: split the heads, merge them, attend.

Shape letters, here and everywhere: `b` rows of the UNet's batch, `h` heads, `n` pixels (image
tokens), `t` text tokens, `d` width of a head, `c` width of the context.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def split_heads(packed: Tensor, heads: int) -> Tensor:
    """Split packed heads: [b, n, h*d] -> [b, h, n, d]."""
    rows, length, width = packed.shape
    return packed.reshape(rows, length, heads, width // heads).transpose(1, 2)


def merge_heads(apart: Tensor) -> Tensor:
    """Pack the heads again: [b, h, n, d] -> [b, n, h*d]."""
    return apart.transpose(1, 2).flatten(2)


def attention_share(query: Tensor, key: Tensor, beta: float, bias: Tensor | None = None) -> Tensor:
    """Return each pixel's attention to each token, softmax_t(beta query key^T), mean over heads.

    query is [..., h, n, d], key [..., h, t, d]; `bias` [..., h or 1, n, t] is added to the scores.
    Returns [..., n, t] in fp32, each row with sum 1. Holds [..., h, n, t] while it runs, so give it
    few pixels at a time.
    """
    scores = beta * query.float() @ key.float().mT
    return (scores if bias is None else scores + bias.float()).softmax(-1).mean(-3)


def attend(
    query: Tensor, key: Tensor, value: Tensor, beta: float, bias: Tensor | None = None
) -> Tensor:
    """Return softmax(beta query key^T + bias) value for each head, storing no weights.

    All are [b, h, *, d]; `bias` broadcasts to [b, h, query length, key length].
    """
    width_scale = query.shape[-1] ** -0.5  # the scale of scaled_dot_product_attention
    if abs(beta - width_scale) > 1e-6 * width_scale:
        query = query * (beta / width_scale)
    return F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
