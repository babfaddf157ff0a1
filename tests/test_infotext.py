"""What is written into a picture is read back the same."""

from __future__ import annotations

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from ebca import Settings
from ebca.infotext import read_parameters, write_parameters
from ebca.options import all_declarations
from ebca.options.infotext import read, write
from ebca.options.presets import PRESETS
from ebca.version import VERSION

_texts = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1)
_prompts = st.from_regex(r"[a-z0-9,:.()\[\] AND\n-]*", fullmatch=True).map(str.strip)


@given(_texts)
def test_texts_with_commas_colons_and_quotes_survive(text: str) -> None:
    parameters = write_parameters("a cat", "", {"Steps": 20, "EBCA token_weights": text})
    assert read_parameters(parameters)[2] == {"Steps": "20", "EBCA token_weights": text}


@given(_prompts, _prompts)
def test_prompts_survive_as_the_user_wrote_them(prompt: str, negative: str) -> None:
    text = write_parameters(prompt, negative, {"Steps": 20, "Seed": 1})
    assert read_parameters(text) == (prompt, negative, {"Steps": "20", "Seed": "1"})


def test_layout_is_the_webuis() -> None:
    values = {"Steps": 20, "CFG scale": 4.0, "EBCA layers": "down, up"}
    assert write_parameters("a cat AND at night :0.8", "a dog", values) == (
        "a cat AND at night :0.8\n"
        "Negative prompt: a dog\n"
        'Steps: 20, CFG scale: 4, EBCA layers: "down, up"'
    )


KNOWN = all_declarations()


def test_defaults_are_one_word_and_the_version():
    assert write(Settings(), KNOWN) == {"EBCA": "on", "EBCA version": VERSION}


def test_what_differs_from_the_preset_is_written_and_nothing_else():
    preset = "paper: multi-concept"
    settings = Settings(**PRESETS[preset]).replace(gamma_attn=0.02, layers="mid")
    assert write(settings, KNOWN, preset) == {
        "EBCA": "on",
        "EBCA version": VERSION,
        "EBCA preset": preset,
        "EBCA gamma_attn": "0.02",
        "EBCA layers": "mid",
    }
    assert read(write(settings, KNOWN, preset), KNOWN) == (preset, dict(settings))


def values() -> st.SearchStrategy[Settings]:
    """Any settings that are legal."""
    numbers = {
        name: st.floats(each.legal.low, each.legal.high)
        for name, each in KNOWN.items()
        if each.is_number and "start" not in name and not name.endswith("stop")
    }
    others = {name: st.booleans() for name, each in KNOWN.items() if each.is_flag}
    choices = {name: st.sampled_from(each.choices) for name, each in KNOWN.items() if each.choices}
    texts = {"token_weights": st.sampled_from(["", 'a cat:2, it\'s "b":0.5'])}
    return st.fixed_dictionaries({**numbers, **others, **choices, **texts}).map(
        lambda given: Settings(**given)
    )


@given(values(), st.sampled_from(list(PRESETS)))
def test_settings_survive_writing_and_reading(settings: Settings, preset: str) -> None:
    text = write_parameters("a cat", "", {"Steps": 20, **write(settings, KNOWN, preset)})
    assert read(read_parameters(text)[2], KNOWN) == (preset, dict(settings))


def test_an_infotext_without_ebca_says_nothing() -> None:
    assert read({"Steps": "20", "EBCA version": VERSION}, KNOWN) is None
    assert read({"EBCA enabled": "False"}, KNOWN) is None


OF_0_1_0 = (
    "EBCA enabled: True, EBCA preset: multi-concept, EBCA gamma_attn: 0.003, EBCA gamma_norm: 0,"
    " EBCA start: 0, EBCA stop: 1, EBCA formulation: reference, EBCA update_unconditional: False,"
    " EBCA scale_with_depth: True, EBCA max_relative_update: 0, EBCA layers: all, EBCA"
    ' token_weights: "crown:2.5, red hat:1.5", EBCA compose: cacao, EBCA edit_gamma_attn: 0, EBCA'
    " edit_gamma_norm: 0, EBCA edit_start: 0, EBCA edit_stop: 1, EBCA mask: True, EBCA hires:"
    " same, EBCA gamma_spread: 0, EBCA centered: True, EBCA composition: average, EBCA contrast:"
    ' 1.3, EBCA contrast_stop: 0.3, EBCA things: "crown, red hat"'
)
BEFORE_THE_CONTRAST = (
    "EBCA enabled: True, EBCA preset: paper: multi-concept, EBCA gamma_attn: 0.01, EBCA gamma_norm:"
    " 0.02, EBCA start: 0, EBCA stop: 1, EBCA formulation: reference, EBCA update_unconditional:"
    " False, EBCA scale_with_depth: True, EBCA max_relative_update: 0, EBCA layers: all, EBCA"
    " compose: webui, EBCA edit_gamma_attn: 0, EBCA edit_gamma_norm: 0, EBCA edit_start: 0, EBCA"
    " edit_stop: 1, EBCA mask: True, EBCA hires: same"
)


def pasted(line: str) -> dict[str, object]:
    parameters = read_parameters(f"a crown and a red hat\nSteps: 20, {line}")[2]
    found = read(parameters, KNOWN)
    assert found is not None
    return {name: value for name, value in found[1].items() if value != KNOWN[name].default}


def test_a_picture_of_0_1_0_pastes_as_it_was_made() -> None:
    assert pasted(OF_0_1_0) == {
        "gamma_attn": 0.003,
        "token_weights": "crown:2.5, red hat:1.5",
        "and_means": "average",
        "subjects": "crown, red hat",
        "contrast": 1.3,
        "regions": 0.0,
        "regions_words": 0.0,
    }


def test_a_picture_of_0_2_0_pastes_as_it_was_made() -> None:
    line = 'EBCA: on, EBCA version: 0.2.0, EBCA gamma_attn: 0.01, EBCA subjects: "a cat, a dog"'
    assert pasted(line) == {"gamma_attn": 0.01, "subjects": "a cat, a dog", "regions_words": 0.0}


def test_what_did_not_exist_when_a_picture_was_made_is_off_in_it() -> None:
    assert pasted(BEFORE_THE_CONTRAST) == {
        "gamma_attn": 0.01,
        "gamma_norm": 0.02,
        "and_means": "webui",
        "regions": 0.0,
        "regions_words": 0.0,
        "centered": False,
    }


def test_a_setting_that_is_newer_than_a_picture_is_neutral_in_it() -> None:
    newer = dataclasses.replace(KNOWN["regions"], since="99.0.0")
    known = {**KNOWN, "regions": newer}
    assert read({"EBCA": "on", "EBCA version": VERSION}, known)[1]["regions"] == 0.0


def test_a_default_that_has_changed_is_the_old_one_in_old_pictures() -> None:
    changed = dataclasses.replace(KNOWN["contrast"], was=(("0.1.5", 0.5), ("0.2.0", 0.7)))
    known = {**KNOWN, "contrast": changed}
    for version, value in {"0.1.0": 0.5, "0.2.0": 0.7, "0.2.1": 0.0}.items():
        assert read({"EBCA": "on", "EBCA version": version}, known)[1]["contrast"] == value


def test_what_cannot_be_read_is_as_if_it_had_not_been_written() -> None:
    parameters = {"EBCA": "on", "EBCA version": "?", "EBCA gamma_attn": "a lot", "EBCA new": "1"}
    assert read(parameters, KNOWN) == ("multi-concept", dict(Settings()))
