import copy
import dataclasses
import math
import pickle
import re
from decimal import Decimal
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ebca import Edit, Settings, SettingsError
from ebca.core.layers import LayerRule, parse_layers
from ebca.options import all_declarations
from ebca.options.legacy import LIST_OF_0_1, RENAMED
from ebca.options.presets import PRESETS, preset_values
from ebca.prompts.prompt import ALPHA, EDIT_GAMMA
from ebca.settings.checks import FRACTION, in_window

KNOWN = all_declarations()
NUMBERS = {
    **{(Settings, name): each.legal for name, each in KNOWN.items() if each.is_number},
    **{(Edit, name): EDIT_GAMMA for name in ("gamma_attn", "gamma_norm")},
    **{(Edit, name): FRACTION for name in ("start", "stop")},
    (Edit, "alpha"): ALPHA,
}
FLAGS = [name for name, each in KNOWN.items() if each.is_flag]
WINDOWS = {"start": "stop", "edit_start": "edit_stop"}
ROOM = {
    **{start: {stop: 1.0} for start, stop in WINDOWS.items()},
    **{stop: {start: 0.0} for start, stop in WINDOWS.items()},
}


def make(kind: type, **values: object) -> Settings | Edit:
    return kind(**({"prompt": "a cat", **values} if kind is Edit else values))


@pytest.mark.parametrize(("kind", "name"), NUMBERS)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, True, False, "0.5", [], 1j])
def test_what_is_no_number_is_named_with_its_field_and_range(kind, name, bad):
    with pytest.raises(SettingsError) as caught:
        make(kind, **{name: bad})
    assert (caught.value.field, caught.value.value) == (name, bad) or bad is not bad
    legal = str(NUMBERS[kind, name])
    assert re.search(rf"{name} is {re.escape(repr(bad))}, but must be {legal}", str(caught.value))


@pytest.mark.parametrize(("kind", "name"), NUMBERS)
def test_the_ends_of_a_range_are_legal_and_what_is_beyond_is_not(kind, name):
    span = NUMBERS[kind, name]
    room = ROOM.get(name, {})
    for value in (span.low, span.high):
        ends = {*WINDOWS, "contrast_stop"}, value
        if not (name in WINDOWS and value == 1.0) and not (name in WINDOWS.values() and not value):
            assert getattr(make(kind, **room, **{name: value}), name) == value, ends
    for value in (math.nextafter(span.low, -math.inf), math.nextafter(span.high, math.inf)):
        with pytest.raises(SettingsError, match=name):
            make(kind, **room, **{name: value})


@pytest.mark.parametrize("kind", [Settings, Edit])
@pytest.mark.parametrize(("start", "stop"), [(0.5, 0.5), (0.6, 0.5), (1.0, 1.0), (0.0, 0.0)])
def test_a_window_must_not_be_empty(kind, start, stop):
    with pytest.raises(SettingsError, match=f"start is {start}, but must be less than stop"):
        make(kind, start=start, stop=stop)


@pytest.mark.parametrize("value", [1, Fraction(1, 2), torch.tensor(0.5).item()])
def test_other_kinds_of_numbers_become_floats(value):
    assert type(Settings(gamma_attn=value).gamma_attn) is float


def test_a_decimal_is_refused_rather_than_guessed():
    with pytest.raises(SettingsError, match="gamma_attn"):
        Settings(gamma_attn=Decimal("0.5"))


@pytest.mark.parametrize("name", FLAGS)
@pytest.mark.parametrize("bad", [0, 1, None, "yes"])
def test_flags_are_true_or_false(name, bad):
    with pytest.raises(SettingsError, match=f"{name} is {bad!r}, but must be true or false"):
        Settings(**{name: bad})


@pytest.mark.parametrize("bad", ["Reference", "", None, 1, ["paper"]])
@pytest.mark.parametrize("name", [name for name, each in KNOWN.items() if each.choices])
def test_a_choice_is_one_of_those_that_there_are(name, bad):
    with pytest.raises(
        SettingsError, match=f"{name} is .* one of {', '.join(KNOWN[name].choices)}"
    ):
        Settings(**{name: bad})


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("all", None),
        (" ALL ", None),
        ("mid", [LayerRule("mid", 0, 0)]),
        ("Down, up", [LayerRule("down", 0, 0), LayerRule("up", 0, 0)]),
        ("0-3, 8", [LayerRule(None, 0, 3), LayerRule(None, 8, 8)]),
        ("2 - 2,up", [LayerRule(None, 2, 2), LayerRule("up", 0, 0)]),
    ],
)
def test_layers_that_can_be_read(text, rules):
    assert parse_layers(text) == (rules if rules is None else tuple(rules))
    assert Settings(layers=text).layers == text


