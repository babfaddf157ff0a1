"""A WebUI's model under what a picture shows, without guidance and beside any sampling: one row an
image.

AUTOMATIC1111's denoiser evaluates the negative prompts at any guidance, so that its inner model is
asked past it. Forge's leaves them out at guidance 1. It is asked itself, since what stands around
its model (memory, control, what others put on the UNet, the mask) is its own business.

Levels and what comes out are in the host's terms: sigmas and the denoised, or timesteps and the
noise. Nothing of the hosts is imported: their objects are known by what they have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from ebca.hosts.replacing import replaced

Evaluate = Callable[[Tensor, Tensor, int, Mapping[str, Any]], Tensor]
"""Of latents [b, c, h, w] at a level [b], at a step of the sampler, which gives its denoiser the
mapping as arguments."""


@contextmanager
def webui_source(
    denoiser: Any, contexts: Callable[[int], Any], conditioning_key: str
) -> Iterator[Evaluate]:
    """`contexts` gives what is shown at a step, encoded, a row an image; `conditioning_key` says
    how the model takes what is shown by a picture."""

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
    """`encoded` has the schedule of what each image shows. No refiner takes over, and afterwards
    the denoiser has made no step yet."""

    def evaluate(x: Tensor, level: Tensor, step: int, given: Mapping[str, Any]) -> Tensor:
        denoiser.step = step
        cond = _as_prompts(encoded, given["cond"])
        # some samplers ask what comes of the negative prompts, at guidance 1 too
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
    """As the host has prompts, of which each image may have several; `like` are the job's."""
    whole, part = type(like), type(like.batch[0][0])
    return whole(shape=(len(encoded),), batch=[[part(schedule)] for schedule in encoded])
