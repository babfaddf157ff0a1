"""Off is off, whatever was done before."""

import pytest

from webui.client import ON, ZERO, RefusedError, differ, same
from webui.conftest import checkpoint

OFF = {"enabled": False}
DISABLED_BUT_FILLED_IN = [False, "paper: stylise", 0.05, 0.05, 0.9, 0.1, "nonsense", 7, None]


def test_without_ebca_a_job_is_repeatable(any_webui):
    assert same(any_webui.txt2img(), any_webui.txt2img())


def test_disabled_is_as_absent(any_webui):
    absent = any_webui.txt2img()
    disabled = any_webui.txt2img(ebca=OFF)
    assert same(absent, disabled)
    assert absent.labels == disabled.labels == {}


def test_zero_step_sizes_are_as_absent(any_webui):
    assert same(any_webui.txt2img(), any_webui.txt2img(ebca=ZERO))


def test_enabled_changes_the_picture(any_webui):
    assert differ(any_webui.txt2img(), any_webui.txt2img(ebca={}), any_webui.txt2img(ebca=ON))


def test_off_after_on_is_as_before(any_webui):
    before = any_webui.txt2img()
    any_webui.txt2img(ebca=ON, prompt="a crown AND a red hat :0.5", batch_size=2)
    assert same(before, any_webui.txt2img())


def test_on_after_off_and_other_values_is_as_before(any_webui):
    before = any_webui.txt2img(ebca=ON)
    any_webui.txt2img(ebca={**ON, "layers": "mid", "token_weights": "red:3"})
    any_webui.txt2img()
    assert same(before, any_webui.txt2img(ebca=ON))


def test_core_and_is_as_before_after_cacao(webui):
    both = {"prompt": "a red car AND a blue crown :0.7"}
    before = webui.txt2img(**both)
    composed = webui.txt2img(**both, ebca=ZERO)
    assert differ(before, composed)
    assert same(before, webui.txt2img(**both))
    assert same(composed, webui.txt2img(**both, ebca=ZERO))


def test_a_closed_accordion_is_closed_whatever_is_typed_into_it(webui):
    closed = webui.txt2img(ebca=DISABLED_BUT_FILLED_IN)
    assert same(webui.txt2img(), closed)
    assert closed.labels == {}


def test_off_is_off_in_img2img(webui, sketch):
    assert same(webui.img2img(sketch), webui.img2img(sketch, ebca=OFF))
    assert same(webui.img2img(sketch), webui.img2img(sketch, ebca=ZERO))


def off_is_off_in(host, sketch, **job):
    before = host.img2img(sketch, **job)
    assert same(before, host.img2img(sketch, **job, ebca=OFF))
    assert same(before, host.img2img(sketch, **job, ebca=ZERO))
    assert differ(before, host.img2img(sketch, **job, ebca=ON))
    assert same(before, host.img2img(sketch, **job))


def test_off_is_off_with_a_model_that_sees_the_mask(host, sketch, half):
    host.load(checkpoint(host, "inpaint"))
    off_is_off_in(host, sketch, mask=half)


def test_off_is_off_with_a_model_that_edits(edits, sketch):
    off_is_off_in(edits, sketch, image_cfg_scale=1.5)


def test_off_is_off_after_a_checkpoint_switch_and_back(webui, other):
    first = webui.txt2img()
    webui.txt2img(ebca=ON)
    mine, theirs = checkpoint(webui, "sd1"), other
    webui.load(theirs)
    on_theirs = webui.txt2img(ebca=ON)
    webui.load(mine)
    assert same(first, webui.txt2img())
    webui.load(theirs)
    assert same(on_theirs, webui.txt2img(ebca=ON))


def test_off_is_off_after_an_x_y_z_plot(webui):
    before = webui.txt2img()
    plot = webui.plot_arguments(("Seed", "7, 8"))
    webui.txt2img(script_name="x/y/z plot", script_args=plot, ebca=ON)
    assert same(before, webui.txt2img())


def test_off_is_off_after_a_job_that_was_refused(webui):
    before, on = webui.txt2img(), webui.txt2img(ebca=ON)
    with pytest.raises(RefusedError):
        webui.txt2img(ebca={**ON, "start": 0.8, "stop": 0.2})
    assert same(before, webui.txt2img())
    assert same(on, webui.txt2img(ebca=ON))
