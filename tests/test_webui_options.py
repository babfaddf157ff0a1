"""What a user of the WebUI can set: fields, defaults, presets, and how values are read."""

from __future__ import annotations

import math
from typing import Any

import pytest

from ebca.options import Settings
from ebca.options.job import Options, fields, options_of, read_arguments, read_object
from ebca.options.legacy import LIST_OF_0_1
from ebca.options.presets import PRESETS, preset_values
from ebca.settings import SettingsError

FIELDS = fields()
NAMES = [
    "enabled", "preset", "gamma_attn", "gamma_norm", "start", "stop", "formulation",
    "update_unconditional", "scale_with_depth", "max_relative_update", "layers", "token_weights",
    "and_means", "edit_gamma_attn", "edit_gamma_norm", "edit_start", "edit_stop", "mask", "hires",
    "gamma_spread", "centered", "contrast", "contrast_stop", "subjects",
    "regions", "regions_stop",
    "also_off", "show_attention", "attention_of", "attention_when", "save_attention",
    "keep", "keep_source", "keep_more", "keep_stop", "keep_noise", "keep_steps",
    "keep_from_source", "regions_words",
]  # fmt: skip
NUMBERS = [name for name, field in FIELDS.items() if field.is_number]
CHOICES = [name for name, field in FIELDS.items() if field.choices]
FLAGS = [name for name, field in FIELDS.items() if field.is_flag]
TEXTS = ["attention_of", "layers", "subjects", "token_weights"]
ANY_TEXT = ["keep_source"]
DEFAULTS = {name: field.default for name, field in FIELDS.items()}


def message(values: dict[str, Any]) -> str:
    with pytest.raises(SettingsError) as raised:
        read_object(values)
    return str(raised.value)


def test_the_order_of_the_fields_is_stable() -> None:
    """It is that of the API's list and of the accordion's values."""
    assert list(FIELDS) == NAMES
    assert sorted(NUMBERS + CHOICES + FLAGS + TEXTS + ANY_TEXT) == sorted(NAMES)


def test_defaults_are_legal_and_are_the_cores() -> None:
    options = Options()
    assert options.settings == Settings()
    assert options.values() == DEFAULTS
    assert not options.page.enabled


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize(
    "value", [None, math.nan, math.inf, -0.001, 1e9, "0.5", True, [0.5], 1 + 2j], ids=repr
)
def test_a_number_outside_its_range_or_no_number_is_refused(name: str, value: Any) -> None:
    if name == "max_relative_update" and value is None:
        assert read_object({name: value}) == Options()  # as in 0.1.0: no limit
        return
    text = message({name: value})
    assert name in text
    assert repr(value) in text
    assert str(FIELDS[name].legal) in text


@pytest.mark.parametrize("name", FLAGS)
@pytest.mark.parametrize("value", [None, 1, 0, "true", ""], ids=repr)
def test_a_flag_is_true_or_false(name: str, value: Any) -> None:
    assert message({name: value}) == f"EBCA: {name} is {value!r}, but must be true or false."


@pytest.mark.parametrize("name", CHOICES)
@pytest.mark.parametrize("value", [None, 1, "", "CACAO", ["same"]], ids=repr)
def test_a_choice_is_one_of_its_choices(name: str, value: Any) -> None:
    text = message({name: value})
    assert all(choice in text for choice in FIELDS[name].choices)


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("value", [None, 1, ["all"], "a:b:c, "], ids=repr)
def test_a_text_that_cannot_be_read_is_refused(name: str, value: Any) -> None:
    if name in ("attention_of", "subjects") and isinstance(value, str):
        assert read_object({name: value}).values()[name] == value  # any words may be looked for
        return
    assert name in message({name: value})


@pytest.mark.parametrize("name", ANY_TEXT)
@pytest.mark.parametrize("value", [None, 1, ["all"]], ids=repr)
def test_what_may_be_any_text_is_a_text(name: str, value: Any) -> None:
    assert name in message({name: value})


@pytest.mark.parametrize("prefix", ["", "edit_"])
def test_a_window_must_begin_before_it_ends(prefix: str) -> None:
    text = message({f"{prefix}start": 0.5, f"{prefix}stop": 0.5})
    assert f"{prefix}start" in text


def test_an_unknown_key_is_named_with_those_that_are_known() -> None:
    text = message({"gamma": 0.1})
    assert "'gamma'" in text
    assert all(name in text for name in NAMES)


# Presets


def test_presets_are_offered_and_legal() -> None:
    assert FIELDS["preset"].choices == ("custom", *PRESETS)
    for preset in PRESETS:
        assert read_object({"preset": preset}).page.preset == preset


def test_presets_differ_from_the_defaults_as_they_say() -> None:
    for preset, given in PRESETS.items():
        values = read_object({"preset": preset}).values()
        assert {name: values[name] for name in given} == dict(given)
        others = NAMES[:1] + [name for name in NAMES[2:] if name not in given]
        assert all(values[name] == DEFAULTS[name] for name in others)


