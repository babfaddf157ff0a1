"""The text encoder of a model of AUTOMATIC1111's WebUI, as its settings have it."""

from __future__ import annotations

from typing import Any

from modules import shared  # type: ignore[import-not-found]

from ebca.webui.words import OldEmphasis


def webui_text_encoder(model: Any) -> Any:
    """Return the text encoder that tells where the words of a prompt are, None if there is none, as
    with SD3. The two encoders of SDXL agree on the places, so either will do."""
    stage = getattr(model, "cond_stage_model", None)
    encoders = getattr(stage, "embedders", [stage])
    encoder = next((each for each in encoders if hasattr(each, "tokenize_line")), None)
    if encoder is not None and getattr(shared.opts, "use_old_emphasis_implementation", False):
        from modules import sd_hijack_clip_old  # some of Forge's relatives lack it

        return OldEmphasis(encoder, sd_hijack_clip_old.process_text_old)
    return encoder
