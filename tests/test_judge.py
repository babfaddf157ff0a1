"""The automatic judge, on pictures whose truth is known."""

from __future__ import annotations

import random

import pytest
import torch
from diffusers import AutoencoderKL

from small_model.judge import WEIGHTS, Judge
from small_model.judge_error import (
    RATES,
    interval,
    objects_told,
    pictures_of,
    rates,
    reconstruct,
)
from small_model.judge_train import study_scene
from small_model.networks import TOKENIZER
from small_model.world import (
    COLOURS,
    SPRITES,
    STANDING,
    STYLES,
    WEARERS,
    Object,
    Placed,
    Scene,
    any_colour,
    draw_scene,
    is_held_out,
    put_on,
)


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge.load()


def any_scenes(count: int, seed: str) -> list[Scene]:
    """One to three different objects of any pair."""
    rng = random.Random(seed)
    return [
        draw_scene(
            rng,
            [any_colour(name, rng) for name in rng.sample(STANDING, 1 + n % 3)],
        )
        for n in range(count)
    ]


def test_the_judge_is_right_on_200_fresh_renders(judge: Judge) -> None:
    scenes = any_scenes(200, "test fresh")
    seen = judge.look(pictures_of(scenes))
    right = [
        objects_told(look, scene) == scene.objects for look, scene in zip(seen, scenes, strict=True)
    ]
    assert sum(right) >= 198
    assert sum(s.scene == t.background for s, t in zip(seen, scenes, strict=True)) >= 199
    assert sum(s.style == t.style for s, t in zip(seen, scenes, strict=True)) >= 199


def test_the_judge_is_mostly_right_on_reconstructions(judge: Judge) -> None:
    vae = AutoencoderKL.from_pretrained(TOKENIZER.parent, subfolder="vae")
    scenes = any_scenes(36, "test rebuilt")
    seen = judge.look(reconstruct(vae, pictures_of(scenes)))
    right = [
        objects_told(look, scene) == scene.objects for look, scene in zip(seen, scenes, strict=True)
    ]
    assert sum(right) >= 30


def test_the_judge_sees_every_thing_in_every_colour(judge: Judge) -> None:
    things = [
        Object(name, colour)
        for name in STANDING
        for colour in (COLOURS if SPRITES[name].takes_colour else ("",))
    ]
    scenes = [Scene((Placed(thing, 32, 32, 40),)) for thing in things]
    seen = judge.look(pictures_of(scenes))
    assert all(thing in look.objects for look, thing in zip(seen, things, strict=True))
    assert sum(len(look.objects) == 1 for look in seen) >= 0.97 * len(things)


def test_the_judge_keeps_duplicates_and_sees_when_nothing_is_there(judge: Judge) -> None:
    cat = Object("cat")
    twice = Scene((Placed(cat, 16, 32, 26), Placed(cat, 48, 32, 26)), "grass")
    seen = judge.look(pictures_of([twice, Scene((), "night")]))
    assert seen[0].objects == (cat, cat)
    assert (seen[0].scene, seen[1].objects, seen[1].scene) == ("grass", (), "night")


def test_the_judge_sees_what_an_animal_wears(judge: Judge) -> None:
    scenes, rng = [], random.Random("worn")
    for animal in WEARERS:
        for name in ("crown", "glasses", "bow"):
            wearer = Placed(Object(animal), 32, 34, 40)
            scenes.append(Scene((wearer, put_on(wearer, any_colour(name, rng)))))
    seen = judge.look(pictures_of(scenes))
    right = [
        objects_told(look, scene) == scene.objects for look, scene in zip(seen, scenes, strict=True)
    ]
    assert sum(right) >= 23


def test_the_judge_sees_the_style_and_what_is_there_in_it(judge: Judge) -> None:
    scenes = [Scene((Placed(Object("car", "red"), 32, 32, 40),), style=style) for style in STYLES]
    seen = judge.look(pictures_of(scenes))
    assert [look.style for look in seen] == list(STYLES)
    told = [objects_told(look, scene) for look, scene in zip(seen, scenes, strict=True)]
    assert told == [scene.objects for scene in scenes]
    assert seen[1].odd is None


@pytest.mark.parametrize("colour", ["gray", "black"])
def test_a_gray_thing_on_white_has_its_colour(judge: Judge, colour: str) -> None:
    scenes = [Scene((Placed(Object(name, colour), 32, 32, 40),)) for name in ("apple", "bowl")]
    seen = judge.look(pictures_of(scenes))
    assert [look.objects for look in seen] == [scene.objects for scene in scenes]


def test_what_the_judge_sees_does_not_depend_on_the_rest_of_the_batch(judge: Judge) -> None:
    pictures = pictures_of(any_scenes(12, "test batch"))
    together = judge.look(pictures)
    assert together == [look for picture in pictures for look in judge.look(picture[None])]


def test_pictures_of_another_shape_are_refused(judge: Judge) -> None:
    with pytest.raises(ValueError, match=r"Expected pictures of \[b, 3, 64, 64\] but got"):
        judge.look(torch.zeros(1, 3, 32, 32))


def test_the_error_of_the_judge_is_stated_with_intervals(judge: Judge) -> None:
    for on in ("renders", "reconstructions", "reconstructions, 2 objects", "renders, worn"):
        assert set(judge.error[on]) == set(RATES)
        for stated in judge.error[on].values():
            assert 0 <= stated["low"] <= stated["rate"] <= stated["high"] <= 1
            assert stated["n"] >= 200


def test_the_released_judge_is_small() -> None:
    assert sum(file.stat().st_size for file in WEIGHTS.iterdir()) < 1_100_000


def test_rates_count_what_they_say(judge: Judge) -> None:
    scenes = [Scene((Placed(Object("car", "red"), 32, 32, 40),))] * 4
    seen = judge.look(pictures_of(scenes))
    other = Scene((Placed(Object("cat"), 32, 32, 40),), "night")
    found = rates([*zip(seen[:3], scenes[:3], strict=True), (seen[3], other)])
    wrong = {name for name, stated in found.items() if stated["rate"] == 0.25}
    assert wrong == {"missed", "invented", "things_wrong", "anything_wrong", "scene_wrong"}
    assert found["wrong_colour"] == interval(0, 3)


def test_intervals_are_those_of_wilson() -> None:
    assert interval(0, 100) == {"rate": 0.0, "low": 0.0, "high": 0.037, "n": 100}
    assert interval(50, 100) == {"rate": 0.5, "low": 0.4038, "high": 0.5962, "n": 100}


def test_scenes_to_learn_from_have_duplicates_nothing_and_what_is_worn() -> None:
    rng = random.Random(0)
    scenes = [study_scene(rng) for _ in range(2000)]
    names = [[thing.name for thing in scene.objects] for scene in scenes]
    assert any(not there for there in names)
    assert any(len(set(there)) < len(there) for there in names)
    assert any(is_held_out(*there) for there in names)
    assert any(placed.worn for scene in scenes for placed in scene.placed)
    assert {scene.style for scene in scenes} == set(STYLES)
