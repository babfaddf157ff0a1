"""Also without EBCA: the second picture is the one of a WebUI without it, whatever the job."""

import json
import threading
import time

import numpy as np
import pytest

from webui.client import JOB, ON, PROMPT, RefusedError, Result, axis, differ, distance, labels, same
from webui.conftest import checkpoint
from webui.test_xyz import listed, plot  # noqa: F401

BOTH = {**ON, "also_off": True}
AND = f"{PROMPT} AND a green hat :0.5"


def kinds(result):
    """(what is shown, of which picture) for each picture of the answer."""
    told = result.info["ebca_images"]
    assert len(told) == len(result.pictures) == len(result.infotexts)
    return [each and (each["shows"], each["picture"]) for each in told]


def part(result, kind):
    """Those pictures of the answer that show that, with their infotexts."""
    chosen = [n for n, each in enumerate(kinds(result)) if each and each[0] == kind]
    return Result([result.pictures[n] for n in chosen], [result.infotexts[n] for n in chosen])


def without(infotexts):
    """Infotexts without the label that says that there are pairs."""
    return [text.replace(", EBCA also_off: True", "") for text in infotexts]


def assert_pair(both, off, on):
    """`both` has the pictures of the two jobs, in pairs, with their infotexts."""
    assert same(part(both, "on"), on)
    assert same(part(both, "off"), off)
    assert part(both, "off").infotexts == off.infotexts
    assert without(part(both, "on").infotexts) == on.infotexts
    sheets = part(both, "off | on")
    for sheet, left, right in zip(sheets.pictures, off.pictures, on.pictures, strict=True):
        assert_sheet(sheet, left, right)
    assert [labels(text)["picture"] for text in sheets.infotexts] == ["off | on"] * len(
        off.pictures
    )


