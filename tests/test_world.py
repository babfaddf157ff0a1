"""The small model's world: what it draws, what captions say, what prompts ask."""

from __future__ import annotations

import random
import re
from collections import Counter

import numpy as np
import pytest
from safetensors.torch import load_file
from transformers import CLIPTokenizer

from ebca.prompts import split_prompt
from small_model.captions import many, vocabulary
from small_model.networks import TOKENIZER
from small_model.world import (
    BACKDROPS,
    COLOURS,
    KINDS,
    NAMES,
    REMOVAL,
    SCENES,
    SPRITES,
    STANDING,
    STYLES,
    WEARERS,
    WORN,
    Object,
    Placed,
    Scene,
    any_colour,
    caption,
    draw_scene,
    is_held_out,
    prompts,
    put_on,
    render,
)


def training(count: int, seed: int = 0) -> list[tuple[Scene, str]]:
    rng = random.Random(seed)
    scenes = [draw_scene(rng) for _ in range(count)]
    return [(scene, caption(scene, rng)) for scene in scenes]


def named(text: str) -> list[str]:
    singular = {many(Object(name), 2).split()[-1]: name for name in NAMES}
    return [singular.get(word, word) for word in re.findall(r"\w+", text) if word in SINGULAR]


SINGULAR = {*NAMES, *(many(Object(name), 2).split()[-1] for name in NAMES)}


def alone(name: str, colour: str = "") -> Scene:
    return Scene((Placed(Object(name, colour), 20, 40, 24),))


def test_a_seed_decides_pictures_and_captions() -> None:
    first, again, other = training(20), training(20), training(20, seed=1)
    assert [text for _, text in first] == [text for _, text in again]
    for (scene, _), (same, _) in zip(first, again, strict=True):
        assert np.array_equal(render(scene), render(same))
    assert first != other


def test_a_thing_is_drawn_where_it_is_said_to_be() -> None:
    nothing = render(Scene(()))
    for name in NAMES:
        changed = (render(alone(name)) != nothing).any(axis=-1)
        rows, columns = changed.nonzero()
        assert 60 < changed.sum() < 24 * 24
        assert rows.min() >= 28
        assert rows.max() < 52
        assert columns.min() >= 8
        assert columns.max() < 32


def test_tints_of_a_thing_are_apart() -> None:
    nothing = render(Scene(()))
    for name in (name for name in NAMES if SPRITES[name].takes_colour):
        pictures = [render(alone(name, colour)) for colour in COLOURS]
        middles = [np.median(it[(it != nothing).any(axis=-1)], axis=0) for it in pictures]
        for number, middle in enumerate(middles):
            assert all(np.linalg.norm(middle - other) > 30 for other in middles[:number]), name


def test_no_two_things_look_alike() -> None:
    pictures = [render(Scene((Placed(Object(name), 32, 32, 40),))) for name in NAMES]
    for number, picture in enumerate(pictures):
        for other in pictures[:number]:
            assert (picture != other).any(axis=-1).mean() > 0.05


def test_scenes_and_styles_differ() -> None:
    seen = {
        render(Scene((), background, len(BACKDROPS[background].skies) - 1, style)).tobytes()
        for background in SCENES
        for style in STYLES
    }
    assert len(seen) == len(SCENES) * len(STYLES)


def test_a_black_and_white_picture_has_no_colour_and_says_so() -> None:
    scene = draw_scene(random.Random(1), [Object("car", "red")], style="black and white")
    picture = render(scene)
    assert (picture == picture[..., :1]).all()
    assert scene.objects == (Object("car"),)
    captions = {caption(scene, random.Random(seed)) for seed in range(200)}
    assert not any("red car" in text for text in captions)
    assert "a car in black and white" in captions


def test_what_is_worn_is_on_its_wearer_and_changes_it() -> None:
    for animal in WEARERS:
        wearer = Placed(Object(animal), 32, 34, 40)
        bare = render(Scene((wearer,))).astype(int)
        for name in WORN:
            worn = put_on(wearer, any_colour(name, random.Random(0)))
            assert worn.worn
            assert abs(worn.x - 32) <= 4
            assert abs(worn.y - 34) <= 24
            dressed = render(Scene((wearer, worn))).astype(int)
            assert (abs(dressed - bare).max(axis=-1) > 30).sum() > 40


def test_a_fifth_of_the_pairs_is_held_out() -> None:
    pairs = [(one, other) for one in STANDING for other in STANDING if one < other]
    share = np.mean([is_held_out(*pair) for pair in pairs])
    assert share == pytest.approx(0.2, abs=0.005)
    assert {name for pair in pairs if is_held_out(*pair) for name in pair} == set(STANDING)


def test_held_out_pairs_are_never_drawn_and_never_named_in_training() -> None:
    for scene, text in training(8000):
        assert not is_held_out(*(thing.name for thing in scene.objects))
        assert not is_held_out(*named(text))


