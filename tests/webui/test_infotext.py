"""What made the picture is in its infotext, and the infotext makes the picture again."""

import pytest

from webui.client import JOB, ON, PROMPT, Result, differ, labels, same

BOTH = f"{PROMPT} AND a green hat :0.5"
UNUSUAL = {
    "enabled": True,
    "preset": "paper: compose / edit",
    "gamma_attn": 0.0123,
    "gamma_norm": 0.0371,
    "start": 0.15,
    "stop": 0.85,
    "formulation": "paper",
    "update_unconditional": True,
    "scale_with_depth": False,
    "max_relative_update": 0.013,
    "layers": "0-3, 5, up",
    "token_weights": "red car:2.5, crown:0.25",
    "and_means": "webui",
    "edit_gamma_attn": 0.0017,
    "edit_gamma_norm": 0.0019,
    "edit_start": 0.1,
    "edit_stop": 0.9,
    "mask": False,
    "hires": "only",
    "gamma_spread": 0.0215,
    "centered": False,
    "contrast": 0.27,
    "contrast_stop": 0.45,
    "subjects": "blue crown, car",
    "regions": 0.6,
    "regions_stop": 0.55,
    "regions_words": 0.35,
    "also_off": True,
    "show_attention": True,
    "attention_of": "crown, red",
    "attention_when": "early",
    "save_attention": True,
}
"""Every field away from its default."""


def written(value):
    return f"{value:g}" if isinstance(value, float) else str(value)


TOLD = {
    name: written(value)
    for name, value in UNUSUAL.items()
    if name not in ("enabled", "centered")  # the preset is not centered either
}


def told(labels):
    """What the infotext says of the settings."""
    return {name: text for name, text in labels.items() if name not in ("", "version")}


def test_every_value_that_differs_from_the_preset_is_in_the_infotext(webui):
    result = webui.txt2img(ebca=UNUSUAL)
    assert result.labels[""] == "on"
    assert told(result.labels) == TOLD


def test_of_the_defaults_nothing_is_in_the_infotext_but_the_version(webui):
    labels = webui.txt2img(ebca={}).labels
    assert labels.keys() == {"", "version"}
    assert labels["version"].count(".") == 2


@pytest.mark.parametrize("ebca", [None, {"enabled": False}, [False]])
def test_nothing_is_in_the_infotext_when_off(webui, ebca):
    assert "EBCA" not in webui.txt2img(ebca=ebca).infotext


def test_every_picture_of_a_batch_has_it(webui):
    result = webui.txt2img(ebca=ON, batch_size=2, n_iter=2, steps=2)
    assert len(result.infotexts) == 4
    assert {labels(text)["gamma_attn"] for text in result.infotexts} == {"0.03"}


def from_infotext(webui, infotext, **job):
    """A job of nothing but an infotext."""
    return webui.job("txt2img", {"infotext": infotext, **job})


@pytest.mark.parametrize("change", [{}, {"and_means": "average"}, {"hires": "same"}])
def test_an_infotext_restores_everything(webui, change):
    before = webui.txt2img(prompt=BOTH, ebca={**UNUSUAL, **change})
    after = from_infotext(webui, before.infotext)
    assert same(before, after)
    assert before.labels == after.labels
    automatic = ", Schedule type: Automatic"  # 1.9 writes it only of jobs from an infotext
    assert before.infotext.replace(automatic, "") == after.infotext.replace(automatic, "")


@pytest.mark.parametrize("field", [name for name in UNUSUAL if name != "enabled"])
def test_an_infotext_restores_each_value(webui, field):
    job = {"steps": 1, "ebca": {field: UNUSUAL[field]}}
    before = webui.txt2img(**job)
    assert from_infotext(webui, before.infotext).labels == before.labels


def test_an_infotext_restores_a_hires_pass(webui):
    hires = {"enable_hr": True, "hr_scale": 1.5, "hr_upscaler": "Latent", "steps": 3}
    hires |= {"denoising_strength": 0.6, "hr_prompt": f"{PROMPT} AND a crown :0.7"}
    before = webui.txt2img(prompt=BOTH, ebca={**ON, "hires": "only"}, **hires)
    reads_no_sampler = {"hr_sampler_name": None}  # the WebUI refuses its own "Use same sampler"
    after = from_infotext(webui, before.infotext, **reads_no_sampler)
    assert same(before, after)
    assert before.labels == after.labels


