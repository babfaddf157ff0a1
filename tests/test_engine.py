"""How the engine behaves on a whole UNet; its numbers are held by test_golden.py."""

import copy
import dataclasses

import pytest
import torch
from models import CONTEXT_WIDTH, PAPER, TOKENS, context, distance, encoding, evaluate, latent

from ebca import Edit, NoCrossAttentionError, Settings, SettingsError, apply_patch, compose
from ebca.core.engine import Engine
from ebca.core.evaluation import Image
from ebca.hosts.unet import BareUNet

STRONG = Settings(0.03, 0.05, and_means="average")
OFF = Settings(0.0, 0.0, **PAPER, contrast=0.0)
USUAL = Settings(and_means="average")
REFERENCE = encoding(TOKENS + 2, seed=20)


def hook_count(model: torch.nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


@pytest.mark.parametrize("edits", [(), (Edit(context=encoding(), alpha=0.0),), (Edit(prompt=" "),)])
def test_nothing_to_do_is_bit_identical_and_needs_no_update(unet, edits):
    off = evaluate(unet, latent(2), context(2))
    with apply_patch(unet, OFF, edits=edits):
        assert torch.equal(evaluate(unet, latent(2), context(2)), off)


def test_zero_step_sizes_install_no_hook(unet):
    with apply_patch(unet, OFF, edits=[Edit(context=encoding(), alpha=0.0)]):
        assert hook_count(unet) == 0
    with apply_patch(unet, STRONG):
        assert hook_count(unet) > 0


@pytest.mark.parametrize("window", [(0.0, 0.4), (0.6, 1.0)])
def test_outside_every_window_the_output_is_bit_identical(unet, window):
    off = evaluate(unet, latent(2), context(2), timestep=499)  # half of the schedule is done
    settings = Settings(0.03, 0.05, *window, and_means="average")
    edit = Edit(context=encoding(), start=window[0], stop=window[1])
    with apply_patch(unet, settings, edits=[edit]):
        assert torch.equal(evaluate(unet, latent(2), context(2), timestep=499), off)
        assert distance(evaluate(unet, latent(2), context(2), timestep=999), off) > 1e-3


def test_windows_of_settings_and_edits_are_independent(unet):
    early, late = (
        Edit(context=encoding(seed=3), stop=0.5),
        Edit(context=encoding(seed=4), start=0.5),
    )
    halves = STRONG.replace(start=0.5)

    def run(settings: Settings, edits: tuple[Edit, ...], timestep: int) -> torch.Tensor:
        with apply_patch(unet, settings, edits=edits):
            return evaluate(unet, latent(1), context(1), timestep)

    always = [Edit(context=edit.context) for edit in (early, late)]
    for timestep, settings, active in ((900, OFF, always[0]), (100, STRONG, always[1])):
        windowed = run(halves, (early, late), timestep)
        assert torch.equal(windowed, run(settings, (active,), timestep))


@pytest.mark.parametrize("edits", [(), (Edit(context=encoding(), gamma_attn=0.05),)])
def test_every_evaluation_starts_from_the_prompt_again(unet, edits):
    text = context(2)
    kept, kept_edit = text.clone(), encoding()
    with apply_patch(unet, STRONG, edits=edits):
        first, second = (evaluate(unet, latent(2), text) for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(text, kept)
    assert all(torch.equal(edit.context, kept_edit) for edit in edits)


@pytest.mark.parametrize("swap", [[1, 0], [3, 1, 0, 2]])
def test_rows_in_any_order_give_the_same_images(unet, swap):
    """Reordering the batch and naming its conditional rows accordingly reorders the output."""
    rows = len(swap)
    conditional = list(range(rows // 2, rows))
    edits = [[Edit(context=encoding(4 + image, seed=image))] for image in range(rows // 2)]
    with apply_patch(unet, STRONG, edits=edits, conditional_rows=conditional):
        expected = evaluate(unet, latent(rows), context(rows))
    moved = [swap.index(row) for row in conditional]
    with apply_patch(unet, STRONG, edits=edits, conditional_rows=moved):
        actual = evaluate(unet, latent(rows)[swap], context(rows)[swap])
    assert distance(actual, expected[swap]) < 1e-5


EDITS_PER_IMAGE = [
    [Edit(context=encoding(5, seed=11), alpha=0.7, gamma_attn=0.05)],
    [],
    [
        Edit(context=encoding(9, seed=12), alpha=-0.4),
        Edit(context=encoding(7, seed=13), alpha=0.5, gamma_norm=0.05),
        Edit(context=encoding(7, seed=14), alpha=0.2, gamma_norm=0.05),
    ],
    [Edit(context=encoding(5, seed=15), alpha=0.7, gamma_attn=0.05)],
]


@pytest.mark.parametrize("images", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [(8, 8), (7, 11)])
@pytest.mark.parametrize("and_means", ["average", "sum"])
def test_an_image_of_a_batch_is_the_image_generated_alone(unet, images, size, and_means):
    """Images with different edits, of different number, length, weight and step sizes."""
    settings = STRONG.replace(and_means=and_means)
    given = {"reference": REFERENCE} if and_means == "sum" else {}
    sample, text = latent(2 * images, *size), context(2 * images)
    edits, rows = EDITS_PER_IMAGE[-images:], list(range(images, 2 * images))
    off = evaluate(unet, sample, text)
    with apply_patch(unet, settings, edits=edits, conditional_rows=rows, **given):
        batch = evaluate(unet, sample, text)
    assert torch.equal(batch[:images], off[:images])  # unconditional
    for image in range(images):
        pair = [image, images + image]
        with apply_patch(unet, settings, edits=edits[image], conditional_rows=[1], **given):
            alone = evaluate(unet, sample[pair], text[pair])
        assert distance(batch[pair], alone) < 1e-5
        assert distance(alone[1], off[images + image]) > 1e-3


def test_flat_edits_are_shared_by_all_images(unet):
    edits = EDITS_PER_IMAGE[2]
    results = []
    for given in (edits, [edits, edits]):
        with apply_patch(unet, STRONG, edits=given, conditional_rows=[1, 2]):
            results.append(evaluate(unet, latent(3), context(3)))
    assert distance(*results) < 1e-6


def test_without_conditional_rows_every_row_is_conditional(unet):
    results = []
    for rows in (None, [0, 1, 2]):
        with apply_patch(unet, STRONG, edits=[Edit(context=encoding())], conditional_rows=rows):
            results.append(evaluate(unet, latent(3), context(3)))
    assert torch.equal(*results)


@pytest.mark.parametrize("tokens", [1, TOKENS - 3, TOKENS + 5])
def test_an_editorial_copy_of_the_main_prompt_changes_nothing_whatever_its_repetitions(
    unet, tokens
):
    """Attention to a text of equal tokens does not depend on their number."""
    text = encoding(1).repeat(TOKENS, 1)
    edit = Edit(context=encoding(1).repeat(tokens, 1), alpha=0.7)
    off = evaluate(unet, latent(1), text[None])
    with apply_patch(unet, OFF, edits=[edit]):
        assert distance(evaluate(unet, latent(1), text[None]), off) < 1e-5


def test_edits_that_are_summed_add_what_they_say_beyond_the_reference(unet):
    """A main prompt and a reference that are one text: with weight 1 the edit takes its place."""
    main, other = context(1), encoding(TOKENS + 4, seed=30)
    replaced = evaluate(unet, latent(1), other[None])
    settings, edits = OFF.replace(and_means="sum"), [Edit(context=other)]
    with apply_patch(unet, settings, edits=edits, reference=main[0]):
        assert distance(evaluate(unet, latent(1), main), replaced) < 1e-5


def test_of_edits_that_are_summed_the_reference_follows_the_windows(unet):
    """The reference weighs what is active at a step, and nothing where the weights cancel."""
    early = Edit(context=encoding(seed=3), alpha=0.8, stop=0.5)
    late = Edit(context=encoding(5, seed=4), alpha=-3.0, start=0.5)
    settings = STRONG.replace(and_means="sum")

    def run(edits: list[Edit], timestep: int, reference: torch.Tensor = REFERENCE) -> torch.Tensor:
        with apply_patch(unet, settings, edits=edits, reference=reference):
            return evaluate(unet, latent(1), context(1), timestep)

    for timestep, active in ((900, early), (100, late)):
        alone = dataclasses.replace(active, start=0.0, stop=1.0)
        assert torch.equal(run([early, late], timestep), run([alone], timestep))
    opposite = [dataclasses.replace(early, stop=1.0, alpha=alpha) for alpha in (0.8, -0.8)]
    plain = run([], 500)
    assert distance(run(opposite, 500, torch.full_like(REFERENCE, 99.0)), plain) < 1e-5


CAT_AND_DOG = compose("a cat and a dog")
ALONE = {"a cat": encoding(seed=3), "a dog": encoding(seed=4)}


def test_a_contrast_needs_no_reference_and_ends_at_a_noise_level(unet):
    off = evaluate(unet, latent(1), context(1), timestep=100)
    settings = OFF.replace(contrast=0.6, contrast_stop=0.5)
    with apply_patch(unet, settings, prompt=CAT_AND_DOG, contexts=ALONE):
        assert torch.equal(evaluate(unet, latent(1), context(1), timestep=100), off)
        early = evaluate(unet, latent(1), context(1), timestep=900)
    alpha = -0.3 / (1 + 2 * 0.3)
    averaged = [Edit(context=each, alpha=alpha) for each in ALONE.values()]
    with apply_patch(unet, OFF, edits=averaged):
        assert distance(evaluate(unet, latent(1), context(1), timestep=900), early) < 1e-5


def test_away_from_itself_is_nowhere(unet):
    text = context(1)
    off = evaluate(unet, latent(1), text)
    settings = OFF.replace(contrast=2.0, contrast_stop=1.0)
    with apply_patch(unet, settings, prompt=CAT_AND_DOG, contexts=dict.fromkeys(ALONE, text[0])):
        assert distance(evaluate(unet, latent(1), text), off) < 1e-5


def test_one_subject_alone_has_no_contrast(unet):
    off = evaluate(unet, latent(1), context(1), timestep=900)
    with apply_patch(unet, OFF.replace(contrast=2.0), prompt=compose("a cat")):
        assert torch.equal(evaluate(unet, latent(1), context(1), timestep=900), off)
        assert hook_count(unet) == 0


def test_edits_reach_only_conditional_rows(unet):
    off = evaluate(unet, latent(2), context(2))
    with apply_patch(unet, STRONG, edits=EDITS_PER_IMAGE[2], conditional_rows=[0]):
        on = evaluate(unet, latent(2), context(2))
    assert torch.equal(on[1], off[1])
    assert distance(on[0], off[0]) > 1e-2


def test_a_row_count_that_grows_or_shrinks_between_calls_is_followed(unet):
    def alone(rows: int) -> torch.Tensor:
        with apply_patch(unet, STRONG):
            return evaluate(unet, latent(rows), context(rows))

    expected = [alone(rows) for rows in (3, 1, 2)]
    with apply_patch(unet, STRONG):
        actual = [evaluate(unet, latent(rows), context(rows)) for rows in (3, 1, 2)]
    assert all(map(torch.equal, actual, expected))


def test_masked_pixels_are_the_only_ones_that_pull(unet):
    """With nothing to repaint, what is left of the update is the terms that ask no pixel."""
    pull = Settings(0.03, 0.0, gamma_spread=0.0)
    with apply_patch(unet, pull, mask=torch.zeros(8, 8)):
        actual = evaluate(unet, latent(1), context(1))
    assert distance(actual, evaluate(unet, latent(1), context(1))) < 1e-6
    with apply_patch(unet, pull):
        unmasked = evaluate(unet, latent(1), context(1))
    for settings in (pull.replace(mask=False), pull):
        mask = torch.zeros(8, 8) if not settings.mask else torch.ones(8, 8)
        with apply_patch(unet, settings, mask=mask):
            assert distance(evaluate(unet, latent(1), context(1)), unmasked) < 1e-5


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_gradient_modes_agree(unet, mode):
    with apply_patch(unet, STRONG, edits=EDITS_PER_IMAGE[2], conditional_rows=[1]):
        expected = evaluate(unet, latent(2), context(2))
        with mode():
            actual = unet(latent(2), 500, encoder_hidden_states=context(2)).sample
    assert torch.equal(actual.detach(), expected)


def test_gradients_flow_through_the_patched_model(unet):
    sample = latent(2).requires_grad_()
    with apply_patch(unet, STRONG, edits=EDITS_PER_IMAGE[2], conditional_rows=[1]):
        unet(sample, 500, encoder_hidden_states=context(2)).sample.square().sum().backward()
    assert sample.grad.isfinite().all()
    assert (sample.grad.flatten(1).norm(dim=1) > 0).all()


HALF = pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])


@HALF
@pytest.mark.parametrize("formulation", ["reference", "paper"])
@pytest.mark.parametrize("gamma", [0.1, 10.0])
def test_half_precision_stays_finite_at_the_largest_step_sizes(
    shared_unet, dtype, formulation, gamma
):
    unet = copy.deepcopy(shared_unet).to(dtype)
    more = {"formulation": formulation, "scale_with_depth": False}
    settings = Settings(gamma, gamma, gamma_spread=min(gamma, 1.0), and_means="average", **more)
    edit = Edit(context=encoding(9), alpha=0.7, gamma_attn=gamma, gamma_norm=gamma)
    with apply_patch(unet, settings, edits=[edit], conditional_rows=[1]):
        output = evaluate(unet, latent(2).to(dtype), context(2).to(dtype))
    assert output.dtype == dtype
    assert output.isfinite().all()


@HALF
def test_half_precision_is_close_to_single_at_normal_step_sizes(shared_unet, dtype):
    half = copy.deepcopy(shared_unet).to(dtype)
    edit = Edit(context=encoding(9), alpha=0.7, gamma_attn=0.01)
    outputs = []
    for unet in (shared_unet, half):
        with apply_patch(unet, USUAL, edits=[edit], conditional_rows=[1]):
            sample, text = latent(2).to(unet.dtype), context(2).to(unet.dtype)
            outputs.append(evaluate(unet, sample, text).float())
    off = evaluate(shared_unet, latent(2), context(2))
    error = (outputs[1] - outputs[0]).norm() / outputs[0].norm()
    effect = (outputs[0] - off).norm() / off.norm()
    assert error < (0.01 if dtype == torch.float16 else 0.06)
    assert effect > 0.1


def test_autocast_is_close_to_single(unet):
    def run() -> torch.Tensor:
        with apply_patch(unet, USUAL, edits=EDITS_PER_IMAGE[2], conditional_rows=[1]):
            return evaluate(unet, latent(2), context(2)).float()

    expected = run()
    with torch.autocast("cpu", torch.bfloat16):
        actual = run()
    assert (actual - expected).norm() < 0.06 * expected.norm()


def test_a_model_without_cross_attention_is_refused_with_what_was_looked_for():
    with pytest.raises(NoCrossAttentionError, match=r"Sequential has no cross-attention.*attn2"):
        apply_patch(torch.nn.Sequential(torch.nn.Linear(2, 2)), STRONG)
    with pytest.raises(NoCrossAttentionError, match="str is neither"):
        apply_patch("model", STRONG)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"conditional_rows": [0, 0]}, "conditional_rows.*distinct"),
        ({"conditional_rows": [-1]}, r"conditional_rows.*0 or more"),
        ({"edits": [Edit(context=torch.zeros(3, 5))]}, rf"context.*\(3, 5\).*{CONTEXT_WIDTH}"),
        ({"edits": [Edit(prompt="a cat")]}, "contexts.*a cat.*encode"),
        ({"edits": [Edit(context=encoding(), alpha=-0.95)]}, "-0.95.*at least -0.9"),
        (
            {"settings": Settings(), "edits": [Edit(context=encoding())]},
            "reference is None.*empty prompt",
        ),
        ({"reference": encoding()[0]}, r"reference.*\[tokens, channels\]"),
        (
            {
                "settings": Settings(),
                "edits": [Edit(context=encoding())],
                "reference": torch.zeros(3, 5),
            },
            rf"context.*\(3, 5\).*{CONTEXT_WIDTH}",
        ),
        (
            {"settings": Settings(), "edits": [Edit(context=encoding(), alpha=-60.0)] * 2},
            "weights after AND is -120.*-100 to 100",
        ),
        ({"edits": ["a cat"]}, "edits.*a cat.*list of Edit"),
        ({"mask": torch.zeros(1, 8, 8)}, r"mask.*\[h, w\]"),
        ({"tokens": {"cat": [-1]}}, r"tokens\['cat'\] is \[-1\].*0 or more"),
        ({"settings": {"gamma_attn": 1}}, "settings.*Settings object"),
        ({"settings": Settings(layers="0, 7")}, r"layers.*0, 7.*0-6"),
    ],
)
def test_values_that_cannot_be_used_are_named_before_anything_is_hooked(unet, options, message):
    with pytest.raises(SettingsError, match=message):
        apply_patch(unet, **{"settings": STRONG, **options})
    assert hook_count(unet) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"conditional_rows": [2]}, "conditional_rows.*2 rows"),
        ({"settings": Settings(token_weights={TOKENS: 2.0})}, f"token_weights is {TOKENS}.*below"),
        ({"edits": [[Edit(context=encoding())]] * 3}, "edits is '3 lists'.*are 2"),
    ],
)
def test_values_that_do_not_fit_the_batch_are_named_when_it_comes(unet, options, message):
    with (
        apply_patch(unet, **{"settings": STRONG, **options}),
        pytest.raises(SettingsError, match=message),
    ):
        evaluate(unet, latent(2), context(2))


