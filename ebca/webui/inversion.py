"""The first run of a sampler: find the picture's path into noise, and the moves that keep to it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
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
from ebca.hosts.source import Evaluate
from ebca.options.keeping import Keeping
from ebca.webui.family import family
from ebca.webui.levels import Levels
from ebca.webui.recordings import Found
from ebca.webui.samplers import StandIn, quiet

_ADAPTIVE = (
    "EBCA: this sampler chooses its steps by itself, so EBCA found only the noise that it begins"
    " with. Another sampler keeps more of the picture."
)
_LATENT_NOISE = 2  # the masked part is filled with noise
_PLAIN = (str, bool, int, float)
_ITERATIONS = 2  # evaluations of the model for each step back along the flow


def encoded(p: Any, texts: Sequence[str], sampler: Any) -> Any:
    """Encode texts, one for each image, as the host encodes negative prompts: with their schedules,
    and all to one length."""
    prompts = prompt_parser.SdConditioning(texts, width=p.width, height=p.height)
    steps = sampler.config.total_steps(p.steps)
    made = prompt_parser.get_learned_conditioning(shared.sd_model, prompts, steps)
    longest = max(_tokens(part.cond) for each in made for part in each)
    return [[part._replace(cond=_lengthened(part.cond, longest)) for part in each] for each in made]


class InversionRun:
    """One run of a sampler on the picture of the job `p`, under the texts that describe it.

    Levels are sigma (`levels.py`).
    """

    _source: Evaluate

    def __init__(
        self, p: Any, keeping: Keeping, texts: Sequence[str], model: Any,
        function: Callable[..., Any], given: dict[str, Any],
    ) -> None:  # fmt: skip
        """`model` is the host's denoiser; `given` has the arguments of the sampler's `function`."""
        self._p, self._keeping, self._texts = p, keeping, texts
        self._model, self._function = model, function
        self._adaptive = _is_adaptive(function, given)
        self._levels = Levels(given, model.steps, getattr(shared.sd_model, "alphas_cumprod", None))
        self._recording = Recording()
        self._given = given.get("extra_args") or {}
        self._said = tuple(sorted((n, v) for n, v in given.items() if isinstance(v, _PLAIN)))
        self._evaluations = 0

    @property
    def key(self) -> tuple[Hashable, ...]:
        """Everything that the result depends on, besides the model and the sampler."""
        p, keeping = self._p, self._keeping
        scattered = keeping.keep_noise == "scattered" and not self._adaptive
        return (
            self._said, tuple(self._levels.rising), tuple(self._texts), keeping.keep_noise,
            tuple(p.seeds) if scattered else round(keeping.keep_steps),
            _picture(p), (p.width, p.height, p.resize_mode), _networks(p), _options(),
        )  # fmt: skip

    def find(self, encoded: Any, x: Tensor, *args: Any, **kwargs: Any) -> Found:
        """Run the sampler once; `encoded` are the encoded descriptions of the pictures. Raises the
        host's InterruptedException."""
        clean = self._model.init_latent
        shared.state.sampling_steps = self._expected()
        with family().source(self._model, encoded) as self._source:
            path = self._path(clean)
            start = x
            if self._adaptive:
                start = path.at(self._levels.rising[-1])
            else:
                given = {**kwargs, "callback": _nothing, "extra_args": dict(self._given)}
                with quiet(self._p, x, given, lambda: True):
                    made = self._function(self._recorded(path), x.clone(), *args, **given)
                self._recording.move(made, clean)
        kept = Recording(*(_put_away(each) for each in _columns(self._recording)))
        return Found(start.detach().cpu(), kept, clean.detach().cpu(), _ADAPTIVE * self._adaptive)

    def _recorded(self, path: Path) -> StandIn:
        """Return a denoiser that moves every step to the path and records the move."""

        def recorded(x: Tensor, level: Tensor, given: dict[str, Any]) -> Tensor:
            if x.shape == path.clean.shape:
                self.step(path, x, float(level.flatten()[0]))
            made = self.evaluate(x, level, given)
            self._model.last_noise_uncond = made
            return made

        return StandIn(self._model, recorded)

    def step(self, path: Path, x: Tensor, level: float) -> None:
        """Move the sampler's latents `x` in place to the path at `level`, and record the move."""
        x.copy_(self._recording.move(x.clone(), self._levels.to_host(path, level).to(x)))

    def evaluate(self, x: Tensor, level: Tensor, given: Mapping[str, Any]) -> Tensor:
        """Evaluate the host's model under the source prompt alone, with one row for each image;
        `given` has the arguments of the host's denoiser."""
        if shared.state.interrupted or shared.state.skipped:
            raise sd_samplers_common.InterruptedException
        made = self._source(x, level, max(len(self._recording.moves) - 1, 0), given)
        self._evaluations += 1
        shared.state.sampling_step = self._evaluations
        return made

    # Paths

    def _path(self, clean: Tensor) -> Path:
        if self._keeping.keep_noise == "flow" or self._adaptive:
            back = between(self._levels.rising, round(self._keeping.keep_steps))
            return Flow(clean, back, step_back(clean, back, self._denoise, _ITERATIONS))
        generators = [rng.create_generator(seed) for seed in self._p.seeds]
        shape = clean.shape[1:]

        def draw() -> Tensor:
            drawn = [rng.randn_without_seed(shape, generator=each) for each in generators]
            return torch.stack(drawn).to(clean)

        return Scattered(clean, draw)

    def _denoise(self, x: Tensor, sigma: float) -> Tensor:
        """Return the denoised latents D(x, sigma)."""
        levels = self._levels
        if not levels.on_grid:
            return self.evaluate(x, x.new_full((len(x),), sigma), self._given)
        level = x.new_full((len(x),), levels.timestep(sigma))
        return x - sigma * self.evaluate(x * levels.scale(sigma), level, self._given)

    def _expected(self) -> int:
        own = int(self._model.total_steps or 0)
        if self._keeping.keep_noise == "flow" or self._adaptive:
            count = round(self._keeping.keep_steps) or len(self._levels.rising)
            return own * (not self._adaptive) + count * _ITERATIONS
        return own


