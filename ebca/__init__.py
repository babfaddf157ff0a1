"""EBCA: Energy-Based Cross-Attention for text-to-image diffusion models (arXiv 2306.09869).

import ebca

prompt = ebca.compose("a red car and a blue crown AND at night :0.8")
with ebca.apply_patch(pipe, ebca.Settings(gamma_attn=0.02), edits=prompt.edits):
    image = pipe(prompt.main).images[0]
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ebca.layers import NoCrossAttentionError
    from ebca.prompts import Composed, compose
    from ebca.session import Patch, apply_patch, remove_patch
    from ebca.settings import Edit, Settings, SettingsError
    from ebca.trace import Trace

__version__ = "0.1.0"

__all__ = [
    "Composed",
    "Edit",
    "NoCrossAttentionError",
    "Patch",
    "Settings",
    "SettingsError",
    "Trace",
    "apply_patch",
    "compose",
    "remove_patch",
]

_HOMES = {
    "Composed": "ebca.prompts",
    "Edit": "ebca.settings",
    "NoCrossAttentionError": "ebca.layers",
    "Patch": "ebca.session",
    "Settings": "ebca.settings",
    "SettingsError": "ebca.settings",
    "Trace": "ebca.trace",
    "apply_patch": "ebca.session",
    "compose": "ebca.prompts",
    "remove_patch": "ebca.session",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: not every command needs torch."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'ebca' has no attribute {name!r}")
