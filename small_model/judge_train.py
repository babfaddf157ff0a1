"""Make the judge from nothing and measure it: `python -m small_model.judge_train`.

The judge learns from rendered pictures and from their reconstructions by the autoencoder, some with
noise on the latents, because pictures of a diffusion model look like those.
"""

from __future__ import annotations

import argparse
import copy
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

from small_model.judge import NAME, WEIGHTS, Judge
from small_model.judge_error import measure, objects_told, pictures_of, reconstruct
from small_model.judge_net import JudgeNet, Targets, loss, targets
from small_model.world import (
    SCENES,
    SIZE,
    STANDING,
    STYLES,
    WEARERS,
    WORN,
    Object,
    Placed,
    Scene,
    any_colour,
    draw_scene,
    put_on,
)

_BATCH = 64
_RATE = 3e-3
_LATENT_NOISE = 0.25  # at most, in standard deviations of the latents
_THRESHOLDS = [step / 20 for step in range(4, 15)]


def study_scene(rng: random.Random) -> Scene:
    """Draw a scene to learn from: things equally often, duplicates too, many placed freely."""
    background, style = rng.choice(SCENES), _draw_style(rng)
    if rng.random() < 0.4:
        return draw_scene(rng, _objects(rng, rng.choice((1, 2, 2, 3))), background, style)
    placed: list[Placed] = []
    things = _objects(rng, rng.randint(0, 4))
    if rng.random() < 0.3:
        things = [Object(rng.choice(list(WEARERS))), *things[:2]]
    for thing in things:
        side = rng.randint(18, 48) if not placed else rng.randint(18, 32)
        half = side // 2
        for _ in range(20):
            x, y = (rng.randint(half, SIZE - side + half) for _ in "xy")
            apart = [max(abs(x - it.x), abs(y - it.y)) - 0.45 * (side + it.side) for it in placed]
            if min(apart, default=1) > 0:
                placed.append(Placed(thing, x, y, side, rng.random() < 0.5))
                if thing.name in WEARERS and rng.random() < 0.4:
                    placed.append(put_on(placed[-1], any_colour(rng.choice(WORN), rng)))
                break
    return Scene(tuple(placed), background, style=style)


def _draw_style(rng: random.Random) -> str:
    return rng.choices(list(STYLES), [0.7, *[0.3 / (len(STYLES) - 1)] * (len(STYLES) - 1)])[0]


def _objects(rng: random.Random, count: int) -> list[Object]:
    things = [any_colour(rng.choice(STANDING), rng) for _ in range(count)]
    if count > 1 and rng.random() < 0.15:
        things[1] = things[0]
    return things


def train(vae: Any, steps: int, pool: int, seed: int = 0) -> JudgeNet:
    """Return a network after `steps` of training; `pool` reconstructions are made before."""
    torch.manual_seed(seed)
    rng = random.Random(f"judge {seed}")
    studied = [study_scene(rng) for _ in range(pool)]
    pictures = pictures_of(studied)
    bar = tqdm(total=pool, desc="reconstructions", unit="picture")
    rebuilt = []
    for number, part in enumerate(torch.split(pictures, _BATCH)):
        noise = _LATENT_NOISE * rng.random() if number % 2 else 0.0
        rebuilt.append(reconstruct(vae, part, noise))
        bar.update(len(part))
    bar.close()
    return _fit(JudgeNet(), studied, torch.cat(rebuilt), rng, steps)


