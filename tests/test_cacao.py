import torch
from hypothesis import given
from hypothesis import strategies as st
from models import noise

from ebca.cacao import average

alphas = st.lists(st.floats(-2, 2), max_size=5).filter(lambda given: 1 + sum(given) >= 0.1)


@given(alphas)
def test_average_is_the_weighted_sum_over_the_sum_of_weights(weights):
    main = noise(2, 3, 4, dtype=torch.float64)
    others = [noise(2, 3, 4, seed=i + 1, dtype=torch.float64) for i in range(len(weights))]
    expected = main + sum(alpha * other for alpha, other in zip(weights, others, strict=True))
    expected = expected / (1 + sum(weights))
    torch.testing.assert_close(average(main, zip(weights, others, strict=True)), expected)


@given(alphas)
def test_average_of_equal_outputs_is_that_output(weights):
    main = noise(2, 3, 4, dtype=torch.float64)
    torch.testing.assert_close(average(main, [(alpha, main) for alpha in weights]), main)


def test_average_takes_one_output_at_a_time_and_changes_none():
    main, alive = noise(2, 3, 4), []

    def editorial():
        for alpha in (0.5, -0.25):
            alive.append(noise(2, 3, 4, seed=len(alive) + 1))
            yield alpha, alive[-1]

    kept = main.clone()
    average(main, editorial())
    assert torch.equal(main, kept)
    assert [torch.equal(x, noise(2, 3, 4, seed=i + 1)) for i, x in enumerate(alive)] == [True] * 2
