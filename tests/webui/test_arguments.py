"""The API's two ways to say what one wants: an object of fields, or a list in their order."""

import pytest

from webui.client import JOB, ON, RefusedError, differ, same

FIELDS = [
    "enabled",
    "preset",
    "gamma_attn",
    "gamma_norm",
    "start",
    "stop",
    "formulation",
    "update_unconditional",
    "scale_with_depth",
    "max_relative_update",
    "layers",
    "token_weights",
    "and_means",
    "edit_gamma_attn",
    "edit_gamma_norm",
    "edit_start",
    "edit_stop",
    "mask",
    "hires",
    "gamma_spread",
    "centered",
    "contrast",
    "contrast_stop",
    "subjects",
    "regions",
    "regions_stop",
    "also_off",
    "show_attention",
    "attention_of",
    "attention_when",
    "save_attention",
    "keep",
    "keep_source",
    "keep_more",
    "keep_stop",
    "keep_noise",
    "keep_steps",
    "keep_from_source",
    "regions_words",
]

PRESETS = {
    "custom": {},
    "multi-concept": {"gamma_attn": 0.002, "gamma_norm": 0, "gamma_spread": 0},
    "contrast": {"gamma_attn": 0, "regions": 0, "contrast": 1.3},
    "paper: multi-concept": {"gamma_attn": 0.01, "gamma_norm": 0.02, "centered": False},
    "paper: inpainting": {"gamma_attn": 0.025, "gamma_norm": 0.025, "mask": True},
    "paper: compose / edit": {"gamma_attn": 0, "edit_gamma_attn": 0.0005, "edit_start": 0.3},
    "paper: stylise": {"gamma_norm": 0, "edit_gamma_norm": 0.0004, "edit_start": 0.2},
}


@pytest.fixture
def fields(webui):
    """Names and defaults, in the order of the list."""
    (shown, _) = [s["args"] for s in webui.get("/sdapi/v1/script-info") if s["name"] == "ebca"]
    return dict(zip(FIELDS, (control["value"] for control in shown), strict=True))


def test_it_is_listed_for_both_tabs(webui):
    scripts = webui.get("/sdapi/v1/scripts")
    assert "ebca" in scripts["txt2img"]
    assert "ebca" in scripts["img2img"]


def test_an_infotext_of_the_defaults_says_that_it_is_on_and_the_version(webui):
    assert list(webui.txt2img(ebca={}, steps=1).labels) == ["", "version"]


def test_it_is_off_by_default(webui, fields):
    assert fields["enabled"] is False
    assert webui.txt2img(ebca=[]).labels == {}


def test_missing_keys_take_the_defaults(webui):
    one, two = {"gamma_attn": 0.03}, {"gamma_attn": 0.03, "regions": 1, "layers": "all"}
    assert same(webui.txt2img(ebca=one), webui.txt2img(ebca=two))


def test_an_object_without_enabled_is_off(webui):
    result = webui.txt2img(ebca=[{"gamma_attn": 0.05}])
    assert same(result, webui.txt2img())
    assert result.labels == {}


@pytest.mark.parametrize("title", ["EBCA", "ebca", "Ebca"])
def test_any_case_of_the_title_does(webui, title):
    scripts = {title: {"args": [{"enabled": True, **ON}]}}
    assert same(webui.txt2img(alwayson_scripts=scripts), webui.txt2img(ebca=ON))


def test_a_list_in_the_order_of_the_fields_is_as_the_object(webui, fields):
    values = {**fields, "enabled": True, **ON, "layers": "mid, up", "token_weights": "red:3"}
    one = webui.txt2img(ebca=list(values.values()))
    two = webui.txt2img(ebca=values)
    assert same(one, two)
    assert one.labels == two.labels


def test_a_short_list_takes_the_defaults_for_the_rest(webui):
    one = webui.txt2img(ebca=[True, "custom", 0.03])
    two = webui.txt2img(ebca={"preset": "custom", "gamma_attn": 0.03})
    assert same(one, two)
    assert one.labels == two.labels