def _fit(
    net: JudgeNet, studied: Sequence[Scene], rebuilt: Tensor, rng: random.Random, steps: int
) -> JudgeNet:
    average = copy.deepcopy(net)
    optimizer = torch.optim.AdamW(net.parameters(), lr=_RATE, weight_decay=1e-2)
    right = targets(studied)
    bar = tqdm(range(steps), desc="judge", unit="step")
    for step in bar:
        for group in optimizer.param_groups:
            group["lr"] = _RATE * min(1, (step + 1) / 100) * max(0.01, 1 - step / steps)
        scenes = [study_scene(rng) for _ in range(_BATCH // 2)]
        chosen = torch.tensor([rng.randrange(len(studied)) for _ in range(_BATCH // 2)])
        seen = _disturb(torch.cat([pictures_of(scenes), rebuilt[chosen]]), rng)
        wanted = [
            torch.cat([fresh, old[chosen]])
            for fresh, old in zip(targets(scenes), right, strict=True)
        ]
        with torch.autocast("cpu", torch.bfloat16):
            said = net(seen)
        lost = loss(type(said)(*(logits.float() for logits in said)), Targets(*wanted))
        optimizer.zero_grad()
        lost.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimizer.step()
        _follow(average, net, min(0.998, (step + 1) / (step + 10)))
        if step % 20 == 0:
            bar.set_postfix_str(f"loss {lost.item():.3f}")
    return average


def _follow(average: JudgeNet, net: JudgeNet, decay: float) -> None:
    for mean, now in zip(average.state_dict().values(), net.state_dict().values(), strict=True):
        mean.lerp_(now, 1 - decay) if mean.is_floating_point() else mean.copy_(now)


def _disturb(pictures: Tensor, rng: random.Random) -> Tensor:
    """Add noise, blur and a little less or more light, which the judge must not mind."""
    if rng.random() < 0.3:
        pictures = F.avg_pool2d(F.pad(pictures, (1, 1, 1, 1), mode="replicate"), 3, 1)
    light = 1 + 0.06 * torch.randn(len(pictures), 1, 1, 1) * rng.random()
    tint = 1 + 0.03 * torch.randn(len(pictures), 3, 1, 1) * rng.random()
    noise = 0.06 * rng.random() * torch.randn_like(pictures)
    return (pictures * light * tint + noise).clamp(0, 1)


def choose_threshold(net: JudgeNet, vae: Any, count: int = 400) -> float:
    """Return the threshold with the most faultless reconstructions, on pictures drawn for this."""
    rng = random.Random("threshold")
    scenes = [study_scene(rng) for _ in range(count)]
    rebuilt = reconstruct(vae, pictures_of(scenes))
    exact = {}
    for threshold in _THRESHOLDS:
        seen = Judge(net, threshold, {}).look(rebuilt)
        exact[threshold] = sum(
            objects_told(look, scene) == scene.objects
            for look, scene in zip(seen, scenes, strict=True)
        )
    best = [threshold for threshold in _THRESHOLDS if exact[threshold] == max(exact.values())]
    return best[len(best) // 2]


def main() -> None:
    """Run the command line."""
    from diffusers import AutoencoderKL

    released = Path(__file__).resolve().parent / "weights"
    parser = argparse.ArgumentParser(prog="python -m small_model.judge_train", description=__doc__)
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    parser.add_argument("--model", type=Path, default=released, help="whose autoencoder to use")
    parser.add_argument("--steps", type=int, default=4000, help="of training the network")
    parser.add_argument("--pool", type=int, default=3000, help="reconstructions to learn from")
    parser.add_argument("--measure", type=int, default=2000, help="pictures to measure it on")
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    vae = AutoencoderKL.from_pretrained(chosen.model / "vae")
    net = train(vae, chosen.steps, chosen.pool)
    state = {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in net.state_dict().items()
    }
    net.load_state_dict(state)  # measured as released: rounded to fp16
    judge = Judge(net, choose_threshold(net.eval(), vae), {})
    facts: dict[str, Any] = {
        "threshold": judge.threshold,
        "error": measure(judge, vae, chosen.measure),
    }
    chosen.out.mkdir(parents=True, exist_ok=True)
    save_file(state, chosen.out / f"{NAME}.safetensors")
    (chosen.out / f"{NAME}.safetensors").chmod(0o644)
    (chosen.out / f"{NAME}.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    for on in ("renders", "reconstructions"):
        print(on, {name: figures["rate"] for name, figures in facts["error"][on].items()})


if __name__ == "__main__":
    main()