def assert_sheet(sheet, left, right):
    """Both pictures stand on the sheet, enlarged by a whole number where they are small."""
    times = max(1, 256 // max(left.shape[:2]))
    left, right = (np.kron(each, np.ones((times, times, 1), np.uint8)) for each in (left, right))
    high, wide = left.shape[:2]
    assert np.array_equal(sheet[10 : 10 + high, 10 : 10 + wide], left)
    assert np.array_equal(sheet[10 : 10 + high, 20 + wide : 20 + 2 * wide], right)
    assert (sheet[10 + high :] != 255).any()  # the labels
    assert sheet.shape[1] == 2 * wide + 30


@pytest.mark.parametrize(
    "job",
    [
        {},
        {"prompt": AND},
        {"batch_size": 2},
        {"n_iter": 2, "batch_size": 2},
        {"width": 72, "height": 104},
        {"sampler_name": "Euler a", "subseed": 3, "subseed_strength": 0.4},
        {"enable_hr": True, "hr_upscaler": "Latent", "denoising_strength": 0.7},
        {"override_settings": {"CLIP_stop_at_last_layers": 2}},
    ],
    ids=str,
)
def test_the_second_picture_is_that_of_a_webui_without_it(any_webui, job):
    off, on = any_webui.txt2img(**job), any_webui.txt2img(ebca=ON, **job)
    assert differ(off, on)
    assert_pair(any_webui.txt2img(ebca=BOTH, **job), off, on)


def test_pairs_are_in_order(webui):
    both = webui.txt2img(ebca=BOTH, n_iter=2, batch_size=2)
    pairs = [(kind, n) for n in range(4) for kind in ("off", "off | on")]
    assert kinds(both) == [*[("on", n) for n in range(4)], *pairs]
    seeds = [text.split("Seed: ")[1].split(",")[0] for text in both.infotexts]
    assert seeds == ["7", "8", "9", "10", *[str(7 + n) for n in range(4) for _ in range(2)]]


def test_a_grid_comes_first_as_ever(webui):
    with webui.options(return_grid=True):
        job = {"batch_size": 2, "do_not_save_grid": False, "save_images": True}
        both = webui.txt2img(ebca=BOTH, **job)
    assert kinds(both)[:3] == [None, ("on", 0), ("on", 1)]
    assert both.info["index_of_first_image"] == 1


def test_a_random_seed_is_one_for_both(webui):
    both = webui.txt2img(ebca=BOTH, seed=-1)
    (seed,) = {text.split("Seed: ")[1].split(",")[0] for text in both.infotexts}
    assert_pair(both, webui.txt2img(seed=int(seed)), webui.txt2img(ebca=ON, seed=int(seed)))


def test_pasted_infotexts_make_each_picture_again(webui):
    webui.need_infotext()
    both = webui.txt2img(ebca={**BOTH, "show_attention": True})
    again = {}
    for kind in ("on", "off", "attention"):
        text = part(both, kind).infotexts[0]
        again[kind] = webui.post("/sdapi/v1/txt2img", {"infotext": text})
    assert json.loads(again["off"]["info"])["infotexts"] == part(both, "off").infotexts
    assert json.loads(again["on"]["info"])["infotexts"][0] == part(both, "on").infotexts[0]
    assert len(json.loads(again["attention"]["info"])["infotexts"]) == len(both.infotexts)


@pytest.mark.parametrize("kind", ["sd1", "sdxl"])
def test_img2img(host, kind, sketch):
    host.load(checkpoint(host, kind))
    off, on = host.img2img(sketch), host.img2img(sketch, ebca=ON)
    assert_pair(host.img2img(sketch, ebca=BOTH), off, on)
    job = {"batch_size": 2, "n_iter": 2}
    off, on = host.img2img(sketch, **job), host.img2img(sketch, ebca=ON, **job)
    assert_pair(host.img2img(sketch, ebca=BOTH, **job), off, on)


@pytest.mark.parametrize("full", [True, False], ids=["only masked", "whole picture"])
def test_inpainting(webui, sketch, half, full):
    job = {"mask": half, "inpaint_full_res": full, "mask_blur": 2, "batch_size": 2}
    off, on = webui.img2img(sketch, **job), webui.img2img(sketch, ebca=ON, **job)
    assert_pair(webui.img2img(sketch, ebca=BOTH, **job), off, on)


def test_masks_stay_beside_their_pictures(webui, sketch, half):
    job = {"mask": half, "inpaint_full_res": False, "batch_size": 2}
    with webui.options(return_mask=True, return_mask_composite=True):
        off = webui.job("img2img", _request(sketch, job))
        both = webui.job("img2img", _request(sketch, job), BOTH)
    assert kinds(both)[:6] == [("on", 0), None, None, ("on", 1), None, None]
    assert kinds(both)[6:] == [("off", 0), ("off | on", 0), ("off", 1), ("off | on", 1)]
    assert distance(both.pictures[1][..., :3], off.pictures[1][..., :3]) == 0  # a mask
    assert both.infotexts[3].count("Seed: 8") == 1


def _request(picture, job):
    from webui.client import encoded

    job = {**JOB, "init_images": [encoded(picture)], "denoising_strength": 0.7, **job}
    return {**job, "mask": encoded(job["mask"])}


def test_a_refiner_and_another_checkpoint(webui, other):
    job = {"refiner_checkpoint": other, "refiner_switch_at": 0.5}
    off, on = webui.txt2img(**job), webui.txt2img(ebca=ON, **job)
    assert_pair(webui.txt2img(ebca=BOTH, **job), off, on)
    job = {"override_settings": {"sd_model_checkpoint": other}}
    off, on = webui.txt2img(**job), webui.txt2img(ebca=ON, **job)
    assert_pair(webui.txt2img(ebca=BOTH, **job), off, on)
    assert same(webui.txt2img(), webui.txt2img())


def test_nothing_is_left_behind(webui):
    before, on = webui.txt2img(), webui.txt2img(ebca=ON)
    webui.txt2img(ebca={**BOTH, "show_attention": True})
    assert same(webui.txt2img(), before)
    after = webui.txt2img(ebca=ON)
    assert same(after, on)
    assert after.infotexts == on.infotexts
    with pytest.raises(RefusedError, match="gamma_attn"):
        webui.txt2img(ebca={**BOTH, "gamma_attn": -1})
    assert same(webui.txt2img(), before)


def test_closed_is_closed(webui):
    off = webui.txt2img(ebca={"enabled": False, "also_off": True, "show_attention": True})
    assert len(off.pictures) == 1
    assert "ebca_images" not in off.info


def test_each_cell_of_a_plot_is_a_pair(webui, plot):  # noqa: F811
    values = [0.01, 0.05]
    cells = plot((axis("gamma_attn"), listed(values)), ebca=BOTH, prompt=AND)
    job = {"prompt": AND, "steps": 3}
    off = webui.txt2img(**job)
    for cell, value in zip(cells, values, strict=True):
        on = webui.txt2img(ebca={**ON, "gamma_attn": value}, **job)
        assert_sheet(cell.picture, off.picture, on.picture)
        assert without(cell.infotexts) == on.infotexts


def test_an_axis_switches_it_on(webui, plot):  # noqa: F811
    single, pair = plot((axis("also_off"), "False, True"), ebca=ON, prompt=PROMPT)
    job = {"prompt": PROMPT, "steps": 3}
    off, on = webui.txt2img(**job), webui.txt2img(ebca=ON, **job)
    assert same(single, on)
    assert_sheet(pair.picture, off.picture, on.picture)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("loopback", [2, 0.5, "Linear", "None"]), ("sd upscale", ["", 8, "None", 2.0])],
)
def test_scripts_that_put_pictures_together_are_left_alone(
    webui, sketch, comments, name, arguments
):
    job = {"script_name": name, "script_args": arguments, "denoising_strength": 0.5}
    on, both = (webui.img2img(sketch, ebca=each, **job) for each in (ON, BOTH))
    assert same(on, both)
    said = comments()
    assert said is None or any("puts its pictures together" in line for line in said)


@pytest.mark.parametrize("how", ["interrupt", "skip"])
def test_interrupted_there_is_no_half_picture(webui, how):
    """While the picture with EBCA is made; a few seconds at most."""
    job = {"ebca": {**BOTH, "show_attention": True}, "steps": 150, "width": 128, "height": 128}
    made = []
    thread = threading.Thread(target=lambda: made.append(webui.txt2img(**job)))
    thread.start()
    while thread.is_alive():
        time.sleep(0.05)
        state = webui.get("/sdapi/v1/progress")["state"]
        if state["sampling_step"] > 3:
            break
    webui.post(f"/sdapi/v1/{how}")
    thread.join()
    (result,) = made
    shown = {each[0] for each in kinds(result) if each}
    assert ("off" in shown) == (how == "skip")
    assert ("off | on" in shown) == (how == "skip")
    assert "on" in shown
    assert same(webui.txt2img(), webui.txt2img())


def test_interrupted_in_the_second_picture(webui):
    job = {"ebca": BOTH, "steps": 40, "width": 128, "height": 128, "n_iter": 2}
    made = []
    thread = threading.Thread(target=lambda: made.append(webui.txt2img(**job)))
    thread.start()
    while thread.is_alive():
        time.sleep(0.05)
        state = webui.get("/sdapi/v1/progress")["state"]
        if state["job_no"] == 3 and state["sampling_step"] > 2:
            webui.post("/sdapi/v1/interrupt")
            break
    thread.join()
    (result,) = made
    assert kinds(result) == [("on", 0), ("on", 1), ("off", 0), ("off | on", 0)]
