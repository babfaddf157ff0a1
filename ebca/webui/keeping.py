"""Checks of keeping the picture before anything is sampled; `holding` does the keeping."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from modules import extra_networks  # type: ignore[import-not-found]

from ebca.options.keeping import Keeping
from ebca.prompts import split_prompt
from ebca.settings import SettingsError

_EDITING_CHANNELS = 8  # of the latents, and of the picture that is edited

NO_PICTURE = "EBCA: “Keep the picture” did nothing: it works in img2img and inpaint only."


def has_picture(p: Any) -> bool:
    return bool(getattr(p, "init_images", None))


def check(keeping: Keeping, prompts: Sequence[str], unet: Any) -> None:
    """Raise SettingsError if a UNet cannot keep the picture of a job with these prompts; `unet` is
    None while it is not known."""
    if not keeping.keep:
        return
    if getattr(unet, "in_channels", None) == _EDITING_CHANNELS:
        raise SettingsError("keep", True, "off: an InstructPix2Pix model keeps by itself")
    if not all(text.strip() for text in source_texts(keeping, prompts)):
        legal = "what the picture shows, since the prompt is empty"
        raise SettingsError("keep_source", keeping.keep_source, legal)


def source_texts(keeping: Keeping, prompts: Sequence[str]) -> list[str]:
    """Return a description of each prompt's picture, free of extra networks."""
    given = keeping.keep_source.strip()
    texts = [given] * len(prompts) if given else [split_prompt(each)[0].text for each in prompts]
    plain: list[str] = extra_networks.parse_prompts(texts)[0]
    return plain
