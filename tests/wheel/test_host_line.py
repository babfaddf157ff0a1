"""The line under the controls: what it says of a prompt and a job, in the WebUI's own modules. That
the pictures do what it says is held on a live host, by `tests/webui/test_line.py`."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from host import Host

from ebca.options.job import fields
from ebca.options.presets import preset_values

PAGE = {
    "tab": "txt2img", "prompt": "a cat and a dog", "styles": [], "sampler": "DPM++ 2M Karras",
    "scheduler": "Automatic", "steps": 20, "denoising": None, "hires": None,
}  # fmt: skip
HIRES = {"prompt": "", "sampler": "Use same sampler", "scheduler": "Use same scheduler",
         "steps": 0, "denoising": 0.7}  # fmt: skip
UPDATE = "The paper's update brings out ignored words (0.002)."
SHOWS = "Will try to show all of: “a cat”, “a dog”."
NO_PLACES = "The subjects get no places: too few steps, or too low a denoising strength."
TOO_FEW = "Fewer than two subjects found. If there are more, click them below."
NOTHING = "Nothing to do with this prompt and these settings: the picture stays as it is."
STAYS = "The picture stays as it is."

Line = Callable[..., tuple[str, str]]


@pytest.fixture
def line(host: Host, monkeypatch: pytest.MonkeyPatch) -> Line:
    """line(values, **page): the line's text, and whether it says that the picture will change."""
    from modules import sd_models

    from ebca.webui.status import status

    monkeypatch.setattr(
        sd_models, "model_data", SimpleNamespace(sd_model=host.model), raising=False
    )
    defaults = {name: each.default for name, each in fields().items()}

    def line(values: dict[str, Any] | None = None, **page: Any) -> tuple[str, str]:
        asked = {**defaults, "enabled": True, **(values or {})}
        made = status(json.dumps({**PAGE, **page}), asked)
        found = re.match(r"<div class='\w*' data-acts='(\w*)'>(.*?)</div>", made)
        assert found
        return html.unescape(found[2]), found[1]

    return line


IMG2IMG = {"tab": "img2img", "denoising": 0.75}
STILL = {"gamma_attn": 0.0}
STATES: dict[str, tuple[dict[str, Any], dict[str, Any], str, bool]] = {
    # state: values, page, the line, whether the picture changes
    "found": ({}, {}, f"{SHOWS} {UPDATE}", True),
    "one found": ({}, {"prompt": "a cat"}, f"{UPDATE} {TOO_FEW}", True),
    "one found, no update": (STILL, {"prompt": "a cat"}, f"{TOO_FEW} {STAYS}", False),
    "no prompt": ({}, {"prompt": " "}, NOTHING, False),
    "strength 0": ({**STILL, "regions": 0.0}, {}, NOTHING, False),
    "two steps": (STILL, {"steps": 2}, f"{NO_PLACES} {STAYS}", False),
    "two steps, halfway too": (
        {**STILL, "regions_stop": 0.8}, {"steps": 2, "sampler": "DPM++ 2S a Karras"}, SHOWS, True,
    ),
    "three steps": (STILL, {"steps": 3}, SHOWS, True),
    "little noise": (STILL, {**IMG2IMG, "denoising": 0.2}, f"{NO_PLACES} {STAYS}", False),
    "somewhat more": (STILL, {**IMG2IMG, "denoising": 0.35}, f"{NO_PLACES} {STAYS}", False),
    "enough noise": (STILL, IMG2IMG, SHOWS, True),
    "little noise, update": ({}, {**IMG2IMG, "denoising": 0.2}, f"{NO_PLACES} {UPDATE}", True),
    "a sampler of its own steps": (STILL, {"sampler": "DPM adaptive"}, SHOWS, True),
    "timesteps": (STILL, {"sampler": "DDIM", "steps": 2}, f"{NO_PLACES} {STAYS}", False),
    "an update that ends before": (
        {"regions": 0.0, "start": 0.9}, {"steps": 5},
        f"The paper's update does nothing: no step lies in the part that it acts in. {STAYS}",
        False,
    ),
    "AND": ({**STILL, "regions": 0.0}, {"prompt": "a cat AND grass :0.5"},
            "Adds after AND: “grass” +0.5.", True),
    "AND that acts never": (
        {**STILL, "regions": 0.0, "edit_start": 0.9}, {"prompt": "a cat AND grass", "steps": 5},
        f"The prompts after AND do nothing: no step lies in the part that they act in. {STAYS}",
        False,
    ),
    "AND between subjects": (
        {}, {"prompt": "a cat AND a dog"},
        f"{UPDATE} Adds after AND: “a dog” +1. To show several subjects write “and” in small"
        " letters: AND puts them into one place.", True,
    ),
    "the WebUI's AND": (
        {**STILL, "and_means": "webui"}, {"prompt": "a cat and a dog AND grass"},
        f"AND is left to the WebUI: 2 prompts, each calculated in full. {STAYS}", False,
    ),
    "a schedule": (
        STILL, {"prompt": "a cat and a [dog:fox:0.25]"},
        "Steps 1 to 5: Will try to show all of: “a cat”, “a dog”. Steps 6 to 20: Will try to show"
        " all of: “a cat”, “a fox”.", True,
    ),
    "a schedule that begins late": (
        STILL, {"prompt": "[a cat:a cat and a dog:0.95]"}, f"{NO_PLACES} {STAYS}", False,
    ),
    "named": (
        {**STILL, "subjects": "dog, cat"}, {}, "Will try to show all of: “dog”, “cat”.", True,
    ),
    "one named": (
        {**STILL, "subjects": "cat"}, {},
        f"One subject is too few: click a second one below. {STAYS}", False,
    ),
    "named, left over": (
        {**STILL, "subjects": "cat, cow"}, {},
        "One subject is too few: click a second one below. Without effect: “cow” in “Subjects”, not"
        f" in the prompt. {STAYS}", False,
    ),
    "all left over": (
        {**STILL, "subjects": "owl, cow"}, {},
        f"{SHOWS} Without effect: “owl”, “cow” in “Subjects”, not in the prompt.", True,
    ),
    "a weight left over": (
        {"regions": 0.0, "token_weights": "cow:2"}, {},
        f"{UPDATE} Without effect: “cow” in “Words to bring out more or less”, not in the prompt.",
        True,
    ),
    "keep": (
        preset_values("edit a picture") | {"keep": True}, IMG2IMG,
        "Keeps your picture where the prompt does not change it. To change something, write what"
        " the picture shows now into “The picture shows”, or the change after AND.", True,
    ),
    "keep, and what it shows": (
        preset_values("edit a picture") | {"keep": True, "keep_source": "a cat"}, IMG2IMG,
        "Keeps your picture where the prompt does not change it.", True,
    ),
    "keep in txt2img": (
        preset_values("edit a picture") | {"keep": True}, {},
        f"“Keep the picture” did nothing: it works in img2img and inpaint only. {STAYS}", False,
    ),
    "hires pass only, off": (
        {"hires": "only"}, {},
        "Nothing to do: EBCA is set to the hires pass only, and hires fix is off."
        f" {STAYS}", False,
    ),
    "hires pass only": (
        {**STILL, "hires": "only"}, {"hires": HIRES}, f"Hires pass: {SHOWS}", True,
    ),
    "hires pass only, little noise": (
        {**STILL, "hires": "only"}, {"hires": {**HIRES, "denoising": 0.3}},
        f"Hires pass: {NO_PLACES} {STAYS}", False,
    ),
    "the first pass of two steps": (
        STILL, {"steps": 2, "hires": {**HIRES, "steps": 10}},
        f"{NO_PLACES} Hires pass: {SHOWS}", True,
    ),
    "hires prompt": (
        STILL, {"hires": {**HIRES, "prompt": "a cat"}}, f"{SHOWS} Hires pass: {TOO_FEW}", True,
    ),
}  # fmt: skip


