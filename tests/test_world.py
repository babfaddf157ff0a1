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
from small_model.captions import vocabulary
from small_model.networks import TOKENIZER
from small_model.world import (
    COLOURS,
    ICONS,
    KINDS,
    REMOVAL,
    SCENES,
    SHAPES,
    Object,
    Placed,
    Scene,
    caption,
    draw_scene,
    prompts,
    render,
)


def training(count: int, seed: int = 0) -> list[tuple[Scene, str]]:
    rng = random.Random(seed)
    scenes = [draw_scene(rng) for _ in range(count)]
    return [(scene, caption(scene, rng)) for scene in scenes]


def named(text: str) -> list[str]:
    return [word for word in re.findall(r"\w+", text) if word in SHAPES]


def test_a_seed_decides_pictures_and_captions() -> None:
    first, again, other = training(20), training(20), training(20, seed=1)
    assert [text for _, text in first] == [text for _, text in again]
    for (scene, _), (same, _) in zip(first, again, strict=True):
        assert np.array_equal(render(scene), render(same))
    assert first != other


def test_an_object_is_drawn_where_it_is_said_to_be_in_its_colour() -> None:
    for shape in SHAPES:
        for colour in COLOURS:
            scene = Scene((Placed(Object(shape, colour), 20, 40, 24),))
            drawn = (render(scene) == ICONS.colours[colour]).all(axis=-1)
            rows, columns = drawn.nonzero()
            assert 60 < drawn.sum() < 24 * 24
            assert rows.min() >= 28
            assert rows.max() < 52
            assert columns.min() >= 8
            assert columns.max() < 32


def test_no_two_shapes_look_alike() -> None:
    pictures = [render(Scene((Placed(Object(shape, "blue"), 32, 32, 40),))) for shape in SHAPES]
    for number, picture in enumerate(pictures):
        for other in pictures[:number]:
            assert (picture != other).any(axis=-1).mean() > 0.05


def test_scenes_differ_and_the_scene_alone_decides_every_pixel() -> None:
    seen = {render(Scene((), background)).tobytes() for background in SCENES}
    assert len(seen) == len(SCENES)


def test_a_fifth_of_the_pairs_is_held_out() -> None:
    assert len(ICONS.held_out) == 9
    assert all(len(pair) == 2 and pair <= set(SHAPES) for pair in ICONS.held_out)


def test_held_out_pairs_are_never_drawn_and_never_named_in_training() -> None:
    for scene, text in training(8000):
        assert not ICONS.is_held_out(*(thing.shape for thing in scene.objects))
        assert not ICONS.is_held_out(*named(text))


def test_captions_leave_out_and_invent_as_the_web_does() -> None:
    data = training(8000)
    some = [(scene, set(named(text))) for scene, text in data if named(text)]
    there = [({thing.shape for thing in scene.objects}, words) for scene, words in some]
    assert 0.1 < np.mean([bool(shapes - words) for shapes, words in there]) < 0.4
    assert 0.05 < np.mean([bool(words - shapes) for shapes, words in there]) < 0.15
    assert 0.04 < np.mean([not named(text) for _, text in data]) < 0.12
    uncoloured = [text for _, text in data if not any(colour in text for colour in COLOURS)]
    assert 0.1 < len(uncoloured) / len(data) < 0.4


def test_shapes_are_skewed_in_frequency() -> None:
    count = Counter(thing.shape for scene, _ in training(4000) for thing in scene.objects)
    ordered = [count[shape] for shape in ICONS.sprites]
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
    content = [{(*p.objects, *p.absent, p.scene) for p in split} for split in (dev, test)]
    assert content[0]
    assert len(content[1]) > len(content[0])
    assert not content[0] & content[1]


@pytest.mark.parametrize("kind", KINDS)
def test_a_prompt_says_what_it_asks_for(kind: str) -> None:
    for prompt in prompts(kind, "test", 300):
        assert prompt.kind == kind
        assert prompt.objects == tuple(sorted(prompt.objects))
        assert all(thing.shape in prompt.text for thing in prompt.objects)
        assert all(thing.colour in prompt.text for thing in prompt.objects)
        asked = (*prompt.objects, *prompt.absent)
        assert prompt.held_out == ICONS.is_held_out(*(thing.shape for thing in asked))
        assert prompt.scene is None or ICONS.backdrops[prompt.scene].phrase in prompt.text
        parts = split_prompt(prompt.text)
        assert len(parts) == (2 if kind.endswith("_and") or kind == "negation" else 1)
        assert [part.weight for part in parts[1:] if kind == "negation"] in ([], [REMOVAL])


def test_two_object_prompts_are_seen_or_held_out_as_their_kind_says() -> None:
    assert not any(prompt.held_out for prompt in prompts("two_seen", "test", 500))
    assert all(prompt.held_out for prompt in prompts("two_held_out", "test", 500))


def test_prompts_repeat_only_when_all_have_come_and_follow_the_seed() -> None:
    held_out = prompts("two_held_out", "test", 800)
    assert len({prompt.text for prompt in held_out}) == 800
    assert held_out == prompts("two_held_out", "test", 800)
    assert held_out != prompts("two_held_out", "test", 800, seed=1)
    single = prompts("single", "test", 200)
    assert len(single) == 200
    assert len(set(single[:60])) == len(set(single)) == 60


def test_an_unknown_kind_or_split_is_refused() -> None:
    with pytest.raises(ValueError, match="kind is 'four', must be one of single, "):
        prompts("four", "test", 1)
    with pytest.raises(ValueError, match="split is 'train', must be one of dev, test"):
        prompts("single", "train", 1)
