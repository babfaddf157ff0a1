"""The X/Y/Z plot: each cell is the single picture with that value, and no cell leaks."""

import pytest

from webui.client import ON, PROMPT, RefusedError, Result, axis, differ, same

BOTH = f"{PROMPT} AND a green hat :0.5"
EBCA = {**ON, "edit_gamma_attn": 0.005}


@pytest.fixture(scope="module")
def axes(host):
    """The plot's axes."""
    scripts = host.get("/sdapi/v1/script-info")
    return next(s["args"] for s in scripts if s["name"] == "x/y/z plot")[0]["choices"]


@pytest.fixture
def plot(webui):
    """The cells of a plot of one or two axes, (label, values)."""

    def plot(*wanted, ebca=EBCA, **job):
        arguments = webui.plot_arguments(*wanted)
        job = {"prompt": BOTH, "steps": 3, "script_name": "x/y/z plot", **job}
        result = webui.txt2img(ebca=ebca, script_args=arguments, **job)
        return [
            Result([picture], [infotext])
            for picture, infotext in zip(result.pictures[1:], result.infotexts[1:], strict=True)
        ]

    return plot


@pytest.fixture
def single(webui):
    def single(ebca, **job):
        return webui.txt2img(**{"prompt": BOTH, "steps": 3, "ebca": ebca, **job})

    return single


def listed(values):
    """As the plot reads them: quoted where they have commas of their own."""
    return ", ".join(f'"{value}"' if "," in str(value) else str(value) for value in values)


def assert_cell(cell, alone):
    assert same(cell, alone)
    assert cell.labels == alone.labels
    assert cell.infotext.split("\n")[0] == alone.infotext.split("\n")[0]


AXES = {
    "gamma_attn": [0, 0.02, 0.05],
    "gamma_norm": [0, 0.05],
    "start": [0, 0.5],
    "stop": [0.3, 1],
    "formulation": ["reference", "paper"],
    "update_unconditional": [True, False],
    "scale_with_depth": [True, False],
    "max_relative_update": [0, 0.01],
    "layers": ["all", "mid", "0-3"],
    "token_weights": ["red:3", "blue crown:2"],
    "and_means": ["sum", "average", "webui"],
    "edit_gamma_attn": [0, 0.02],
    "edit_gamma_norm": [0, 0.02],
    "edit_start": [0, 0.5],
    "edit_stop": [0.3, 1],
    "mask": [True, False],
    "hires": ["same", "off", "only"],
    "gamma_spread": [0, 0.05],
    "centered": [True, False],
    "regions": [0, 0.5],
    "regions_stop": [0, 0.5],
    "regions_words": [0, 0.5],
    "contrast": [0, 0.4],
    "contrast_stop": [0, 0.5],
    "subjects": ["red car, crown", "red, blue, car"],
    "attention_of": ["red", "car, crown"],
    "attention_when": ["early", "late", "all"],
    "save_attention": [True, False],
}


OF_IMG2IMG = (
    "keep", "keep_source", "keep_more", "keep_stop", "keep_noise", "keep_steps", "keep_from_source"
)  # fmt: skip
"""What `test_keeping` tries."""


def test_there_is_an_axis_for_every_field(axes):
    fields = {"enabled", "preset", "also_off", "show_attention", *AXES, *OF_IMG2IMG}
    assert {label for label in axes if "EBCA" in label} == {axis(name) for name in fields}


@pytest.mark.parametrize("field", AXES)
def test_each_cell_is_the_single_picture_with_that_value(plot, single, field):
    values = AXES[field]
    cells = plot((axis(field), listed(values)))
    for cell, value in zip(cells, values, strict=True):
        assert_cell(cell, single({**EBCA, field: value}))


def test_two_axes(plot, single):
    cells = plot((axis("gamma_attn"), "0.01, 0.05"), (axis("and_means"), "webui, sum"))
    wanted = [(gamma, how) for how in ("webui", "sum") for gamma in (0.01, 0.05)]
    for cell, (gamma, how) in zip(cells, wanted, strict=True):
        assert_cell(cell, single({**EBCA, "gamma_attn": gamma, "and_means": how}))
    assert differ(*cells)


@pytest.mark.parametrize("values", ["False, True, False", "true, FALSE"])
def test_the_axis_enabled_compares_with_off(plot, single, values):
    cells = plot((axis("enabled"), values))
    for cell, value in zip(cells, values.split(", "), strict=True):
        assert_cell(cell, single(EBCA if value.lower() == "true" else {"enabled": False}))


def test_the_axis_enabled_switches_a_closed_accordion_on(plot, single):
    off, on = plot((axis("enabled"), "False, True"), ebca=[False, "custom", 0.05, 0.01])
    assert_cell(off, single(None))
    assert_cell(on, single({"preset": "custom", "gamma_attn": 0.05, "gamma_norm": 0.01}))