@pytest.mark.parametrize("state", STATES)
def test_the_line_says_what_will_happen(line: Line, state: str) -> None:
    values, page, text, acts = STATES[state]
    assert line(values, **page) == (text, str(acts).lower())


ERRORS = {
    "window": ({"start": 0.7, "stop": 0.3}, {}, "“Paper's update from” is 0.7, but must be less"
               " than “Paper's update until”, which is 0.3."),
    "layers": ({"layers": "99"}, {}, "“Attention layers” is '99'"),
    "weights": ({"token_weights": "cat"}, {}, "“Words to bring out more or less” is 'cat'"),
    "keep": ({"keep": True}, {**IMG2IMG, "prompt": ""}, "“The picture shows” is ''"),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_errors_name_the_labels_of_the_page(line: Line, name: str) -> None:
    values, page, text = ERRORS[name]
    told, acts = line(values, **page)
    assert text in told
    assert acts == "false"


def test_a_model_that_is_not_loaded_yet_is_told_by_its_file(
    line: Line, host: Host, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """Forge loads what is chosen when the job begins: what is loaded until then tells nothing."""
    import torch
    from modules import sd_models
    from safetensors.torch import save_file

    def chosen(filename: str) -> None:
        info = SimpleNamespace(filename=filename)
        late = SimpleNamespace(
            sd_model=host.model, forge_loading_parameters={"checkpoint_info": info}
        )
        monkeypatch.setattr(sd_models, "model_data", late)

    files = {}
    for name, key in (("sd", "model.diffusion_model.x.attn2.to_k.weight"), ("flux", "double.img")):
        files[name] = str(tmp_path / f"{name}.safetensors")
        save_file({key: torch.zeros(1)}, files[name])
    chosen(files["flux"])
    told, acts = line()
    assert told.startswith("EBCA does nothing with this model: it has no cross-attention.")
    assert acts == "false"
    chosen(files["sd"])
    assert line() == (f"{SHOWS} {UPDATE}", "true")
    chosen(str(tmp_path / "strange.ckpt"))
    told, acts = line()
    assert told.startswith("The chosen model is not loaded yet.")
    assert acts == ""
