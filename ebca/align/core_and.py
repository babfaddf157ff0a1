"""The WebUI's own AND on a diffusers pipeline: one UNet row for every prompt.

    result = uncond + sum_i w_i cfg (cond_i - uncond)

A hook gives the UNet a row for each prompt and returns the two rows that the pipeline expects. The
conditional one is uncond + sum_i w_i (cond_i - uncond); the pipeline then applies guidance.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from ebca.prompts import split_prompt
from ebca.settings import SettingsError


@contextmanager
def core_and(pipe: Any, prompts: Sequence[str], alpha: float = 1.0) -> Iterator[list[str]]:
    """Compose `prompts`, which all have the same number of parts, while the block runs.

    Yields the prompts that the pipeline must be called with, in that order; guidance must be on.
    `alpha` multiplies the weights of all parts but the first.
    """
    images = [split_prompt(prompt) for prompt in prompts]
    if len({len(parts) for parts in images}) != 1:
        raise ValueError("Expected prompts with equally many parts.")
    count = len(images[0])
    encoded = [_encode(pipe, [parts[i].text for parts in images]) for i in range(1, count)]
    weights = torch.tensor([[part.weight for part in parts] for parts in images])
    weights[:, 1:] *= alpha

    def spread(_unet: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        if not pipe.do_classifier_free_guidance:
            raise SettingsError("cfg", pipe.guidance_scale, "above 1 for the WebUI's AND")
        kwargs = dict(kwargs)
        context: Tensor = kwargs["encoder_hidden_states"]
        kwargs["encoder_hidden_states"] = torch.cat([context, *(c.to(context) for c, _ in encoded)])
        if added := kwargs.get("added_cond_kwargs"):
            kwargs["added_cond_kwargs"] = {
                name: torch.cat([tensor, *_added(name, tensor, encoded)])
                for name, tensor in added.items()
            }
        sample: Tensor = args[0]
        half = sample[sample.shape[0] // 2 :]
        return (torch.cat([sample, *[half] * (count - 1)]), *args[1:]), kwargs

    def gather(_unet: Any, _args: Any, output: Any) -> Any:
        uncond, *conds = output[0].chunk(count + 1)
        total = torch.zeros_like(uncond)
        for index, cond in enumerate(conds):
            weight = weights[:, index].to(cond).reshape(-1, 1, 1, 1)
            total = total + weight * (cond - uncond)
        return (torch.cat([uncond, uncond + total]),)

    handles = [
        pipe.unet.register_forward_pre_hook(spread, with_kwargs=True),
        pipe.unet.register_forward_hook(gather),
    ]
    try:
        yield [parts[0].text for parts in images]
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def _encode(pipe: Any, texts: list[str]) -> tuple[Tensor, Tensor | None]:
    """Return (contexts [b, t, c], pooled vectors or None) of `texts`."""
    encoded = pipe.encode_prompt(
        texts,
        device=pipe._execution_device,
        num_images_per_prompt=1,
        do_classifier_free_guidance=False,
    )
    return encoded[0], encoded[2] if len(encoded) > 2 else None


def _added(name: str, tensor: Tensor, encoded: Sequence[Any]) -> Iterator[Tensor]:
    """Yield the rows of the added prompts for one of the additional inputs of SDXL's UNet."""
    for _, pooled in encoded:
        if name == "text_embeds" and pooled is not None:
            yield pooled.to(tensor)
        else:
            yield tensor[tensor.shape[0] // 2 :]
