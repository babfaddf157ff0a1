"""The engine on a whole UNet against the materialised oracle of ebca/naive.py."""

from functools import partial

import pytest
import torch
from diffusers import UNet2DConditionModel
from models import LAYERS, TOKENS, context, distance, encoding, evaluate, latent, noise, tiny_unet
from torch import Tensor

import ebca
from ebca import Composed, Edit, apply_patch
from ebca.core.engine import Engine
from ebca.core.evaluation import Evaluation, Image, Memories, Row
from ebca.core.method import Clock, Time
from ebca.methods.regions import Regions, RegionsMemory
from ebca.naive import Rows, Text, oracle
from ebca.prompts import Prompt

Settings = partial(ebca.Settings, and_means="average")
FORMULATIONS = pytest.mark.parametrize("formulation", ["reference", "paper"])
GAMMA_ATTN, GAMMA_NORM = 0.03, 0.05
BOTH = (GAMMA_ATTN, GAMMA_NORM)
TWO_PROMPTS = (
    Edit(context=encoding(seed=3), alpha=0.7),
    Edit(context=encoding(seed=4), alpha=-0.4),
)


def compare(
    unet: UNet2DConditionModel,
    settings: ebca.Settings,
    *,
    edits: tuple[Edit, ...] = (),
    subjects: dict[str, Tensor] | None = None,
    mask: Tensor | None = None,
    size: tuple[int, int] = (8, 8),
    rows: int = 2,
    conditional: tuple[int, ...] = (1,),
    layers: set[int] | None = None,
    reference: Tensor | None = None,
) -> None:
    """Assert that engine and oracle agree to 1e-5, on an effect that is far larger than that."""
    sample, text = latent(rows, *size), context(rows)
    mains = [Text(main) for main in text]
    for row in range(rows) if settings.update_unconditional else conditional:
        mains[row].gamma_attn, mains[row].gamma_norm = settings.gamma_attn, settings.gamma_norm
        mains[row].gamma_spread = settings.gamma_spread
        mains[row].token_weights = dict(settings.token_weights) if row in conditional else {}
    share = settings.contrast / len(subjects) if subjects else 0.0
    asked = Rows(
        mains,
        [
            [
                *(
                    Text(
                        e.context,
                        e.gamma_attn or 0,
                        e.gamma_norm or 0,
                        0,
                        e.alpha,
                        dict(e.token_weights),
                    )
                    for e in edits
                ),
                *(Text(each, contrast=share) for each in (subjects or {}).values()),
            ]
            if row in conditional
            else []
            for row in range(rows)
        ],
        settings.formulation,
        [mask] * rows,
        settings.max_relative_update or None,
        layers,
        settings.scale_with_depth,
        settings.centered,
        reference,
    )
    off = evaluate(unet, sample, text)
    expected = oracle(unet, sample, 500, text, asked)
    with apply_patch(
        unet,
        settings,
        prompt=Composed((Prompt(" and ".join(subjects or ()), tuple(edits)),)),
        conditional_rows=conditional,
        mask=mask,
        reference=reference,
        contexts=subjects,
    ):
        actual = evaluate(unet, sample, text)
    assert distance(expected, off) > 1e-3
    assert distance(actual, expected) < 1e-5


@FORMULATIONS
@pytest.mark.parametrize("gammas", [BOTH, (GAMMA_ATTN, 0.0), (0.0, GAMMA_NORM)])
def test_bcu_with_both_terms_or_one(unet, formulation, gammas):
    compare(unet, Settings(*gammas, formulation=formulation))


@pytest.mark.parametrize("gammas", [BOTH, (GAMMA_ATTN, 0.0), (0.0, 0.0)])
@pytest.mark.parametrize("centered", [False, True])
def test_the_spread_term_and_centered_updates(unet, gammas, centered):
    compare(unet, Settings(*gammas, gamma_spread=0.05, centered=centered))


def test_the_spread_term_is_of_the_main_contexts_and_centered_updates_of_all(unet):
    edit = Edit(context=encoding(9), alpha=0.7, gamma_attn=GAMMA_ATTN)
    settings = Settings(*BOTH, gamma_spread=0.05, centered=True, update_unconditional=True)
    compare(unet, settings, edits=[edit])


