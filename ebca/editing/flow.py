"""Follow a model's probability flow backwards, from a picture to the noise that paints it.

Levels are sigma, as in k-diffusion: x = clean + sigma noise. (DDPM's x_t is x / sqrt(1 + sigma^2).)
With the denoiser D(x, sigma) the flow is (Song et al., arXiv 2011.13456, eq. 13)

    dx / dsigma = d(x, sigma) = (x - D(x, sigma)) / sigma

and an Euler step, which in DDPM's terms is a DDIM step (arXiv 2010.02502), goes from a level s to
a lower one r by

    x_r = x_s + (r - s) d(x_s, s)

The step back must solve this for x_s. DDIM inversion takes d at x_r instead, so the noise that it
finds does not give the picture back. A few fixed-point iterations solve the equation (AIDI, arXiv
2309.04907; ReNoise, arXiv 2403.14602), from a first guess x_s in the direction of the last step:

    x_s <- x_r + (s - r) d(x_s, s)

The path goes through the last x_s at which the model was evaluated, not through the x_s that
follows from its answer. So that answer can be reused when a sampling on the path is recorded
(`holding.py`), whose moves take up the remaining error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

Denoise = Callable[[Tensor, float], Tensor]
"""D(x, sigma): latents [b, c, h, w] with noise of level sigma -> [b, c, h, w] without it."""


def step_back(
    clean: Tensor, levels: Sequence[float], denoise: Denoise, iterations: int = 2
) -> list[Tensor]:
    """Return the points of the flow through `clean` [b, c, h, w] at the rising `levels` above 0.

    Each level takes `iterations` evaluations of the model, the last of them at its point.
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
    """Return `count` levels from the lowest to the highest of the rising `levels`, evenly along
    them, or all of `levels` if `count` is 0."""
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
