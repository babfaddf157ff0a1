"""ADetailer paints faces again, each in a job within the job, with a drawn face and its own
detector of MediaPipe, which needs no download."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from webui.client import ON, ZERO, RefusedError, alike, differ, same
from webui.neighbours import arguments

A, B = "a red car", "a blue crown"


def face():
    """64x64 pixels that a detector takes for a face."""
    picture = Image.new("RGB", (256, 256), (90, 120, 150))
    draw = ImageDraw.Draw(picture)

    def ellipse(x, y, width, height, color):
        draw.ellipse([x - width, y - height, x + width, y + height], fill=color)

    ellipse(128, 120, 78, 100, (60, 40, 30))
    ellipse(128, 135, 62, 82, (224, 180, 150))
    for x in (103, 153):
        ellipse(x, 120, 14, 7, (245, 245, 245))
        ellipse(x, 120, 6, 6, (50, 30, 20))
        draw.rectangle([x - 16, 100, x + 16, 105], fill=(70, 45, 30))
    draw.polygon([(128, 122), (118, 155), (138, 155)], fill=(205, 155, 125))
    ellipse(128, 180, 24, 8, (180, 80, 80))
    return np.asarray(picture.filter(ImageFilter.GaussianBlur(2)).resize((64, 64)))


@pytest.fixture
def paint(webui):
    """A job of which only ADetailer's inner pass is left."""
    arguments(webui, "adetailer")
    unit = {"ad_model": "mediapipe_face_full", "ad_denoising_strength": 0.7}
    scripts = {"adetailer": {"args": [True, True, {**unit, "ad_inpaint_only_masked": False}]}}

    def paint(prompt=A, **job):
        return webui.img2img(face(), prompt=prompt, alwayson_scripts=scripts, **job)

    painted = paint()
    if same(painted, webui.img2img(face(), prompt=A)) or not differ(painted, paint(B)):
        pytest.skip("ADetailer found no face to paint")
    return paint


@pytest.fixture
def allowed(webui, paint):
    """EBCA may take part in the inner pass, where there is one."""
    webui.set_options(ad_only_selected_scripts=False)
    yield
    webui.set_options(ad_only_selected_scripts=True)


def test_the_inner_pass_is_without_ebca_unless_it_is_allowed(paint):
    assert same(paint(ebca=ON), paint())


@pytest.mark.usefixtures("allowed")
def test_the_inner_pass_is_with_ebca_where_it_is_allowed(webui, paint):
    plain, without = webui.txt2img(), paint()
    painted = paint(ebca=ON)
    assert differ(painted, without)
    assert same(paint(ebca=ON), painted)
    assert alike(paint(f"{A} AND {A} :0.5", ebca=ZERO), without)
    assert differ(paint(f"{A} AND {B} :0.5", ebca=ZERO), without)
    assert same(webui.txt2img(), plain)


@pytest.mark.usefixtures("allowed")
def test_several_images_with_inner_passes_between_them(paint):
    two = paint(ebca=ON, n_iter=2)
    assert same(paint(ebca=ON, n_iter=2), two)
    assert all("EBCA enabled: True" in infotext for infotext in two.infotexts)


@pytest.mark.usefixtures("allowed")
def test_a_refusal_beside_adetailer_leaves_nothing(webui, paint):
    plain = webui.txt2img()
    with pytest.raises(RefusedError, match="422"):
        paint(ebca={"gamma_attn": 99})
    assert same(webui.txt2img(), plain)
