"""Random layers for property tests: query, context and key weight of any small shape, float64."""

from typing import NamedTuple

import torch
from hypothesis import strategies as st
from torch import Tensor


class Case(NamedTuple):
    query: Tensor  # [b, n, h*d]
    context: Tensor  # [b, t, c]
    weight: Tensor  # [h*d, c], as nn.Linear has it
    heads: int
    mask: Tensor  # [b, n], soft, with zeros, at least one pixel in every row
    token_weights: Tensor  # [b, t, 1]

    @property
    def key(self) -> Tensor:
        return self.context @ self.weight.T

    @property
    def width(self) -> int:
        return self.query.shape[-1] // self.heads

    @property
    def beta(self) -> float:
        return float(self.width**-0.5)


def build(
    rows: int, heads: int, pixels: int, tokens: int, width: int, channels: int, seed: int
) -> Case:
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    mask = draw(rows, pixels).clamp(0, 1)
    mask[:, 0] = 0.5
    return Case(
        draw(rows, pixels, heads * width),
        draw(rows, tokens, channels),
        draw(heads * width, channels) / channels**0.5,
        heads,
        mask,
        draw(rows, tokens, 1).abs() * 3,
    )


def sizes(most: int) -> st.SearchStrategy[int]:
    return st.integers(1, most)


cases = st.builds(
    build, sizes(3), sizes(4), sizes(12), sizes(8), sizes(6), sizes(9), st.integers(0, 10**6)
)
