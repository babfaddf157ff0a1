import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from shapes import Case, build, cases
from torch import Tensor

from ebca.core.energy import PRIOR_BETA
from ebca.methods.bcu import context_update, limit_update, spread_apart

FORMULATIONS = ["reference", "paper"]
formulations = st.sampled_from(FORMULATIONS)
EXACT = {"rtol": 1e-9, "atol": 1e-9}


def update_of(case: Case, gamma_attn: float, gamma_norm: float, **options: object) -> Tensor:
    return context_update(
        case.query, case.key, case.weight, heads=case.heads, beta=case.beta,
        gamma_attn=gamma_attn, gamma_norm=gamma_norm, **options,
    )  # fmt: skip


def scores(case: Case, context: Tensor) -> tuple[Tensor, Tensor]:
    """<k_t, q_n> / sqrt(d) [b, h, t, n] and |k_t|^2 [b, t] of a context."""
    rows, pixels, channels = case.query.shape
    key = (context @ case.weight.T).reshape(rows, -1, case.heads, channels // case.heads)
    query = case.query.reshape(rows, pixels, case.heads, -1)
    dots = torch.einsum("bthd,bnhd->bhtn", key, query)
    return dots / math.sqrt(channels // case.heads), key.square().sum((2, 3))


def log_likelihood(case: Case, context: Tensor, pixel_weight: Tensor | None = None) -> Tensor:
    """log p(Q | C) of every token, [b, t]: materialised, up to a constant."""
    exponentials = scores(case, context)[0].exp()
    if pixel_weight is not None:
        exponentials = exponentials * pixel_weight[:, None, None]
    return exponentials.sum(-1).log().sum(1) / case.beta


def log_prior(case: Case, context: Tensor, formulation: str) -> Tensor:
    """log p(C), [b]."""
    beta = {"reference": 2.0, "paper": 1.0}[formulation]
    return -(scores(case, context)[1] * beta / 2).exp().sum(-1).log() / beta


def ascent(case: Case, log_probability) -> Tensor:
    context = case.context.clone().requires_grad_()
    return torch.autograd.grad(log_probability(context).sum(), context)[0]


@given(cases, formulations, st.floats(0.001, 1), st.floats(0.001, 1))
def test_update_is_the_gradient_of_the_log_probability(case, formulation, gamma_attn, gamma_norm):
    def log_probability(context: Tensor) -> Tensor:
        likelihood = log_likelihood(case, context).sum(1)
        return gamma_attn * likelihood + gamma_norm * log_prior(case, context, formulation)

    actual = update_of(case, gamma_attn, gamma_norm, formulation=formulation)
    torch.testing.assert_close(actual, ascent(case, log_probability), **EXACT)


@given(cases, formulations)
def test_token_weights_scale_the_likelihood_of_their_tokens_only(case, formulation):
    def log_probability(context: Tensor) -> Tensor:
        likelihood = (case.token_weights[..., 0] * log_likelihood(case, context)).sum(1)
        return 0.3 * likelihood + 0.2 * log_prior(case, context, formulation)

    actual = update_of(
        case, 0.3, 0.2, formulation=formulation, token_weights=case.token_weights
    )  # fmt: skip
    torch.testing.assert_close(actual, ascent(case, log_probability), **EXACT)


@given(cases)
def test_mask_of_the_paper_restricts_the_likelihood_to_its_pixels(case):
    def log_probability(context: Tensor) -> Tensor:
        likelihood = log_likelihood(case, context, case.mask).sum(1)
        return 0.3 * likelihood + 0.2 * log_prior(case, context, "paper")

    actual = update_of(case, 0.3, 0.2, formulation="paper", mask=case.mask)
    torch.testing.assert_close(actual, ascent(case, log_probability), **EXACT)


@given(cases)
def test_mask_of_the_reference_multiplies_the_pull_under_frozen_softmax_weights(case):
    frozen = scores(case, case.context)[0].softmax(-1)

    def log_probability(context: Tensor) -> Tensor:
        pull = frozen * scores(case, context)[0] * case.mask[:, None, None]
        return 0.3 * pull.sum((1, 2, 3)) / case.beta + 0.2 * log_prior(case, context, "reference")

    actual = update_of(case, 0.3, 0.2, formulation="reference", mask=case.mask)
    torch.testing.assert_close(actual, ascent(case, log_probability), **EXACT)


@given(cases)
def test_a_mask_of_ones_is_no_mask(case):
    for formulation in FORMULATIONS:
        everywhere = torch.ones_like(case.mask)
        masked = update_of(case, 0.3, 0.2, formulation=formulation, mask=everywhere)
        torch.testing.assert_close(masked, update_of(case, 0.3, 0.2, formulation=formulation))


@given(cases, formulations)
def test_terms_add_up_and_are_linear_in_their_step_sizes(case, formulation):
    attn, norm = (update_of(case, *g, formulation=formulation) for g in ((1.0, 0.0), (0.0, 1.0)))
    both = update_of(case, 0.3, 0.7, formulation=formulation)
    torch.testing.assert_close(both, 0.3 * attn + 0.7 * norm, **EXACT)


@given(cases, formulations)
def test_rows_do_not_see_each_other(case, formulation):
    whole = update_of(case, 0.3, 0.2, formulation=formulation, mask=case.mask)
    for row in range(len(case.query)):
        one = Case(
            case.query[row : row + 1], case.context[row : row + 1], case.weight, case.heads,
            case.mask[row : row + 1], case.token_weights,
        )  # fmt: skip
        alone = update_of(one, 0.3, 0.2, formulation=formulation, mask=one.mask)
        torch.testing.assert_close(whole[row : row + 1], alone, **EXACT)


@given(cases, formulations)
def test_small_steps_lower_the_energies(case, formulation):
    """Each term lowers its own energy by gamma |gradient|^2, to first order."""
    gamma = 1e-7
    energies = (
        lambda context: -log_likelihood(case, context).sum(),
        lambda context: -log_prior(case, context, formulation).sum(),
    )
    for gammas, energy in zip(((gamma, 0.0), (0.0, gamma)), energies, strict=True):
        update = update_of(case, *gammas, formulation=formulation)
        drop = energy(case.context) - energy(case.context + update)
        first_order = update.square().sum() / gamma
        torch.testing.assert_close(drop, first_order, rtol=1e-3, atol=1e-12)
        assert first_order > 1e-12


@given(cases, st.floats(0.001, 1))
def test_the_spread_term_is_the_gradient_of_how_far_tokens_are_from_their_mean(case, gamma):
    def log_probability(context: Tensor) -> Tensor:
        return gamma * (context - context.mean(1, keepdim=True)).square().sum() / 2

    nothing = torch.zeros_like(case.context)
    expected = ascent(case, log_probability)
    for centered in (False, True):
        actual = spread_apart(nothing, case.context, gamma, centered)
        torch.testing.assert_close(actual, expected, **EXACT)


@given(cases, st.floats(0, 1))
def test_a_centered_update_moves_no_tokens_mean_and_no_attention_map_otherwise(case, gamma):
    update = update_of(case, 0.3, 0.2)
    plain = spread_apart(update, case.context, gamma, centered=False)
    centered = spread_apart(update, case.context, gamma, centered=True)
    torch.testing.assert_close(centered.mean(1), torch.zeros_like(centered.mean(1)), **EXACT)
    maps = [scores(case, case.context + each)[0].softmax(2) for each in (plain, centered)]
    torch.testing.assert_close(*maps, **EXACT)


def test_without_its_two_options_an_update_is_left_alone():
    case = build(2, 2, 6, 4, 3, 5, seed=9)
    update = update_of(case, 0.3, 0.2)
    assert spread_apart(update, case.context, 0.0, centered=False) is update


def slow_update(
    case: Case, row: int, gamma_attn: float, gamma_norm: float, formulation: str
) -> list[list[float]]:
    """The update of one row, [t][c], number by number."""
    query, context, weight = (x.tolist() for x in (case.query[row], case.context[row], case.weight))
    pixels, tokens, channels = range(len(query)), range(len(context)), range(len(context[0]))
    width = len(weight) // case.heads
    key = [[sum(context[t][c] * line[c] for c in channels) for line in weight] for t in tokens]
    update = [[0.0] * len(context[0]) for _ in tokens]
    factor = 1.0 if formulation == "reference" else 0.5
    masses = [math.exp(factor * sum(k * k for k in key[t])) for t in tokens]
    for t in tokens:
        for head in range(case.heads):
            part = range(head * width, (head + 1) * width)
            exponentials = [
                math.exp(sum(key[t][i] * query[n][i] for i in part) / math.sqrt(width))
                for n in pixels
            ]
            for i in part:
                pull = sum(exponentials[n] * query[n][i] for n in pixels) / sum(exponentials)
                step = gamma_attn * pull - gamma_norm * masses[t] / sum(masses) * key[t][i]
                for c in channels:
                    update[t][c] += step * weight[i][c]
    return update


@pytest.mark.parametrize("formulation", FORMULATIONS)
@pytest.mark.parametrize("shape", [(1, 1, 1, 1, 1, 1), (2, 3, 6, 4, 2, 5), (1, 2, 7, 5, 3, 3)])
def test_update_equals_plain_loops(shape, formulation):
    case = build(*shape, seed=5)
    actual = update_of(case, 0.4, 0.3, formulation=formulation)
    slow = [slow_update(case, row, 0.4, 0.3, formulation) for row in range(shape[0])]
    torch.testing.assert_close(actual, torch.tensor(slow, dtype=torch.float64), **EXACT)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("formulation", FORMULATIONS)
def test_lower_precision_stays_close_to_double(dtype, formulation):
    case = build(2, 2, 16, 6, 8, 12, seed=7)
    exact = update_of(case, 0.01, 0.02, formulation=formulation)
    low = Case(*(x.to(dtype) if isinstance(x, Tensor) else x for x in case))
    actual = update_of(low, 0.01, 0.02, formulation=formulation)
    tolerance = {torch.float32: 1e-5, torch.float16: 1e-2, torch.bfloat16: 5e-2}[dtype]
    assert (actual.double() - exact).abs().max() < tolerance * exact.abs().max()


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_weights_stored_in_eight_bits_are_read_as_numbers(dtype):
    case = build(1, 2, 16, 6, 8, 12, seed=7)
    query, key, weight = case.query.float(), case.key.float(), case.weight.to(dtype)
    sizes = {"heads": 2, "beta": case.beta, "gamma_attn": 0.3, "gamma_norm": 0.2}
    actual = context_update(query, key, weight, **sizes)
    torch.testing.assert_close(actual, context_update(query, key, weight.float(), **sizes))


def test_inputs_are_left_alone():
    case = build(2, 2, 6, 4, 3, 5, seed=9)
    before = [x.clone() for x in case if isinstance(x, Tensor)]
    update_of(case, 0.3, 0.2, mask=case.mask, token_weights=case.token_weights)
    after = [x for x in case if isinstance(x, Tensor)]
    assert all(map(torch.equal, before, after))


@given(cases, st.floats(1e-3, 1.0), st.floats(1e-6, 1e3))
def test_limited_update_keeps_its_direction_and_its_length_within_the_cap(case, cap, size):
    update = size * torch.randn(case.context.shape, dtype=torch.float64)
    limited = limit_update(update, case.context, cap)
    for was, now, at in zip(update, limited, case.context, strict=True):
        expected = min(float(was.norm()), cap * float(at.norm()))
        assert float(now.norm()) == pytest.approx(expected, rel=1e-9)
        torch.testing.assert_close(now / now.norm(), was / was.norm(), **EXACT)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_limiting_a_zero_or_a_huge_update_gives_no_nan(dtype):
    context = torch.full((2, 3, 4), 100.0, dtype=dtype)
    update = torch.zeros(2, 3, 4)
    update[1] = 60000.0
    limited = limit_update(update, context, 0.01)
    assert limited[0].count_nonzero() == 0
    assert float(limited[1].norm()) == pytest.approx(0.01 * float(context[1].float().norm()))


def test_the_softmax_of_the_prior_differs_between_the_formulations():
    case = build(1, 2, 6, 4, 3, 5, seed=9)
    reference, paper = (update_of(case, 0.0, 1.0, formulation=f) for f in FORMULATIONS)
    assert (reference - paper).abs().max() > 0.01
    assert set(PRIOR_BETA) == set(FORMULATIONS)


@pytest.mark.parametrize("formulation", FORMULATIONS)
@pytest.mark.parametrize("masked", [False, True])
def test_no_rows_have_an_update_of_no_rows(formulation, masked):
    """As of an evaluation of nothing but unconditional rows."""
    query, key, weight = torch.zeros(0, 6, 8), torch.zeros(0, 5, 8), torch.ones(8, 3)
    mask = torch.zeros(0, 6) if masked else None
    update = context_update(
        query, key, weight, heads=2, beta=0.5,
        gamma_attn=0.1, gamma_norm=0.2, formulation=formulation, mask=mask,
    )  # fmt: skip
    assert update.shape == (0, 5, 3)
