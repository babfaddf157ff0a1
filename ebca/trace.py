"""Energies collected along the way, and their picture.

Give a `Trace` to `apply_patch` and read it after sampling. Collecting is for looking, not for
production: it evaluates the energies that the update itself never needs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from ebca.attention import split_heads
from ebca.energy import PRIOR_BETA, conditional_energy, prior_energy
from ebca.layers import Layer


@dataclass(frozen=True)
class Record:
    """Energies of the updated rows at one layer of one evaluation.

    `conditional` E(Q; K) and `prior` E(K) of every updated row, [rows], before the layer's
    update; `conditional_after` and `prior_after` with the updated context at the same query;
    `relative_update` |dC| / |C|, [rows]. The last three are None where no step was taken.
    """

    evaluation: int
    progress: float
    layer: Layer
    conditional: Tensor
    prior: Tensor
    conditional_after: Tensor | None = None
    prior_after: Tensor | None = None
    relative_update: Tensor | None = None


@dataclass
class Trace:
    """All records of a sampling, in order. Tensors stay on their device until they are read."""

    records: list[Record] = field(default_factory=list)
    _evaluation: int = -1

    def begin(self) -> None:
        """An evaluation begins."""
        self._evaluation += 1

    def record(
        self, layer: Layer, progress: float, formulation: str,
        query: Tensor, key: Tensor, context: Tensor, update: Tensor | None, key_weight: Tensor,
        mask: Tensor | None = None,
    ) -> None:  # fmt: skip
        """Take down one layer: query [b, n, h*d], key [b, t, h*d], context and update [b, t, c].

        A `mask` [b, n] belongs to the energy in the paper's formulation alone, see `ebca.energy`.
        """
        beta = layer.beta(key.shape[-1])
        mask = mask if formulation == "paper" else None
        heads_query = split_heads(query, layer.heads)

        def energies(key: Tensor) -> tuple[Tensor, Tensor]:
            apart = split_heads(key, layer.heads)
            return (
                conditional_energy(heads_query, apart, beta, mask),
                prior_energy(apart, PRIOR_BETA[formulation]),
            )

        after: tuple[Tensor, ...] = ()
        if update is not None:
            moved = key + (update.to(key_weight.dtype) @ key_weight.mT).to(key.dtype)
            relative = update.flatten(1).norm(dim=1) / context.flatten(1).float().norm(dim=1)
            after = (*energies(moved), relative)
        self.records.append(Record(self._evaluation, progress, layer, *energies(key), *after))

    def table(self) -> list[dict[str, Any]]:
        """One dict a record with the means over rows as floats: for JSON or a data frame."""
        names = ("conditional", "prior", "conditional_after", "prior_after", "relative_update")
        return [
            {
                "evaluation": record.evaluation,
                "progress": record.progress,
                "layer": record.layer.index,
                "name": record.layer.name,
                "place": record.layer.place,
                **{
                    name: None if value is None else float(value.mean())
                    for name in names
                    for value in (getattr(record, name),)
                },
            }
            for record in self.records
        ]

    def plot(self, path: Path) -> None:
        """Draw how E(Q; K) and E(K) changed per step and layer, and how far each update went."""
        from ebca.plots import plot_energies  # matplotlib is only needed for pictures

        plot_energies(self.table(), path)
