"""CACAO, the Compositional Averaging of Cross-Attention Output (arXiv 2306.09869).

    out = ( attn(Q, C_main) + sum_s alpha_s attn(Q, C_s) ) / ( 1 + sum_s alpha_s )

Every prompt takes a share from the others; alphas may be negative. Weights that (nearly) cancel
the main prompt would amplify noise and are refused.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ebca.core.method import Branch, Mix
from ebca.prompts.prompt import WEIGHTS_AFTER_AND, Edit
from ebca.settings.checks import SettingsError

MIN_DENOMINATOR = 0.1
"""The smallest legal `1 + sum(alpha)`."""


def average(edits: Sequence[Edit]) -> Mix:
    """Return the mix of a main prompt and the edits that take part."""
    denominator = 1.0 + math.fsum(edit.alpha for edit in edits)
    return Mix(
        1.0 / denominator,
        tuple(Branch(edit.alpha / denominator, edit.source, edit) for edit in edits),
    )


def check_average(edits: Sequence[Edit]) -> None:
    """Raise SettingsError if edits that act at the same time cannot be averaged."""
    total = math.fsum(edit.alpha for edit in edits)
    if 1.0 + total < MIN_DENOMINATOR - 1e-9:
        raise SettingsError(
            WEIGHTS_AFTER_AND,
            round(total, 6),
            f"at least {MIN_DENOMINATOR - 1.0:g} where the main prompt's weight is 1, since an"
            " average divides by the sum of all (raise the main prompt's weight or the negative"
            " ones)",
        )
