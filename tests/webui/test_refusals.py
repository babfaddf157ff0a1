"""Bad values: an error status, a message with field, value and legal range, a clean next job."""

import pytest

from webui.client import ON, ZERO, RefusedError, same

NAN = float("nan")
BAD = [
    ("gamma_attn", -0.1, "from 0 to 10"),
    ("gamma_attn", 10.5, "from 0 to 10"),
    ("gamma_attn", "0.01", "a number from 0 to 10"),
    ("gamma_attn", NAN, "from 0 to 10"),
    ("gamma_attn", float("inf"), "from 0 to 10"),
    ("gamma_attn", None, "from 0 to 10"),
    ("gamma_attn", True, "from 0 to 10"),
    ("gamma_attn", [0.01], "from 0 to 10"),
    ("gamma_norm", 1e9, "from 0 to 10"),
    ("start", -0.01, "from 0 to 1"),
    ("stop", 1.01, "from 0 to 1"),
    ("formulation", "papier", "reference, paper"),
    ("formulation", None, "reference, paper"),
    ("update_unconditional", 1, "true or false"),
    ("update_unconditional", "yes", "true or false"),
    ("scale_with_depth", None, "true or false"),
    ("max_relative_update", 2, "from 0 to 1"),
    ("layers", "sideways", "down, mid, up"),
    ("layers", "", "down, mid, up"),
    ("layers", "3-1", "down, mid, up"),
    ("layers", 3, "down, mid, up"),
    ("layers", "0-99", "0-15"),
    ("token_weights", ["red"], "a text"),
    ("and_means", "mix", "sum, average, webui"),
    ("compose", "mix", "cacao, webui"),
    ("edit_gamma_attn", -1, "from 0 to 10"),
    ("edit_gamma_norm", NAN, "from 0 to 10"),
    ("edit_start", 2, "from 0 to 1"),
    ("edit_stop", -1, "from 0 to 1"),
    ("mask", "on", "true or false"),
    ("hires", "never", "same, off, only"),
    ("gamma_spread", 1.5, "from 0 to 1"),
    ("centered", 1, "true or false"),
    ("contrast", -0.1, "from 0 to 10"),
    ("contrast_stop", 1.01, "from 0 to 1"),
    ("subjects", ["red", "blue"], "a text"),
    ("subjects", "car", "two or more"),
    ("preset", "none of them", "multi-concept"),
    ("preset", None, "multi-concept"),
    ("enabled", "yes", "true or false"),
    ("enabled", 1, "true or false"),
]


@pytest.fixture
def refusal(webui):
    """The message with which a job is refused; a good one is as before afterwards."""
    off, on = webui.txt2img(steps=2), webui.txt2img(steps=2, ebca=ON)

    def refusal(ebca, **job):
        with pytest.raises(RefusedError) as error:
            webui.txt2img(ebca=ebca, **job)
        assert error.value.status == 422
        return error.value.body

    yield refusal
    assert same(off, webui.txt2img(steps=2))
    assert same(on, webui.txt2img(steps=2, ebca=ON))


@pytest.mark.parametrize(("field", "value", "legal"), BAD)
def test_a_bad_value_is_refused(refusal, field, value, legal):
    message = refusal({field: value})
    shown = repr(value) if isinstance(value, str) else str(value)
    assert f"EBCA: {field} is {shown}, but must be" in message
    assert legal in message


@pytest.mark.parametrize(
    ("text", "shown", "legal"),
    [
        ("red", "'red'", "crown:2.5"),
        ("red:x", "'red:x'", "crown:2.5"),
        (":2", "':2'", "crown:2.5"),
        ("crown:2, red:-1", "-1.0", "from 0 to 100"),
        ("red:nan", "nan", "from 0 to 100"),
        ("red:101", "101.0", "from 0 to 100"),
        ("red:2, hat:2", "'hat'", "words of the prompt"),
        ("crown blue:2", "'crown blue'", "words of the prompt"),
    ],
)
def test_bad_token_weights_are_refused(refusal, text, shown, legal):
    message = refusal({"token_weights": text})
    assert f"EBCA: token_weights is {shown}, but must be" in message
    assert legal in message


@pytest.mark.parametrize("key", ["gamma", "Gamma_attn", "gamma attn", ""])
def test_an_unknown_key_is_refused(refusal, key):
    message = refusal({key: 0.1})
    assert f"EBCA: field is {key!r}, but must be one of enabled, preset, gamma_attn" in message


def test_a_bad_value_is_refused_in_img2img(webui, sketch):
    with pytest.raises(RefusedError, match="gamma_attn is 99, but must be a number from 0 to 10"):
        webui.img2img(sketch, ebca={"gamma_attn": 99})


def test_a_bad_value_in_a_list_is_refused(refusal):
    assert "gamma_norm is None" in refusal([True, "custom", 0.01, None])
    assert "gamma_attn is 'x'" in refusal([True, "custom", "x"])


@pytest.mark.parametrize(
    ("window", "field"),
    [
        ({"start": 0.6, "stop": 0.5}, "start"),
        ({"start": 0.5, "stop": 0.5}, "start"),
        ({"start": 1.0}, "start"),
        ({"stop": 0.0}, "start"),
        ({"edit_start": 0.6, "edit_stop": 0.5}, "edit_start"),
    ],
)
def test_a_window_that_ends_before_it_begins_is_refused(refusal, window, field):
    message = refusal(window)
    assert f"{field} is" in message
    assert f"less than {field.replace('start', 'stop')}" in message


@pytest.mark.parametrize(
    "prompt",
    [
        "a AND b :-1",
        "a AND b :-0.95",
        "a :0.5 AND b :-0.5",
        "a AND b :-0.5 AND c :-0.6",
        "a AND [:b:0.5] :-2",
        "a AND [b::0.5] :-2",
        "a AND b :1.5 AND [:c:0.5] :-2.6",
    ],
)
def test_a_denominator_that_is_not_safely_positive_is_refused(refusal, prompt):
    message = refusal(ON, prompt=prompt)
    assert "weights after AND" in message
    assert "at least -0.9" in message


@pytest.mark.parametrize("prompt", ["a :0 AND b", "a :-1 AND b", "a red hat :-0.5 AND b :0.5"])
def test_a_main_prompt_without_weight_is_refused(refusal, prompt):
    assert "a weight above 0" in refusal(ON, prompt=prompt)


def test_a_weight_beyond_all_measure_is_refused(refusal):
    message = refusal(ON, prompt="a AND b :101")
    assert "prompt is 'b :101'" in message
    assert "from -100 to 100" in message


def test_a_bad_hires_prompt_is_refused_before_the_first_pass(refusal):
    hires = {"enable_hr": True, "hr_scale": 1.5, "hr_upscaler": "Latent", "denoising_strength": 0.7}
    assert "at least -0.9" in refusal(ON, **hires, hr_prompt="a AND b :-2")


def test_what_only_the_webui_composes_is_its_own_business(webui):
    """Its AND knows no denominator and no main prompt."""
    job = {"prompt": "a :-1 AND b :-2"}
    assert same(webui.txt2img(**job), webui.txt2img(**job, ebca={**ZERO, "and_means": "webui"}))


def test_a_word_must_be_in_one_of_the_prompts(refusal, webui):
    hires = {"enable_hr": True, "hr_scale": 1.5, "hr_upscaler": "Latent", "steps": 2}
    hires["denoising_strength"] = 0.7
    ebca = {**ON, "token_weights": "hat:2"}
    webui.txt2img(**hires, hr_prompt="a hat", ebca=ebca)
    refusal({**ebca, "hires": "off"}, **hires, hr_prompt="a hat")
