"""The record of a sampling: energies, their plot, and maps of the attention.

Give a `Trace` to `apply_patch` and read it after sampling. Collecting energies is for looking, not
for production: the update itself never needs them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from ebca.core.attention import split_heads
from ebca.core.energy import PRIOR_BETA, conditional_energy, prior_energy
from ebca.core.evaluation import Evaluation
from ebca.core.layers import Layer
from ebca.core.maps import Maps
from ebca.core.method import At, Mix


@dataclass(frozen=True)
class Record:
    """Energies of the updated rows at one layer of one evaluation.

    `conditional` E(Q; K) and `prior` E(K), [rows], are from before the layer's update;
    `conditional_after` and `prior_after` from the updated context at the same query;
    `relative_update` is |dC| / |C|, [rows]. The last three are None where no step was taken.
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
    """Records a sampling. Tensors stay on their device until they are read.

    Args:
        records: One `Record` for each step and layer, in order; filled while sampling.
        formulation: The formula of the energies (see `ebca.core.energy`): `reference` or `paper`.
            `apply_patch` sets it to the settings'.
        energies: Whether energies are recorded, which costs time.
        maps: A `Maps` that collects where the model put the words, at little cost.
    """

    records: list[Record] = field(default_factory=list)
    formulation: str = "reference"
    energies: bool = True
    maps: Maps | None = None
    _evaluation: int = -1

    def begin(self, evaluation: Evaluation, mixes: Sequence[Mix]) -> bool:
        """Begin an evaluation with the mix of each of its images; return whether to follow it."""
        self._evaluation += 1
        mapped = self.maps is not None and self.maps.begin(evaluation, mixes)
        return self.energies or mapped

    def restart(self) -> None:
        """Begin the current evaluation again at its first layer."""
        if self.maps is not None:
            self.maps.restart()

    def end(self) -> None:
        """End the evaluation."""
        if self.maps is not None:
            self.maps.end()

    def record(self, at: At, progress: float, update: Tensor | None) -> None:
        """Record one layer: its inputs and the update [b, t, c], None if there was none.

        A mask belongs to the energy only in the paper's formulation, see `ebca.core.energy`.
        """
        beta, heads = at.layer.beta(at.key.shape[-1]), at.layer.heads
        mask = at.mask() if self.formulation == "paper" else None
        query = split_heads(at.query, heads)

        def energies(key: Tensor) -> tuple[Tensor, Tensor]:
            apart = split_heads(key, heads)
            return (
                conditional_energy(query, apart, beta, mask),
                prior_energy(apart, PRIOR_BETA[self.formulation]),
            )

        after: tuple[Tensor, ...] = ()
        if update is not None:
            weight = at.key_weight
            moved = at.key + (update.to(weight.dtype) @ weight.mT).to(at.key.dtype)
            relative = update.flatten(1).norm(dim=1) / at.context.flatten(1).float().norm(dim=1)
            after = (*energies(moved), relative)
        record = Record(self._evaluation, progress, at.layer, *energies(at.key), *after)
        self.records.append(record)

    def table(self) -> list[dict[str, Any]]:
        """Return the records as plain data, for JSON or a data frame.

        Returns:
            One dict for each record: `evaluation`, `progress` (0 to below 1), `layer`, `name`,
            `place`, and the fields of `Record` from `conditional` to `relative_update` as means
            over rows, float or None.
        """
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
        """Plot the change of E(Q; K) and E(K), and the size of the update, per step and layer.

        Args:
            path: The file of the plot. It needs matplotlib.
        """
        from ebca.plots import plot_energies  # only plots need matplotlib

        plot_energies(self.table(), path)