def test_captions_leave_out_and_invent_as_the_web_does() -> None:
    data = training(8000)
    some = [(scene, set(named(text))) for scene, text in data if named(text)]
    there = [({thing.name for thing in scene.objects}, words) for scene, words in some]
    assert 0.1 < np.mean([bool(names - words) for names, words in there]) < 0.4
    assert 0.05 < np.mean([bool(words - names) for names, words in there]) < 0.15
    assert 0.04 < np.mean([not named(text) for _, text in data]) < 0.12
    coloured = [text for scene, text in data if any(thing.colour for thing in scene.objects)]
    silent = [text for text in coloured if not any(colour in text for colour in COLOURS)]
    assert 0.2 < len(silent) / len(coloured) < 0.6


def test_captions_count_place_and_dress_what_is_there() -> None:
    data = training(8000)
    texts = [text for _, text in data]
    for words in (
        " wearing ",
        "two ",
        "three ",
        "mice",
        " to the left of ",
        " below ",
        "at sunset",
    ):
        assert sum(words in text for text in texts) >= 5, words
    for scene, text in data:
        places = {placed.object.name: placed for placed in scene.placed}
        if " to the left of " in text:
            first, second = (places[name] for name in named(text))
            assert first.x < second.x
        if " above " in text:
            first, second = (places[name] for name in named(text))
            assert first.y < second.y
        if " wearing " in text:
            assert scene.placed[-1].worn
            assert named(text) == [placed.object.name for placed in scene.placed]
        for word, count in (("two ", 2), ("three ", 3)):
            assert word not in text or len(scene.placed) == count


def test_things_are_skewed_in_frequency() -> None:
    count = Counter(thing.name for scene, _ in training(4000) for thing in scene.objects)
    ordered = [count[name] for name in STANDING]
    assert ordered[0] > 3 * ordered[-1]


def test_every_word_of_a_caption_was_trained_in_the_released_model() -> None:
    tokenizer = CLIPTokenizer.from_pretrained(str(TOKENIZER))
    state = load_file(TOKENIZER.parent / "text_encoder" / "model.safetensors")
    table = next(tensor for name, tensor in state.items() if "token_embedding" in name)
    known = set(table.float().abs().sum(dim=1).nonzero().flatten().tolist())
    listed = {token for text in vocabulary() for token in tokenizer(text).input_ids}
    assert listed <= known
    for _, text in training(1000):
        assert set(tokenizer(text).input_ids) <= listed


@pytest.mark.parametrize("kind", KINDS)
def test_development_and_test_prompts_share_no_content(kind: str) -> None:
    dev, test = (prompts(kind, split, 20_000) for split in ("dev", "test"))
    content = [
        {(*sorted((*p.objects, *p.absent)), p.scene, p.style) for p in split}
        for split in (dev, test)
    ]
    assert content[0]
    assert len(content[1]) > len(content[0])
    assert not content[0] & content[1]


@pytest.mark.parametrize("kind", KINDS)
def test_a_prompt_says_what_it_asks_for(kind: str) -> None:
    for prompt in prompts(kind, "test", 300):
        assert prompt.kind == kind
        assert prompt.objects == tuple(sorted(prompt.objects))
        assert all(thing.name in prompt.text for thing in prompt.objects)
        assert all(thing.colour in prompt.text for thing in prompt.objects)
        asked = (*prompt.objects, *prompt.absent)
        assert prompt.held_out == is_held_out(*(thing.name for thing in asked))
        assert prompt.scene is None or BACKDROPS[prompt.scene].phrase in prompt.text
        assert prompt.style is None or STYLES[prompt.style][0] in prompt.text
        assert all(bool(t.colour) == SPRITES[t.name].takes_colour for t in asked) or prompt.style
        parts = split_prompt(prompt.text)
        assert len(parts) == (2 if kind.endswith("_and") or kind == "negation" else 1)
        assert [part.weight for part in parts[1:] if kind == "negation"] in ([], [REMOVAL])


def test_two_object_prompts_are_seen_or_held_out_as_their_kind_says() -> None:
    assert not any(prompt.held_out for prompt in prompts("two_seen", "test", 500))
    assert all(prompt.held_out for prompt in prompts("two_held_out", "test", 500))


def test_every_pair_comes_as_often_as_any_other_and_the_seed_decides_the_order() -> None:
    held_out = prompts("two_held_out", "test", 800)
    pairs = Counter(tuple(thing.name for thing in prompt.objects) for prompt in held_out)
    assert max(pairs.values()) - min(pairs.values()) <= 1
    assert held_out == prompts("two_held_out", "test", 800)
    assert held_out != prompts("two_held_out", "test", 800, seed=1)
    assert len({prompt.text for prompt in held_out}) > 500


def test_a_prompt_comes_again_only_when_all_of_its_things_have_come() -> None:
    single = prompts("single", "test", 800)
    cars = [prompt.text for prompt in single if prompt.objects[0].name == "car"]
    different = len(set(cars))
    assert different > 3
    assert len(set(cars[:different])) == different


def test_an_unknown_kind_or_split_is_refused() -> None:
    with pytest.raises(ValueError, match="kind is 'four', must be one of single, "):
        prompts("four", "test", 1)
    with pytest.raises(ValueError, match="split is 'train', must be one of dev, test"):
        prompts("single", "train", 1)
