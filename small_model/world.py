"""The small model's world, in one place: scenes, pictures, captions, prompts.

A program draws every picture, so the truth about it is known and a model can be measured.
"""

from __future__ import annotations

from small_model.captions import caption, phrase
from small_model.prompts import KINDS, REMOVAL, SPLITS, Prompt, far_colours, prompts
from small_model.scenes import (
    COLOURS,
    NAMES,
    SCENES,
    SIZE,
    Object,
    Picture,
    Placed,
    Scene,
    any_colour,
    draw_scene,
    put_on,
    render,
)
from small_model.sprites import BACKDROPS, SPRITES, STANDING, STYLES, WEARERS, WORN, is_held_out

__all__ = [
    "BACKDROPS",
    "COLOURS",
    "KINDS",
    "NAMES",
    "REMOVAL",
    "SCENES",
    "SIZE",
    "SPLITS",
    "SPRITES",
    "STANDING",
    "STYLES",
    "WEARERS",
    "WORN",
    "Object",
    "Picture",
    "Placed",
    "Prompt",
    "Scene",
    "any_colour",
    "caption",
    "draw_scene",
    "far_colours",
    "is_held_out",
    "phrase",
    "prompts",
    "put_on",
    "render",
]
