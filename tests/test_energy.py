import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from shapes import Case, build, cases
from torch import Tensor

from ebca.core.attention import attend, merge_heads, split_heads
from ebca.core.energy import (
    PRIOR_BETA,
    conditional_energy,
    conditional_gradient,
    prior_energy,
    prior_gradient,
)

EXACT = {"rtol": 1e-10, "atol": 1e-10}


def heads_of(case: Case) -> tuple[Tensor, Tensor]:
    """Query [b, h, n, d] and key [b, h, t, d], cut apart by hand."""
    query, key = (torch.stack(p.chunk(case.heads, -1), 1) for p in (case.query, case.key))
    return query, key


def scores(case: Case) -> Tensor:
    query, key = heads_of(case)
    return torch.einsum("bhtd,bhnd->bhtn", key, query) * case.beta


@given(cases)
def test_heads_are_split_and_merged_without_loss(case):
    apart = split_heads(case.query, case.heads)
    assert torch.equal(apart, heads_of(case)[0])
    assert torch.equal(merge_heads(apart), case.query)


@given(cases, st.sampled_from([None, 0.1, 1.0, 3.0]))
def test_attend_is_softmax_attention_at_any_beta(case, beta):
    beta = case.beta if beta is None else beta
    query, key = heads_of(case)
    expected = (beta * query @ key.mT).softmax(-1) @ key
    torch.testing.assert_close(attend(query, key, key, beta), expected, **EXACT)


@given(cases)
def test_conditional_energy_is_minus_the_logsumexp_over_pixels_of_every_token(case):
    expected = -(scores(case).logsumexp(-1) / case.beta).sum((1, 2))
    torch.testing.assert_close(conditional_energy(*heads_of(case), case.beta), expected, **EXACT)


@given(cases)
def test_conditional_energy_with_a_mask_weighs_the_pixels(case):
    exponentials = scores(case).exp() * case.mask[:, None, None]
    expected = -(exponentials.sum(-1).log() / case.beta).sum((1, 2))
    actual = conditional_energy(*heads_of(case), case.beta, case.mask)
    torch.testing.assert_close(actual, expected, **EXACT)


@given(cases)
def test_a_hard_mask_leaves_only_its_pixels_in_the_energy(case):
    kept = case.mask[0] > 0
    query, key = (tensor[:1] for tensor in heads_of(case))
    masked = conditional_energy(query, key, case.beta, kept[None].double())
    torch.testing.assert_close(masked, conditional_energy(query[:, :, kept], key, case.beta))


@given(cases, st.sampled_from([1.0, 2.0]))
def test_prior_energy_is_the_logsumexp_over_tokens_of_the_square_norms(case, prior_beta):
    norms = case.key.square().sum(-1)  # all heads together
    expected = (prior_beta * norms / 2).exp().sum(-1).log() / prior_beta
    torch.testing.assert_close(prior_energy(heads_of(case)[1], prior_beta), expected, **EXACT)


def gradient(energy: Tensor, at: Tensor) -> Tensor:
    return torch.autograd.grad(energy.sum(), at)[0]


@given(cases, st.sampled_from(["reference", "paper"]))
def test_conditional_gradient_is_minus_the_derivative_of_the_energy(case, formulation):
    query, key = heads_of(case)
    key.requires_grad_()
    actual = conditional_gradient(query, key, case.beta, formulation)
    expected = -gradient(conditional_energy(query, key, case.beta), key)
    torch.testing.assert_close(actual, expected, **EXACT)


@given(cases)
def test_masked_gradient_of_the_paper_is_minus_the_derivative_of_the_masked_energy(case):
    query, key = heads_of(case)
    key.requires_grad_()
    actual = conditional_gradient(query, key, case.beta, "paper", case.mask)
    expected = -gradient(conditional_energy(query, key, case.beta, case.mask), key)
    torch.testing.assert_close(actual, expected, **EXACT)


@given(cases)
def test_prior_gradient_is_minus_the_derivative_of_the_energy(case):
    key = heads_of(case)[1].requires_grad_()
    for prior_beta in PRIOR_BETA.values():
        expected = -gradient(prior_energy(key, prior_beta), key)
        torch.testing.assert_close(prior_gradient(key, prior_beta), expected, **EXACT)


def test_prior_betas_are_those_of_the_two_formulations():
    assert PRIOR_BETA == {"reference": 2.0, "paper": 1.0}


@pytest.mark.parametrize("formulation", ["reference", "paper"])
def test_an_empty_mask_pulls_on_nothing(formulation):
    query, key = heads_of(build(2, 2, 5, 3, 4, 6, seed=0))
    mask = torch.tensor([[0.0] * 5, [1.0] * 5])
    pull = conditional_gradient(query, key, 0.5, formulation, mask)
    assert pull[0].count_nonzero() == 0
    torch.testing.assert_close(pull[1], conditional_gradient(query, key, 0.5, formulation)[1])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_keys_whose_square_norm_overflows_keep_a_finite_prior(dtype):
    key = torch.full((1, 2, 3, 40), 50.0, dtype=dtype)  # |k|^2 is 200,000; fp16 ends at 65,504
    gradient = prior_gradient(key, 2.0)
    torch.testing.assert_close(gradient, -torch.full((1, 2, 3, 40), 50.0 / 3))
    assert prior_energy(key, 2.0).isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_energies_of_half_precision_are_computed_in_single(dtype):
    query, key = (tensor.to(dtype) for tensor in heads_of(build(2, 2, 9, 4, 8, 6, seed=1)))
    energy = conditional_energy(query, key, 0.35)
    assert energy.dtype == torch.float32
    expected = conditional_energy(query.double(), key.double(), 0.35)
    torch.testing.assert_close(energy.double(), expected, rtol=1e-5, atol=1e-5)
