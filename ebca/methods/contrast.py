"""Contrast: move away from every subject alone. Not in the paper.

    out = attn(Q, C_main) + sum_i contrast / n ( attn(Q, C_main) - attn(Q, C_i) )

`a cat and a dog` fails by showing one of them alone. C_i encodes one of the n subjects alone; the
output moves away from each of these. The content of a picture is decided while it is still noise,
so the contrast ends at a noise level (`contrast_stop`), not after a number of steps: in the pass of
hires fix, or in img2img at low strength, the layout exists already and nothing is done.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ebca.core.method import (
    PLAIN,
    Branch,
    Method,
    Mix,
    Moment,
    Source,
    Time,
)
from ebca.methods.telling import NO_PLACES, tell_subjects
from ebca.prompts.prompt import Prompt
from ebca.settings.checks import FRACTION, Range, in_window
from ebca.settings.declaration import check_settings, setting


@dataclass(frozen=True)
class Contrast(Method):
    """The settings of the contrast, and its answers to the engine."""

    # labels other than 0.1.0's: the WebUI keeps a user's old defaults by the label
    contrast: float = setting(
        0.0,
        "An older way to show every subject: moves the whole picture away from each of them alone,"
        " and shows more of them twice. 0 is off.",
        label="Contrast, the older way",
        group="subjects",
        neutral=0.0,
        was=(("0.1.0", 1.3),),
        legal=Range(0.0, 10.0, slider=(0.0, 2.0, 0.01)),
    )
    contrast_stop: float = setting(
        0.3,
        "When the contrast stops. It counts noise, not steps: 0 is pure noise, 1 the finished"
        " picture.",
        label="Contrast, the older way, until",
        group="subjects",
        neutral=0.3,
        legal=FRACTION,
    )

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def active(self) -> bool:
        return self.contrast > 0.0 and self.contrast_stop > 0.0

    def acts_on(self, prompt: Prompt) -> bool:
        return bool(self._subjects(prompt))

    def texts(self, prompt: Prompt) -> tuple[Source, ...]:
        return self._subjects(prompt)

    def mix(self, prompt: Prompt, moment: Moment) -> Mix:
        subjects = self._subjects(prompt)
        if not subjects or not moment.in_noise(0.0, self.contrast_stop):
            return PLAIN
        share = self.contrast / len(subjects)
        return Mix(1.0 + self.contrast, tuple(Branch(-share, each) for each in subjects))

    def forecast(self, steps: Sequence[tuple[Time, Prompt]]) -> list[bool]:
        return [
            bool(self._subjects(prompt)) and in_window(time.denoised, 0.0, self.contrast_stop)
            for time, prompt in steps
        ]

    def tell(self, prompt: Prompt) -> str:
        return tell_subjects(self._subjects(prompt))

    @property
    def idle(self) -> str:
        return NO_PLACES

    @property
    def needs_subjects(self) -> bool:
        return self.active

    def _subjects(self, prompt: Prompt) -> tuple[str, ...]:
        return prompt.subjects if self.active and prompt.single else ()
