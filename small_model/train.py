"""Make the small model from nothing: `python -m small_model.train --out DIR`.

Three stages: the autoencoder, with the judge's scores on its reconstructions, which are the ceiling
of everything after; the latents of the data set; the UNet with the text encoder. Kill it at any
time and run the same command again: it goes on. DIR is a diffusers pipeline, from the first half
hour of the last stage, and has loss curves in DIR/training.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from small_model.networks import (
    TINY,
    Sizes,
    Words,
    new_autoencoder,
    new_text_encoder,
    new_unet,
    plain_attention,
    save_pipeline,
    take_weights,
)
from small_model.stage import Budget, Stage, TrainingError, replace
from small_model.stages import Painter, autoencoder_loss, cache_latents, painter_loss

_RATE = 1e-3
_EXPORT_EVERY = 1800.0  # seconds between two pipelines written along the way
_SHARES = {"autoencoder": 0.4, "latents": 0.1, "painter": 0.5}  # shares of --minutes


@dataclass(frozen=True)
class Plan:
    """What to train, and for how long. A folder belongs to one plan."""

    autoencoder_steps: int = 16_000
    autoencoder_batch: int = 8
    latents: int = 40_000
    painter_steps: int = 28_000
    painter_batch: int = 64
    minutes: float | None = None
    seed: int = 0
    tiny: bool = False
    autoencoder: str | None = None
    start: str | None = None

    @property
    def sizes(self) -> Sizes:
        return TINY if self.tiny else Sizes()

    def budget(self, stage: str) -> Budget:
        seconds = None if self.minutes is None else 60 * self.minutes * _SHARES[stage]
        steps = {"autoencoder": self.autoencoder_steps, "painter": self.painter_steps}
        return Budget(steps.get(stage, 0), seconds)


def train(
    out: Path, plan: Plan, device: torch.device, save_every: float = 120.0, compiled: bool = False
) -> None:
    """Train from nothing, or go on, until `out` has the finished pipeline."""
    notes = out / "training"
    _begin(notes, plan)
    vae = _autoencoder(notes, plan, device, save_every)
    ceiling(notes, vae, plan)
    mean, std = cache_latents(
        notes / "latents", vae, plan.latents, plan.seed, device, plan.budget("latents").seconds
    )
    scale = 1 / (mean.var() + std.square().mean()).sqrt().item()
    vae.register_to_config(scaling_factor=scale)
    torch.manual_seed(plan.seed + 1)
    words = Words()
    unet, text_encoder = new_unet(plan.sizes), new_text_encoder(plan.sizes, words)
    if plan.start is not None:
        _start_from(plan.start, unet, text_encoder)
    if device.type == "cpu":
        plain_attention(unet)
        text_encoder.set_attn_implementation("eager")
    painter = Painter(unet, text_encoder).to(device)
    if compiled:
        painter.compile()
    stage = Stage(notes, "painter", painter, plan.seed, _RATE)
    exported = time.monotonic()

    def export(now: bool = False) -> None:
        nonlocal exported
        if now or time.monotonic() - exported > _EXPORT_EVERY:
            average: Any = stage.average
            save_pipeline(out, vae, average.unet, average.text_encoder)
            exported = time.monotonic()

    loss = painter_loss(mean * scale, std * scale, words, plan.painter_batch, plan.seed, device)
    stage.run(plan.budget("painter"), loss, save_every, export)
    export(now=True)


def _begin(notes: Path, plan: Plan) -> None:
    """Store the plan; raise TrainingError if the folder was begun with another one."""
    notes.mkdir(parents=True, exist_ok=True)
    text = json.dumps(dataclasses.asdict(plan), indent=1)
    file = notes / "plan.json"
    if file.exists() and json.loads(file.read_text()) != json.loads(text):
        raise TrainingError(f"{notes.parent} was begun with other settings, see {file}")
    replace(file, lambda path: path.write_text(text))


def _autoencoder(notes: Path, plan: Plan, device: torch.device, save_every: float) -> Any:
    """Return the trained autoencoder, or that of the model folder `plan.autoencoder`."""
    from diffusers import AutoencoderKL

    if plan.autoencoder is not None:
        vae = AutoencoderKL.from_pretrained(plan.autoencoder, subfolder="vae")
        vae.register_to_config(_name_or_path="")  # else the pipeline tells where it came from
        return vae.to(device)
    torch.manual_seed(plan.seed)
    vae = new_autoencoder(plan.sizes)
    if device.type == "cpu":
        plain_attention(vae)
    stage = Stage(notes, "autoencoder", vae.to(device), plan.seed, _RATE)
    loss = autoencoder_loss(plan.autoencoder_batch, device)
    stage.run(plan.budget("autoencoder"), loss, save_every)
    return stage.average


def _start_from(folder: str, unet: Any, text_encoder: Any) -> None:
    from diffusers import UNet2DConditionModel
    from transformers import CLIPTextModel

    for network, kind, part in (
        (unet, UNet2DConditionModel, "unet"),
        (text_encoder, CLIPTextModel, "text_encoder"),
    ):
        try:
            take_weights(network, kind.from_pretrained(folder, subfolder=part))
        except ValueError as error:
            raise TrainingError(f"cannot start from {folder}/{part}: {error}") from error


def ceiling(notes: Path, vae: Any, plan: Plan) -> None:
    """Write the judge's errors on reconstructions: no picture of this model can be better."""
    from small_model.judge import Judge
    from small_model.judge_error import measure

    file = notes / "ceiling.json"
    if not file.exists():
        rates = measure(Judge.load(), vae, count=6 if plan.tiny else 600)
        replace(file, lambda path: path.write_text(json.dumps(rates, indent=1)))
    rates = json.loads(file.read_text())["reconstructions"]
    shown = ", ".join(
        f"{name.replace('_', ' ')} {rates[name]['rate']:.3f} "
        f"[{rates[name]['low']:.3f}, {rates[name]['high']:.3f}]"
        for name in ("missed", "wrong_colour", "anything_wrong")
    )
    print(f"ceiling, the judge on reconstructions: {shown}", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m small_model.train", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float, help="train for this long in all")
    steps = (Plan.autoencoder_steps, Plan.painter_steps)
    length.add_argument(
        "--steps", type=int, nargs=2, default=steps, metavar=("AUTOENCODER", "UNET")
    )
    parser.add_argument("--latents", type=int, default=Plan.latents, help="pictures encoded")
    parser.add_argument("--seed", type=int, default=Plan.seed)
    parser.add_argument(
        "--autoencoder", metavar="MODEL", help="take a trained one from this folder"
    )
    parser.add_argument(
        "--start",
        metavar="MODEL",
        help="begin the UNet and text encoder with this model's weights, as far as there is room",
    )
    parser.add_argument("--save-every", type=float, default=120.0, metavar="SECONDS")
    parser.add_argument("--threads", type=int, help="of the CPU")
    parser.add_argument(
        "--compile", action="store_true", help="the UNet first: faster, needs a C++ compiler"
    )
    parser.add_argument("--tiny", action="store_true", help="tiny networks, to try the code")
    chosen = parser.parse_args(arguments)
    if min(*chosen.steps, chosen.latents, chosen.minutes or 1) <= 0:
        parser.error("--steps, --latents and --minutes must be above 0")
    if chosen.threads is not None:
        torch.set_num_threads(chosen.threads)
    plan = Plan(
        autoencoder_steps=chosen.steps[0],
        autoencoder_batch=2 if chosen.tiny else Plan.autoencoder_batch,
        painter_batch=4 if chosen.tiny else Plan.painter_batch,
        painter_steps=chosen.steps[1],
        latents=chosen.latents,
        minutes=chosen.minutes,
        seed=chosen.seed,
        tiny=chosen.tiny,
        autoencoder=chosen.autoencoder,
        start=chosen.start,
    )
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        train(chosen.out, plan, device, chosen.save_every, chosen.compile)
    except (TrainingError, OSError) as error:
        print(f"train: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from the last save", file=sys.stderr)
        return 130
    print(f"finished: python -m ebca generate 'a cat and a red balloon' --model {chosen.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
