"""Settings that only a page with jobs has."""

from __future__ import annotations

from dataclasses import dataclass

from ebca.settings.declaration import check_settings, setting
from ebca.settings.presets import CUSTOM, DEFAULT, PRESETS


@dataclass(frozen=True)
class PageSettings:
    """What is set of a job beside the methods."""

    enabled: bool = setting(False, "Switches EBCA on.", label="EBCA", neutral=False)
    preset: str = setting(
        DEFAULT,
        "Starting values. Choosing one sets the controls; change them afterwards as you like.",
        label="Preset",
        neutral=DEFAULT,
        legal=(CUSTOM, *PRESETS),
    )
    hires: str = setting(
        "same",
        "Where EBCA acts with hires fix. same: in both passes. off: in the first pass only. only:"
        " in the hires pass only.",
        label="With hires fix",
        group="when",
        neutral="same",
        legal=("same", "off", "only"),
    )

    def __post_init__(self) -> None:
        check_settings(self)
