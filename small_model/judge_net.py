"""The judge's network: where which shape is and in which colour, and which scene.

Letters in the shape comments: b pictures, g side of the grid of cells (16), s shapes, c colours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from small_model.world import COLOURS, SCENES, SHAPES, SIZE, Object, Scene

STRIDE = 4  # pixels a cell
GRID = SIZE // STRIDE
_SPREAD = 0.8  # of an object's mark on the grid, in cells
_APART = 5  # cells: of several marks in a square of this side the strongest counts


class Readings(NamedTuple):
    """What the network says, as logits."""

    shapes: Tensor  # [b, s, g, g]
    colours: Tensor  # [b, c, g, g]
    scene: Tensor  # [b, scenes]
    features: Tensor  # [b, f, g, g], no logits: what shapes and colours are read from


class Peaks(NamedTuple):
    """The objects that are marked, picture by picture."""

    picture: Tensor  # [objects] index of the picture
    shape: Tensor  # [objects] index
    colour: Tensor  # [objects] index
    features: Tensor  # [objects, f]


class Targets(NamedTuple):
    """What it should say."""

    marks: Tensor  # [b, s, g, g] 1 at the cell of an object's centre, falling off around it
    colours: Tensor  # [b, g, g] index of a colour, -1 where no object's centre is near
    scene: Tensor  # [b]


def _layer(into: int, out: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(into, out, 3, stride, dilation, dilation, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out), nn.ReLU())


class JudgeNet(nn.Module):
    """A small convolutional network with one way back up, to cells of 4 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.fine = nn.Sequential(_layer(3, 24, 2), _layer(24, 48, 2), _layer(48, 64))
        self.coarse = nn.Sequential(_layer(64, 72, 2), _layer(72, 72), _layer(72, 72, dilation=2))
        self.up = nn.Conv2d(72, 64, 1)
        self.together = _layer(64, 56)
        self.shapes = nn.Conv2d(56, len(SHAPES), 1)
        self.colours = nn.Conv2d(56, len(COLOURS), 1)
        self.scene = nn.Linear(72, len(SCENES))
        nn.init.constant_(self.shapes.bias, -4.0)  # type: ignore[arg-type]  # most cells are empty

    def forward(self, pictures: Tensor) -> Readings:
        """`pictures` [b, 3, 64, 64] in 0..1."""
        fine = self.fine(pictures * 2 - 1)
        coarse = self.coarse(fine)
        cells = self.together(fine + F.interpolate(self.up(coarse), scale_factor=2.0))
        return Readings(
            self.shapes(cells), self.colours(cells), self.scene(coarse.mean(dim=(2, 3))), cells
        )


def targets(scenes: Sequence[Scene]) -> Targets:
    """The right readings for pictures of `scenes`, all of whose objects have a colour."""
    marks = torch.zeros(len(scenes), len(SHAPES), GRID, GRID)
    colours = torch.full((len(scenes), GRID, GRID), -1)
    cells = torch.arange(GRID)
    for picture, scene in enumerate(scenes):
        for placed in scene.placed:
            half = placed.side // 2
            column, row = (
                (min(max(centre, half), SIZE - half) - 0.5) // STRIDE
                for centre in (placed.x, placed.y)
            )
            across, down = (cells - column) ** 2, (cells - row) ** 2
            mark = torch.exp(-(down[:, None] + across[None, :]) / (2 * _SPREAD**2))
            shape = marks[picture, SHAPES.index(placed.object.shape)]
            shape.copy_(torch.maximum(shape, mark))
            near = down[:, None] + across[None, :] <= 2
            colours[picture][near] = COLOURS.index(placed.object.colour)
    return Targets(
        marks, colours, torch.tensor([SCENES.index(scene.background) for scene in scenes])
    )


def loss(said: Readings, right: Targets) -> Tensor:
    """Focal loss of the marks (as in CenterNet), cross-entropy of colours and scene."""
    log_yes, log_no = F.logsigmoid(said.shapes), F.logsigmoid(-said.shapes)
    yes, no = log_yes.exp(), log_no.exp()
    centre = right.marks == 1
    hit = (no**2 * log_yes)[centre].sum()
    miss = ((1 - right.marks) ** 4 * yes**2 * log_no)[~centre].sum()
    marks = -(hit + miss) / max(int(centre.sum()), 1)
    near = right.colours >= 0
    colours = F.cross_entropy(said.colours.movedim(1, 3)[near], right.colours[near])
    return marks + colours + 0.3 * F.cross_entropy(said.scene, right.scene)


def peaks_of(said: Readings, threshold: float) -> Peaks:
    """The objects of all pictures."""
    best, shape = said.shapes.sigmoid().max(dim=1)  # [b, g, g]
    strongest = F.max_pool2d(best[:, None], _APART, 1, _APART // 2)[:, 0]
    picture, row, column = ((best == strongest) & (best > threshold)).nonzero(as_tuple=True)
    colour = said.colours.argmax(dim=1)  # [b, g, g]
    return Peaks(
        picture,
        shape[picture, row, column],
        colour[picture, row, column],
        said.features[picture, :, row, column],
    )


def read(said: Readings, peaks: Peaks) -> list[tuple[tuple[Object, ...], str]]:
    """The objects, sorted, and the scene of each picture."""
    found: list[list[Object]] = [[] for _ in range(len(said.scene))]
    for picture, shape, colour in zip(*(part.tolist() for part in peaks[:3]), strict=True):
        found[picture].append(Object(SHAPES[shape], COLOURS[colour]))
    scenes = [SCENES[index] for index in said.scene.argmax(dim=1).tolist()]
    return [(tuple(sorted(things)), scene) for things, scene in zip(found, scenes, strict=True)]
