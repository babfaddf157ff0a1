"""What was seen along the way: energies and their picture, and maps of the attention.

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
    """All records of a sampling, in order. Tensors stay on their device until they are read.

    energies: whether they are recorded. maps: collects where the model put the words, if given.
    """

    records: list[Record] = field(default_factory=list)
    formulation: str = "reference"
    energies: bool = True
    maps: Maps | None = None
    _evaluation: int = -1

    def begin(self, evaluation: Evaluation, mixes: Sequence[Mix]) -> bool:
        """An evaluation begins, in which methods make `mixes` of its images. Returns whether it is
        to be followed."""
        self._evaluation += 1
        mapped = self.maps is not None and self.maps.begin(evaluation, mixes)
        return self.energies or mapped

    def restart(self) -> None:
        """The evaluation under way begins at its first layer again."""
        if self.maps is not None:
            self.maps.restart()

    def end(self) -> None:
        """The evaluation has come to its end."""
        if self.maps is not None:
            self.maps.end()

    def record(self, at: At, progress: float, update: Tensor | None) -> None:
        """Take down one layer: its inputs, and the update [b, t, c] that was taken.

        A mask belongs to the energy in the paper's formulation alone, see `ebca.core.energy`.
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
