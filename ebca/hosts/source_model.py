"""A picture in a diffusers pipeline: its latents, and the UNet under its source prompt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ebca.hosts.levels import Levels

_ROWS = 8  # the most rows in one call of the UNet

Progress = Callable[[], None]
"""A function called after each evaluation."""


def encoded(pipe: Any, pictures: Sequence[Any]) -> Tensor:
    """Return the most likely latents [b, 4, h, w] of pictures, which are encoded one by one."""
    vae, device = pipe.vae, pipe._execution_device
    latents = []
    for picture in pictures:
        pixels = pipe.image_processor.preprocess(picture).to(device=device, dtype=vae.dtype)
        latents.append(vae.encode(pixels).latent_dist.mode())
    scaled: Tensor = torch.cat(latents) * vae.config.scaling_factor
    return scaled


class SourceModel:
    """The model under the source prompt, without guidance: one row a picture. It keeps the
    last answer at each timestep, since the sampling that is recorded asks again what the search for
    its path has asked."""

    def __init__(
        self, pipe: Any, texts: list[str], size: tuple[int, int], progress: Progress
    ) -> None:
        """`texts` has a prompt for each picture; `size` is (width, height) in pixels."""
        self._unet, self._progress, self.evaluations = pipe.unet, progress, 0
        self._last: dict[float, tuple[Tensor, Tensor]] = {}  # timestep: (sample, answer)
        self._kind = str(getattr(pipe.scheduler.config, "prediction_type", "epsilon"))
        device, (width, height) = pipe._execution_device, size
        encoded = pipe.encode_prompt(
            texts, device=device, num_images_per_prompt=1, do_classifier_free_guidance=False
        )
        self._context: Tensor = encoded[0]
        self._more: dict[str, Tensor] | None = None
        if getattr(pipe, "text_encoder_2", None) is not None:  # SDXL
            ids = [[height, width, 0, 0, height, width]] * len(texts)
            known = torch.tensor(ids, dtype=self._context.dtype, device=device)
            self._more = {"text_embeds": encoded[2], "time_ids": known}

    def predict(self, sample: Tensor, timestep: Any) -> Tensor:
        """Return the UNet's output for latents [b, c, h, w] in the scale that it expects."""
        asked, answer = self._last.get(float(timestep), (sample, None))
        if answer is None or not _same(asked, sample):
            answer = self._evaluated(sample, timestep)
            self._last[float(timestep)] = sample, answer
        return answer

    def _evaluated(self, sample: Tensor, timestep: Any) -> Tensor:
        rows = torch.arange(len(sample)).split(_ROWS)  # type: ignore[no-untyped-call]
        made = [self._rows(sample, each, timestep) for each in rows]
        self.evaluations += 1
        self._progress()
        return torch.cat(made).to(sample.dtype)

    def _rows(self, sample: Tensor, rows: Tensor, timestep: Any) -> Tensor:
        more = self._more and {name: each[rows] for name, each in self._more.items()}
        predicted: Tensor = self._unet(
            sample[rows].to(self._context.dtype), timestep, added_cond_kwargs=more,
            encoder_hidden_states=self._context[rows], return_dict=False,
        )[0]  # fmt: skip
        return predicted

    def at_levels(self, levels: Levels) -> Callable[[Tensor, float], Tensor]:
        """Return the denoiser D(x, sigma) for `ebca.editing.flow`."""

        def denoise(x: Tensor, sigma: float) -> Tensor:
            a = (1.0 + sigma**2) ** -0.5
            out: Tensor = self.predict(x * a, levels.timestep(sigma))
            if self._kind == "sample":
                return out
            if self._kind == "v_prediction":  # v = a noise - a sigma clean
                clean: Tensor = x * a**2 - out * (sigma * a)
                return clean
            return x - sigma * out

        return denoise


def _same(one: Tensor, other: Tensor) -> bool:
    """Whether two latents are the same but for rounding."""
    rounding = 8.0 * torch.finfo(one.dtype).eps * float(one.abs().max())
    return one.shape == other.shape and float((one - other).abs().max()) <= rounding
