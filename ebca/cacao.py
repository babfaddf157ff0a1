"""CACAO, the Compositional Averaging of Cross-Attention Output (arXiv 2306.09869).

    average   out = ( attn(Q, C_main) + sum_s alpha_s attn(Q, C_s) ) / ( 1 + sum_s alpha_s )
    sum       out = attn(Q, C_main) + sum_s alpha_s ( attn(Q, C_s) - attn(Q, C_empty) )

The sum is not in the paper. It does to the heads' outputs what the WebUI's AND does to predictions
of noise, uncond + sum_i w_i (cond_i - uncond), and is the average with one more prompt, the empty
one with alpha = -sum_s alpha_s (`Composition.active`): the denominator is then 1.

A contrast is not in the paper either. With C_i one of the main prompt's things alone,

    out + sum_i w_i ( attn(Q, C_main) - attn(Q, C_i) )

moves away from the pictures in which the others are missing. It is an average as well, whose
alphas `Composition.active` works out.

The heads' outputs are averaged before the output projection, which is affine, so averaging after
it would give the same. Pure: tensors in, tensors out.
"""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor


def average(main: Tensor, editorial: Iterable[tuple[float, Tensor]]) -> Tensor:
    """The weighted average of `main` (weight 1) and `(alpha, output)` pairs of the same shape.

    `editorial` is consumed one by one, so a generator keeps a single output alive at a time.
    """
    total, denominator = main, 1.0
    for alpha, output in editorial:
        total = total.add(output, alpha=alpha)
        denominator += alpha
    return total / denominator
