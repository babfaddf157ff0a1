"""Other people's extensions on the live WebUI, as a job names them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from webui.client import WebUI, encoded


def arguments(webui: WebUI, script: str, **wanted: Any) -> dict[str, Any]:
    """The part of a job that gives an extension its values: those of its page, but for `wanted`.

    A key is a label with underscores for what is no letter, and behind two more underscores
    which of several equal ones it is; `first` is the first control. Skips the test on a host
    without the extension.
    """
    infos = webui.get("/sdapi/v1/script-info")
    found = [info for info in infos if info["name"] == script and not info["is_img2img"]]
    if not found:
        pytest.skip(f"the WebUI has no extension with the script {script!r}")
    values, seen = [], {}
    for each in found[0]["args"]:
        name = "".join(c if c.isalnum() else "_" for c in each["label"])
        seen[name] = seen.get(name, 0) + 1
        key = name if seen[name] == 1 else f"{name}__{seen[name]}"
        key = key if values or "first" not in wanted else "first"
        values.append(wanted.pop(key, each["value"]))
    assert not wanted, f"{script} has no {sorted(wanted)}"
    return {script: {"args": values}}


def reference_only(webui: WebUI, picture: np.ndarray) -> dict[str, Any]:
    """ControlNet with a reference picture, which needs no model; with the weight with which Forge's
    acts in layers as small as those of the suite's models, too."""
    arguments(webui, "controlnet")
    unit = {"enabled": True, "module": "reference_only", "model": "None", "weight": 2.0}
    unit |= {"image": encoded(picture), "resize_mode": "Crop and Resize", "pixel_perfect": False}
    unit |= {"processor_res": 64, "threshold_a": 0.5, "guidance_start": 0.0, "guidance_end": 1.0}
    return {"controlnet": {"args": [{**unit, "control_mode": "Balanced"}]}}


def tiled(webui: WebUI, **wanted: Any) -> dict[str, Any]:
    """Tiled Diffusion, with tiles that overlap on a picture of 192x192 pixels."""
    tiles = {"Latent_tile_width": 16, "Latent_tile_height": 16, "Latent_tile_overlap": 8}
    on = {"first": True, **tiles, "Latent_tile_batch_size": 4, **wanted}
    return arguments(webui, "tiled diffusion", **on)


def regional(webui: WebUI, mode: str, **wanted: Any) -> dict[str, Any]:
    """Regional Prompter with two columns."""
    on = {"first": True, "Generation_Mode": mode, **wanted}
    return arguments(webui, "regional prompter", **on)


def incantations(webui: WebUI, **wanted: Any) -> dict[str, Any]:
    """`Active__2` is S-CFG, `Active__3` PAG."""
    return arguments(webui, "incantations", **wanted)
