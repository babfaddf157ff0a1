"""EBCA: Energy-Based Cross-Attention for text-to-image diffusion models (arXiv 2306.09869).

import ebca

prompt = ebca.compose("a red car and a blue crown AND at night :0.8")
with ebca.apply_patch(pipe, prompt=prompt):
    image = pipe(prompt.main).images[0]
"""

from ebca.core.layers import NoCrossAttentionError
from ebca.core.maps import Maps
from ebca.core.trace import Trace
from ebca.hosts.keeping import Inversion, invert
from ebca.options import Settings
from ebca.prompts import Composed, Edit, compose
from ebca.session import Patch, apply_patch, remove_patch
from ebca.settings import SettingsError
from ebca.version import VERSION

__version__ = VERSION

__all__ = [
    "Composed",
    "Edit",
    "Inversion",
    "Maps",
    "NoCrossAttentionError",
    "Patch",
    "Settings",
    "SettingsError",
    "Trace",
    "apply_patch",
    "compose",
    "invert",
    "remove_patch",
]