def test_no_two_presets_are_the_same() -> None:
    made = [tuple(preset_values(preset).items()) for preset in PRESETS]
    assert len(set(made)) == len(PRESETS)


def test_the_first_preset_is_the_defaults() -> None:
    assert Options().page.preset == "multi-concept"
    assert read_object({"preset": "multi-concept"}) == Options()


def test_choosing_a_preset_takes_back_what_another_has_set() -> None:
    for one in PRESETS:
        assert preset_values(one).keys() == preset_values("paper: inpainting").keys()
    assert preset_values("custom") == {}


def test_what_is_given_goes_before_the_preset() -> None:
    options = read_object({"preset": "paper: stylise", "gamma_attn": 0.3})
    assert (options.settings.gamma_attn, options.settings.edit_start) == (0.3, 0.2)


# Arguments of the script


def test_an_object_takes_the_defaults_for_what_it_lacks() -> None:
    given = {"enabled": True, "gamma_attn": 0.3}
    assert read_arguments([given], {}) == options_of({"enabled": True, "gamma_attn": 0.3})
    assert read_arguments([{}], {}) == Options()
    rest = list(DEFAULTS.values())[1:]  # which the WebUI fills in
    assert read_arguments([given, *rest], {}) == options_of({"enabled": True, "gamma_attn": 0.3})


def test_a_list_is_in_the_order_of_the_fields() -> None:
    values = {**DEFAULTS, "enabled": True, "stop": 0.5, "hires": "off"}
    assert read_arguments(list(values.values()), {}) == options_of(
        {"enabled": True, "stop": 0.5, "hires": "off"}
    )


def test_a_short_list_takes_the_defaults() -> None:
    assert read_arguments([True, "custom", 0.5], {}) == options_of(
        {"enabled": True, "preset": "custom", "gamma_attn": 0.5}
    )


def test_a_list_keeps_its_values_whatever_the_preset() -> None:
    values = {**DEFAULTS, "enabled": True, "preset": "paper: stylise"}
    given = {"enabled": True, "preset": "paper: stylise"}
    assert read_arguments(list(values.values()), {}) == options_of(given)


def test_nothing_is_checked_while_it_is_closed() -> None:
    garbage: list[Any] = [False, None, math.nan, "x", object()]
    assert read_arguments(garbage, {}) == Options()
    assert not read_arguments([False], {"gamma_attn": math.nan}).page.enabled


@pytest.mark.parametrize("arguments", [[None], ["yes"], [1]])
def test_enabled_itself_is_checked(arguments: list[Any]) -> None:
    with pytest.raises(SettingsError, match="enabled"):
        read_arguments(arguments, {})


def test_axes_go_before_everything() -> None:
    values = list({**DEFAULTS, "enabled": True}.values())
    assert read_arguments(values, {"gamma_attn": 0.4}).settings.gamma_attn == 0.4
    assert read_arguments([{"enabled": True, "stop": 0.2}], {"stop": 0.4}).settings.stop == 0.4
    assert read_arguments([False], {"enabled": True}).page.enabled
    assert not read_arguments([{"enabled": True}], {"enabled": False}).page.enabled
    axes = {"preset": "paper: stylise", "gamma_norm": 0.4}
    made = read_arguments(values, axes).settings
    assert (made.gamma_attn, made.gamma_norm, made.edit_start) == (0.0, 0.4, 0.2)


def test_no_arguments_at_all_are_the_defaults() -> None:
    assert read_arguments([], {}) == Options()


# What 0.1.0 was sent


OLD_LIST = {
    **{name: FIELDS[name].default for name in LIST_OF_0_1 if name in FIELDS},
    "enabled": True, "compose": "cacao", "composition": "average", "contrast": 0.5, "things": "",
}  # fmt: skip


@pytest.mark.parametrize(("compose", "means"), [("cacao", "average"), ("webui", "webui")])
def test_a_list_of_0_1_0_is_read_in_its_own_order(compose: str, means: str) -> None:
    values = {**OLD_LIST, "compose": compose, "contrast_stop": 0.7}
    made = read_arguments([values[name] for name in LIST_OF_0_1], {}).settings
    assert (made.and_means, made.contrast, made.contrast_stop) == (means, 0.5, 0.7)
    assert made.regions == 0.0  # which it did not know
    short = [values[name] for name in LIST_OF_0_1[:13]]
    assert read_arguments(short, {}).settings.and_means == {"cacao": "sum"}.get(compose, means)


def test_an_object_of_0_1_0_means_what_it_meant() -> None:
    made = read_arguments([{"enabled": True, "composition": "average", "things": "a, b"}], {})
    assert (made.settings.and_means, made.settings.subjects) == ("average", "a, b")
    preset = {"preset": "paper: multi-concept", "composition": "sum"}
    assert read_object(preset).settings.and_means == "sum"
    assert read_arguments([{"enabled": True}], {"things": "a, b"}).settings.subjects == "a, b"
