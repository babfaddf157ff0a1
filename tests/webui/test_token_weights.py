"""Words of the prompt weigh more or less: all their tokens, wherever they stand."""

import pytest

from webui.client import ON, PAPER, RefusedError, alike, differ, same

PROMPT = "a red car and a blue crown"
FILLER = ", ".join(["one green thing on the grass"] * 14)


@pytest.fixture
def draw(webui):
    def draw(weights, prompt=PROMPT, **fields):
        return webui.txt2img(prompt=prompt, ebca={**ON, "token_weights": weights, **fields})

    return draw


def test_a_factor_counts_with_every_checkpoint(any_webui):
    weights = ["", "red:5", "crown:5"]
    assert differ(*(any_webui.txt2img(ebca={**ON, "token_weights": each}) for each in weights))


@pytest.mark.parametrize("weights", ["car:1", "red car:1, crown:1.0", " ", ",", "car : 1 ,"])
def test_a_factor_of_one_is_none(draw, weights):
    assert same(draw(weights), draw(""))


def test_the_factor_is_on_the_attention_term_alone(draw):
    assert same(draw("car:5", gamma_attn=0), draw("", gamma_attn=0))


def test_a_phrase_is_its_words(draw):
    assert same(draw("red car:3"), draw("red:3, car:3"))


def test_the_order_does_not_matter_and_the_last_word_counts(draw):
    assert same(draw("red:3, crown:2"), draw("crown:2, red:3"))
    assert same(draw("red car:3, car:2"), draw("red:3, car:2"))


def test_all_occurrences_count(draw):
    """A factor on both of two equal words is one on the word."""
    twice = f"red car, {PROMPT}"
    assert differ(draw("red car:4", twice), draw("", twice), draw("red car and:4", twice))


def test_words_beyond_the_first_chunk_count(draw):
    beyond = f"{FILLER}, {PROMPT}"
    weighed = draw("crown:6", beyond)
    assert differ(weighed, draw("", beyond), draw("grass:6", beyond))
    assert same(weighed, draw("blue crown:6, blue:1", beyond))


def test_words_after_break_count(draw):
    assert differ(
        draw("crown:6", "a red car BREAK a blue crown"), draw("", "a red car BREAK a blue crown")
    )


def test_emphasis_is_no_part_of_a_word(draw):
    prompt = "a (red:1.3) car and a [blue] crown"
    assert differ(draw("red car:4", prompt), draw("", prompt))


def test_words_of_an_editorial_prompt_count(draw):
    prompt = f"{PROMPT} AND a green hat :0.7"
    moving = {"edit_gamma_attn": 0.05}
    assert differ(draw("hat:5", prompt, **moving), draw("", prompt, **moving))
    assert same(draw("hat:5", prompt), draw("", prompt))  # its own step size is zero


def test_a_word_of_both_prompts_counts_in_both(draw):
    steps = {"gamma_attn": 0.01, "gamma_norm": 0, "edit_gamma_attn": 0.01, **PAPER}
    assert alike(draw("crown:4", f"{PROMPT} AND {PROMPT}", **steps), draw("crown:4", **steps))


def test_words_of_every_prompt_of_core_and_count(draw):
    prompt, core = f"{PROMPT} AND a green hat :0.7", {"and_means": "webui"}
    assert differ(draw("hat:5", prompt, **core), draw("", prompt, **core))


def test_a_word_that_comes_later_counts_then(draw):
    prompt = "a [red:green:0.3] car"
    assert differ(draw("green:6", prompt), draw("red:6", prompt), draw("", prompt))


def test_the_negative_prompt_s_words_do_not_count(webui):
    job = {"negative_prompt": "a crown", "ebca": {**ON, "token_weights": "crown:4"}}
    with pytest.raises(RefusedError, match="token_weights is 'crown'"):
        webui.txt2img(**job, prompt="a red car")


def test_a_word_of_one_image_of_the_batch_is_enough(webui):
    job = {"prompt": "a red car|and a crown", "script_name": "prompt matrix", "batch_size": 2}
    job["script_args"] = [False, False, "positive", "space", 0]
    plain = webui.txt2img(**job, ebca=ON).pictures[1:]
    weighed = webui.txt2img(**job, ebca={**ON, "token_weights": "crown:5"}).pictures[1:]
    assert (plain[0] == weighed[0]).all()
    assert (plain[1] != weighed[1]).any()


def test_a_word_must_stand_in_the_prompt_as_whole_tokens(draw):
    with pytest.raises(RefusedError, match="token_weights is 'crow'"):
        draw("crow:2")


def test_case_does_not_matter_to_the_encoder(draw):
    assert same(draw("RED Car:3"), draw("red car:3"))
