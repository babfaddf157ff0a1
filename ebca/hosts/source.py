"""Evaluate a WebUI's model under the source prompt, without guidance, outside of any sampling.

The source prompt says what a picture shows; there is one row an image. AUTOMATIC1111's denoiser
evaluates the negative prompts at any guidance, so its inner model is called directly. Forge's
denoiser leaves them out at guidance 1. It is called itself, since it takes care of what surrounds
its model: memory, control, other extensions' patches of the UNet, the mask.

Levels and results are in the host's terms: sigmas and denoised latents, or timesteps and noise.
Nothing of the hosts is imported: their objects are recognized by their attributes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from ebca.hosts.replacing import replaced

Evaluate = Callable[[Tensor, Tensor, int, Mapping[str, Any]], Tensor]
"""Evaluates latents [b, c, h, w] at a level [b] and a step of the sampler; the mapping has the
arguments that the sampler gives its denoiser."""


@contextmanager
def webui_source(
    denoiser: Any, contexts: Callable[[int], Any], conditioning_key: str
) -> Iterator[Evaluate]:
    """Give a function that evaluates AUTOMATIC1111's model under the source prompts. `contexts`
    gives their encodings at a step, one row an image; `conditioning_key` says how the model takes
    an image as a condition."""

    def blended(x: Tensor) -> Tensor:
        kept: Tensor = x * denoiser.nmask + denoiser.init_latent * denoiser.mask
        return kept

    def evaluate(x: Tensor, level: Tensor, step: int, given: Mapping[str, Any]) -> Tensor:
        before = denoiser.mask is not None and denoiser.mask_before_denoising
        cond = _conditioning(contexts(step), given["image_cond"], conditioning_key)
        made: Tensor = denoiser.inner_model(blended(x) if before else x, level, cond=cond)
        return made if denoiser.mask is None or before else blended(made)

    yield evaluate


def _conditioning(context: Any, image_cond: Tensor, key: str) -> dict[str, Any]:
    if key == "crossattn-adm":
        return {"c_crossattn": [context], "c_adm": image_cond}
    if isinstance(context, dict):
        return {**context, "c_concat": [image_cond]}
    return {"c_crossattn": [context], "c_concat": [image_cond]}


@contextmanager
def forge_source(denoiser: Any, encoded: Sequence[Any]) -> Iterator[Evaluate]:
    """Give a function that evaluates Forge's denoiser under the source prompts, whose schedules
    are `encoded`. No refiner takes over, and afterwards the denoiser's step is as before."""

    def evaluate(x: Tensor, level: Tensor, step: int, given: Mapping[str, Any]) -> Tensor:
        denoiser.step = step
        cond = _as_prompts(encoded, given["cond"])
        # some samplers ask for the negative prompts' result, even at guidance 1
        own = {"cond": cond, "uncond": encoded, "cond_scale": 1.0}
        made: Tensor = denoiser(x, level, **{**given, **own})
        return made

    sampler = denoiser.sampler
    with (
        replaced(denoiser.p, "refiner_checkpoint_info", None),
        replaced(denoiser, "step", 0),
        replaced(sampler, "last_latent", sampler.last_latent),
    ):
        yield evaluate


def _as_prompts(encoded: Sequence[Any], like: Any) -> Any:
    """Return encoded prompts, one an image, in the host's types, taken from the job's (`like`)."""
    whole, part = type(like), type(like.batch[0][0])
    return whole(shape=(len(encoded),), batch=[[part(schedule)] for schedule in encoded])
