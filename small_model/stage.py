"""A stage of training that can be killed at any moment and then continues where it was.

Every step draws its randomness from the seed, the stage's name and the step's number, so a stage
that was killed and resumed ends with the same weights as one that never was (given `steps`).
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

_WARM_UP = 200  # steps
_LEAST_RATE = 0.03  # final share of the learning rate
_LONGEST_STEP = 60.0  # seconds; longer is a machine that was asleep, not training
_RECORD = 10  # steps for a point of the loss curve; saves are as far apart or more


class TrainingError(Exception):
    """Training cannot go on; the message is one line for the user."""


@dataclass(frozen=True)
class Budget:
    """The end of a stage: after `steps`, or after `seconds` if they are given."""

    steps: int
    seconds: float | None = None

    def done(self, steps: int, seconds: float) -> float:
        """Return the fraction of the budget that is used up."""
        return steps / self.steps if self.seconds is None else seconds / self.seconds


class Dice:
    """The randomness of one step: `rng` for scenes and words, `noise` for tensors."""

    def __init__(self, seed: int, stage: str, step: int) -> None:
        text = f"{seed} {stage} {step}"
        self.rng = random.Random(text)
        number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")
        self._generator = torch.Generator("cpu").manual_seed(number)

    def noise(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self._generator)

    def times(self, count: int, below: int) -> Tensor:
        return torch.randint(0, below, (count,), generator=self._generator)


class Stage:
    """Trains `model` and keeps its running average and loss curve in `folder`."""

    def __init__(self, folder: Path, name: str, model: nn.Module, seed: int, rate: float) -> None:
        self.name, self.model, self._seed, self._rate = name, model, seed, rate
        self.average = copy.deepcopy(model).eval().requires_grad_(False)
        self._optimizer = torch.optim.AdamW(
            model.parameters(), lr=rate, weight_decay=1e-2, betas=(0.9, 0.98), fused=True
        )
        self.step, self.seconds = 0, 0.0
        self.losses: list[list[float]] = []  # [step, mean loss of the steps since the last point]
        self._file = folder / f"{name}.pt"
        self._curve = folder / f"{name}-loss"
        if self._file.exists():
            self._load()

    def run(
        self,
        budget: Budget,
        loss: Callable[[nn.Module, Dice], Tensor],
        save_every: float,
        saved: Callable[[], None] = lambda: None,
    ) -> None:
        """Train until `budget` is used up; `saved` is called after each save along the way."""
        bar = self._bar(budget)
        last, recent, at_save = time.monotonic(), [], self.seconds
        while (done := budget.done(self.step, self.seconds)) < 1:
            value = self._one(loss, done)
            recent.append(value)
            now = time.monotonic()
            self.seconds, last = self.seconds + min(now - last, _LONGEST_STEP), now
            if self.step % _RECORD == 0:
                self.losses.append([self.step, sum(recent) / len(recent)])
                recent = []
                bar.set_postfix(loss=f"{self.losses[-1][1]:.4f}", step=self.step)
            bar.update(min(bar.total, self._progress(budget)) - bar.n)
            if self.seconds - at_save >= save_every and self.step % _RECORD == 0:
                self._save()
                saved()
                at_save, last = self.seconds, time.monotonic()
        bar.close()
        self._save()

    def _one(self, loss: Callable[[nn.Module, Dice], Tensor], done: float) -> float:
        slope = max(_LEAST_RATE, (1 + math.cos(math.pi * min(done, 1))) / 2)
        for group in self._optimizer.param_groups:
            group["lr"] = self._rate * min(1, (self.step + 1) / _WARM_UP) * slope
        lost = loss(self.model, Dice(self._seed, self.name, self.step))
        value = lost.item()
        if not math.isfinite(value):
            raise TrainingError(f"the loss of {self.name} is {value} at step {self.step}")
        self._optimizer.zero_grad(set_to_none=True)
        lost.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self._optimizer.step()
        self.step += 1
        follow(self.average, self.model, min(0.999, (self.step + 1) / (self.step + 10)))
        return value

    def _progress(self, budget: Budget) -> int:
        return self.step if budget.seconds is None else int(self.seconds)

    def _bar(self, budget: Budget) -> Any:
        total = budget.steps if budget.seconds is None else math.ceil(budget.seconds)
        unit = "step" if budget.seconds is None else "s"
        begun = min(total, self._progress(budget))
        return tqdm(total=total, initial=begun, desc=self.name, unit=unit, mininterval=1)

    def _save(self) -> None:
        state = {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "losses": self.losses,
        }
        replace(self._file, lambda path: torch.save(state, path))
        curve = {"seconds": round(self.seconds, 1), "losses": self.losses}
        text = json.dumps(curve)
        replace(self._curve.with_suffix(".json"), lambda path: path.write_text(text))
        _plot(self.losses, self._curve.with_suffix(".png"), self.name)

    def _load(self) -> None:
        state = torch.load(self._file, map_location="cpu", weights_only=True)
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds, self.losses = state["step"], state["seconds"], state["losses"]


def follow(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Move the running average a little towards the model."""
    for mean, now in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
        mean.lerp_(now, 1 - decay) if mean.is_floating_point() else mean.copy_(now)


def replace(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file so that it is there as a whole or not at all."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    write(unfinished)
    os.replace(unfinished, path)


def _plot(losses: list[list[float]], path: Path, name: str) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot([step for step, _ in losses], [loss for _, loss in losses], linewidth=0.8)
    axes.set(xlabel="step", ylabel="loss", title=name, yscale="log")
    replace(path, lambda to: figure.savefig(to, format="png"))
