"""EBCA in the page of a live WebUI, at the address in EBCA_WEBUI, in the system's Chromium.

With the project's small model: `EBCA_WEBUI=http://127.0.0.1:7860 python -m pytest
tests/webui/test_browser.py --confcutdir tests/webui`.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

URL = os.environ.get("EBCA_WEBUI", "")
if not URL:
    pytest.skip("EBCA_WEBUI, the address of a live WebUI, is not set", allow_module_level=True)
pytest.importorskip("playwright", reason="playwright is not installed")

from playwright.sync_api import Locator, expect  # noqa: E402

from ebca.options.job import fields  # noqa: E402
from ebca.options.presets import PRESETS, preset_values  # noqa: E402
from webui.browser_page import (  # noqa: E402
    CHROMIUM,
    SLOWER,
    Tab,
    WebUIPage,
    choose,
    open_webui,
    shown_in,
)
from webui.client import axis  # noqa: E402

if not CHROMIUM:
    pytest.skip("no Chromium is installed", allow_module_level=True)

PROMPT = "a red car and a blue crown AND on the grass :0.5"
UNUSUAL = {
    "enabled": True,
    "preset": "paper: stylise",
    "gamma_attn": 0.013,
    "gamma_norm": 0.017,
    "start": 0.11,
    "stop": 0.93,
    "formulation": "paper",
    "update_unconditional": True,
    "scale_with_depth": False,
    "max_relative_update": 0.043,
    "layers": "0-2, up",
    "token_weights": "red car:2.5, crown:0.5",
    "and_means": "webui",
    "edit_gamma_attn": 0.0003,
    "edit_gamma_norm": 0.0007,
    "edit_start": 0.21,
    "edit_stop": 0.87,
    "mask": False,
    "hires": "off",
    "gamma_spread": 0.0215,
    "centered": False,
    "contrast": 0.27,
    "contrast_stop": 0.45,
    "subjects": "blue crown, car",
    "regions": 0.65,
    "regions_stop": 0.55,
    "also_off": True,
    "show_attention": True,
    "attention_of": "crown, red",
    "attention_when": "early",
    "save_attention": True,
    "keep": True,
    "keep_source": "a blue car",
    "keep_more": 0.35,
    "keep_stop": 0.65,
    "keep_noise": "flow",
    "keep_steps": 30.0,
    "keep_from_source": True,
    "regions_words": 0.35,
}
"""A value for every field, none of them a default."""

DEFAULTS = {name: field.default for name, field in fields().items()}

IN_TXT2IMG = {
    name: value if name in shown_in("txt2img") else DEFAULTS[name]
    for name, value in UNUSUAL.items()
}

assert list(UNUSUAL) == list(fields())
assert all(UNUSUAL[name] != DEFAULTS[name] for name in fields())


@pytest.fixture(scope="module")
def shared_webui() -> Iterator[WebUIPage]:
    with open_webui(URL) as webui:
        yield webui


@pytest.fixture
def webui(shared_webui: WebUIPage) -> Iterator[WebUIPage]:
    with shared_webui.fresh() as webui:
        yield webui


@pytest.fixture
def txt2img(webui: WebUIPage) -> Tab:
    """Ready for a job that takes a moment."""
    webui.txt2img.set_prompt(PROMPT)
    webui.txt2img.small_job()
    return webui.txt2img


@pytest.fixture
def unusual(txt2img: Tab) -> Tab:
    """With `IN_TXT2IMG` in all controls."""
    fill_in(txt2img)
    return txt2img


def fill_in(txt2img: Tab) -> None:
    """`IN_TXT2IMG` into all controls."""
    txt2img.enable()
    txt2img.unfold()
    for name in [name for name in txt2img.shown if name != "enabled"]:  # the preset first
        txt2img.set(name, IN_TXT2IMG[name])
    assert txt2img.values() == IN_TXT2IMG


def test_a_new_user_sees_five_controls_and_opening_enables(webui: WebUIPage) -> None:
    tab = webui.txt2img
    assert not tab.enabled
    tab.enable()
    assert tab.enabled
    visible = {name for name in fields() if name != "enabled" and tab.control(name).is_visible()}
    shown = {"preset", "subjects", "regions", "gamma_attn", "and_means"}
    assert visible == shown
    tab.unfold()
    assert all(tab.control(name).is_visible() for name in tab.shown)


@pytest.mark.parametrize("name", ["txt2img", "img2img"])
def test_every_control_has_a_tooltip_and_a_label_of_its_own(webui: WebUIPage, name: str) -> None:
    tab: Tab = getattr(webui, name)
    for field in list(fields())[1:]:
        assert tab.control(field).get_attribute("title").endswith(f" ({field})")
    # what the pointer meets first has no other title
    titled = "[id^=ebca_][title] [title]:not([title=''], .hide)"
    assert tab.find(f"#ebca_{{}}_enabled {titled}").count() == 0
    ids = tab.find("#ebca_{}_enabled [id^=ebca_]").evaluate_all("all => all.map(e => e.id)")
    assert all(each.startswith(f"ebca_{name}_") for each in ids)
    assert [each for each in ids if ids.count(each) > 1] in ([], [f"ebca_{name}_line"] * 2)


def test_pasting_an_infotext_restores_every_control(unusual: Tab) -> None:
    infotext = unusual.generate()
    as_the_preset = {"enabled", "centered"}
    assert all(f"EBCA {name}: " in infotext for name in {*unusual.shown} - as_the_preset)
    unusual.find("#{}_prompt textarea").evaluate("box => box.scrollIntoView()")
    for name in ("gamma_attn", "start", "token_weights", "subjects", "and_means", "mask", "preset"):
        unusual.set(name, DEFAULTS[name])
    unusual.enable(False)
    unusual.paste(infotext)
    assert unusual.values() == IN_TXT2IMG
    assert unusual.find("#{}_prompt textarea").input_value() == PROMPT
    before = re.search("EBCA .*", infotext)
    after = re.search("EBCA .*", unusual.generate(seed=8))
    assert before
    assert after
    assert before[0] == after[0]


def test_pasting_nothing_takes_the_last_picture_s_infotext(unusual: Tab, webui: WebUIPage) -> None:
    unusual.generate()
    webui.load()
    webui.txt2img.paste("")
    assert webui.txt2img.values() == IN_TXT2IMG


@pytest.mark.parametrize("target", ["txt2img", "img2img"])
def test_png_info_sends_to_one_tab_alone(unusual: Tab, webui: WebUIPage, target: str) -> None:
    unusual.generate()
    picture = webui.picture(unusual)
    webui.load()
    webui.read_info(picture)
    webui.page.locator(f"#tab_pnginfo #{target}_tab").click()
    there = {"txt2img": webui.txt2img, "img2img": webui.img2img}
    receiving = there.pop(target)
    (other,) = there.values()
    receiving.find("#ebca_{}_enabled.input-accordion-open").wait_for()
    assert receiving.values() == IN_TXT2IMG
    assert other.values() == DEFAULTS


def test_send_to_img2img_takes_the_controls_along(unusual: Tab, webui: WebUIPage) -> None:
    unusual.generate()
    unusual.find("#{}_send_to_img2img").click()
    webui.img2img.find("#ebca_{}_enabled.input-accordion-open").wait_for()
    assert webui.img2img.values() == IN_TXT2IMG
    assert unusual.values() == IN_TXT2IMG


def test_an_infotext_without_ebca_closes_the_accordion(txt2img: Tab) -> None:
    infotext = txt2img.generate()
    assert "EBCA" not in infotext
    txt2img.enable()
    txt2img.set("gamma_attn", 0.05)
    txt2img.paste(infotext)
    assert not txt2img.enabled
    assert txt2img.get("gamma_attn") == 0.05
    assert "EBCA" not in txt2img.generate(seed=8)


def test_values_beyond_the_sliders_are_restored(txt2img: Tab) -> None:
    """As an infotext has them that was made through the API."""
    given = {**UNUSUAL, "gamma_attn": 0.25, "gamma_norm": 0.00015, "edit_gamma_attn": 0.5}
    txt2img.enable()
    written = (f'EBCA {name}: "{value}"' for name, value in given.items() if name != "enabled")
    txt2img.paste(txt2img.generate().replace("EBCA version", f"{', '.join(written)}, EBCA version"))
    assert txt2img.values() == given
    again = txt2img.generate(seed=9)
    for name in ("gamma_attn", "gamma_norm", "edit_gamma_attn"):
        assert f"EBCA {name}: {given[name]}," in again


def test_a_bad_value_is_told_and_the_next_job_works(txt2img: Tab, webui: WebUIPage) -> None:
    clean = webui.pixels(txt2img) if txt2img.generate() else b""
    txt2img.enable()
    txt2img.unfold()
    txt2img.set("token_weights", "tree:-2")
    label = "“Words to bring out more or less”"
    message = f"EBCA: {label} is -2.0, but must be a number from 0 to 100."
    assert message in txt2img.generate()
    assert txt2img.find("#html_log_{} .error").is_visible()
    txt2img.set("token_weights", "car:2")
    assert 'EBCA token_weights: "car:2"' in txt2img.generate()
    assert webui.pixels(txt2img) != clean
    txt2img.enable(False)
    txt2img.generate()
    assert webui.pixels(txt2img) == clean


SHOWS = "Will try to show all of: “a red car”, “a blue crown”."
LEFT = "AND is left to the WebUI: 2 prompts, each calculated in full."
LINES = {
    PROMPT: SHOWS,
    "a car AND grass :0.4": "Adds after AND: “grass” +0.4.",
    "a red car": "Fewer than two subjects found. If there are more, click them below.",
    "a AND b AND_PERP c": "AND is left to the extension that knows AND_PERP",
    "a car AND grass :-101": "EBCA: prompt is 'grass :-101'",
    "a car :0 AND grass": "EBCA: prompt is 'a car :0', but must be a main prompt",
    "a car <lora:none:1> AND grass": "Adds after AND: “grass” +1.",
    "": "Nothing to do with this prompt and these settings: the picture stays as it is.",
}


@pytest.mark.parametrize("name", ["txt2img", "img2img"])
def test_the_line_follows_the_prompt(webui: WebUIPage, name: str) -> None:
    tab: Tab = getattr(webui, name)
    webui.open(name)
    tab.enable()
    for prompt, line in LINES.items():
        tab.set_prompt(prompt)
        tab.line.get_by_text(line).wait_for(timeout=5000 * SLOWER)
        assert (tab.line.locator(".error").count() == 1) == line.startswith("EBCA: ")


def test_the_line_follows_the_controls(txt2img: Tab, webui: WebUIPage) -> None:
    def says(text: str) -> None:
        txt2img.line.get_by_text(text).wait_for(timeout=5000 * SLOWER)

    txt2img.enable()
    says(SHOWS)
    txt2img.set("and_means", "webui")
    says(LEFT)
    txt2img.unfold()
    txt2img.set("token_weights", "tree:2")
    says("Without effect: “tree” in “Words to bring out more or less”, not in the prompt.")
    txt2img.set("token_weights", "red car:-2")
    says("EBCA: “Words to bring out more or less” is -2.0, but must be a number from 0 to 100.")
    txt2img.set("token_weights", "")
    txt2img.set_prompt("a blue crown")
    says("Fewer than two subjects found. If there are more, click them below.")
    txt2img.set_prompt("red car, blue crown")
    txt2img.set("subjects", "car, crown")
    says("Will try to show all of: “car”, “crown”.")
    txt2img.set("subjects", "car, tree")
    says("One subject is too few: click a second one below.")
    says("Without effect: “tree” in “Subjects”, not in the prompt.")
    txt2img.set("subjects", "car")
    says("One subject is too few: click a second one below.")
    txt2img.set("subjects", "")
    txt2img.set_prompt(PROMPT)
    txt2img.set("layers", "90-99")
    says("“Attention layers” is '90-99', but must be made of parts that name layers of this model")
    txt2img.set("layers", "all")
    txt2img.set("start", 1)
    says(
        "EBCA: “Paper's update from” is 1.0, but must be less than “Paper's update until”, which is"
        " 1."
    )
    txt2img.set("start", 0)
    txt2img.set_prompt("a red car")
    txt2img.set("preset", "paper: stylise")
    says("Nothing to do with this prompt and these settings: the picture stays as it is.")
    txt2img.set("hires", "only")
    says("Nothing to do: EBCA is set to the hires pass only, and hires fix is off.")
    txt2img.set_prompt(PROMPT)
    txt2img.set("and_means", "webui")
    txt2img.find("#{}_hr > .label-wrap").click()
    says(f"Hires pass: {LEFT}")
    webui.page.locator("#ebca_txt2img_enabled-visible-checkbox").uncheck()
    says("Off: tick the box beside the title to use EBCA.")


def chips(tab: Tab, word: str) -> Locator:
    """The buttons of a word."""
    return tab.line.locator(".ebca-chip", has_text=re.compile(rf"^{re.escape(word)}"))


def subjects(tab: Tab) -> list[str]:
    """Those that are marked among the words."""
    marked = tab.line.locator(".ebca-subject").evaluate_all(
        "all => all.map(e => e.dataset.subject)"
    )
    return list(marked)


def settled(tab: Tab) -> None:
    """Wait until the line says what the page is now."""
    now = (
        "tab => { ebcaFollow(tab);"
        " return !ebcaWaiting(tab) && !ebcaChanged[tab] && !ebcaQueue[tab].length; }"
    )
    page = tab.line.page
    page.wait_for_timeout(100 * SLOWER)
    page.wait_for_function(now, arg=tab.name, polling=200, timeout=60_000 * SLOWER)
    page.wait_for_timeout(100 * SLOWER)


def press(tab: Tab, word: str, **how: Any) -> None:
    chips(tab, word).first.click(**how)
    settled(tab)


def test_words_are_buttons_that_make_subjects(txt2img: Tab) -> None:
    txt2img.enable()
    txt2img.set_prompt("a red car, a blue crown and trees, <b>masterpiece</b> AND on the grass")
    settled(txt2img)
    assert subjects(txt2img) == ["a red car", "a blue crown"]
    press(txt2img, "trees")
    assert txt2img.get("subjects") == "a red car, a blue crown, trees"
    assert subjects(txt2img) == ["a red car", "a blue crown", "trees"]
    press(txt2img, "blue")  # taken out, with what stands before it
    assert txt2img.get("subjects") == "a red car, crown, trees"
    press(txt2img, "blue")  # and joins the crown again
    assert txt2img.get("subjects") == "a red car, blue crown, trees"
    press(txt2img, "crown")
    assert txt2img.get("subjects") == "a red car, trees"
    press(txt2img, "trees")
    txt2img.line.get_by_text("One subject is too few: click a second one below.").wait_for()
    assert subjects(txt2img) == ["a red car"]
    assert txt2img.line.locator(".ebca-idle .ebca-subject").count() == 1
    press(txt2img, "car")
    assert txt2img.get("subjects") == ""
    assert subjects(txt2img) == ["a red car", "a blue crown"]  # as found
    assert txt2img.line.locator("b").count() == 0
    assert chips(txt2img, "grass").get_attribute("data-then") is None


def test_clicks_in_a_row_are_all_done(txt2img: Tab, webui: WebUIPage) -> None:
    txt2img.enable()
    txt2img.set_prompt("a red car and a blue crown, trees, clouds, stars, birds")
    settled(txt2img)
    words = ["trees", "clouds", "stars", "birds"]
    click = "(words) => words.forEach(w => [...document.querySelectorAll('#ebca_txt2img_line"
    click += " .ebca-chip')].find(c => c.textContent == w).click())"
    webui.page.evaluate(click, words)
    wanted = ", ".join(["a red car", "a blue crown", *words])
    settled(txt2img)
    assert txt2img.get("subjects") == wanted


def test_words_are_shown_as_the_model_reads_them(txt2img: Tab) -> None:
    txt2img.enable()
    long = ", ".join(f"thing number {n}" for n in range(30))
    txt2img.set_number("steps", 20)
    txt2img.set_prompt(f"a (red:1.3) car and [a:two:0.25] crown, {long} BREAK stars AND snow :-0.5")
    line = txt2img.line
    settled(txt2img)
    text = " ".join(line.locator(".ebca-words").inner_text().split())
    assert "main prompt steps 1 to 5 a red1.3 car and a crown ," in text
    assert "steps 6 to 20 a red1.3 car and two crown ," in text
    assert "BREAK" in text
    assert line.locator(".ebca-note", has_text=re.compile("^75$")).count() == 2  # of both phases
    assert "Emphasis 1.3." in chips(txt2img, "red").first.get_attribute("title")


def test_shift_and_a_click_weigh_a_word(txt2img: Tab, webui: WebUIPage) -> None:
    txt2img.enable()
    settled(txt2img)
    slider = webui.page.locator("#ebca_slider input")
    press(txt2img, "crown", modifiers=["Shift"])
    expect(slider).to_be_focused()
    slider.fill("2.5")
    expect(chips(txt2img, "crown").locator("b")).to_have_text("\u00d72.5")
    assert txt2img.get("token_weights") == "crown:2.5"
    press(txt2img, "grass", modifiers=["Shift"])  # the others may be weighed too
    slider.fill("0")
    settled(txt2img)
    assert txt2img.get("token_weights") == "crown:2.5, grass:0"
    press(txt2img, "crown", modifiers=["Shift"])
    expect(slider).to_have_value("2.5")
    slider.fill("1")
    settled(txt2img)
    assert txt2img.get("token_weights") == "grass:0"
    assert subjects(txt2img) == ["a red car", "a blue crown"]  # these clicks are of another kind
    assert 'EBCA token_weights: "grass:0"' in txt2img.generate()


def test_the_keyboard_does_what_the_mouse_does_and_the_focus_stays(
    txt2img: Tab, webui: WebUIPage
) -> None:
    txt2img.enable()
    txt2img.set_prompt("a red car and a blue crown, trees")
    settled(txt2img)
    chips(txt2img, "trees").focus()
    webui.page.keyboard.press("Space")
    expect(chips(txt2img, "trees")).to_have_attribute("aria-pressed", "true")
    settled(txt2img)
    assert txt2img.get("subjects") == "a red car, a blue crown, trees"
    expect(chips(txt2img, "trees")).to_be_focused()
    webui.page.keyboard.press("Shift+Enter")
    slider = webui.page.locator("#ebca_slider input")
    expect(slider).to_be_focused()
    webui.page.keyboard.press("ArrowRight")
    settled(txt2img)
    assert txt2img.get("token_weights") == "trees:1.1"
    webui.page.keyboard.press("Escape")
    expect(slider).to_have_count(0)
    expect(chips(txt2img, "trees")).to_be_focused()
    webui.page.keyboard.press("Shift+Tab")
    expect(chips(txt2img, "crown")).to_be_focused()


def test_words_have_roles_names_and_states(txt2img: Tab) -> None:
    txt2img.enable()
    txt2img.set("subjects", "red car, crown, elephant")
    told = txt2img.line.get_by_text("Without effect: “elephant” in “Subjects”")
    told.wait_for(timeout=30_000 * SLOWER)
    whole = txt2img.line.get_by_role("group", name="The prompt as the model reads it")
    assert whole.count() == 1
    subject = whole.get_by_role("group", name="Subject: red car")
    assert subject.get_by_role("button", pressed=True).all_inner_texts() == ["red", "car"]
    assert whole.get_by_role("button", name="blue", pressed=False).count() == 1
    assert whole.get_by_role("group", name="After AND, weight 0.5").count() == 1
    wrong = whole.get_by_role("button", name="elephant")
    assert "The prompt does not have it." in wrong.get_attribute("title")
    wrong.click()
    box = txt2img.control("subjects").locator("input, textarea")
    expect(box).to_have_value("red car, crown")


def test_typing_clicking_and_pasting_are_one_state(txt2img: Tab, webui: WebUIPage) -> None:
    txt2img.enable()
    settled(txt2img)
    press(txt2img, "red")
    press(txt2img, "crown", modifiers=["Shift"])
    webui.page.locator("#ebca_slider input").fill("3")
    settled(txt2img)
    assert txt2img.get("subjects") == "car, a blue crown"
    infotext = txt2img.generate()
    webui.load()
    tab = webui.txt2img
    tab.paste(infotext)
    settled(tab)
    assert subjects(tab) == ["car", "a blue crown"]
    expect(chips(tab, "crown").locator("b")).to_have_text("\u00d73")
    tab.unfold()
    tab.set("subjects", "red car, crown")  # typed
    settled(tab)
    assert subjects(tab) == ["red car", "crown"]
    tab.set("token_weights", "tree:2")
    settled(tab)
    expect(chips(tab, "tree:2")).to_have_class(re.compile("ebca-wrong"))


def test_three_hundred_words_are_shown_and_pressed_like_few(txt2img: Tab, webui: WebUIPage) -> None:
    txt2img.enable()
    txt2img.set("subjects", "cat, dog")
    txt2img.set_prompt("a cat and a dog, " + " ".join(f"word{n}" for n in range(290)))
    settled(txt2img)
    assert txt2img.line.locator(".ebca-chip").count() == 295
    before = webui.page.evaluate("document.querySelectorAll('*').length")
    press(txt2img, "word150")
    assert txt2img.get("subjects") == "cat, dog, word150"
    assert subjects(txt2img) == ["cat", "dog", "word150"]
    after = webui.page.evaluate("document.querySelectorAll('*').length")
    assert after - before < 50  # the words are drawn anew, not once more


def test_nothing_is_asked_while_the_accordion_is_closed(txt2img: Tab, webui: WebUIPage) -> None:
    asked: list[str] = []
    webui.page.on("request", lambda r: asked.append(r.post_data or "") if "predict" in r.url else 0)
    txt2img.set_prompt("a cat and a dog and a bird")
    webui.page.wait_for_timeout(2500 * SLOWER)
    assert not [data for data in asked if "styles" in data]
    txt2img.enable()
    txt2img.line.get_by_text("“a bird”").wait_for(timeout=30_000 * SLOWER)
    assert [data for data in asked if "styles" in data]


def test_the_line_follows_what_is_pasted(unusual: Tab, webui: WebUIPage) -> None:
    infotext = unusual.generate()
    webui.load()
    webui.txt2img.paste(infotext)
    webui.txt2img.line.get_by_text(LEFT).wait_for(timeout=5000 * SLOWER)


def test_the_line_costs_nothing_while_nothing_changes(txt2img: Tab, webui: WebUIPage) -> None:
    asked: list[str] = []
    txt2img.enable()
    txt2img.line.get_by_text(SHOWS).wait_for()
    webui.page.on("request", lambda request: asked.append(request.url))
    webui.page.wait_for_timeout(3000 * SLOWER)
    assert asked == []
    txt2img.set("gamma_attn", 0.02)
    webui.page.wait_for_timeout(1500 * SLOWER)
    (only,) = asked
    assert only.partition("?")[0].endswith("/run/predict")  # at once, through no queue
    once = (
        "() => { const t = performance.now(); for (let i = 0; i < 200; i++) ebcaFollow('txt2img');"
    )
    assert webui.page.evaluate(once + " return (performance.now() - t) / 200; }") < 2  # ms


def test_a_preset_sets_its_fields_and_only_those(txt2img: Tab) -> None:
    txt2img.enable()
    txt2img.unfold()
    kept = {"stop": 0.9, "layers": "up", "subjects": "a, b"}
    for name, value in kept.items():
        txt2img.set(name, value)
    for preset in [*reversed(PRESETS), "custom"]:
        wanted = {**txt2img.values(), **preset_values(preset), "preset": preset}
        txt2img.set("preset", preset)
        txt2img.find("#ebca_{}_enabled").page.wait_for_timeout(600 * SLOWER)
        assert txt2img.values() == wanted
        assert kept.items() <= wanted.items()


def test_a_grid_over_an_axis_of_ebca(txt2img: Tab, webui: WebUIPage) -> None:
    txt2img.enable()
    choose(txt2img.find("#{}_script_container #script_list"), "X/Y/Z plot")
    choose(txt2img.find("#script_{}_xyz_plot_x_type"), axis("gamma_attn"))
    webui.page.wait_for_timeout(2000 * SLOWER)  # choosing an axis empties its values, in a while
    txt2img.find("#script_{}_xyz_plot_x_values textarea").fill("0, 0.01, 0.05")
    txt2img.generate()
    infotext = Image.open(io.BytesIO(webui.picture(txt2img))).info["parameters"]  # the grid's
    assert f'X Type: {axis("gamma_attn")}, X Values: "0, 0.01, 0.05"' in infotext
    assert txt2img.get("gamma_attn") == DEFAULTS["gamma_attn"]
    # a value that is not legal stops the plot before its first cell
    txt2img.find("#script_{}_xyz_plot_x_values textarea").fill("0, 11")
    message = txt2img.generate(seed=8)
    told = "EBCA: “Bring out words (gamma_attn)” is 11.0, but must be a number from 0 to 10."
    assert told in message


def test_interrupting_leaves_nothing(txt2img: Tab, webui: WebUIPage) -> None:
    clean = webui.pixels(txt2img) if txt2img.generate() else b""
    txt2img.enable()
    txt2img.set_number("steps", 150)
    txt2img.find("#{}_generate").click()
    txt2img.find("#{}_interrupt").wait_for(state="visible")
    webui.page.wait_for_timeout(1000 * SLOWER)
    txt2img.find("#{}_interrupt").click()
    txt2img.wait()
    txt2img.find("#html_info_{}:has-text('Steps: 150')").first.wait_for()
    txt2img.enable(False)
    txt2img.small_job()
    txt2img.generate()
    assert webui.pixels(txt2img) == clean


def test_generating_forever_leaves_nothing(txt2img: Tab, webui: WebUIPage) -> None:
    clean = webui.pixels(txt2img) if txt2img.generate() else b""
    txt2img.enable()
    changed = webui.pixels(txt2img) if txt2img.generate(seed=8) else b""
    for entry in ("Generate forever", "Cancel generate forever"):
        # no click: a job that has just begun covers the button
        txt2img.find("#{}_generate").dispatch_event("contextmenu", {"bubbles": True})
        webui.page.get_by_text(entry, exact=True).click()
        webui.page.wait_for_timeout(4000 * SLOWER)
        txt2img.wait()
    assert webui.pixels(txt2img) == changed  # the same seed again and again
    txt2img.enable(False)
    txt2img.generate()
    assert webui.pixels(txt2img) == clean


def test_inpainting_has_the_accordion_too(webui: WebUIPage) -> None:
    webui.open("img2img")
    webui.page.locator("#mode_img2img > .tab-nav").get_by_text("Inpaint", exact=True).click()
    webui.img2img.enable()
    webui.img2img.unfold()
    assert all(webui.img2img.control(name).is_visible() for name in fields())


def test_what_is_hidden_is_no_default_of_the_user_s(webui: WebUIPage) -> None:
    """The file is only at hand where the WebUI runs; EBCA_WEBUI_CONFIG names it."""
    config = os.environ.get("EBCA_WEBUI_CONFIG")
    if not config:
        pytest.skip("EBCA_WEBUI_CONFIG, the path of the WebUI's ui-config.json, is not set")
    text = Path(config).read_text(encoding="utf8")
    labels = set(re.findall(r'"customscript/ebca\.py/\w+/([^/]*)/', text))
    assert {"Preset", "Strength of the subjects"} <= labels
    # Forge stores the state of no accordion, not of its own ones either.
    assert ("EBCA" in labels) == ('"txt2img/Hires. fix/value"' in text)
    assert not labels & {"Tell", "Run", "Textbox", "page", "None", ""}
