"""Styles, embeddings, LoRAs and hypernetworks called ebca-test, where the host has them."""

import contextlib

import pytest

from webui.client import ON, PAPER, PROMPT, ZERO, RefusedError, alike, differ, same

NAME = "ebca-test"
B = "a green hat"
STEPS = {
    "gamma_attn": 0.01,
    "gamma_norm": 0.01,
    "edit_gamma_attn": 0.01,
    "edit_gamma_norm": 0.01,
    **PAPER,
}
TAGS = {"lora": f"<lora:{NAME}:1>", "hypernet": f"<hypernet:{NAME}:1>", "embedding": NAME}


def listed(webui, kind):
    if kind == "embedding":
        with contextlib.suppress(RefusedError):  # older ones have no such call
            webui.post("/sdapi/v1/refresh-embeddings")  # those of another width were left out
        return list(webui.get("/sdapi/v1/embeddings")["loaded"])
    return webui.names({"lora": "loras", "hypernet": "hypernetworks"}[kind])


def need(webui, kind):
    """Skip the test on a WebUI that lacks one, or does nothing with it: reForge lists
    hypernetworks, and its pictures are the same with them."""
    plain = webui.txt2img()  # embeddings are looked for when a job begins
    if NAME not in listed(webui, kind):
        pytest.skip(f"the WebUI has no {kind} {NAME}")
    if same(plain, webui.txt2img(prompt=f"{PROMPT} {TAGS[kind]}")):
        pytest.skip(f"the WebUI's own pictures are the same with a {kind}")


@pytest.fixture(params=TAGS)
def tag(webui, request):
    """What makes the WebUI use one of them."""
    need(webui, request.param)
    return TAGS[request.param]


@pytest.fixture(params=[False, True], ids=["merged", "functional"])
def draw(webui, request):
    """LoRAs are merged into the weights, or added in every call; without a setting they are merged
    (Forge; for its other way see `test_forge.py`)."""
    wanted = {"lora_functional": request.param}
    if not request.param and not webui.has_setting("lora_functional"):
        wanted = {}

    def draw(prompt, ebca=STEPS, **job):
        settings = {"override_settings": wanted}
        return webui.txt2img(prompt=prompt, ebca=ebca, **settings, **job)

    return draw


def test_it_counts_with_ebca(draw, tag):
    tagged = f"{PROMPT} {tag}"
    assert differ(draw(tagged), draw(PROMPT), draw(tagged, None))
    assert same(draw(tagged, None), draw(tagged, ZERO))


def again(tag):
    """A tag holds for the whole prompt and must not come twice; a word may."""
    return "" if tag.startswith("<") else tag


def test_a_prompt_and_itself_is_the_prompt(draw, tag):
    assert alike(draw(f"{PROMPT} {tag} AND {PROMPT} {again(tag)}"), draw(f"{PROMPT} {tag}"))


def test_it_works_in_an_editorial_prompt(draw, tag):
    composed = draw(f"{PROMPT} AND {B} {tag} :0.5")
    assert differ(composed, draw(f"{PROMPT} AND {B} :0.5"))
    assert alike(composed, draw(f"{PROMPT} AND {B} {tag} :0.25 AND {B} {again(tag)} :0.25"))


def test_a_lora_belongs_to_the_whole_prompt(draw, tag):
    """The WebUI takes its tags out of the prompt, wherever they stand."""
    if not tag.startswith("<"):
        pytest.skip("an embedding is a word")
    one = draw(f"{PROMPT} {tag} AND {B} :0.5")
    assert same(one, draw(f"{PROMPT} AND {B} {tag} :0.5"))


def test_nothing_of_it_stays(draw, tag):
    before = draw(f"{PROMPT} AND {B}"), draw(PROMPT, None)
    draw(f"{PROMPT} {tag} AND {B} {tag}")
    assert same(before[0], draw(f"{PROMPT} AND {B}"))
    assert same(before[1], draw(PROMPT, None))


def test_rows_together_or_apart(webui, tag):
    job = {"prompt": f"{PROMPT} {tag} AND {B} :0.5", "ebca": STEPS, "batch_size": 2}
    apart = {"override_settings": {"batch_cond_uncond": False}}
    assert alike(webui.txt2img(**job), webui.txt2img(**job, **apart))


def test_merged_and_functional_loras_are_alike(webui):
    need(webui, "lora")
    job = {"prompt": f"{PROMPT} {TAGS['lora']} AND {B} :0.5", "ebca": STEPS}
    functional = {"override_settings": {"lora_functional": True}}
    assert alike(webui.txt2img(**job), webui.txt2img(**job, **functional))


def test_a_hypernetwork_of_the_settings(webui):
    need(webui, "hypernet")
    before = webui.txt2img(ebca=ON)
    with webui.options(sd_hypernetwork=NAME):
        assert differ(webui.txt2img(ebca=ON), webui.txt2img(), before)
    assert same(before, webui.txt2img(ebca=ON))


def test_an_embedding_has_weights_as_words_have(webui):
    need(webui, "embedding")
    job = {"prompt": f"{PROMPT} {NAME} hat"}

    def draw(weights):
        return webui.txt2img(**job, ebca={**ON, "token_weights": weights})

    assert differ(draw(""), draw(f"{NAME}:6"), draw("hat:6"))
    assert same(draw(f"crown {NAME} hat:6"), draw(f"crown:6, {NAME}:6, hat:6"))


# Styles


@pytest.fixture
def style(webui):
    styles = {each["name"]: each for each in webui.get("/sdapi/v1/prompt-styles")}
    if NAME not in styles or "AND" not in styles[NAME]["prompt"]:
        pytest.skip(f"the WebUI has no style {NAME} with an AND in its prompt")
    return styles[NAME]


def test_a_style_s_and_is_composed(webui, style):
    styled = webui.txt2img(styles=[NAME], ebca=STEPS)
    prompt = style["prompt"].replace("{prompt}", PROMPT)
    job = {"prompt": prompt, "negative_prompt": style["negative_prompt"]}
    assert same(styled, webui.txt2img(**job, ebca=STEPS))
    assert differ(styled, webui.txt2img(styles=[NAME]), webui.txt2img(ebca=STEPS))


def test_words_of_a_style_have_weights(webui, style):
    word = style["prompt"].split()[-2]
    job = {"styles": [NAME]}
    weighed = {**STEPS, "token_weights": f"{word}:6"}
    assert differ(webui.txt2img(**job, ebca=weighed), webui.txt2img(**job, ebca=STEPS))