def test_an_infotext_without_ebca_switches_it_off(webui):
    before = webui.txt2img()
    webui.txt2img(ebca=UNUSUAL)
    after = from_infotext(webui, before.infotext)
    assert same(before, after)
    assert after.labels == {}


def test_what_a_job_says_itself_wins_over_its_infotext(webui):
    infotext = webui.txt2img(ebca=UNUSUAL).infotext
    job = {**JOB, "infotext": infotext}
    assert same(webui.job("txt2img", job, {**ON}), webui.txt2img(ebca=ON))


OLD = {  # forms of earlier versions -> what they mean now
    "EBCA enabled: True, EBCA gamma_attn: 0.03, EBCA gamma_norm: 0.02, EBCA compose: cacao, EBCA"
    " gone: 3": {"gamma_attn": 0.03, "gamma_norm": 0.02, "regions": 0, "centered": False},
    "EBCA enabled: True, EBCA preset: multi-concept, EBCA gamma_attn: 0.03, EBCA compose: cacao,"
    " EBCA composition: average, EBCA centered: True, EBCA contrast: 1.1, EBCA contrast_stop: 0.4,"
    ' EBCA things: "red car, crown"': {
        "gamma_attn": 0.03, "and_means": "average", "contrast": 1.1, "contrast_stop": 0.4,
        "regions": 0, "subjects": "red car, crown",
    },
}  # fmt: skip


@pytest.mark.parametrize("line", OLD)
def test_an_infotext_of_an_older_version_has_neutral_what_it_did_not_have(webui, line):
    old = webui.txt2img(prompt=BOTH).infotext.replace(", Version:", f", {line}, Version:")
    after = from_infotext(webui, old)
    assert same(after, webui.txt2img(prompt=BOTH, ebca=OLD[line]))


@pytest.mark.parametrize(
    "line",
    [
        "EBCA gamma_attn: 99",
        "EBCA gamma_attn: much",
        "EBCA gamma_attn: nan",
        "EBCA hires: sometimes",
        "EBCA mask: perhaps",
        "EBCA preset: none of them",
        "EBCA version: of tomorrow",
    ],
)
def test_values_that_are_no_longer_legal_become_the_defaults(webui, line):
    old = webui.txt2img(steps=2).infotext
    old = old.replace(", Version:", f", EBCA: on, {line}, Version:")
    after = from_infotext(webui, old)
    wanted = webui.txt2img(steps=2, ebca={})
    assert same(after, wanted)
    assert after.labels == wanted.labels


def test_an_infotext_of_img2img_restores_img2img(webui, sketch):
    """The WebUI reads neither the size nor the strength of img2img, which are given beside it."""
    job = {"prompt": BOTH, "denoising_strength": 0.6}
    before = webui.img2img(sketch, **job, ebca={**UNUSUAL, "hires": "same"})
    after = webui.img2img(sketch, **job, infotext=before.infotext)
    assert before.labels == after.labels
    assert same(before, after)
    first = Result(after.pictures[:1], after.infotexts[:1])  # beside it what is also shown
    assert differ(first, webui.img2img(sketch, **job))


def test_values_of_one_tab_do_not_leak_into_the_other(webui, sketch):
    plain = webui.img2img(sketch)
    webui.txt2img(ebca=UNUSUAL)
    after = webui.img2img(sketch)
    assert same(plain, after)
    assert after.labels == {}


def test_png_info_reads_what_was_written(webui):
    webui.need_infotext()
    infotext = webui.txt2img(prompt=BOTH, ebca=UNUSUAL).infotext
    picture = webui.post("/sdapi/v1/txt2img", {**JOB, "steps": 1, "infotext": infotext})
    read = webui.post("/sdapi/v1/png-info", {"image": picture["images"][0]})
    parameters = {k: v for k, v in read["parameters"].items() if k.startswith("EBCA ")}
    del parameters["EBCA version"]
    assert parameters == {f"EBCA {name}": text for name, text in TOLD.items()}


def test_differences_in_the_infotext_are_differences_in_the_picture(webui):
    fields = [{}, {"formulation": "paper"}, {"layers": "mid"}, {"token_weights": "red:5"}]
    assert differ(*(webui.txt2img(ebca={**ON, "gamma_norm": 0.2, **field}) for field in fields))
