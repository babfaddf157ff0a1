"""CACAO as a sum: every prompt adds its difference from the empty prompt. Not in the paper.

    out = attn(Q, C_main) + sum_s alpha_s ( attn(Q, C_s) - attn(Q, C_empty) )

The sum does to the heads' outputs what the WebUI's AND does to predictions of noise, uncond + sum_i
w_i (cond_i - uncond), so weights mean about the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ebca.core.method import PLAIN, Branch, Mix
from ebca.prompts.prompt import ALPHA, WEIGHTS_AFTER_AND, Edit
from ebca.settings.checks import SettingsError

EMPTY = ""


def summed(edits: Sequence[Edit]) -> Mix:
    """Return the mix of a main prompt and the edits that take part."""
    total = math.fsum(edit.alpha for edit in edits)
    branches = [Branch(edit.alpha, edit.source, edit, beyond=EMPTY) for edit in edits]
    if total:
        branches.append(Branch(-total, EMPTY))
    return Mix(1.0, tuple(branches)) if branches else PLAIN


def check_sum(edits: Sequence[Edit]) -> None:
    """Raise SettingsError if the weight of the empty prompt is out of range."""
    total = math.fsum(edit.alpha for edit in edits)
    if not ALPHA.low <= total <= ALPHA.high:
        raise SettingsError(WEIGHTS_AFTER_AND, round(total, 6), str(ALPHA))
