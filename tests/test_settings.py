import dataclasses
import math
import re
import subprocess
import sys
from decimal import Decimal
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ebca import Edit, Settings, SettingsError
from ebca.settings import LayerRule, check_alphas, in_window, number_ranges, parse_layers

NUMBERS = {
    **{(Settings, name): span for name, span in number_ranges(Settings).items()},
    **{(Edit, name): span for name, span in number_ranges(Edit).items()},
}


def make(kind: type, **values: object) -> Settings | Edit:
    return kind(**({"prompt": "a cat", **values} if kind is Edit else values))


def test_the_ranges_cover_every_number():
    assert {name for kind, name in NUMBERS if kind is Settings} == {
        "gamma_attn", "gamma_norm", "start", "stop", "max_relative_update", "gamma_spread",
    }  # fmt: skip
    assert {name for kind, name in NUMBERS if kind is Edit} == {
        "alpha", "gamma_attn", "gamma_norm", "start", "stop", "contrast",
    }  # fmt: skip


@pytest.mark.parametrize(("kind", "name"), NUMBERS)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, True, False, "0.5", None, [], 1j])
def test_what_is_no_number_is_named_with_its_field_and_range(kind, name, bad):
    if name == "max_relative_update" and bad is None:
        assert Settings(max_relative_update=None).max_relative_update is None
        return
    with pytest.raises(SettingsError) as caught:
        make(kind, **{name: bad})
    assert (caught.value.field, caught.value.value) == (name, bad) or bad is not bad
    legal = str(NUMBERS[kind, name])
    assert re.search(rf"{name} is {re.escape(repr(bad))}, but must be {legal}", str(caught.value))


@pytest.mark.parametrize(("kind", "name"), NUMBERS)
def test_the_ends_of_a_range_are_legal_and_what_is_beyond_is_not(kind, name):
    span = NUMBERS[kind, name]
    room = {"start": {"stop": 1.0}, "stop": {"start": 0.0}}.get(name, {})
    for value in (span.low, span.high):
        if (name, value) not in {("start", 1.0), ("stop", 0.0)}:  # would leave an empty window
            assert getattr(make(kind, **room, **{name: value}), name) == value
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


@pytest.mark.parametrize("name", ["update_unconditional", "scale_with_depth", "mask", "centered"])
@pytest.mark.parametrize("bad", [0, 1, None, "yes"])
def test_flags_are_true_or_false(name, bad):
    with pytest.raises(SettingsError, match=f"{name} is {bad!r}, but must be true or false"):
        Settings(**{name: bad})


@pytest.mark.parametrize("bad", ["Reference", "", None, 1, ["paper"]])
def test_formulation_is_one_of_two(bad):
    with pytest.raises(SettingsError, match=r"formulation is .* one of reference, paper"):
        Settings(formulation=bad)


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
        (None, "token_weights is None.*mapping"),
        ([(1, 2.0)], "token_weights.*mapping"),
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


@pytest.mark.parametrize("thing", [Settings(), Edit(prompt="a cat")])
def test_frozen(thing):
    for field in dataclasses.fields(thing):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(thing, field.name, 0.5)


def test_equal_settings_have_equal_hashes():
    one, other = (Settings(0.1, token_weights={1: 2.0, 3: weight}) for weight in (4, 4.0))
    assert one == other
    assert len({one, other, Settings(0.2)}) == 2
    assert one != Settings(0.1, token_weights={1: 2.0})
    assert len({Edit(prompt="a"), Edit(prompt="a"), Edit(prompt="b")}) == 2


def test_replaced_settings_are_checked_again():
    with pytest.raises(SettingsError, match="gamma_norm"):
        dataclasses.replace(Settings(), gamma_norm=-1)


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


def test_step_sizes_are_zero_outside_the_window():
    settings = Settings(0.1, 0.2, start=0.25, stop=0.5, gamma_spread=0.3)
    moving, still = (0.1, 0.2, 0.3), (0.0, 0.0, 0.0)
    found = [settings.step_sizes(step / 8) for step in range(8)]
    assert found == [still, still, moving, moving, still, still, still, still]
    assert Settings(0.0, 0.0, gamma_spread=0.0).inert
    assert not Settings(0.0, 0.1, gamma_spread=0.0).inert
    assert not Settings(0.1, 0.0, gamma_spread=0.0).inert
    assert not Settings(0.0, 0.0, gamma_spread=0.1).inert
    assert Settings(0.0, 0.0, gamma_spread=0.0, centered=True).inert


@pytest.mark.parametrize("alphas", [[-1.0], [-0.91], [0.5, -1.5], [-0.5, -0.5]])
def test_alphas_that_cancel_the_main_prompt_are_refused(alphas):
    with pytest.raises(SettingsError, match=r"alpha is .*1 \+ their sum is at least 0.1"):
        check_alphas([Edit(prompt="a", alpha=alpha) for alpha in alphas], "average")


@pytest.mark.parametrize("alphas", [[-0.9], [0.1, -1.0], [-0.3, -0.3, -0.3]])
def test_the_smallest_legal_denominator_is_legal(alphas):
    check_alphas([Edit(prompt="a", alpha=alpha) for alpha in alphas], "average")


def test_alphas_only_cancel_while_they_act_together():
    first, second = Edit(prompt="a", alpha=-0.6, stop=0.5), Edit(prompt="b", alpha=-0.6, start=0.5)
    check_alphas([first, second], "average")
    check_alphas([Edit(prompt="  ", alpha=-3.0), Edit(prompt="a", alpha=-0.5)], "average")
    with pytest.raises(SettingsError, match="alpha"):
        check_alphas([first, dataclasses.replace(second, start=0.4)], "average")
    with pytest.raises(SettingsError, match="alpha"):  # the positive one ends first
        check_alphas(
            [Edit(prompt="a", alpha=1.0, stop=0.5), Edit(prompt="b", alpha=-1.5)], "average"
        )


def test_every_setting_has_a_help_text_a_legal_default_and_a_slider_within_its_range():
    for kind in (Settings, Edit):
        for field in dataclasses.fields(kind):
            assert field.metadata["help"].endswith("."), field.name
    for (kind, name), span in NUMBERS.items():
        default = kind.__dataclass_fields__[name].default
        assert default is None or span.low <= default <= span.high
        if span.slider:
            low, high, step = span.slider
            assert span.low <= low < high <= span.high
            assert 0 < step < high - low


def test_settings_can_be_had_without_torch():
    """The WebUI's install check and the documentation read them before torch is there."""
    code = (
        "import importlib.util, sys; sys.modules['torch'] = None;"
        "spec = importlib.util.spec_from_file_location('settings', sys.argv[1]);"
        "module = importlib.util.module_from_spec(spec); sys.modules['settings'] = module;"
        "spec.loader.exec_module(module); print(module.Settings().gamma_attn)"
    )
    path = sys.modules["ebca.settings"].__file__
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "0.002"), done.stderr


def test_a_sum_of_alphas_need_not_leave_anything_of_the_main_prompt_but_is_an_alpha_itself():
    check_alphas([Edit(prompt="a", alpha=-40.0), Edit(prompt="b", alpha=-60.0)], "sum")
    with pytest.raises(SettingsError, match=r"alpha is '\(60\) \+ \(41\)'.*-100 to 100"):
        check_alphas([Edit(prompt="a", alpha=60.0), Edit(prompt="b", alpha=41.0)], "sum")