def test_a_closed_accordion_stays_closed_on_other_axes(plot, single):
    for cell in plot((axis("gamma_attn"), "0.01, 0.05"), ebca=[False]):
        assert_cell(cell, single(None))


@pytest.mark.parametrize(
    "preset", ["paper: inpainting", "paper: compose / edit", "paper: stylise", "multi-concept"]
)
def test_the_axis_preset_sets_its_fields(plot, single, preset):
    """What the accordion holds of them gives way, as if the preset had been chosen in it."""
    filled_in = [True, "custom", 0.07, 0.07]
    (cell,) = plot((axis("preset"), preset), ebca=filled_in)
    assert_cell(cell, single({"preset": preset}))


def test_a_preset_and_another_axis(plot, single):
    cells = plot((axis("preset"), "paper: stylise"), (axis("gamma_attn"), "0.02"), ebca=[True])
    assert_cell(cells[0], single({"preset": "paper: stylise", "gamma_attn": 0.02}))


def test_values_may_be_ranges(plot, single):
    cells = plot((axis("gamma_attn"), "0-0.04 [3]"))
    for cell, value in zip(cells, (0, 0.02, 0.04), strict=True):
        assert_cell(cell, single({**EBCA, "gamma_attn": value}))


def test_axes_of_the_host_go_with_it(plot, single):
    cells = plot(("Steps", "2, 3"), (axis("gamma_attn"), "0.01, 0.05"))
    wanted = [(steps, gamma) for gamma in (0.01, 0.05) for steps in (2, 3)]
    for cell, (steps, gamma) in zip(cells, wanted, strict=True):
        assert_cell(cell, single({**EBCA, "gamma_attn": gamma}, steps=steps))


def test_prompts_may_change_from_cell_to_cell(plot, single):
    cells = plot(("Prompt S/R", '"AND a green hat :0.5", , AND crown :-0.3'))
    for cell, rest in zip(cells, ("AND a green hat :0.5", "", "AND crown :-0.3"), strict=True):
        assert_cell(cell, single(EBCA, prompt=f"{PROMPT} {rest}"))


def test_subjects_that_a_cell_does_not_have_cost_nothing(plot, single):
    ebca = {**EBCA, "subjects": "red car, crown"}
    cells = plot(("Prompt S/R", "red car, green tree"), ebca=ebca)
    assert_cell(cells[0], single(ebca))
    assert_cell(cells[1], single(ebca, prompt=BOTH.replace("red car", "green tree")))


def test_checkpoints_may_change_from_cell_to_cell(plot, single, other, webui):
    before = single(EBCA)
    cells = plot(("Checkpoint name", f"{other}, {_name(before)}"))
    assert_cell(cells[1], before)
    assert differ(*cells)
    assert same(before, single(EBCA))


def _name(result):
    return result.infotext.split("Model: ")[1].split(",")[0]


def test_no_cell_leaks_into_the_next_job(plot, single):
    off, on = single(None), single(EBCA)
    plot((axis("gamma_attn"), "0.05, 0"), (axis("enabled"), "True, False"))
    assert_cell(off, single(None))
    assert_cell(on, single(EBCA))


BAD = {
    "gamma_attn": "-1",
    "gamma_norm": "11",
    "start": "1.5",
    "stop": "0",
    "formulation": "papier",
    "update_unconditional": "perhaps",
    "layers": "sideways",
    "token_weights": "red",
    "subjects": "red",
    "and_means": "mix",
    "edit_gamma_attn": "nan",
    "preset": "none of them",
    "hires": "never",
    "mask": "2",
}


@pytest.mark.parametrize("field", BAD)
def test_a_bad_value_is_refused_before_the_first_cell(plot, single, field):
    before = single(EBCA)
    good = str(AXES.get(field, ["paper: stylise"])[-1])
    with pytest.raises(RefusedError, match=field):
        plot((axis(field), listed([good, BAD[field]])))
    assert_cell(single(EBCA), before)


@pytest.mark.parametrize(
    ("axis", "values"),
    [
        ("start", "0.1, 0.7"),  # after the accordion's stop
        ("layers", "mid, 0-99"),  # which the model has not
        ("token_weights", "red:2, bowl:2"),  # not in the prompt
    ],
)
def test_a_value_that_only_this_job_cannot_use_costs_its_own_cell(plot, single, axis, values):
    """What another axis may yet change (stop, checkpoint, prompt) is seen in the cell."""
    ebca = {**EBCA, "stop": 0.5}
    good, bad = plot((axis(axis), values), ebca=ebca)
    value = values.split(", ")[0]
    assert_cell(good, single({**ebca, axis: float(value) if axis == "start" else value}))
    assert bad.picture.std() == 0
    assert bad.infotexts == [None]
