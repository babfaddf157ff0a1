"""The judge's network: it finds the things in a picture, their colours, the scene and the style.

Letters in the shape comments: b pictures, g side of the grid of cells (16), n known things, c
colours, f features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from small_model.sprites import BLACK_AND_WHITE
from small_model.world import (
    COLOURS,
    NAMES,
    SCENES,
    SIZE,
    SPRITES,
    STYLES,
    WEARERS,
    WORN,
    Object,
    Scene,
)

STRIDE = 4  # pixels a cell
GRID = SIZE // STRIDE
_SPREAD = 0.8  # standard deviation of an object's mark, in cells
_APART = 5  # cells: only the strongest mark in a square of this side counts
_STYLES = tuple(STYLES)
_GROUPS = (  # groups of things; only a worn thing may be marked where its wearer is
    [NAMES.index(name) for name in WORN],
    [NAMES.index(name) for name in NAMES if name in WEARERS],
    [NAMES.index(name) for name in NAMES if name not in WORN and name not in WEARERS],
)
_RIVALS = ((0, 2), (1, 2), (0, 1, 2))  # the groups among which its marks must be strongest


class Readings(NamedTuple):
    """The network's output, as logits."""

    things: Tensor  # [b, n, g, g]
    colours: Tensor  # [b, c, g, g]
    scene: Tensor  # [b, scenes]
    style: Tensor  # [b, styles]
    features: Tensor  # [b, f, g, g], no logits: what things and colours are read from


class Peaks(NamedTuple):
    """The marked objects of all pictures."""

    picture: Tensor  # [objects] index of the picture
    name: Tensor  # [objects] index
    colour: Tensor  # [objects] index, -1 if it has none
    features: Tensor  # [objects, f]


class Targets(NamedTuple):
    """The output that the network should give."""

    marks: Tensor  # [b, n, g, g] 1 at the cell of an object's centre, falling off around it
    colours: Tensor  # [b, g, g] index of a colour, -1 where no coloured object's centre is near
    scene: Tensor  # [b]
    style: Tensor  # [b]


def _layer(into: int, out: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(into, out, 3, stride, dilation, dilation, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out), nn.ReLU())


class JudgeNet(nn.Module):
    """A small convolutional network with one way back up, to cells of 4 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.fine = nn.Sequential(_layer(3, 32, 2), _layer(32, 56, 2), _layer(56, 72))
        self.coarse = nn.Sequential(_layer(72, 96, 2), _layer(96, 96), _layer(96, 96, dilation=2))
        self.up = nn.Conv2d(96, 72, 1)
        self.together = _layer(72, 64)
        self.things = nn.Conv2d(64, len(NAMES), 1)
        self.colours = nn.Conv2d(64, len(COLOURS), 1)
        self.scene = nn.Linear(96, len(SCENES))
        self.style = nn.Linear(96, len(STYLES))
        nn.init.constant_(self.things.bias, -4.0)  # type: ignore[arg-type]  # most cells are empty

    def forward(self, pictures: Tensor) -> Readings:
        """Read `pictures` [b, 3, 64, 64] in 0..1."""
        fine = self.fine(pictures * 2 - 1)
        coarse = self.coarse(fine)
        cells = self.together(fine + F.interpolate(self.up(coarse), scale_factor=2.0))
        whole = coarse.mean(dim=(2, 3))
        return Readings(
            self.things(cells), self.colours(cells), self.scene(whole), self.style(whole), cells
        )


def targets(scenes: Sequence[Scene]) -> Targets:
    """Return the right readings for pictures of `scenes`."""
    marks = torch.zeros(len(scenes), len(NAMES), GRID, GRID)
    colours = torch.full((len(scenes), GRID, GRID), -1)
    cells = torch.arange(GRID)
    for picture, scene in enumerate(scenes):
        for placed in scene.placed:
            column, row = (
                min(max((at - 0.5) // STRIDE, 0), GRID - 1) for at in (placed.x, placed.y)
            )
            across, down = (cells - column) ** 2, (cells - row) ** 2
            mark = torch.exp(-(down[:, None] + across[None, :]) / (2 * _SPREAD**2))
            thing = marks[picture, NAMES.index(placed.object.name)]
            thing.copy_(torch.maximum(thing, mark))
            if placed.object.colour and scene.style != BLACK_AND_WHITE:
                near = down[:, None] + across[None, :] <= 2
                colours[picture][near] = COLOURS.index(placed.object.colour)
    return Targets(
        marks,
        colours,
        torch.tensor([SCENES.index(scene.background) for scene in scenes]),
        torch.tensor([_STYLES.index(scene.style) for scene in scenes]),
    )


def loss(said: Readings, right: Targets) -> Tensor:
    """Return the focal loss of the marks (as in CenterNet) plus the cross-entropies of the rest."""
    log_yes, log_no = F.logsigmoid(said.things), F.logsigmoid(-said.things)
    yes, no = log_yes.exp(), log_no.exp()
    centre = right.marks == 1
    hit = (no**2 * log_yes)[centre].sum()
    miss = ((1 - right.marks) ** 4 * yes**2 * log_no)[~centre].sum()
    marks = -(hit + miss) / max(int(centre.sum()), 1)
    near = right.colours >= 0
    colours = F.cross_entropy(said.colours.movedim(1, 3)[near], right.colours[near])
    whole = F.cross_entropy(said.scene, right.scene) + F.cross_entropy(said.style, right.style)
    return marks + colours + 0.3 * whole


def peaks_of(said: Readings, threshold: float) -> Peaks:
    """Find the objects of all pictures."""
    marks = said.things.sigmoid()
    best, index = zip(*(marks[:, group].max(dim=1) for group in _GROUPS), strict=True)
    around = [F.max_pool2d(one[:, None], _APART, 1, _APART // 2)[:, 0] for one in best]
    takes = torch.tensor([SPRITES[name].takes_colour for name in NAMES])
    found = []
    for group, rivals in enumerate(_RIVALS):
        strongest = torch.stack([around[rival] for rival in rivals]).amax(dim=0)
        here = (best[group] == strongest) & (best[group] > threshold)
        picture, row, column = here.nonzero(as_tuple=True)
        name = torch.tensor(_GROUPS[group])[index[group][picture, row, column]]
        colour = said.colours.argmax(dim=1)[picture, row, column]
        colour = torch.where(takes[name], colour, -1)
        found.append(Peaks(picture, name, colour, said.features[picture, :, row, column]))
    return Peaks(*(torch.cat(parts) for parts in zip(*found, strict=True)))


def read(said: Readings, peaks: Peaks) -> list[tuple[tuple[Object, ...], str, str]]:
    """Return the objects, sorted, the scene and the style of each picture."""
    found: list[list[Object]] = [[] for _ in range(len(said.scene))]
    for picture, name, colour in zip(*(part.tolist() for part in peaks[:3]), strict=True):
        found[picture].append(Object(NAMES[name], COLOURS[colour] if colour >= 0 else ""))
    scenes, styles = said.scene.argmax(dim=1).tolist(), said.style.argmax(dim=1).tolist()
    return [
        (tuple(sorted(things)), SCENES[scene], _STYLES[style])
        for things, scene, style in zip(found, scenes, styles, strict=True)
    ]
