"""The meaning of AND: prompts composed within cross-attention, in one row of the UNet.

The formulas are in `ebca.methods.average` (the paper's) and `ebca.methods.summed`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ebca.core.method import PLAIN, Method, Mix, Moment, Source, Time
from ebca.methods.average import average, check_average
from ebca.methods.summed import EMPTY, check_sum, summed
from ebca.prompts.prompt import Edit, Prompt
from ebca.settings.checks import FRACTION, check_window, in_window
from ebca.settings.declaration import check_settings, setting

SUM, AVERAGE, HOSTS_OWN = "sum", "average", "webui"


@dataclass(frozen=True)
class Cacao(Method):
    """The settings of the prompts after AND, and their answers to the engine."""

    and_means: str = setting(
        SUM,
        "sum: each prompt after AND is added by its weight, as the WebUI does it, but at little"
        " cost. average: the paper's way, the prompts share the picture. webui: the WebUI's own"
        " AND, which takes as much time again for each prompt.",
        label="What AND means",
        new_row=True,
        neutral=SUM,
        since="0.1.0",
        legal=(SUM, AVERAGE, HOSTS_OWN),
    )
    edit_start: float = setting(
        0.0,
        "When the prompts after AND begin to act: 0 is the first step, 0.5 half of the steps.",
        label="Prompts after AND from",
        group="and",
        neutral=0.0,
        legal=FRACTION,
    )
    edit_stop: float = setting(
        1.0,
        "When the prompts after AND stop acting: 0.5 is half of the steps, 1 the last step.",
        label="Prompts after AND until",
        group="and",
        neutral=1.0,
        legal=FRACTION,
    )

    def __post_init__(self) -> None:
        check_settings(self)
        check_window("edit_start", self.edit_start, "edit_stop", self.edit_stop)

    @property
    def active(self) -> bool:
        return self.and_means != HOSTS_OWN

    def absorbs(self, prompt: Prompt) -> bool:
        return self.active and bool(prompt.edits)

    def acts_on(self, prompt: Prompt) -> bool:
        return self.active and any(not edit.empty for edit in prompt.edits)

    def texts(self, prompt: Prompt) -> tuple[Source, ...]:
        adds = any(not edit.empty for edit in prompt.edits)
        return (EMPTY,) if self.and_means == SUM and adds else ()

    def mix(self, prompt: Prompt, moment: Moment) -> Mix:
        edits = [
            edit
            for edit in prompt.edits
            if self.active and not edit.empty and moment.in_steps(*self._window(edit))
        ]
        if not edits:
            return PLAIN
        return summed(edits) if self.and_means == SUM else average(edits)

    def check(self, prompt: Prompt) -> None:
        """Check the edits between every two neighbouring borders of their windows."""
        check = check_sum if self.and_means == SUM else check_average
        for edits in self._stretches(prompt.edits) if self.active else ():
            check(edits)

    def forecast(self, steps: Sequence[tuple[Time, Prompt]]) -> list[bool]:
        return [
            self.active
            and any(
                not edit.empty and in_window(time.progress, *self._window(edit))
                for edit in prompt.edits
            )
            for time, prompt in steps
        ]

    @property
    def idle(self) -> str:
        return "The prompts after AND do nothing: no step lies in the part that they act in."

    def tell(self, prompt: Prompt) -> str:
        count = len([edit for edit in prompt.edits if not edit.empty])
        if not count or not self.active:
            return ""
        shown = "; ".join(
            f"“{shorten(str(edit.prompt))}” {edit.alpha:+g}"
            for edit in prompt.edits
            if not edit.empty
        )
        how = "Adds" if self.and_means == SUM else "Averages with what comes"
        return f"{how} after AND: {shown}."

    def _window(self, edit: Edit) -> tuple[float, float]:
        return (
            self.edit_start if edit.start is None else edit.start,
            self.edit_stop if edit.stop is None else edit.stop,
        )

    def _stretches(self, edits: Sequence[Edit]) -> Iterator[list[Edit]]:
        """Yield the edits that act together, for every time at which that changes."""
        borders = {0.0, *(border for edit in edits for border in self._window(edit))}
        for progress in sorted(borders):
            yield [
                edit
                for edit in edits
                if not edit.empty and in_window(progress, *self._window(edit))
            ]


def shorten(text: str, length: int = 60) -> str:
    """Return `text` on one line, cut to at most `length` characters."""
    text = " ".join(text.split())
    return text if len(text) <= length else text[: length - 3] + "..."


__all__ = ["AVERAGE", "HOSTS_OWN", "SUM", "Cacao"]
