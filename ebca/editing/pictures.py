"""Prepare pictures for the autoencoder: RGB, 8 bit, sides that are multiples of 8 pixels."""

from __future__ import annotations

from typing import Any

from ebca.settings.checks import SettingsError

_SIDE = 8  # pixels per latent pixel
_SIXTEEN_BIT = ("I", "I;16", "I;16L", "I;16B", "I;16N")


def plain(image: Any) -> Any:
    """Return a PIL picture in 8-bit RGB, turned upright by its EXIF data, any alpha on white."""
    from PIL import Image, ImageOps

    if not isinstance(image, Image.Image):
        raise SettingsError("image", type(image).__name__, "a PIL picture, or a list of them")
    image = eight_bit(ImageOps.exif_transpose(image))
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image.convert("RGB")


def eight_bit(image: Any) -> Any:
    """Return a 16-bit PIL picture as an 8-bit one, and any other unchanged."""
    if image.mode not in _SIXTEEN_BIT:
        return image
    return image.convert("I").point(lambda value: value / 257.0).convert("L")


def latent_size(size: tuple[int, int]) -> tuple[int, int]:
    """Return the (width, height) nearest to `size` in multiples of 8 pixels."""
    width, height = (max(_SIDE, round(side / _SIDE) * _SIDE) for side in size)
    return width, height


def fitting(image: Any) -> Any:
    """Return a picture as `plain` does, resized to its `latent_size` if necessary."""
    from PIL import Image

    image = plain(image)
    size = latent_size(image.size)
    return image if image.size == size else image.resize(size, Image.Resampling.LANCZOS)
