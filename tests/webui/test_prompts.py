"""Input that must not hurt: it is done as written, or refused with a message."""

import pytest

from webui.client import ON, PROMPT, ZERO, RefusedError, differ, same

WORDS = " ".join(f"word{number} red" for number in range(150))
FORTY = " AND ".join(f"a thing of kind {number} :0.{number % 9 + 1}" for number in range(40))
HARMLESS = {
    "empty": "",
    "spaces": "   ",
    "newlines": "\n\n",
    "AND alone": "AND",
    "leading AND": "AND a red car",
    "trailing AND": "a red car AND",
    "doubled AND": "a red car AND AND a blue crown",
    "AND AND AND": "AND AND AND",
    "AND in round brackets": "a (red AND blue:1.2) car",
    "AND in square brackets": "a [red AND blue:0.5] car",
    "AND in braces": "a {red AND blue} car",
    "AND in a word": "a red stAND and a BRAND new SAND",
    "lower case": "a red car and a blue crown",
    "a colon and no number": "a red car AND a blue crown :",
    "a colon and a word": "a red car :much AND a blue crown :little",
    "an exponent": "a red car AND a blue crown :1e-1",
    "a ratio at the end": "a red car, 16:9",
    "a ratio at the end of the main prompt": "a red car, 16:9 AND a blue crown, 4:3",
    "forty sub-prompts": FORTY,
    "three hundred words": WORDS,
    "three hundred words twice": f"{WORDS} AND {WORDS} :0.5",
    "unbalanced brackets": "a ((red car AND [a blue crown :0.5",
    "a wildcard": "a __colour__ car AND {a|b|c} crown",
    "regional words": "a red car ADDCOL a blue crown ADDBASE AND grass",
    "an unknown LoRA": "a red car <lora:nobody-has-this:1> AND a crown <lora:neither:0.5> :0.5",
    "emoji": "🌟 AND 🌙 :0.5 AND 👩‍🚀 :0.2",
    "other scripts": "红色的星星 AND голубая луна :0.5 AND نجمة :0.3",
    "control characters": "a red\u0000 car\u200b AND \ta blue\r\nmoon :0.5",
    "BREAK everywhere": "BREAK a red car BREAK BREAK AND BREAK",
    "many spaces": "a   red car     AND     a blue    crown     :   0.5",
    "a comma before AND": "a red car, AND , a blue crown",
}


@pytest.mark.parametrize("prompt", HARMLESS.values(), ids=HARMLESS)
def test_a_strange_prompt_does_no_harm(webui, prompt):
    """One without words is left alone."""
    job = {"prompt": prompt, "steps": 2}
    core, empty = webui.txt2img(**job), not prompt.replace("AND", "").strip()
    for and_means in ("average", "webui"):
        on = webui.txt2img(**job, ebca={**ON, "and_means": and_means})
        assert on.labels["and_means"] == and_means
        assert same(core, on) == empty
    nothing = {**ZERO, "and_means": "webui"}
    assert same(core, webui.txt2img(**job, ebca=nothing))
    assert same(core, webui.txt2img(**job))


@pytest.mark.parametrize("prompt", HARMLESS.values(), ids=HARMLESS)
def test_a_strange_negative_prompt_does_no_harm(webui, prompt):
    job = {"negative_prompt": prompt, "steps": 2}
    assert differ(webui.txt2img(**job), webui.txt2img(**job, ebca=ON))


def test_a_ratio_at_the_end_is_a_weight_as_in_the_webui(webui):
    """`, 16:9` weighs nine: no matter for one prompt in CACAO, ninefold guidance in the core."""
    one = webui.txt2img(prompt="a red car, 16:9 AND a crown :4.5", ebca=ON)
    assert same(one, webui.txt2img(prompt="a red car, 16 AND a crown :0.5", ebca=ON))


@pytest.mark.parametrize("prompt", ["a AND b :-1", "a :0 AND b", "a AND b :-1e9"])
def test_what_cannot_be_composed_is_refused(webui, prompt):
    before = webui.txt2img()
    if prompt.endswith("1e9"):  # the WebUI reads no exponents: it is a word of the prompt
        assert not same(before, webui.txt2img(prompt=prompt, ebca=ON))
        return
    with pytest.raises(RefusedError, match="EBCA: "):
        webui.txt2img(prompt=prompt, ebca=ON)
    assert same(before, webui.txt2img())


@pytest.mark.parametrize(
    "job",
    [
        {"width": 72, "height": 104},
        {"width": 104, "height": 72, "batch_size": 2},
        {"width": 16, "height": 16},
        {"steps": 1},
        {"steps": 150},
        {"batch_size": 8},
        {"cfg_scale": 1},
        {"cfg_scale": 30},
        {"subseed": 3, "subseed_strength": 0.5},
        {"seed_resize_from_w": 128, "seed_resize_from_h": 128},
        {"tiling": True},
        {"eta": 1.0},
    ],
    ids=str,
)
def test_any_job_is_done(webui, job):
    job = {"prompt": f"{PROMPT} AND a green hat :0.5", "steps": 3, **job, "sampler_name": "Euler"}
    off, on = webui.txt2img(**job), webui.txt2img(**job, ebca=ON)
    assert differ(off, on)
    assert same(off, webui.txt2img(**job))


def test_the_same_job_again_and_again_is_the_same(webui):
    results = [webui.txt2img(ebca=ON, steps=2) for _ in range(5)]
    assert all(same(results[0], result) for result in results)


def test_live_previews_do_no_harm(webui):
    before = webui.txt2img(ebca=ON), webui.txt2img()
    previews = {"live_previews_enable": True, "show_progress_every_n_steps": 1}
    for content in ("Prompt", "Negative prompt", "Combined"):
        with webui.options(**previews, live_preview_content=content):
            assert same(before[0], webui.txt2img(ebca=ON))
            assert same(before[1], webui.txt2img())
