"""Sentences for the user from methods that act on the subjects of a prompt."""

from __future__ import annotations

from collections.abc import Sequence

NO_PLACES = "The subjects get no places: too few steps, or too low a denoising strength."
"""The sentence if no step lets a method act on the subjects."""


def tell_subjects(subjects: Sequence[str]) -> str:
    """Return the sentence on the subjects that a method acts on; empty if there are none."""
    shown = ", ".join(f"“{each}”" for each in subjects)
    return f"Will try to show all of: {shown}." if subjects else ""