def test_a_list_may_be_too_long(webui, fields):
    values = [*{**fields, "enabled": True}.values(), "more", 7, None]
    assert same(webui.txt2img(ebca=values), webui.txt2img(ebca={}))


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_sets_its_fields(webui, preset):
    chosen = webui.txt2img(ebca={"preset": preset}, steps=2)
    assert chosen.labels.get("preset", "multi-concept") == preset
    assert set(chosen.labels) <= {"", "version", "preset"}
    assert same(chosen, webui.txt2img(ebca={"preset": preset, **PRESETS[preset]}, steps=2))


@pytest.mark.parametrize("compose", ["cacao", "webui"])
def test_a_list_of_0_1_0_is_read_in_its_own_order(webui, fields, compose):
    """It had `compose` and `composition` where `and_means` is."""
    means = "average" if compose == "cacao" else "webui"
    new = {**fields, "enabled": True, **ON, "and_means": means, "contrast": 0.7}
    old = {**new, "composition": "average", "contrast": new.pop("contrast")}
    old_names = [name for name in FIELDS if not name.startswith("regions")]
    order = ["compose" if name == "and_means" else name for name in old_names]
    order.insert(order.index("contrast"), "composition")
    values = [{**old, "compose": compose}[name] for name in order]
    prompt = "a red car and a blue crown AND a green hat :0.5"
    listed = webui.txt2img(prompt=prompt, ebca=values)
    assert same(listed, webui.txt2img(prompt=prompt, ebca={**new, "contrast": 0.7}))


def test_a_key_wins_over_the_preset(webui):
    labels = webui.txt2img(ebca={"preset": "paper: stylise", "gamma_attn": 0.04}, steps=1).labels
    del labels["version"]
    assert labels == {"": "on", "preset": "paper: stylise", "gamma_attn": "0.04"}


def test_whole_numbers_are_numbers(webui):
    assert same(webui.txt2img(ebca={"start": 0, "stop": 1, **ON}), webui.txt2img(ebca=ON))


def test_an_object_as_all_arguments_is_no_good_but_does_no_harm(webui):
    before = webui.txt2img()
    with pytest.raises(RefusedError):
        webui.job("txt2img", {**JOB, "alwayson_scripts": {"EBCA": {"args": {"enabled": True}}}})
    assert same(before, webui.txt2img())


def test_every_field_changes_the_picture_where_it_should(webui):
    job = {"prompt": "a red car and a blue crown AND a green hat :0.5"}
    changes = [
        {},
        {"gamma_attn": 0.06},
        {"gamma_norm": 0.06},
        {"start": 0.3},
        {"formulation": "paper"},
        {"update_unconditional": True},
        {"max_relative_update": 0.005},
        {"layers": "up"},
        {"token_weights": "car:4"},
        {"and_means": "webui"},
        {"edit_gamma_attn": 0.05},
        {"edit_start": 0.3},
    ]
    results = [webui.txt2img(**job, ebca={**ON, **change}) for change in changes]
    assert len({result.picture.tobytes() for result in results}) == len(changes)


def test_the_cap_is_a_cap(webui):
    off = webui.txt2img()
    capped = [webui.txt2img(ebca={**ON, "max_relative_update": cap}) for cap in (1e-6, 0.01)]
    assert not differ(off, capped[0])
    assert differ(off, capped[1], webui.txt2img(ebca=ON))
    assert same(webui.txt2img(ebca=ON), webui.txt2img(ebca={**ON, "max_relative_update": 0}))


def test_depth_does_not_matter_where_there_are_sixteen_layers(webui):
    one, two = ({**ON, "scale_with_depth": flag} for flag in (True, False))
    assert same(webui.txt2img(ebca=one), webui.txt2img(ebca=two))


def test_layers_add_up(webui):
    layers = ["down", "mid", "up", "0-5", "down, up"]
    results = [webui.txt2img(ebca={**ON, "layers": each}) for each in layers]
    assert differ(*(results[i] for i in (0, 1, 2)), results[4])
    assert same(results[0], results[3])
    everything = webui.txt2img(ebca={**ON, "layers": "down, mid, 7-15"})
    assert same(everything, webui.txt2img(ebca=ON))
