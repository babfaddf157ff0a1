"""Multi-head attention as the engine needs it: heads apart, heads together, attend.

Shape letters, here and everywhere: `b` rows of the UNet's batch, `h` heads, `n` pixels (image
tokens), `t` text tokens, `d` width of a head, `c` width of the context.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def split_heads(packed: Tensor, heads: int) -> Tensor:
    """[b, n, h*d] -> [b, h, n, d]."""
    rows, length, width = packed.shape
    return packed.reshape(rows, length, heads, width // heads).transpose(1, 2)


def merge_heads(apart: Tensor) -> Tensor:
    """[b, h, n, d] -> [b, n, h*d]."""
    return apart.transpose(1, 2).flatten(2)


def attention_share(query: Tensor, key: Tensor, beta: float, bias: Tensor | None = None) -> Tensor:
    """How much each pixel attends to each token, mean over heads: softmax_t(beta query key^T).

    query [..., h, n, d], key [..., h, t, d]; `bias` [..., h or 1, n, t] is added to the scores.
    Returns [..., n, t] in fp32, each row with sum 1.
    Holds [..., h, n, t] while it runs, so give it few pixels at a time.
    """
    scores = beta * query.float() @ key.float().mT
    return (scores if bias is None else scores + bias.float()).softmax(-1).mean(-3)


def attend(
    query: Tensor, key: Tensor, value: Tensor, beta: float, bias: Tensor | None = None
) -> Tensor:
    """softmax(beta query key^T + bias) value, per head; all [b, h, *, d]. Stores no weights.

    `bias` broadcasts to [b, h, query length, key length].
    """
    width_scale = query.shape[-1] ** -0.5  # what scaled_dot_product_attention multiplies by
    if abs(beta - width_scale) > 1e-6 * width_scale:
        query = query * (beta / width_scale)
    return F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
