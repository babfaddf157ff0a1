"""The small model's world, in one place: scenes, pictures, captions, prompts.

A program draws every picture, so the truth about it is known and a model can be measured.
"""

from __future__ import annotations

from small_model.captions import caption, phrase
from small_model.prompts import KINDS, REMOVAL, SPLITS, Prompt, prompts
from small_model.scenes import (
    COLOURS,
    SCENES,
    SHAPES,
    SIZE,
    Object,
    Picture,
    Placed,
    Scene,
    draw_scene,
    render,
)
from small_model.sprites import ICONS, Backdrop, SpriteSet

__all__ = [
    "COLOURS",
    "ICONS",
    "KINDS",
    "REMOVAL",
    "SCENES",
    "SHAPES",
    "SIZE",
    "SPLITS",
    "Backdrop",
    "Object",
    "Picture",
    "Placed",
    "Prompt",
    "Scene",
    "SpriteSet",
    "caption",
    "draw_scene",
    "phrase",
    "prompts",
    "render",
]
