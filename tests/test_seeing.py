"""Strips and pairs: what is drawn where, in which colours, at any size."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import colormaps
from PIL import Image

from ebca.core.maps import Seen, Used
from ebca.seeing.colours import AREAS, viridis
from ebca.seeing.drawing import Frame, _percent, column, pair, strip
from ebca.seeing.joining import WHOLE, Crop, cropped, joined

GAP = 10


def picture(width: int, height: int) -> Image.Image:
    rows, columns = np.mgrid[0:height, 0:width]
    bands = [255 * rows / height, 255 * columns / width, 0 * rows + 90]
    return Image.fromarray(np.stack(bands, -1).astype(np.uint8))


def seen(*maps: torch.Tensor, used: tuple[Used, ...] = (), evaluations: int = 1) -> Seen:
    words = tuple(f"word {number}" for number in range(len(maps)))
    return Seen(words, torch.stack(maps) if maps else torch.zeros(0, 4, 4), used, evaluations)


def panel(sheet: Image.Image, number: int, size: tuple[int, int]) -> np.ndarray:
    left = GAP + number * (size[0] + GAP)
    return np.asarray(sheet.crop((left, GAP, left + size[0], GAP + size[1]))).astype(int)


def test_colours_are_viridis_within_what_an_eye_can_see() -> None:
    values = np.linspace(0.0, 1.0, 1001)
    theirs = 255 * colormaps["viridis"](values)[:, :3]
    assert np.abs(viridis(values) - theirs).max() < 6
    light = viridis(values) @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(light) > 0).all()  # brighter is more, in grey as well
    assert np.array_equal(viridis(np.array([-1.0, 2.0])), viridis(np.array([0.0, 1.0])))
    assert len({tuple(each) for each in AREAS}) == len(AREAS) == 8


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 900), st.integers(1, 900), st.integers(0, 8), st.integers(1, 40))
def test_any_size_and_any_number_of_words(width: int, height: int, words: int, grid: int) -> None:
    shares = [torch.rand(grid, max(1, grid // 2)) for _ in range(words)]
    sheet = strip(picture(width, height), seen(*shares))
    scale = 384 / max(width, height)
    small = (width, height) if scale >= 1 else (round(width * scale), round(height * scale))
    times = max(1, 256 // max(width, height)) if scale >= 1 else 1
    across = max(1, small[0]) * times
    assert sheet.width >= GAP + (words + 1) * (across + GAP)
    assert sheet.height > max(1, small[1]) * times


def test_a_map_lies_where_the_model_looked() -> None:
    share = torch.zeros(4, 8)
    share[1, 6] = 0.5
    sheet = strip(picture(320, 160), seen(share, torch.full((4, 8), 0.25)))
    spot, even = panel(sheet, 1, (320, 160)), panel(sheet, 2, (320, 160))
    yellow = spot[..., 0] + spot[..., 1] - spot[..., 2]
    y, x = np.unravel_index(yellow.argmax(), yellow.shape)
    assert (x // 40, y // 40) == (6, 1)
    dark = viridis(np.array(0.0))  # what is even all over tells nothing
    grey = np.asarray(picture(320, 160).convert("L"))[..., None]
    assert np.abs(even - (0.65 * dark + 0.35 * 0.8 * grey)).max() <= 1


def test_only_what_was_repainted_has_colours() -> None:
    frame = Frame(200, 40, 100, 60)
    sheet = strip(picture(320, 160), seen(torch.rand(8, 8)), frame=frame)
    colours = np.ptp(panel(sheet, 1, (320, 160)), axis=-1)
    inside = np.zeros((160, 320), bool)
    inside[40:100, 200:300] = True
    assert (colours[~inside] == 0).all()
    assert (colours[inside] > 10).mean() > 0.95


def test_places_have_the_colours_of_their_names() -> None:
    left = torch.zeros(8, 8)
    left[:, 4:] = -1.0
    right = -1.0 - left
    used = (Used("a cat", left), Used("a dog", right), Used("AND at night", 0.5))
    sheet = strip(picture(320, 160), seen(torch.rand(4, 4), used=used))
    places = panel(sheet, 2, (320, 160))
    grey = np.asarray(picture(320, 160).convert("L")).astype(int)
    for x, colour in ((60, AREAS[0]), (260, AREAS[1])):
        expected = 0.45 * grey[80, x] + 0.55 * colour
        assert np.abs(places[80, x] - expected).max() <= 1


def test_a_prompt_after_and_has_a_panel_of_its_own() -> None:
    change = torch.zeros(4, 8)
    change[1, 6] = 0.5
    used = (Used("a cat", torch.eye(8)), Used("AND at night", 0.25, change))
    both = strip(picture(320, 160), seen(torch.rand(4, 4), used=used))
    assert both.width == GAP + 4 * 330
    spot = panel(both, 2, (320, 160))
    yellow = spot[..., 0] + spot[..., 1] - spot[..., 2]
    y, x = np.unravel_index(yellow.argmax(), yellow.shape)
    assert (x // 40, y // 40) == (6, 1)
    alone = strip(picture(320, 160), seen(used=used[1:]))
    assert alone.width == GAP + 2 * 330  # it needs no panel of places
    many = tuple(Used(f"AND {number}", 0.1, change) for number in range(30))
    assert strip(picture(320, 160), seen(used=many)).width == GAP + 9 * 330


def test_shares_are_told_in_percent() -> None:
    given = (0.0, 0.00123, 0.012, 0.456, 0.9949, 0.996, 1.54, 123.0)
    told = ["0%", "0.12%", "1.2%", "46%", "99%", "100%", "154%", "12300%"]
    assert [_percent(each) for each in given] == told


def test_where_nothing_was_decided_nothing_is_coloured() -> None:
    weight = torch.zeros(8, 8)
    used = (Used("a cat", weight), Used("a dog", weight.clone()))
    sheet = strip(picture(320, 160), seen(torch.rand(4, 4), used=used))
    assert (np.ptp(panel(sheet, 2, (320, 160)), axis=-1) == 0).all()


@pytest.mark.parametrize("size", [(64, 64), (300, 200), (1000, 401)])
def test_a_pair_has_both_as_they_are(size: tuple[int, int]) -> None:
    off, on = picture(*size), picture(*size).transpose(Image.Transpose.ROTATE_180)
    sheet = pair(off, on)
    times = max(1, 256 // max(size))
    large = size[0] * times, size[1] * times
    for number, each in enumerate((off, on)):
        shown = panel(sheet, number, large)[::times, ::times]
        assert np.array_equal(shown, np.asarray(each))
    both = column([sheet, sheet])
    assert both.size == (sheet.width, 2 * sheet.height)


@pytest.mark.parametrize(
    "word", ["x" * 10_000, "words " * 2000, "<b>&\"'", "سیب و گربه", "😀🐈", "", "\n\n\t"]
)
def test_any_words_are_captions(word: str) -> None:
    maps = Seen((word,), torch.rand(1, 4, 4), (Used(word, 0.5),), 1)
    sheet = strip(picture(300, 200), maps)
    assert sheet.width == GAP + 3 * 310
    assert sheet.height < 420


# Two passes


def test_one_pass_is_itself() -> None:
    one = seen(torch.rand(4, 4))
    assert joined([(one, WHOLE)]) is one


def test_passes_are_weighed_by_their_evaluations_in_the_size_of_the_last() -> None:
    first = seen(torch.full((4, 4), 0.1), used=(Used("AND x", 1.0),), evaluations=3)
    last = seen(torch.full((8, 8), 0.5), used=(Used("a", torch.ones(8, 8)),), evaluations=1)
    both = joined([(first, WHOLE), (last, WHOLE)])
    torch.testing.assert_close(both.maps, torch.full((1, 8, 8), 0.2))
    weights = {each.name: each.weight for each in both.used}
    assert weights["AND x"] == pytest.approx(0.75)
    torch.testing.assert_close(weights["a"], torch.full((8, 8), 0.25))
    assert both.evaluations == 4


def test_changes_of_passes_are_weighed_and_cut_as_maps_are() -> None:
    across = torch.linspace(0.0, 1.0, 100).expand(50, 100)
    first = seen(used=(Used("AND x", 1.0, across),), evaluations=3)
    last = seen(torch.ones(8, 8), used=(Used("AND x", 0.0, torch.ones(50, 50)),), evaluations=1)
    (used,) = joined([(first, Crop(left=0.25, right=0.75)), (last, WHOLE)]).used
    assert used.weight == pytest.approx(0.75)
    assert used.change.shape == (50, 50)
    assert float(used.change[0, 0]) == pytest.approx(0.75 * 0.255 + 0.25, abs=0.01)
    assert float(used.change[0, -1]) == pytest.approx(0.75 * 0.745 + 0.25, abs=0.01)
    (alone,) = joined([(first, Crop(right=0.5)), (seen(torch.ones(8, 8)), WHOLE)]).used
    assert float(alone.change.max()) == pytest.approx(0.75 * 0.5, abs=0.01)


def test_what_hires_fix_cuts_away_is_cut_away() -> None:
    across = torch.linspace(0.0, 1.0, 100).expand(1, 50, 100)
    middle = cropped(across, Crop(left=0.25, right=0.75), (50, 50))
    assert middle.shape == (1, 50, 50)
    assert float(middle[0, 0, 0]) == pytest.approx(0.255, abs=0.01)
    assert float(middle[0, 0, -1]) == pytest.approx(0.745, abs=0.01)
    top = cropped(across.mT, Crop(bottom=0.5), (25, 50))
    assert float(top.max()) < 0.51
    assert torch.equal(cropped(across, WHOLE, (50, 100)), across)
    assert cropped(across[:0], WHOLE, (3, 5)).shape == (0, 3, 5)
