"""Colours that the colour-blind can tell apart.

They are tables here, since no library that has them is sure to be there in the WebUI.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_VIRIDIS = np.frombuffer(
    bytes.fromhex(
        "440154 48186a 472d7b 424086 3b528b 33638d 2c728e 26828e 21918c"
        " 1fa088 28ae80 3fbc73 5ec962 84d44b addc30 d8e219 fde725"
    ),
    np.uint8,
).reshape(-1, 3)
"""matplotlib's viridis (van der Walt and Smith, CC0) in steps of a 16th; its brightness rises
evenly, so it reads alike with every kind of colour vision and in grey."""

AREAS = np.frombuffer(
    bytes.fromhex("e69f00 56b4e9 009e73 f0e442 0072b2 d55e00 cc79a7 999999"), np.uint8
).reshape(-1, 3)
"""Okabe and Ito's palette, for areas that have to be told apart."""


def viridis(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return colours [*, 3], 0 to 255, for values [*] from 0 (dark blue) to 1 (yellow)."""
    at = np.linspace(0.0, 1.0, len(_VIRIDIS))
    flat = np.clip(np.nan_to_num(values), 0.0, 1.0)
    return np.stack([np.interp(flat, at, _VIRIDIS[:, band]) for band in range(3)], axis=-1)