@FORMULATIONS
def test_bcu_of_both_rows(unet, formulation):
    compare(unet, Settings(*BOTH, formulation=formulation, update_unconditional=True))


@FORMULATIONS
@pytest.mark.parametrize("update_unconditional", [False, True])
def test_token_weights_multiply_the_attention_term(unet, formulation, update_unconditional):
    compare(
        unet,
        Settings(
            *BOTH,
            formulation=formulation,
            token_weights={2: 5.0, 4: 0.0},
            update_unconditional=update_unconditional,
        ),
    )


def test_cacao_alone(unet):
    compare(unet, Settings(0.0, 0.0), edits=TWO_PROMPTS)


@FORMULATIONS
def test_cacao_on_top_of_bcu(unet, formulation):
    compare(unet, Settings(*BOTH, formulation=formulation), edits=TWO_PROMPTS)


@pytest.mark.parametrize("gammas", [BOTH, (0.0, 0.0)])
def test_cacao_that_sums(unet, gammas):
    edits = (*TWO_PROMPTS, Edit(context=encoding(5, seed=6), alpha=1.5, gamma_attn=0.06))
    settings = ebca.Settings(*gammas, gamma_spread=0.05, centered=True)
    compare(unet, settings, edits=edits, reference=encoding(TOKENS + 2, seed=20))


@pytest.mark.parametrize("and_means", ["sum", "average"])
@pytest.mark.parametrize("edits", [(), TWO_PROMPTS])
def test_contrasts(unet, and_means, edits):
    subjects = {"a cat": encoding(seed=31), "a dog": encoding(5, seed=32)}
    settings = ebca.Settings(*BOTH, and_means=and_means, contrast=1.1, contrast_stop=0.8)
    reference = encoding(TOKENS + 2, seed=20) if and_means == "sum" else None
    compare(unet, settings, edits=edits, subjects=subjects, reference=reference)


@FORMULATIONS
@pytest.mark.parametrize("gammas", [BOTH, (0.0, 0.0)])
def test_editorial_contexts_take_their_own_steps(unet, formulation, gammas):
    edits = (
        Edit(context=encoding(5, seed=3), alpha=0.7, gamma_attn=0.06, gamma_norm=0.01),
        Edit(context=encoding(9, seed=4), alpha=-0.4, gamma_norm=0.08),
        Edit(context=encoding(9, seed=5), alpha=0.3),
    )
    compare(unet, Settings(*gammas, formulation=formulation), edits=edits)


@FORMULATIONS
def test_token_weights_of_editorial_contexts(unet, formulation):
    edits = (
        Edit(context=encoding(9, seed=3), gamma_attn=0.06, token_weights={2: 5.0, 8: 0.0}),
        Edit(context=encoding(9, seed=4), alpha=-0.4, gamma_attn=0.06),
        Edit(context=encoding(5, seed=5), alpha=0.3, gamma_attn=0.06, token_weights={0: 2.0}),
    )
    compare(unet, Settings(*BOTH, formulation=formulation), edits=edits)


@FORMULATIONS
@pytest.mark.parametrize("edits", [(), TWO_PROMPTS])
def test_soft_mask_on_an_odd_latent(unet, formulation, edits):
    mask = torch.zeros(9, 13)
    mask[2:6, 3:9] = 1.0
    mask[5, 4] = 0.25
    edits = tuple(Edit(context=e.context, alpha=e.alpha, gamma_attn=0.03) for e in edits)
    settings = Settings(*BOTH, formulation=formulation)
    compare(unet, settings, edits=edits, mask=mask, size=(9, 13))


@FORMULATIONS
def test_cap_shortens_every_long_update(unet, formulation):
    edits = (Edit(context=encoding(), alpha=0.7, gamma_attn=0.5),)
    settings = Settings(0.5, 0.5, formulation=formulation, max_relative_update=0.02)
    compare(unet, settings, edits=edits)


