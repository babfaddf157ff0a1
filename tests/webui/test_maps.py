"""Show attention: a strip after each picture, which shows it and changes nothing of it."""

import numpy as np
import pytest
from PIL import Image

from webui.client import ON, PROMPT, Result, axis, differ, distance, encoded, labels, same
from webui.conftest import checkpoint
from webui.test_pairs import kinds, part
from webui.test_xyz import listed, plot  # noqa: F401

REGIONS = {"gamma_attn": 0.01}
SHOW = {**REGIONS, "show_attention": True}
GAP = 10


def strips(result):
    return part(result, "attention")


def enlarged(picture):
    times = max(1, 256 // max(picture.shape[:2]))
    return np.kron(picture, np.ones((times, times, 1), np.uint8))


def panel(strip, number, like):
    """A panel of the strip of a small picture."""
    high, wide = enlarged(like).shape[:2]
    left = GAP + number * (wide + GAP)
    assert left + wide <= strip.shape[1] - GAP, f"there is no panel {number}"
    return strip[GAP : GAP + high, left : left + wide]


def colourful(panel):
    """How far each pixel is from grey."""
    return np.ptp(panel.astype(int), axis=-1)


@pytest.mark.parametrize(
    "job",
    [
        {},
        {"prompt": f"{PROMPT} AND a green hat :0.5"},
        {"width": 72, "height": 104},
        {"n_iter": 2, "batch_size": 2},
        {"enable_hr": True, "hr_upscaler": "Latent", "denoising_strength": 0.7, "hr_scale": 1.5},
        {"override_settings": {"batch_cond_uncond": False}, "batch_size": 2},
    ],
    ids=str,
)
def test_the_picture_is_the_same_and_stands_in_its_strip(any_webui, kind, job):
    prompts_after_and = job.get("prompt", "").count(" AND ")
    if kind == "sdxl":  # which has no layers that could tell regions in a picture as small as that
        job = {"width": 256, "height": 256, "steps": 3, **job}
    on, seen = any_webui.txt2img(ebca=REGIONS, **job), any_webui.txt2img(ebca=SHOW, **job)
    count = len(on.pictures)
    assert kinds(seen) == [
        *[("on", n) for n in range(count)],
        *[("attention", n) for n in range(count)],
    ]
    assert same(part(seen, "on"), on)
    for strip, picture in zip(strips(seen).pictures, on.pictures, strict=True):
        assert np.array_equal(panel(strip, 0, picture), enlarged(picture))
        whole, car, crown = (panel(strip, number, picture) for number in (0, 1, 2))
        assert differ(*[Result([each], [""]) for each in (whole, car, crown)])
        if kind != "sdxl" or min(picture.shape[:2]) >= 256:
            places = panel(strip, 3 + prompts_after_and, picture)
            assert (colourful(places) > 20).mean() > 0.9
            assert differ(*[Result([each], [""]) for each in (places, car, crown)])
        assert all((colourful(each) > 20).mean() > 0.5 for each in (car, crown))
    for text, strip_text in zip(seen.infotexts, strips(seen).infotexts, strict=False):
        assert strip_text == f"{text}, EBCA picture: attention"


@pytest.mark.parametrize("means", ["sum", "average"])
def test_each_prompt_after_and_has_a_panel(any_webui, means):
    ebca = {**SHOW, "and_means": means, "regions": 0}
    job = {"prompt": f"{PROMPT} AND a green hat :0.2 AND at night :0.4", "steps": 3}
    seen = any_webui.txt2img(ebca=ebca, **job)
    strip, picture = strips(seen).picture, seen.pictures[0]
    assert strip.shape[1] == GAP + 5 * 266
    hat, night = (panel(strip, number, picture) for number in (3, 4))
    assert (colourful(hat) > 20).mean() > 0.5
    assert differ(*[Result([each], [""]) for each in (hat, night)])
    on = any_webui.txt2img(ebca={**ebca, "show_attention": False}, **job)
    assert same(part(seen, "on"), on)


def test_strips_of_a_batch_are_those_of_the_pictures_alone(webui):
    batch = webui.txt2img(ebca=SHOW, batch_size=3)
    for number, strip in enumerate(strips(batch).pictures):
        alone = webui.txt2img(ebca=SHOW, seed=7 + number)
        like = alone.pictures[0]
        for place in (1, 2, 3):
            mine, theirs = (panel(s, place, like) for s in (strip, strips(alone).pictures[0]))
            assert distance(mine, theirs) < 2


def test_early_late_and_all_are_others(webui):
    made = [webui.txt2img(ebca={**SHOW, "attention_when": w}) for w in ("early", "all", "late")]
    assert same(*[part(each, "on") for each in made[:2]])
    parts = [strips(each) for each in made]
    assert differ(*[Result([panel(s.picture, 1, made[0].pictures[0])], [""]) for s in parts])


@pytest.mark.parametrize("when", ["early", "late", "all"])
@pytest.mark.parametrize("hires", ["same", "off", "only"])
def test_hires_fix_with_every_choice(webui, when, hires):
    """Cropped, too: 64 x 64 becomes 128 x 96, of which the first pass had more."""
    job = {"enable_hr": True, "hr_upscaler": "Latent", "denoising_strength": 0.7}
    job |= {"hr_resize_x": 128, "hr_resize_y": 96}
    seen = webui.txt2img(ebca={**SHOW, "attention_when": when, "hires": hires}, **job)
    assert kinds(seen) == [("on", 0), ("attention", 0)]
    assert seen.pictures[0].shape == (96, 128, 3)
    # the regions have no say in the end, and in a hires pass alone they may come too late
    panels = {4} if hires != "only" and when != "late" else {3, 4}
    assert strips(seen).picture.shape[1] in {GAP + count * 266 for count in panels}


def test_words_can_be_chosen(webui, comments):
    ebca = {**SHOW, "attention_of": "red, blue crown, green hat"}
    seen = webui.txt2img(ebca=ebca)
    assert strips(seen).picture.shape[1] == GAP + 4 * 266  # picture, red, blue crown, places
    assert seen.labels["attention_of"] == "red, blue crown, green hat"
    said = comments()
    assert said is None or any("does not have “green hat”" in line for line in said)


def test_one_subject_shows_the_words(webui):
    seen = webui.txt2img(prompt="a photo of an old house", ebca=SHOW)
    assert strips(seen).picture.shape[1] == GAP + 4 * 266  # picture, photo, old, house


def test_where_and_is_the_webui_s_all_prompts_are_in_one_strip(webui):
    job = {"prompt": f"{PROMPT} AND a green hat :0.5", "batch_size": 2}
    ebca = {**SHOW, "and_means": "webui"}
    seen, on = (
        webui.txt2img(ebca=ebca, **job),
        webui.txt2img(ebca={**ebca, "show_attention": False}, **job),
    )
    assert same(part(seen, "on"), on)
    assert [each.shape[1] for each in strips(seen).pictures] == [GAP + 5 * 266] * 2


def test_without_ebca_the_attention_is_shown_too(webui):
    seen = webui.txt2img(ebca={**SHOW, "also_off": True})
    shown = [("on", 0), ("off", 0), ("off | on", 0), ("attention", 0), ("attention", 0)]
    assert kinds(seen) == shown
    assert [each["ebca"] for each in seen.info["ebca_images"]] == [True, False, True, True, False]
    assert same(part(seen, "off"), webui.txt2img())
    on, off = strips(seen).pictures
    assert np.array_equal(panel(off, 0, seen.pictures[1]), enlarged(seen.pictures[1]))
    assert off.shape[1] == on.shape[1] - 266  # no places
    assert labels(seen.infotexts[4]) == {"picture": "attention"}


@pytest.mark.parametrize("kind", ["sd1", "inpaint", "sdxl"])
def test_inpainting_is_drawn_on_the_whole_picture(host, kind, sketch):
    host.load(checkpoint(host, kind))
    mask = np.zeros((64, 64), np.uint8)
    mask[40:56, 8:24] = 255
    job = {"mask": mask, "inpaint_full_res_padding": 4, "mask_blur": 0, "denoising_strength": 0.9}
    full = host.img2img(sketch, ebca=SHOW, inpaint_full_res=True, **job)
    whole = host.img2img(sketch, ebca=SHOW, inpaint_full_res=False, **job)
    for seen in (full, whole):
        assert np.array_equal(panel(strips(seen).picture, 0, sketch), enlarged(seen.pictures[0]))
    crop = np.zeros((256, 256), bool)
    crop[4 * 36 : 4 * 60, 4 * 4 : 4 * 28] = True
    only = colourful(panel(strips(full).picture, 1, sketch))
    assert (only[~crop] == 0).all()
    assert (only[crop] > 20).mean() > 0.9
    assert (colourful(panel(strips(whole).picture, 1, sketch)) > 20).mean() > 0.9


@pytest.mark.parametrize("kind", ["sd1", "sdxl"])
def test_img2img(host, kind, sketch):
    host.load(checkpoint(host, kind))
    seen = host.img2img(sketch, ebca=SHOW, batch_size=2)
    assert same(part(seen, "on"), host.img2img(sketch, ebca=REGIONS, batch_size=2))
    assert len(strips(seen).pictures) == 2


def test_a_refiner_and_a_small_memory(webui, other):
    job = {"refiner_checkpoint": other, "refiner_switch_at": 0.5}
    seen = webui.txt2img(ebca=SHOW, **job)
    assert same(part(seen, "on"), webui.txt2img(ebca=REGIONS, **job))
    assert len(strips(seen).pictures) == 1


def test_cells_of_a_plot_are_strips(webui, plot):  # noqa: F811
    cells = plot((axis("gamma_attn"), "0.01, 0.05"), ebca=SHOW, prompt=PROMPT)
    for cell, value in zip(cells, (0.01, 0.05), strict=True):
        seen = webui.txt2img(ebca={**SHOW, "gamma_attn": value}, steps=3)
        assert np.array_equal(cell.picture, strips(seen).picture)
        assert cell.infotext == seen.infotext


def test_an_axis_shows_early_and_late(webui, plot):  # noqa: F811
    early, late = plot((axis("attention_when"), "early, late"), ebca=SHOW, prompt=PROMPT, steps=5)
    assert np.array_equal(early.picture[:256, :266], late.picture[:256, :266])  # the picture
    assert differ(*[Result([each.picture[:266, 266:532]], [""]) for each in (early, late)])


def test_saved_only_if_asked(webui, tmp_path):
    def saved(**ebca):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        with webui.options(outdir_txt2img_samples=str(folder), samples_save=True):
            webui.txt2img(ebca={**SHOW, **ebca}, save_images=True)
        return sorted(folder.rglob("*.png"))

    if not saved():
        pytest.skip("the WebUI saves on another machine")
    assert len(saved()) == 1
    both = saved(save_attention=True)
    (strip,) = [each for each in both if each.stem.endswith("-attention")]
    assert len(both) == 2
    assert "EBCA picture: attention" in Image.open(strip).text["parameters"]


def test_nothing_is_shown_where_nothing_is_done(webui):
    """EBCA set to the hires pass only, and no hires fix."""
    seen = webui.txt2img(ebca={**SHOW, "hires": "only"})
    assert kinds_or_none(seen) in ([("on", 0)], None)


def kinds_or_none(result):
    return kinds(result) if "ebca_images" in result.info else None


def test_strange_prompts(webui):
    for prompt in ("", '<b>bold</b> & "quoted" cats', "سیب و گربه", "😀 and 🐈", "x " * 3000):
        on = webui.txt2img(prompt=prompt, ebca=REGIONS)
        assert same(part_or_whole(webui.txt2img(prompt=prompt, ebca=SHOW)), on)


def part_or_whole(result):
    return part(result, "on") if "ebca_images" in result.info else result


def test_settings_come_back_from_the_infotext(webui):
    webui.need_infotext()
    ebca = {**ON, "show_attention": True, "attention_when": "late", "save_attention": True}
    seen = webui.txt2img(ebca=ebca)
    again = webui.post("/sdapi/v1/txt2img", {"infotext": seen.infotext})
    assert [encoded(each) for each in seen.pictures] or again
    assert len(again["images"]) == 2
