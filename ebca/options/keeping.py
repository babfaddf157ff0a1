"""The settings of editing a picture: how much of it is kept, and how."""

from __future__ import annotations

from dataclasses import dataclass

from ebca.settings.checks import Range
from ebca.settings.declaration import check_settings, setting


@dataclass(frozen=True)
class Keeping:
    """The settings of keeping the picture that a job begins with."""

    keep: bool = setting(
        False,
        "Keeps what the prompts do not change: EBCA first finds the noise that leads to your"
        " picture. This takes about half as long as the edit itself. For img2img and inpaint.",
        label="Keep the picture",
        group="keep",
        neutral=False,
        since="0.3.0",
        flag="--invert",
    )
    keep_source: str = setting(
        "",
        "What your picture shows now, in a few words: 'a cat on a chair'. Empty: your prompt up to"
        " the first AND.",
        label="The picture shows",
        group="keep",
        neutral="",
        since="0.3.0",
        hint="as in the prompt",
        flag="--source",
    )
    keep_more: float = setting(
        0.0,
        "0 keeps what the prompts leave alone. Higher: weaker edits; at 1 nothing changes.",
        label="Keep more",
        group="keep",
        neutral=0.0,
        since="0.3.0",
        legal=Range(0.0, 1.0),
        new_row=True,
    )
    keep_stop: float = setting(
        1.0,
        "Keep until this fraction of the steps. Lower: the last steps ignore the original.",
        label="Keep until",
        group="keep",
        neutral=1.0,
        since="0.3.0",
        legal=Range(0.0, 1.0),
    )
    keep_noise: str = setting(
        "scattered",
        "How the noise is found. scattered: new noise for every step; the seed decides which. flow:"
        " the model's own way back, the same for all seeds; it takes two to three times as long.",
        label="Noise",
        group="keep",
        neutral="scattered",
        since="0.3.0",
        legal=("scattered", "flow"),
        new_row=True,
    )
    keep_steps: float = setting(
        0.0,
        "Steps of the way back, for flow only. 0: as many as the sampler's.",
        label="Steps back",
        group="keep",
        neutral=0.0,
        since="0.3.0",
        legal=Range(0.0, 150.0, slider=(0.0, 150.0, 1.0)),
    )
    keep_from_source: bool = setting(
        False,
        "Guides away from what the picture shows, in place of your negative prompt. Without a"
        " change in the prompt you get your picture back at any CFG. Use a CFG scale of 1.5 to 2.",
        label="Picture's words as negative prompt",
        group="keep",
        neutral=False,
        since="0.3.0",
        new_row=True,
    )

    def __post_init__(self) -> None:
        check_settings(self)
