"""`AND` is CACAO: prompts are averaged inside cross-attention, in one UNet row an image."""

import pytest

from webui.client import ON, PAPER, SUM, ZERO, alike, differ, same

A, B = "a red car", "a blue crown"
LONG = ", ".join(["one red car on the green grass", "two crowns in the snow"] * 9)
STEPS = {
    "gamma_attn": 0.01,
    "gamma_norm": 0.01,
    "edit_gamma_attn": 0.01,
    "edit_gamma_norm": 0.01,
    **PAPER,
}
"""The same step sizes for main and editorial prompts."""


def drawing(webui):
    def draw(prompt, ebca=STEPS, **job):
        return webui.txt2img(prompt=prompt, ebca=ebca, **job)

    return draw


@pytest.fixture
def draw(webui):
    return drawing(webui)


@pytest.fixture
def draw_any(any_webui):
    """With each of the checkpoints."""
    return drawing(any_webui)


@pytest.mark.parametrize("steps", [ZERO, STEPS], ids=["zero", "moving"])
def test_a_prompt_and_itself_is_the_prompt(draw_any, steps):
    assert alike(draw_any(f"{A} AND {A}", steps), draw_any(A, steps))


def test_the_second_prompt_counts(draw_any):
    core = draw_any(f"{A} AND {B}", ebca=None)
    assert differ(draw_any(A), draw_any(f"{A} AND {B}"), draw_any(f"{A} AND {B} :0.3"), core)


def test_a_weight_of_zero_takes_no_part(draw):
    assert same(draw(f"{A} AND {B} :0"), draw(A))


def test_only_the_ratio_of_the_weights_matters(draw):
    assert same(draw(f"{A} :2 AND {B} :1"), draw(f"{A} AND {B} :0.5"))


def test_the_same_editorial_prompt_twice_adds_up(draw):
    assert alike(draw(f"{A} AND {B} :0.5 AND {B} :0.5"), draw(f"{A} AND {B}"))


def test_opposite_editorial_prompts_cancel(draw_any):
    assert alike(draw_any(f"{A} AND {B} :0.5 AND {B} :-0.5"), draw_any(A))


def test_a_negative_weight_is_not_the_positive_one(draw):
    assert differ(draw(f"{A} AND {B} :-0.5"), draw(A), draw(f"{A} AND {B} :0.5"))


def test_the_order_of_editorial_prompts_does_not_matter(draw):
    one = draw(f"{A} AND {B} :0.5 AND a crown :0.3")
    assert alike(one, draw(f"{A} AND a crown :0.3 AND {B} :0.5"))


def test_which_prompt_is_the_main_one_matters_only_for_its_step_sizes(draw):
    assert alike(draw(f"{A} AND {B}", STEPS), draw(f"{B} AND {A}", STEPS))
    assert differ(draw(f"{A} AND {B}", ON), draw(f"{B} AND {A}", ON))
    assert alike(draw(f"{A} AND {LONG}"), draw(f"{LONG} AND {A}"))


@pytest.mark.parametrize("empty", [" AND ", " AND", " AND  :0.7", " AND AND "])
def test_an_empty_editorial_prompt_takes_no_part(webui, empty):
    assert same(webui.txt2img(prompt=A + empty, ebca=ON), webui.txt2img(prompt=A, ebca=ON))


def test_a_long_prompt_and_itself_is_the_prompt(draw):
    assert alike(draw(f"{LONG} AND {LONG}"), draw(LONG))


@pytest.mark.parametrize(("main", "edit"), [(A, LONG), (LONG, A)], ids=["long edit", "long main"])
def test_prompts_of_different_lengths_are_composed(draw_any, main, edit):
    one = draw_any(f"{main} AND {edit}")
    assert alike(one, draw_any(f"{main} AND {edit} :0.5 AND {edit} :0.5"))
    assert differ(one, draw_any(main))


