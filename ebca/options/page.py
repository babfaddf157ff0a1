"""The settings that only a page with jobs has."""

from __future__ import annotations

from dataclasses import dataclass

from ebca.options.presets import CUSTOM, DEFAULT, PRESETS
from ebca.settings.declaration import check_settings, setting


@dataclass(frozen=True)
class PageSettings:
    """The settings of a job that belong to no method."""

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

    also_off: bool = setting(
        False,
        "Makes each picture once more without EBCA, with the same seed, and shows both side by"
        " side. Takes twice the time.",
        label="Also without EBCA",
        group="see",
        neutral=False,
        since="0.3.0",
    )
    show_attention: bool = setting(
        False,
        "Shows where in the picture the model put each subject, and the places that EBCA gave"
        " them. The picture stays the same.",
        label="Show attention",
        group="see",
        neutral=False,
        since="0.3.0",
    )
    attention_of: str = setting(
        "",
        "Words of the prompt to look for: 'cat, red hat'. Leave it empty for the subjects.",
        label="Show attention to",
        group="see",
        neutral="",
        since="0.3.0",
        hint="the subjects",
    )
    attention_when: str = setting(
        "all",
        "Which steps to look at. early: the first third, in which the layout is decided; with hires"
        " fix of the first pass. late: the last third; with hires fix of the hires pass.",
        label="Show attention of the steps",
        group="see",
        neutral="all",
        since="0.3.0",
        legal=("all", "early", "late"),
    )
    save_attention: bool = setting(
        False,
        "Saves the strip with the attention beside each picture that is saved.",
        label="Save attention maps",
        group="see",
        neutral=False,
        since="0.3.0",
    )

    def __post_init__(self) -> None:
        check_settings(self)