@pytest.mark.parametrize(
    "bad", ["", ",", "all, up", "3-1", "-1", "1.5", "left", "1;2", "0-", None, 3, ["mid"]]
)
def test_layers_that_cannot_be_read(bad):
    with pytest.raises(SettingsError, match=r"layers is .*, but must be 'all', or a list of down"):
        Settings(layers=bad)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (None, "token_weights is None.*a text"),
        ([(1, 2.0)], "token_weights.*a text"),
        ("crown", "token_weights is 'crown'.*crown:2.5"),
        ("crown:x", "token_weights is 'crown:x'"),
        ("crown:101", "token_weights is 101.0.*from 0 to 100"),
        ({-1: 2.0}, "token_weights is -1.*0 or more"),
        ({"cat": 2.0}, "token_weights is 'cat'"),
        ({True: 2.0}, "token_weights is True"),
        ({1.0: 2.0}, r"token_weights is 1\.0"),
        ({1: math.nan}, r"token_weights\[1\] is nan.*from 0 to 100"),
        ({1: -0.1}, r"token_weights\[1\] is -0.1.*from 0 to 100"),
        ({3: 1.0, 2: "2"}, r"token_weights\[2\] is '2'"),
        ({1: 101}, r"token_weights\[1\] is 101"),
    ],
)
def test_bad_token_weights(bad, message):
    with pytest.raises(SettingsError, match=message):
        Settings(token_weights=bad)


def test_token_weights_are_copied_sorted_and_read_only():
    given = {5: 2, 1: 0.5}
    settings = Settings(token_weights=given)
    given[7] = 3.0
    assert list(settings.token_weights.items()) == [(1, 0.5), (5, 2.0)]
    with pytest.raises(TypeError):
        settings.token_weights[1] = 9.0


@pytest.mark.parametrize("bad", ["cat", "cat, cat", "cat,"])
def test_a_single_subject_is_a_value_on_the_way_and_no_list(bad):
    """The page has it for a moment; a patch is refused."""
    words = Settings(subjects=bad).words
    assert words.subjects_of("a cat and a dog") == {}
    with pytest.raises(SettingsError, match=r"subjects is 'cat.*two or more"):
        words.check_count()
    Settings(subjects="cat, dog").words.check_count()
    Settings().words.check_count()


def test_named_subjects_that_are_not_there_have_no_effect():
    words = Settings(subjects="owl, red hat").words
    assert list(words.subjects_of("a cat and a dog")) == ["a cat", "a dog"]
    assert words.subjects_of("an owl and a dog") == {}
    assert words.subjects_of("an owl in a red hat") == {"owl": "owl", "red hat": "hat"}


@pytest.mark.parametrize("bad", [None, 3])
def test_subjects_are_a_text(bad):
    with pytest.raises(SettingsError, match="subjects is"):
        Settings(subjects=bad)
    assert Settings(subjects="(cat:1.2), red  hat").words.named == ("cat", "red hat")


def test_frozen():
    settings = Settings()
    for name in settings:
        with pytest.raises(AttributeError):
            setattr(settings, name, 0.5)
    edit = Edit(prompt="a cat")
    for field in dataclasses.fields(edit):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(edit, field.name, 0.5)


def test_equal_settings_have_equal_hashes():
    one, other = (Settings(0.1, token_weights={1: 2.0, 3: weight}) for weight in (4, 4.0))
    assert one == other
    assert len({one, other, Settings(0.2)}) == 2
    assert one != Settings(0.1, token_weights={1: 2.0})
    assert len({Edit(prompt="a"), Edit(prompt="a"), Edit(prompt="b")}) == 2