def _is_adaptive(function: Callable[..., Any], given: Mapping[str, Any]) -> bool:
    """Whether a sampler chooses its steps by itself: DPM adaptive, and the ODE solvers of reForge,
    which call the model between their steps with tensors that they do not go on with."""
    solver = getattr(function, "__name__", "").startswith("sample_ode")
    return solver or ("sigma_min" in given and "n" not in given)


def _networks(p: Any) -> Hashable:
    """Return a key of the extra networks of the prompts, such as LoRAs."""
    data = getattr(p, "extra_network_data", None) or {}
    return tuple((name, tuple(tuple(each.items) for each in data[name])) for name in sorted(data))


def _options() -> Hashable:
    """Return a key of the host's settings: some change its samplers, encoders or autoencoders."""
    return md5(repr(sorted(shared.opts.data.items())).encode()).hexdigest()


def _picture(p: Any) -> Hashable:
    """Return a key of the job's picture and mask."""
    images = [*p.init_images, getattr(p, "image_mask", None)]
    seen = [each and (each.mode, each.size, md5(each.tobytes()).hexdigest()) for each in images]
    inpaint = ("mask_blur_x", "mask_blur_y", "mask_round", "inpaint_full_res",
               "inpaint_full_res_padding", "inpainting_mask_invert", "inpainting_fill")  # fmt: skip
    noise = tuple(p.seeds) if p.inpainting_fill == _LATENT_NOISE else None
    return (*seen, *(getattr(p, name, None) for name in inpaint), noise)


def _nothing(_step: dict[str, Any]) -> None:
    """Stand in for the callback that counts the job's own steps."""


def _columns(recording: Recording) -> tuple[list[Tensor], list[Tensor]]:
    return recording.targets, recording.moves


def _put_away(tensors: Sequence[Tensor]) -> list[Tensor]:
    return [each.detach().cpu() for each in tensors]


def _tokens(cond: Any) -> int:
    return len(cond["crossattn"] if isinstance(cond, dict) else cond)


def _lengthened(cond: Any, tokens: int) -> Any:
    """Repeat the last vector of an encoding, as the host does to make prompts of one length."""
    if isinstance(cond, dict):
        return {**cond, "crossattn": _lengthened(cond["crossattn"], tokens)}
    return torch.cat([cond, cond[-1:].repeat(tokens - len(cond), 1)])
