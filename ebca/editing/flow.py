"""The noise from which a model itself would paint a picture: its probability flow, backwards.

Levels are sigma, as in k-diffusion: x = clean + sigma noise. (DDPM's x_t is x / sqrt(1 + sigma^2).)
With the denoiser D(x, sigma) the flow that paints is (Song et al., arXiv 2011.13456, eq. 13)

    dx / dsigma = d(x, sigma) = (x - D(x, sigma)) / sigma

and a step of Euler, which in DDPM's terms is a step of DDIM (arXiv 2010.02502), goes from a level
s to a lower one r by

    x_r = x_s + (r - s) d(x_s, s)

The step back must solve this for x_s. DDIM inversion takes d at x_r instead, so that the picture
is not found again. A few fixed-point iterations solve it (AIDI, arXiv 2309.04907; ReNoise, arXiv
2403.14602), from a guess x_s that goes on in the direction of the step before:

    x_s <- x_r + (s - r) d(x_s, s)

The way goes through the last x_s at which the model was asked, and not through what its answer
would make of it. So the answer is at hand for the sampling that is recorded on that way
(`holding.py`), and what is left of the error is in the moves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

Denoise = Callable[[Tensor, float], Tensor]
"""D(x, sigma): [b, c, h, w] with noise of a level -> [b, c, h, w] without it."""


def step_back(
    clean: Tensor, levels: Sequence[float], denoise: Denoise, iterations: int = 2
) -> list[Tensor]:
    """Where the flow through `clean` [b, c, h, w] is at each of the rising `levels` above 0.

    One evaluation of the model a level and iteration; the last one of a level is at its point.
    """
    points, x, below = [], clean, 0.0
    direction = clean.new_zeros(())
    for level in levels:
        for _ in range(iterations):
            guess = x + (level - below) * direction
            direction = (guess - denoise(guess, level)) / level
        x, below = guess, level
        points.append(x)
    return points


def between(levels: Sequence[float], count: int) -> list[float]:
    """`count` rising levels from the lowest to the highest of `levels`, evenly along them; all of
    them where `count` is 0."""
    if count in (0, len(levels)) or len(levels) == 1:
        return list(levels)
    if count == 1:
        return [levels[-1]]
    found = []
    for place in range(count):
        at = place * (len(levels) - 1) / (count - 1)
        low = min(int(at), len(levels) - 2)
        found.append(levels[low] + (at - low) * (levels[low + 1] - levels[low]))
    return found