def test_break_works_in_main_and_editorial_prompts(draw):
    main, edit = f"{A} BREAK a crown", f"{B} BREAK a hat"
    assert alike(draw(f"{main} AND {main}"), draw(main))
    assert alike(draw(f"{main} AND {edit}"), draw(f"{edit} AND {main}"))
    assert differ(draw(f"{main} AND {edit}"), draw(f"{main} AND {B}"), draw(f"{A} AND {edit}"))


def test_emphasis_works_in_main_and_editorial_prompts(draw):
    plain = draw(f"{A} AND {B}")
    assert differ(plain, draw(f"{A} AND a (blue:1.6) crown"), draw(f"a (red:1.6) car AND {B}"))


def test_the_negative_prompt_knows_no_and(webui):
    job = {"prompt": A, "negative_prompt": f"{B} AND {A} :-3"}
    assert same(webui.txt2img(**job, ebca=ZERO), webui.txt2img(**job))


# and_means = sum


@pytest.mark.parametrize("prompt", [A, LONG], ids=["short", "long"])
def test_a_sum_is_measured_against_the_empty_prompt(draw, prompt):
    """To an empty main prompt a prompt of weight 1 adds all that it says."""
    assert alike(draw(f" AND {prompt}", SUM), draw(prompt, None))


def test_a_sum_adds_and_an_average_shares(draw_any):
    whole, half = draw_any(f"{A} AND {B}", SUM), draw_any(f"{A} AND {B} :0.5", SUM)
    assert differ(whole, half, draw_any(f"{A} AND {B}", ZERO), draw_any(A, None))
    assert alike(whole, draw_any(f"{A} AND {B} :0.5 AND {B} :0.5", SUM))
    assert alike(draw_any(f"{A} AND {B} :0.5 AND {B} :-0.5", SUM), draw_any(A, None))


def test_a_sum_takes_weights_that_an_average_cannot(draw):
    assert differ(draw(f"{A} AND {B} :-1.5", SUM), draw(A, None))


# and_means = webui


@pytest.mark.parametrize("prompt", [f"{A} AND {B}", f"{A} :1.2 AND {B} :-0.4 AND a crown :0.3"])
def test_with_the_hosts_own_and_no_step_size_it_is_the_core_and(draw_any, prompt):
    assert same(draw_any(prompt, {**ZERO, "and_means": "webui"}), draw_any(prompt, None))


def test_with_the_hosts_own_and_every_conditional_row_is_updated(draw_any):
    """The WebUI adds what each of two equal prompts does, as twice the guidance would."""
    webui = {**ON, "and_means": "webui"}
    twice = draw_any(f"{A} AND {A}", webui, cfg_scale=2)
    assert alike(twice, draw_any(A, webui, cfg_scale=4))
    assert differ(twice, draw_any(A, None, cfg_scale=4))


def test_two_equal_prompts_do_not_double_the_guidance(draw):
    assert differ(draw(f"{A} AND {A}", cfg_scale=2), draw(A, cfg_scale=4))


@pytest.mark.parametrize("keyword", ["AND_PERP", "AND_SALT", "AND_TOPK"])
def test_other_extensions_keywords_are_left_alone(webui, keyword):
    prompt = f"{A} {keyword} {B} AND a crown"
    assert same(webui.txt2img(prompt=prompt, ebca=ZERO), webui.txt2img(prompt=prompt))


@pytest.mark.parametrize("and_means", ["sum", "average", "webui"])
def test_the_infotext_keeps_the_prompt_as_it_was_written(webui, and_means):
    prompt = f"{A} :1.2 AND [:a (blue:1.3) crown:0.2] :0.6 AND  AND {A} BREAK hat"
    result = webui.txt2img(prompt=prompt, ebca={**ON, "and_means": and_means}, batch_size=2)
    assert [text.split("\n")[0] for text in result.infotexts] == [prompt, prompt]
    assert result.labels.get("and_means", "sum") == and_means