def test_settings_can_be_copied_and_sent_to_other_processes():
    settings = Settings(gamma_attn=0.03, and_means="average", token_weights="cat:2")
    assert copy.deepcopy(settings) == copy.copy(settings) == settings
    assert pickle.loads(pickle.dumps(settings)) == settings


def test_replaced_settings_are_checked_again():
    assert Settings(0.1).replace(gamma_norm=0.2) == Settings(0.1, 0.2)
    with pytest.raises(SettingsError, match="gamma_norm"):
        Settings().replace(gamma_norm=-1)


def test_settings_show_what_is_not_the_default():
    assert repr(Settings()) == "Settings()"
    assert repr(Settings(layers="mid", gamma_attn=0.002)) == "Settings(layers='mid')"


@pytest.mark.parametrize("name", ["gamma", "Gamma_attn", "enabled", ""])
def test_a_name_that_is_no_setting_is_refused_with_those_that_are(name):
    with pytest.raises(SettingsError, match=f"setting is '{name}'.*one of subjects.*gamma_attn"):
        Settings(**{name: 1})
    with pytest.raises(AttributeError, match="no setting"):
        _ = Settings().nothing


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "prompt is None.*given, or else context"),
        ({"prompt": "a", "context": torch.zeros(2, 3)}, "prompt is 'a'.*or else context"),
        ({"prompt": 3}, "prompt is 3.*a text"),
        ({"context": torch.zeros(1, 2, 3)}, r"context is \(1, 2, 3\).*\[tokens, channels\]"),
        ({"context": "a cat"}, "context is 'str'.*tensor"),
    ],
)
def test_an_edit_has_a_prompt_or_a_context(values, message):
    with pytest.raises(SettingsError, match=message):
        Edit(**values)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_neighbouring_windows_share_no_step_and_miss_none(progress, one, other):
    low, high = min(one, other), max(one, other)
    windows = [(0.0, low), (low, high), (high, 1.0)]
    assert sum(in_window(progress, *window) for window in windows if window[0] < window[1]) == 1


@pytest.mark.parametrize("name", KNOWN)
def test_a_declaration_is_whole(name):
    """What every surface needs is there, and a default and a neutral value are legal."""
    each = KNOWN[name]
    assert each.help.endswith(".")
    assert each.label
    assert [other.label for other in KNOWN.values()].count(each.label) == 1
    assert each.checked(each.default) == each.default
    assert each.checked(each.neutral) == each.neutral
    assert each.default_of((0, 0, 1)) == each.neutral
    if each.is_number:
        low, high, step = each.legal.slider
        assert each.legal.low <= low < high <= each.legal.high
        assert 0 < step < high - low
        assert low <= each.default <= high


@pytest.mark.parametrize("name", KNOWN)
def test_a_value_that_was_written_reads_back(name):
    from ebca.options.infotext import written

    each = KNOWN[name]
    for value in {each.default, each.neutral, *each.choices}:
        assert each.read(written(value)) == value


# Names of 0.1.0

OLD_VALUES = {"things": "cat, dog", "compose": "webui", "composition": "average"}


@pytest.mark.parametrize(
    "name", [name for name in LIST_OF_0_1 if name not in ("enabled", "preset", "hires")]
)
def test_every_name_of_0_1_0_still_works(name):
    value = OLD_VALUES.get(name, KNOWN[RENAMED.get(name, name)].default)
    settings = Settings(**{name: value})
    assert getattr(settings, name) == settings[name] == value
    assert Settings().replace(**{name: value}) == settings


def test_what_and_means_from_its_two_old_names():
    assert Settings(compose="cacao").and_means == "sum"
    assert Settings(compose="cacao", composition="average").and_means == "average"
    assert Settings(compose="webui", composition="average").and_means == "webui"
    with pytest.raises(SettingsError, match="compose is 'sum', but must be one of cacao, webui"):
        Settings(compose="sum")
    with pytest.raises(SettingsError, match=r"things.*left out where subjects, its new name"):
        Settings(things="cat, dog", subjects="cat, dog")
    assert Settings(max_relative_update=None).max_relative_update == 0.0


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_legal_and_set_the_same_fields(preset):
    Settings(**PRESETS[preset])
    assert set(preset_values(preset)) == set(preset_values("multi-concept"))
    assert preset_values("custom") == {}