@pytest.mark.parametrize(
    ("layers", "updating"),
    [
        ("down", {0, 1}),
        ("mid, up", {2, 3, 4, 5, 6}),
        ("0-1, 4", {0, 1, 4}),
        ("all", set(range(LAYERS))),
    ],
)
def test_only_the_layers_asked_for_update(unet, layers, updating):
    edits = (Edit(context=encoding(), alpha=0.7, gamma_attn=0.05),)
    compare(unet, Settings(*BOTH, layers=layers), edits=edits, layers=updating)


def test_step_sizes_as_they_are_without_depth_scaling(unet):
    edits = (Edit(context=encoding(), alpha=0.7, gamma_attn=0.05),)
    compare(unet, Settings(*BOTH, scale_with_depth=False), edits=edits)


@pytest.mark.parametrize(("rows", "conditional"), [(2, (0,)), (3, (2, 0)), (4, (0, 2)), (1, (0,))])
def test_conditional_rows_anywhere_in_the_batch(unet, rows, conditional):
    edits = (Edit(context=encoding(5), alpha=0.7, gamma_attn=0.05),)
    compare(unet, Settings(*BOTH), edits=edits, rows=rows, conditional=conditional)


def test_several_blocks_and_layers_per_stage():
    """SDXL-like: linear projections, two transformer blocks per stage, two stages per level."""
    unet = tiny_unet(layers_per_block=2, transformer_layers_per_block=2, use_linear_projection=True)
    compare(unet, Settings(*BOTH), edits=TWO_PROMPTS)


@pytest.mark.parametrize("size", [(8, 8), (8, 12)])
@pytest.mark.parametrize("words", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("count", [2, 3])
def test_regions_and_the_words_in_their_places(unet, count, words, size):
    """The first row is a negative prompt's; the other two have their words at other tokens."""
    names = ("cat", "dog", "frog")[:count]
    settings = ebca.Settings(*BOTH, regions=0.8, regions_words=words)
    prompt = Prompt(" ".join(names), subjects=names, nouns=names)
    alone = {name: encoding(seed=31 + place) for place, name in enumerate(names)}
    places = [{"cat": (1,), "dog": (2, 3), "frog": (5,)}, {"cat": (4,), "dog": (6,), "frog": ()}]
    images = [
        Image(prompt, alone, number=number, tokens=tokens.get)
        for number, tokens in enumerate(places)
    ]
    method = next(each for each in settings.methods if isinstance(each, Regions))
    memories = Memories()
    for number in range(2):
        memory = memories.of(method, number)
        memory.maps, memory.level, memory.latent = noise(count, 64, seed=number).exp(), (8, 8), size
        memory.seen = Time(0.0, 0.0)
    evaluation = Evaluation(
        [Row(0, False), Row(0, True), Row(1, True)], images, Clock(lambda: (0.0, 0.1)), size,
        memories, 4.0,
    )  # fmt: skip
    sample, text = latent(3, *size), context(3)
    engine = Engine(unet, settings.methods, lambda _: evaluation)
    engine.install()
    actual = evaluate(unet, sample, text)
    engine.remove()

    def away(memory: RegionsMemory) -> list[Text]:
        pairs = zip(names, memory.weights, strict=True)
        return [Text(alone[name], contrast=0.8 * 9 / 4 * weight) for name, weight in pairs]

    def seen(memory: RegionsMemory, tokens: dict[str, tuple[int, ...]]) -> dict[int, Tensor]:
        pairs = list(zip(names, memory.own, strict=True))
        return {t: 1 - words * (1 - own) for name, own in pairs for t in tokens[name]}

    regions = [memories.of(method, number) for number in range(2)]
    asked = Rows(
        [Text(text[0]), *(Text(main, *BOTH) for main in text[1:])],
        [[], *map(away, regions)],
        centered=True,
        seen=[{}, *map(seen, regions, places)],
    )
    expected = oracle(unet, sample, 500, text, asked)
    assert distance(expected, evaluate(unet, sample, text)) > 1e-3
    assert distance(actual, expected) < 1e-5
