"""Make the pictures of a vote with the WebUI's own processing, in its queue.

EBCA takes part, but no other extension's script. The model and the options are the WebUI's present
ones; a vote that was begun with others waits until they are set again.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from modules import (  # type: ignore[import-not-found]
    call_queue,
    images,
    processing,
    scripts,
    sd_models,
    sd_samplers,
    sd_vae,
    shared,
)
from PIL import Image

from ebca.hosts.replacing import replaced
from ebca.version import VERSION
from ebca.vote.painter import PaintingStoppedError, Sampling
from ebca.vote.sides import Values
from ebca.webui import job
from ebca.webui.family import chosen_checkpoint

_TOLD_APART = ("sd_model_checkpoint", "sd_vae")
"""Options whose value may not name the file in use: it may be an alias, or "Automatic"."""

_STOPPED = ("interrupted", "skipped", "stopping_generation")

_SCHEDULERS = hasattr(processing.StableDiffusionProcessing, "scheduler")
"""Whether schedulers are separate, as since 1.9; before, they were part of a sampler's name."""


class WebUIPainter:
    """Paints with the WebUI's txt2img."""

    def turn(self) -> AbstractContextManager[object]:
        queue: AbstractContextManager[object] = call_queue.queue_lock
        return queue

    def conditions(self) -> dict[str, Any]:
        """Return the model and the changed options that the WebUI itself writes into pictures."""
        info, options = chosen_checkpoint(), shared.opts
        return {
            "version": VERSION,
            "host": f"WebUI {processing.program_version()}",
            "model": f"{info.name_for_extra} [{info.calculate_shorthash()}]",
            "vae": sd_vae.get_loaded_vae_name(),
            "options": {
                known.infotext: getattr(options, name)
                for name, known in options.data_labels.items()
                if getattr(known, "infotext", None)
                and name not in _TOLD_APART
                and getattr(options, name) != known.default
            },
        }

    def usual(self) -> Sampling:
        size = 1024 if getattr(sd_models.model_data.sd_model, "is_sdxl", False) else 512
        return {
            "steps": 20, "cfg": 7.0, "width": size, "height": size,
            "sampler": self.samplers()[0], "negative": "",
        }  # fmt: skip

    def samplers(self) -> list[str]:
        hidden = sd_samplers.samplers_hidden
        return [each.name for each in sd_samplers.samplers if each.name not in hidden]

    def paint(self, prompt: str, seed: int, sampling: Sampling, side: Values) -> Image.Image:
        p = processing.StableDiffusionProcessingTxt2Img(
            sd_model=shared.sd_model,
            prompt=prompt,
            negative_prompt=sampling["negative"],
            seed=seed,
            steps=sampling["steps"],
            cfg_scale=sampling["cfg"],
            width=sampling["width"],
            height=sampling["height"],
            sampler_name=sampling["sampler"],
            do_not_save_samples=True,
            do_not_save_grid=True,
            **({"scheduler": "Automatic"} if _SCHEDULERS else {}),
        )
        p.scripts, p.script_args = scripts.ScriptRunner(), ()
        shared.state.begin(job="ebca-vote")
        try:
            job.take_part(p, [side])
            with replaced(shared.cmd_opts, "no_prompt_history", True):  # nor the last infotext
                made = processing.process_images(p)
            if any(getattr(shared.state, name, False) for name in _STOPPED) or not made.images:
                raise PaintingStoppedError("Interrupted: no more pairs are made for now.")
            picture: Image.Image = made.images[0]
            return picture
        finally:
            job.leave(p)
            p.close()
            shared.state.end()

    def font(self, size: int) -> Any:
        return images.get_font(size)
