"""The first run of a sampler: the picture's path into noise, and the moves that hold it there."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from hashlib import md5
from typing import Any

import torch
from modules import (  # type: ignore[import-not-found]
    prompt_parser,
    rng,
    sd_samplers_common,
    shared,
)
from torch import Tensor

from ebca.editing.flow import between, step_back
from ebca.editing.holding import Recording
from ebca.editing.paths import Flow, Path, Scattered
from ebca.settings.keeping import Keeping
from ebca.webui.recordings import Found

_ADAPTIVE = (
    "EBCA: this sampler chooses its steps by itself, so EBCA found only the noise that it begins"
    " with. Another sampler keeps more of the picture."
)
_LATENT_NOISE = 2  # what is masked is filled with
_PLAIN = (str, bool, int, float)
_ITERATIONS = 2  # evaluations of the model for each step back along the flow


def encoded(p: Any, texts: Sequence[str], sampler: Any) -> Any:
    """Texts as the host encodes negative prompts: with their schedules, one for each image."""
    prompts = prompt_parser.SdConditioning(texts, width=p.width, height=p.height)
    steps = sampler.config.total_steps(p.steps)
    return prompt_parser.get_learned_conditioning(shared.sd_model, prompts, steps)


class InversionRun:
    """One run of a sampler on the picture of the job `p`, under what it shows.

    Levels are sigma; the host's own are those, or timesteps, where latents are scaled:
    host's x = scale (clean + sigma noise).
    """

    def __init__(
        self, p: Any, keeping: Keeping, texts: Sequence[str], model: Any, given: dict[str, Any]
    ) -> None:
        """`given` are the arguments that the sampler is called with; `model` is the host's
        denoiser."""
        self._p, self._keeping, self._texts, self._model = p, keeping, texts, model
        self._on_grid = "timesteps" in given
        self._adaptive = "sigma_min" in given and "n" not in given
        self._levels = self._rising(given)
        self._recording = Recording()
        self._given = given.get("extra_args") or {}
        self._said = tuple(sorted((n, v) for n, v in given.items() if isinstance(v, _PLAIN)))
        self._evaluations = 0

    @property
    def key(self) -> tuple[Hashable, ...]:
        """What decides what is found, besides the model and the sampler."""
        p, keeping, opts = self._p, self._keeping, shared.opts
        scattered = keeping.keep_noise == "scattered" and not self._adaptive
        networks = repr(getattr(p, "extra_network_data", None))
        return (
            self._said, tuple(self._levels), tuple(self._texts), keeping.keep_noise, networks,
            tuple(p.seeds) if scattered else round(keeping.keep_steps),
            _picture(p), (p.width, p.height, p.resize_mode), opts.CLIP_stop_at_last_layers,
            opts.sd_vae, opts.sd_vae_encode_method, opts.img2img_background_color,
        )  # fmt: skip

    def find(self, function: Any, model: Any, x: Tensor, *args: Any, **kwargs: Any) -> Found:
        """Run the sampler `function` once. Raises the host's InterruptedException."""
        self._encoded = encoded(self._p, self._texts, self._model.sampler)
        clean = self._model.init_latent
        shared.state.sampling_steps = self._expected()
        path = self._path(clean)
        start = x
        if self._adaptive:
            start = self._to_host(path, float(kwargs["sigma_max"]))
        else:
            kwargs["callback"] = _nothing
            made = function(_Recorded(self, path), x.clone(), *args, **kwargs)
            self._recording.move(made, clean)
        kept = Recording(*(_put_away(each) for each in _columns(self._recording)))
        return Found(start.detach().cpu(), kept, clean.detach().cpu(), _ADAPTIVE * self._adaptive)

    def step(self, path: Path, x: Tensor, level: float) -> None:
        """Move a step of the sampler, in place, and note the move."""
        x.copy_(self._recording.move(x.clone(), self._to_host(path, level).to(x)))

    def evaluate(self, x: Tensor, level: Tensor) -> Tensor:
        """The host's model under the source prompt alone, one row an image."""
        if shared.state.interrupted or shared.state.skipped:
            raise sd_samplers_common.InterruptedException
        image_cond, model = self._given["image_cond"], self._model
        if model.mask is not None and model.mask_before_denoising:
            x = x * model.nmask + model.init_latent * model.mask
        step = len(self._recording.moves)
        rows = [
            prompt_parser.reconstruct_cond_batch([each], max(step - 1, 0)) for each in self._encoded
        ]
        if len({row.shape[1] for row in rows}) == 1:
            made = self._rows(x, level, _joined(rows), image_cond)
        else:
            each = zip(
                *(torch.split(t, 1) for t in (x, level)),
                rows,
                torch.split(image_cond, 1),
                strict=True,
            )
            made = torch.cat([self._rows(*one) for one in each])
        self._evaluations += 1
        shared.state.sampling_step = self._evaluations
        if model.mask is not None and not model.mask_before_denoising:
            made = made * model.nmask + model.init_latent * model.mask
        return made

    def _rows(self, x: Tensor, level: Tensor, context: Any, image_cond: Tensor) -> Tensor:
        if shared.sd_model.model.conditioning_key == "crossattn-adm":
            cond: Any = {"c_crossattn": [context], "c_adm": image_cond}
        elif isinstance(context, dict):
            cond = {**context, "c_concat": [image_cond]}
        else:
            cond = {"c_crossattn": [context], "c_concat": [image_cond]}
        made: Tensor = self._model.inner_model(x, level, cond=cond)
        return made

    # Paths

    def _path(self, clean: Tensor) -> Path:
        if self._keeping.keep_noise == "flow" or self._adaptive:
            back = between(self._levels, round(self._keeping.keep_steps))
            return Flow(clean, back, step_back(clean, back, self._denoise, _ITERATIONS))
        generators = [rng.create_generator(seed) for seed in self._p.seeds]
        shape = clean.shape[1:]

        def draw() -> Tensor:
            drawn = [rng.randn_without_seed(shape, generator=each) for each in generators]
            return torch.stack(drawn).to(clean)

        return Scattered(clean, draw)

    def _denoise(self, x: Tensor, sigma: float) -> Tensor:
        """D(x, sigma)."""
        if not self._on_grid:
            return self.evaluate(x, x.new_full((len(x),), sigma))
        timestep = self._timestep(sigma)
        noise = self.evaluate(x / math.sqrt(1.0 + sigma**2), x.new_full((len(x),), round(timestep)))
        return x - sigma * noise

    def _expected(self) -> int:
        own = int(self._model.total_steps or 0)
        if self._keeping.keep_noise == "flow" or self._adaptive:
            count = round(self._keeping.keep_steps) or len(self._levels)
            return own * (not self._adaptive) + count * _ITERATIONS
        return own

    # Levels

    def _rising(self, given: dict[str, Any]) -> list[float]:
        """Those of the run above 0, lowest first."""
        if self._on_grid:
            return sorted({self._sigma(float(t)) for t in given["timesteps"]})
        known = next((given[name] for name in ("sigmas", "sigma_sched") if name in given), None)
        if known is not None:
            return sorted({float(sigma) for sigma in known if sigma > 0})
        low, high = (math.log(float(given[name])) for name in ("sigma_min", "sigma_max"))
        count = int(given.get("n", self._model.steps or 2))
        return [math.exp(low + place * (high - low) / max(count - 1, 1)) for place in range(count)]

    def _to_host(self, path: Path, level: float) -> Tensor:
        """Where the path is at a level as the host has it, in its scale."""
        if not self._on_grid:
            return path.at(level)
        sigma = self._sigma(level)
        return path.at(sigma) / math.sqrt(1.0 + sigma**2)

    def _sigma(self, timestep: float) -> float:
        """Of a timestep, which may lie between two."""
        alphas = shared.sd_model.alphas_cumprod
        below = min(max(int(timestep), 0), len(alphas) - 2)
        share = min(max(timestep - below, 0.0), 1.0)
        alpha = float(alphas[below]) ** (1.0 - share) * float(alphas[below + 1]) ** share
        return math.sqrt((1.0 - alpha) / alpha)

    def _timestep(self, sigma: float) -> float:
        alphas = shared.sd_model.alphas_cumprod
        return float((alphas.float() - 1.0 / (1.0 + sigma**2)).abs().argmin())