def test_a_mask_that_fits_no_level_is_left_out_and_that_is_said(unet):
    """Another extension may change the layers' size, e.g. by merging tokens."""
    layer = unet.mid_block.attentions[0].transformer_blocks[0].attn2
    pixels = []

    def merge(_module, args, kwargs):
        pixels.append(args[0].shape[1])
        return (args[0][:, :3], *args[1:]), kwargs

    merging = layer.register_forward_pre_hook(merge, with_kwargs=True)
    undoing = layer.register_forward_hook(
        lambda _module, _args, output: output[:, :1].expand(-1, pixels[-1], -1)
    )
    try:
        with (
            apply_patch(unet, STRONG, mask=torch.ones(8, 8)),
            pytest.warns(UserWarning, match="the inpaint mask was not applied"),
        ):
            assert torch.isfinite(evaluate(unet, latent(1), context(1))).all()
    finally:
        merging.remove()
        undoing.remove()


def test_a_second_unet_with_fewer_layers_than_are_named_updates_those_that_it_has(unet):
    """As a refiner may be, in the middle of sampling."""
    methods = Settings(0.03, 0.05, layers="1-2, 90", regions=0).methods
    text, off = context(2), evaluate(unet, latent(2), context(2))
    host = BareUNet(unet, methods, [Image()], [1])
    engine = Engine(unet, methods, host.describe)
    engine.install()
    try:
        assert distance(evaluate(unet, latent(2), text), off) > 1e-3
    finally:
        engine.remove()
