"""Objects that are unlike true ones."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from small_model.judge import Judge
from small_model.judge_error import pictures_of, reconstruct
from small_model.judge_net import Peaks
from small_model.picture_quality import PictureQuality, _scenes, fit, look
from small_model.world import COLOURS, NAMES, SPRITES, STANDING


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge.load()


@pytest.fixture(scope="module")
def rebuilt() -> Tensor:
    """Reconstructions that the released limit does not come from."""
    weights = Path(__file__).parents[1] / "small_model" / "weights" / "vae"
    vae = AutoencoderKL.from_pretrained(weights)
    return reconstruct(vae, pictures_of(_scenes("another", 240)))


def share(judge: Judge, pictures: Tensor) -> float:
    assert judge.quality is not None
    peaks = look(judge.net, judge.threshold, pictures)
    return float((judge.quality.distances(peaks) > judge.quality.limit).float().mean())


def test_true_objects_are_odd_at_five_percent(judge: Judge, rebuilt: Tensor) -> None:
    assert 0.01 < share(judge, rebuilt) < 0.1


def test_mixtures_of_two_pictures_are_odd(judge: Judge, rebuilt: Tensor) -> None:
    assert share(judge, (rebuilt + rebuilt.roll(1, 0)) / 2) > 0.5


def test_every_picture_has_its_own_share(judge: Judge, rebuilt: Tensor) -> None:
    mixed = (rebuilt[:8] + rebuilt[8:16]) / 2
    empty = torch.full((1, 3, 64, 64), 0.9)
    seen = judge.look(torch.cat([rebuilt[:8], mixed, empty]))
    assert seen[-1].odd is None
    assert seen[-1].objects == ()
    true, spoilt = (sum(each.odd or 0.0 for each in part) for part in (seen[:8], seen[8:16]))
    assert true < spoilt
    peaks = look(judge.net, judge.threshold, rebuilt[:8])
    assert judge.quality is not None
    assert [each.odd for each in seen[:8]] == judge.quality.shares(peaks, 8)


def test_distances_are_mahalanobis_of_the_own_class(tmp_path: Path) -> None:
    """Two classes, two features of different scale, means far apart."""
    torch.manual_seed(0)
    count = 4000
    thing = torch.arange(count) % 2
    scale = torch.tensor([1.0, 10.0])
    features = torch.randn(count, 2) * scale + 1000.0 * thing[:, None]
    peaks = Peaks(torch.arange(count), thing, torch.zeros(count, dtype=torch.long), features)
    fitted = fit(peaks, peaks)
    assert fitted.limit == pytest.approx(5.99, rel=0.1)  # 95 % of chi-squared with 2 degrees
    fitted.save(tmp_path / "picture_quality.safetensors")
    again = PictureQuality.load(tmp_path / "picture_quality.safetensors")
    assert torch.equal(again.distances(peaks), fitted.distances(peaks))
    one = Peaks(torch.tensor([0]), torch.tensor([1]), torch.tensor([0]), 1000.0 + 2 * scale[None])
    assert float(fitted.distances(one)) == pytest.approx(8.0, rel=0.1)
    assert fitted.shares(one, 2) == [1.0, None]


def test_the_released_one_knows_every_class(judge: Judge) -> None:
    assert judge.quality is not None
    known = judge.quality._means.view(len(NAMES), len(COLOURS) + 1, -1).abs().sum(2) > 0
    for name, there in zip(NAMES, known, strict=True):
        if name in STANDING:
            assert there[1:].all() if SPRITES[name].takes_colour else there[0]
