"""Every subject its own place: partitions, maps, and what becomes of them on a whole UNet."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from models import context, encoding, evaluate, latent, noise

from ebca import Settings, apply_patch, compose
from ebca.core.layers import Layer
from ebca.core.method import PLAIN, At, Clock, Moment, SeenRow, Time
from ebca.methods.partitions import TURNS, best_partition, partitions
from ebca.methods.places import place_of
from ebca.methods.regions import Regions, RegionsMemory, noun_maps
from ebca.prompts import Prompt
from ebca.session import Patch

sizes = st.tuples(st.integers(4, 17), st.integers(4, 17))


@given(sizes, st.integers(2, 8))
def test_every_pixel_is_of_one_part_and_parts_have_their_shares(size, count):
    parts = partitions(size, count)
    pixels = size[0] * size[1]
    assert parts.shape == (TURNS, count, pixels)
    assert torch.equal(parts.sum(1), torch.ones(TURNS, pixels))
    shares = [0.4, 0.3, 0.3] if count == 3 else [1 / count] * count
    counted = parts.sum(-1) / pixels
    assert (counted - torch.tensor(shares)).abs().max() <= 2.5 / pixels + 0.5 / min(size)


@given(sizes, st.integers(2, 5))
def test_only_what_is_repainted_is_divided(size, count):
    mask = torch.zeros(size)
    mask[: size[0] // 2 + 1, 1:] = 1.0
    parts = partitions(size, count, mask)
    assert torch.equal(parts.sum(1), mask.flatten().expand(TURNS, -1))


def blobs(size: tuple[int, int], *spots: tuple[int, int]) -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(size[0]), torch.arange(size[1]), indexing="ij")
    maps = torch.stack([(-((y - a) ** 2 + (x - b) ** 2) / 8.0).exp().flatten() for a, b in spots])
    return maps / maps.mean(-1, keepdim=True)


@pytest.mark.parametrize(
    "spots",
    [
        [(4, 1), (4, 10)],
        [(4, 10), (4, 1)],
        [(0, 5), (7, 5)],
        [(0, 0), (7, 11)],
        [(4, 1), (1, 10), (7, 10)],
        [(7, 10), (4, 1), (1, 10)],
        [(1, 1), (1, 10), (7, 1), (7, 10)],
    ],
)
def test_subjects_get_the_parts_in_which_they_begin_to_be(spots):
    size = (9, 13)
    maps, parts = blobs(size, *spots), partitions(size, len(spots))
    turn, order = best_partition(maps, parts, torch.zeros(len(spots), 2), size)
    for subject, (y, x) in enumerate(spots):
        assert parts[turn][order[subject]].view(size)[y, x] == 1.0


def test_what_the_prompt_says_goes_before_what_the_maps_say():
    size = (8, 8)
    maps, parts = blobs(size, (4, 1), (4, 6)), partitions(size, 2)
    places = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    turn, order = best_partition(maps, parts, places, size)
    assert parts[turn][order[0]].view(size)[4, 6] == 1.0


@pytest.mark.parametrize(
    ("prompt", "subject", "place"),
    [
        ("a cat on the left, a dog on the right", "a cat", (-1, 0)),
        ("a cat on the left, a dog on the right", "a dog", (1, 0)),
        ("on the left a cat, on the right a dog", "a dog", (1, 0)),
        ("on the left a cat, on the right a dog", "a cat", (-1, 0)),
        ("a cat, on the left, and a dog", "a cat", (-1, 0)),
        ("a cat is on the left and a dog on the right", "a cat", (-1, 0)),
        ("a red cube on top of a blue sphere", "a red cube", (0, -1)),
        ("a red cube on top of a blue sphere", "a blue sphere", (0, 1)),
        ("a cat (under:1.2) a table", "a cat", (0, 1)),
        ("a cat to the left of a dog", "a cat", (-1, 0)),
        ("a cat to the left of a dog", "a dog", (1, 0)),
        ("a cat on the right side of a dog", "a cat", (1, 0)),
        ("a cat right of a dog", "a dog", (-1, 0)),
        ("a knight riding a dragon", "a knight", (0, -1)),
        ("a knight riding on a dragon", "a dragon", (0, 1)),
        ("a moon over a house", "a house", (0, 1)),
        ("a dog, on the left a cat", "a dog", (0, 0)),
        ("a dog with an overcoat, a cat", "a dog", (0, 0)),
        ("a cat and a dog", "a cat", (0, 0)),
        ("a cat and a dog", "a cow", (0, 0)),
        ("a cat and a dog on the left", "a cat", (0, 0)),
        ("a cat in the middle and a dog", "a cat", (0, 0)),
        ("in the center a cat, a dog on the left", "a cat", (0, 0)),
        ("a cat in the middle of a road and a dog", "a cat", (0, 0)),
        ("a dog between a cat and a horse", "a dog", (0, 0)),
        ("a dog between a cat and a horse", "a cat", (0, 0)),
        ("a dog in the middle between a cat and a horse", "a dog", (0, 0)),
        ("a dog behind a cat", "a dog", (0, -1)),
        ("a dog behind a cat", "a cat", (0, 1)),
        ("a cat, with a dog behind it", "a dog", (0, -1)),
        ("a dog in front of a car", "a dog", (0, 1)),
        ("a wolf in the foreground and a bear in the background", "a bear", (0, -1)),
        ("a wolf in the foreground and a bear in the background", "a wolf", (0, 1)),
    ],
)
def test_where_the_prompt_says_that_a_subject_is(prompt, subject, place):
    assert place_of(prompt, subject) == place


PROMPT = Prompt("a cat and a dog", subjects=("a cat", "a dog"), nouns=("cat", "dog"))


def remembered(**more: object) -> Regions:
    maps = blobs((8, 8), (4, 1), (4, 6))
    return RegionsMemory(maps=maps, seen=Time(0.0, 0.0), level=(8, 8), latent=(16, 24), **more)


def tokens(words: str) -> list[int]:
    return [1] if "cat" in words else [2]


def at(denoised: float, memory: RegionsMemory, guidance: float | None = 4.0) -> Moment:
    return Moment(Clock(lambda: (0.9, denoised)), memory, guidance, tokens=tokens)


def test_away_from_the_others_in_the_region_of_one():
    method, memory = Regions(), remembered()
    mix = method.mix(PROMPT, at(0.1, memory))
    cat, dog = mix.branches
    assert (cat.source, dog.source) == ("a cat", "a dog")
    assert mix.main == 1.0
    assert cat.away
    assert dog.away
    assert cat.weight.shape == (16, 24)
    torch.testing.assert_close(cat.weight + dog.weight, torch.full((16, 24), 9 / 4))
    assert cat.weight[8, 2] == 0.0  # its own region
    assert dog.weight[8, 2] == pytest.approx(9 / 4)


@pytest.mark.parametrize(
    ("guidance", "strength"), [(7, 9 / 7), (4, 9 / 4), (1, 3.0), (None, 9 / 7)]
)
def test_the_strength_follows_the_guidance(guidance, strength):
    mix = Regions().mix(PROMPT, at(0.1, remembered(), guidance))
    assert sum(each.weight for each in mix.branches).mean() == pytest.approx(strength)


def test_regions_are_kept_and_end_at_a_noise_level():
    method, memory = Regions(), remembered()
    first = method.mix(PROMPT, at(0.1, memory))
    memory.maps = blobs((8, 8), (0, 0), (7, 7))
    second = method.mix(PROMPT, at(0.6, memory))
    assert torch.equal(first.branches[0].weight, second.branches[0].weight)
    assert method.mix(PROMPT, at(0.7, memory)) == PLAIN
    assert not method.sees(at(0.1, memory))
    assert not method.sees(at(0.9, remembered()))


def test_without_two_subjects_nothing_is_done_or_seen():
    method = Regions()
    assert method.mix(Prompt("a cat"), at(0.1, RegionsMemory())) == PLAIN
    assert not method.acts_on(Prompt("a cat"))
    assert not Regions(regions=0.0).acts_on(PROMPT)


def test_a_piece_of_the_picture_is_neither_seen_nor_changed():
    method, memory = Regions(), remembered()
    piece = Moment(Clock(lambda: (0.9, 0.1)), memory, 4.0, whole=False)
    assert method.needs_whole
    assert method.mix(PROMPT, piece) == PLAIN
    assert not memory.known
    assert not method.sees(Moment(Clock(lambda: (0.0, 0.0)), RegionsMemory(), 4.0, whole=False))
    assert method.mix(PROMPT, at(0.1, memory)) != PLAIN


def test_nothing_outside_a_mask_is_changed():
    mask = torch.zeros(16, 24)
    mask[:, 12:] = 1.0
    mix = Regions().mix(PROMPT, at(0.1, remembered(mask=mask)))
    assert mix.main == 1.0
    assert all(not branch.weight[:, :12].any() for branch in mix.branches)
    assert mix.branches[0].weight[:, 12:].any()


def test_a_noun_is_seen_in_its_own_region_and_outside_of_the_mask():
    mask = torch.zeros(16, 24)
    mask[:, 12:] = 1.0
    for memory, inside in ((remembered(), slice(None)), (remembered(mask=mask), slice(12, None))):
        mix = Regions(regions_words=0.75).mix(PROMPT, at(0.1, memory))
        cat, dog = mix.veils
        assert (cat.tokens, dog.tokens) == ((1,), (2,))
        own = mix.branches[0].weight == 0.0
        assert torch.equal(cat.seen, torch.where(own, 1.0, 0.25))
        assert torch.equal(cat.seen[:, inside] + dog.seen[:, inside], own[:, inside] * 0 + 1.25)
        if inside.start:
            assert torch.equal(cat.seen[:, :12], torch.ones(16, 12))
            assert torch.equal(dog.seen[:, :12], torch.ones(16, 12))


@pytest.mark.parametrize(
    ("found", "kept"),
    [
        ({"cat": [1, 2], "dog": [2, 3]}, [(1,), (3,)]),
        ({"cat": [2], "dog": [2]}, []),
        ({"dog": [3]}, [(3,)]),
        ({}, []),
    ],
)
def test_a_word_that_two_subjects_share_is_seen_everywhere(found, kept):
    clock, memory = Clock(lambda: (0.9, 0.1)), remembered()
    moment = Moment(clock, memory, 4.0, tokens=lambda words: found.get(words[-3:], ()))
    assert [veil.tokens for veil in Regions().mix(PROMPT, moment).veils] == kept


def test_words_are_looked_for_once_a_prompt():
    looked: list[str] = []
    moment = Moment(
        Clock(lambda: (0.9, 0.1)), remembered(), 4.0, tokens=lambda w: looked.append(w) or [1]
    )
    for _ in range(3):
        Regions().mix(PROMPT, moment)
    assert len(looked) == 4
    assert not Regions(regions_words=0.0).mix(PROMPT, at(0.1, remembered())).veils


ALONE = {"a cat": encoding(seed=3), "a dog": encoding(seed=4)}
ONLY = Settings(gamma_attn=0.0)


def cat_and_dog(unet, **more: object) -> Patch:
    """RegionsMemory alone, of the second of two rows."""
    prompt = compose("a cat and a dog")
    return apply_patch(unet, ONLY, prompt=prompt, contexts=ALONE, conditional_rows=[1], **more)


def test_on_a_unet_the_first_step_is_seen_and_the_second_one_changed(unet):
    off = {time: evaluate(unet, latent(2), context(2), timestep=time) for time in (900, 890, 200)}
    with cat_and_dog(unet):
        on = {time: evaluate(unet, latent(2), context(2), timestep=time) for time in off}
    assert torch.equal(on[900], off[900])
    assert torch.equal(on[890][0], off[890][0])
    assert not torch.allclose(on[890][1], off[890][1], atol=1e-3)
    assert torch.equal(on[200], off[200])


def test_a_second_evaluation_of_the_first_step_is_neither_seen_nor_changed(unet):
    """PAG and its like evaluate a step once more, in another way: the difference of the two
    evaluations must be theirs alone, and the places those of the first one."""
    other = latent(2, seed=6)
    off = evaluate(unet, other, context(2), timestep=900)

    def then(*first: torch.Tensor) -> torch.Tensor:
        with cat_and_dog(unet, tokens={"cat": [2], "dog": [5]}):
            made = [evaluate(unet, each, context(2), timestep=900) for each in first]
            assert len(made) == 1 or torch.equal(made[1], off)
            return evaluate(unet, latent(2), context(2), timestep=890)

    alone = then(latent(2))
    assert torch.equal(then(latent(2), other), alone)
    assert not torch.allclose(then(other, other), alone, atol=1e-3)  # others would be others


def test_a_bare_unet_is_told_where_words_stand(unet):
    def second(**more: object) -> torch.Tensor:
        with cat_and_dog(unet, **more):
            evaluate(unet, latent(2), context(2), timestep=900)
            return evaluate(unet, latent(2), context(2), timestep=890)

    told, otherwise = (
        second(tokens={"cat": [2], "dog": [5]}),
        second(tokens={"cat": [5], "dog": [2]}),
    )
    assert not torch.allclose(told[1], otherwise[1], atol=1e-4)
    assert not torch.allclose(told[1], second()[1], atol=1e-4)
    assert torch.equal(told[0], otherwise[0])


def test_with_a_mask_a_unet_is_changed_where_it_is_repainted_and_no_comparison_reads_a_tensor(unet):
    mask = torch.zeros(8, 8)
    mask[:, 4:] = 1.0
    with cat_and_dog(unet, mask=mask):
        evaluate(unet, latent(2), context(2), timestep=900)
        second = evaluate(unet, latent(2), context(2), timestep=890)
    first = evaluate(unet, latent(2), context(2), timestep=890)
    assert torch.equal(first[0], second[0])
    assert not torch.allclose(first[1], second[1], atol=1e-4)


def test_images_of_a_batch_have_regions_of_their_own(unet):
    prompts = ["a cat and a dog", "a frog", "a dog and a cat"]
    contexts = {**ALONE, "a frog": encoding(seed=5)}

    def second(prompt: object, rows: list[int]) -> torch.Tensor:
        sample, text = latent(3)[rows], context(3)[rows]
        with apply_patch(unet, ONLY, prompt=prompt, contexts=contexts):
            evaluate(unet, sample, text, timestep=900)
            return evaluate(unet, sample, text, timestep=890)

    batch = second(compose(prompts), [0, 1, 2])
    for image, prompt in enumerate(prompts):
        alone = second(compose(prompt), [image])
        torch.testing.assert_close(batch[[image]], alone, atol=1e-4, rtol=1e-4)


class Module(torch.nn.Module):
    heads, scale = 2, 0.5


def seen_at(size: tuple[int, int], seed: int = 0) -> At:
    """A layer of that size with noise in it."""
    query, key = noise(1, size[0] * size[1], 8, seed=seed), noise(1, 5, 8, seed=seed + 1)
    layer = Layer(Module(), "attn2", "mid", 0)
    rest = (key, key, key[0], None, lambda: None, lambda update: update)
    return At(layer, 1, size, size, query, *rest)


@pytest.mark.parametrize(
    ("sizes", "kept"),
    [
        ((64, 32, 16, 8, 16, 16, 32), (2, 4, 5)),  # SD1.5
        ((64, 32, 64), (1,)),
        ((8, 4, 4, 8), (0, 3)),  # a small picture on SDXL, which has no layer at its finest level
        ((4, 8, 4), (1,)),
    ],
)
def test_the_level_nearest_to_16_x_16_of_those_that_there_are_is_kept(sizes, kept):
    method, memory = Regions(), RegionsMemory()
    row = SeenRow(PROMPT, at(0.0, memory))
    layers = [seen_at((size, size), seed=place) for place, size in enumerate(sizes)]
    for layer in layers:
        method.see(layer, [row])
    expected = sum(noun_maps(layers[place], 0, [[1], [2]]) for place in kept)
    assert memory.level == layers[kept[0]].size
    torch.testing.assert_close(memory.maps, expected)


def test_the_maps_are_the_attention_to_the_nouns():
    """Each with mean 1, so that a loud word is no larger than a quiet one."""
    seen = seen_at((3, 4))
    maps = noun_maps(seen, 0, [[1], [2, 3], []])
    query, key = seen.query, seen.key
    heads = [
        (0.5 * query[0, :, part] @ key[0, :, part].T).softmax(-1)
        for part in (slice(0, 4), slice(4, 8))
    ]
    share = sum(heads) / 2
    expected = torch.stack([share[:, 1], share[:, 2] + share[:, 3], torch.ones(12)])
    torch.testing.assert_close(maps, expected / expected.mean(-1, keepdim=True))
    assert math.isclose(float(maps.mean()), 1.0, rel_tol=1e-5)
