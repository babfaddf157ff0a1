"""The part of a vote that a host brings: pictures, and the conditions they are made under."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

from PIL import Image, ImageFont

from ebca.settings import SettingsError
from ebca.vote.prompts import clean
from ebca.vote.sides import Values

SIZES, STEPS, CFG = (64, 2048), (1, 150), (0.0, 30.0)
"""Legal sizes in pixels, numbers of steps, and guidance scales."""

Sampling = dict[str, Any]
"""`steps`, `cfg`, `width`, `height`, `sampler`, `negative`."""


class Painter(Protocol):
    """Makes the pictures of a vote."""

    def turn(self) -> AbstractContextManager[object]:
        """Reserve the model: nobody else uses it inside the block."""

    def conditions(self) -> dict[str, Any]:
        """Return what decides the pictures besides prompt, seed, settings and sampling: the model
        and the versions. Votes under other conditions are not mixed."""

    def usual(self) -> Sampling:
        """Return the sampling that is used if the user says nothing."""

    def samplers(self) -> list[str]:
        """Return the names to choose from; empty if there is no choice."""

    def paint(self, prompt: str, seed: int, sampling: Sampling, side: Values) -> Image.Image:
        """Make a picture, within a `turn`. Raises PaintingStoppedError if the user interrupts."""

    def font(self, size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
        """Return the font for the picture of the result; `size` is in pixels."""


class PaintingStoppedError(Exception):
    """The user interrupted a picture and, for now, wants none of the next ones either."""


def checked_sampling(given: Mapping[str, Any], painter: Painter) -> Sampling:
    """Return a full sampling, with the painter's values where none is given. Raises SettingsError,
    naming the field, for a value that cannot be used."""
    usual = painter.usual()
    if not isinstance(given, Mapping):
        raise SettingsError("sampling", given, "an object")
    sampling = {name: given.get(name, value) for name, value in usual.items()}
    for name in ("width", "height"):
        sampling[name] = _whole(name, sampling[name], SIZES)
        if sampling[name] % 8:
            raise SettingsError(name, sampling[name], "a multiple of 8 pixels")
    sampling["steps"] = _whole("steps", sampling["steps"], STEPS)
    cfg = sampling["cfg"]
    if isinstance(cfg, bool) or not isinstance(cfg, (int, float)) or not CFG[0] <= cfg <= CFG[1]:
        raise SettingsError("cfg", cfg, f"a number from {CFG[0]:g} to {CFG[1]:g}")
    sampling["cfg"] = float(cfg)
    if not isinstance(sampling["negative"], str):
        raise SettingsError("negative", sampling["negative"], "a text")
    sampling["negative"] = clean(sampling["negative"])
    if sampling["sampler"] not in (painter.samplers() or [usual["sampler"]]):
        raise SettingsError("sampler", sampling["sampler"], "one that the host has")
    return sampling


def _whole(name: str, value: Any, legal: tuple[int, int]) -> int:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not legal[0] <= value <= legal[1] or value != int(value):
        raise SettingsError(name, value, f"a whole number from {legal[0]} to {legal[1]}")
    return int(value)
