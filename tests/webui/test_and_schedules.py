"""Scheduled prompts, and batches whose images have different numbers of sub-prompts."""

import pytest

from webui.client import ON, ZERO, RefusedError, Result, alike, differ, same

A, B = "a red car", "a blue crown"


@pytest.fixture
def draw(webui):
    def draw(prompt, ebca=ON, **job):
        return webui.txt2img(prompt=prompt, ebca=ebca, **job)

    return draw


def test_an_editorial_prompt_may_come_later(draw):
    late = draw(f"{A} AND [:{B}:0.2]")
    assert differ(late, draw(A), draw(f"{A} AND {B}"))


def test_a_schedule_in_the_prompt_is_a_window_of_editorial_prompts(draw):
    """`[:b:0.4]` of 5 steps begins with the fourth, as the WebUI counts them."""
    assert same(draw(f"{A} AND [:{B}:0.4]"), draw(f"{A} AND {B}", {**ON, "edit_start": 0.6}))
    assert same(draw(f"{A} AND [{B}::0.4]"), draw(f"{A} AND {B}", {**ON, "edit_stop": 0.6}))


@pytest.mark.parametrize("name", ["DPM++ SDE", "Heun", "DDIM", "Euler a"])
def test_a_prompt_scheduled_to_itself_is_the_prompt(draw, name):
    job = {"sampler_name": name}
    one = draw(f"[{A}:{A}:0.5] AND [{B}:{B}:0.5]", **job)
    assert same(one, draw(f"{A} AND {B}", **job))


def test_a_main_prompt_may_change(draw):
    changing = draw(f"[{A}:a crown:0.2] AND {B}")
    assert differ(changing, draw(f"{A} AND {B}"), draw(f"a crown AND {B}"))
    assert same(draw(f"[{A}:a crown:0.2] AND "), draw(f"[{A}:a crown:0.2]"))


def test_an_editorial_prompt_may_change(draw):
    changing = draw(f"{A} AND [{B}:a crown:0.2]")
    assert differ(changing, draw(f"{A} AND {B}"), draw(f"{A} AND a crown"))


def test_an_alternating_prompt_alternates(draw):
    assert same(draw(f"{A} AND [{B}|{B}]"), draw(f"{A} AND {B}"))
    assert differ(draw(f"{A} AND [{B}|a crown]"), draw(f"{A} AND {B}"), draw(f"{A} AND a crown"))


def test_a_prompt_scheduled_beyond_the_end_never_comes(draw):
    assert same(draw(f"{A} AND [:{B}:0.99]"), draw(A))


def test_a_negative_prompt_that_comes_when_its_partner_does_is_safe(draw):
    """The denominator is looked at for every step."""
    one = draw(f"{A} AND [:{B}:0.2] :-1.5 AND [:a crown:0.2] :1.5")
    assert differ(one, draw(A))


# One batch, different numbers of sub-prompts: the prompt matrix makes such batches.

MATRIX = f"{A}|AND {B} :0.5|AND a crown :-0.3"
PROMPTS = [
    A,
    f"{A} AND {B} :0.5",
    f"{A} AND a crown :-0.3",
    f"{A} AND {B} :0.5 AND a crown :-0.3",
]


def matrix(webui, **job):
    """The pictures of all PROMPTS, in one batch."""
    arguments = [False, False, "positive", "space", 0]
    result = webui.txt2img(
        prompt=MATRIX, script_name="prompt matrix", script_args=arguments, batch_size=4, **job
    )
    return Result(result.pictures[1:], result.infotexts[1:])  # without the grid


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("and_means", ["sum", "webui"])
def test_images_of_one_batch_may_have_different_prompts(any_webui, and_means, together):
    ebca = {**ON, "and_means": and_means, "edit_gamma_attn": 0.01}
    setting = {"override_settings": {"batch_cond_uncond": together}}
    if and_means == "webui":
        plain = matrix(any_webui, **setting).pictures
        alone = [any_webui.txt2img(prompt=prompt) for prompt in PROMPTS]
        if not all(map(alike, alone, (Result([picture], []) for picture in plain))):
            pytest.skip("the host's own AND drops prompts where images have unequal numbers")
    batch = matrix(any_webui, ebca=ebca, **setting)
    for prompt, picture, infotext in zip(PROMPTS, batch.pictures, batch.infotexts, strict=True):
        alone = any_webui.txt2img(prompt=prompt, ebca=ebca)
        assert alike(alone, Result([picture], []))
        assert infotext.startswith(f"{prompt}\n")
    assert differ(*(Result([picture], []) for picture in batch.pictures))


def test_a_batch_of_different_prompts_is_the_core_and_without_ebca(webui):
    batch = matrix(webui, ebca={**ZERO, "and_means": "webui"})
    assert same(batch, matrix(webui))


def test_a_batch_of_different_prompts_is_refused_for_one_bad_prompt(webui):
    before = webui.txt2img()
    with pytest.raises(RefusedError, match="weights after AND"):
        webui.txt2img(
            prompt=f"{A}|AND {B} :-2",
            script_name="prompt matrix",
            script_args=[False, False, "positive", "space", 0],
            ebca=ON,
        )
    assert same(before, webui.txt2img())