def _picture(p: Any) -> Hashable:
    """What tells the job's picture and mask from others."""
    images = [*p.init_images, getattr(p, "image_mask", None)]
    seen = [each and (each.mode, each.size, md5(each.tobytes()).hexdigest()) for each in images]
    inpaint = ("mask_blur_x", "mask_blur_y", "mask_round", "inpaint_full_res",
               "inpaint_full_res_padding", "inpainting_mask_invert", "inpainting_fill")  # fmt: skip
    noise = tuple(p.seeds) if p.inpainting_fill == _LATENT_NOISE else None
    return (*seen, *(getattr(p, name, None) for name in inpaint), noise)


class _Recorded:
    """The host's denoiser in the first run."""

    def __init__(self, run: InversionRun, path: Path) -> None:
        vars(self).update(_run=run, _path=path, last_noise_uncond=None)

    def __call__(self, x: Tensor, level: Tensor, **_given: Any) -> Tensor:
        self._run.step(self._path, x, float(level.flatten()[0]))
        made: Tensor = self._run.evaluate(x, level)
        vars(self)["last_noise_uncond"] = made
        return made

    def __getattr__(self, name: str) -> Any:
        return getattr(self._run._model, name)


def _nothing(_step: dict[str, Any]) -> None:
    """In the place of the callback that counts the job's own steps."""


def _joined(rows: Sequence[Any]) -> Any:
    """Encodings of single images as one of all."""
    if isinstance(rows[0], dict):
        return type(rows[0])({name: torch.cat([row[name] for row in rows]) for name in rows[0]})
    return torch.cat(list(rows))


def _columns(recording: Recording) -> tuple[list[Tensor], list[Tensor]]:
    return recording.targets, recording.moves


def _put_away(tensors: Sequence[Tensor]) -> list[Tensor]:
    return [each.detach().cpu() for each in tensors]
