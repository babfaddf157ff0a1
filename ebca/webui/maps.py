"""Attention maps in the WebUI: collect them from a job's samplings, and draw them as strips."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from modules import images, shared  # type: ignore[import-not-found]
from PIL import Image

from ebca.core.maps import Maps, Seen
from ebca.options.page import PageSettings
from ebca.prompts.words import missing_words, read_list
from ebca.seeing.drawing import Frame, strip
from ebca.seeing.joining import WHOLE, Crop, joined

_ATTRIBUTE = "ebca_seen"
"""The attribute of a job that has its `JobMaps` while it runs."""


class JobMaps:
    """The attention maps of a job, for each of its samplings."""

    def __init__(self, page: PageSettings) -> None:
        self._page, self._words = page, read_list(page.attention_of)
        self._seen: dict[int, list[tuple[Maps, Crop]]] = {}  # by the number of the batch

    def attach(self, p: Any) -> None:
        """Let the samplings of the job `p` find these maps."""
        setattr(p, _ATTRIBUTE, self)

    def detach(self, p: Any) -> None:
        vars(p).pop(_ATTRIBUTE, None)

    def of_sampling(self, p: Any) -> Maps | None:
        """Return maps for the sampling that begins; None if the other pass is to be shown."""
        when, hires = self._page.attention_when, bool(p.is_hr_pass)
        both = bool(getattr(p, "enable_hr", False)) and self._page.hires == "same"
        if both and ((when == "early" and hires) or (when == "late" and not hires)):
            return None
        maps = Maps(self._words, when)
        self._seen.setdefault(p.iteration, []).append((maps, _crop(p)))
        return maps

    def seen(self, number: int, batch_size: int) -> Seen | None:
        """Return the attention in one picture of the job, if any was collected."""
        batch, place = divmod(number, batch_size)
        found = self._seen.get(batch, ())
        parts = [(maps.seen(place), crop) for maps, crop in found if place in maps.pictures]
        seen = joined(parts) if parts else None
        return seen if seen and (seen.words or seen.used) else None

    def missing(self, prompts: Sequence[str]) -> list[str]:
        """Return the words to be shown that no prompt has."""
        return missing_words(prompts, self._words)


def job_maps(p: Any) -> JobMaps | None:
    """Return the `JobMaps` of the job `p`, if its attention is to be shown."""
    found = vars(p).get(_ATTRIBUTE)
    return found if isinstance(found, JobMaps) else None


def draw(p: Any, picture: Image.Image, seen: Seen, title: str = "") -> Image.Image:
    """Draw the strip of a finished picture of the job `p`."""
    font = getattr(images, "get_font", None)
    given = {"font": font} if font else {}
    return strip(picture, seen, frame=_frame(p, picture), title=title, **given)


def _crop(p: Any) -> Crop:
    """Return the part of the first pass that hires fix leaves when it cuts the enlarged picture."""
    cut = getattr(p, "truncate_x", 0), getattr(p, "truncate_y", 0)
    if p.is_hr_pass or not getattr(p, "enable_hr", False) or not any(cut):
        return WHOLE
    wide, high = p.hr_upscale_to_x // 8, p.hr_upscale_to_y // 8
    return Crop(
        (cut[0] // 2) / wide,
        (cut[1] // 2) / high,
        1 - ((cut[0] + 1) // 2) / wide,
        1 - ((cut[1] + 1) // 2) / high,
    )


def _frame(p: Any, picture: Image.Image) -> Frame | None:
    """Return the part of the picture that was painted with "only masked"; None without it."""
    place, overlays = getattr(p, "paste_to", None), getattr(p, "overlay_images", None)
    if not place or not overlays or not getattr(shared.opts, "overlay_inpaint", True):
        return None
    return Frame(*place) if overlays[0].size == picture.size else None
