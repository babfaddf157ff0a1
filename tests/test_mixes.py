"""What methods make of a prompt, without any model; and the mixing itself."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from models import noise

from ebca import Edit, Settings, SettingsError
from ebca.core.method import PLAIN, Branch, Clock, Mix, Moment
from ebca.core.mixing import mixed, moved_away
from ebca.methods.average import average
from ebca.methods.cacao import Cacao
from ebca.methods.contrast import Contrast
from ebca.methods.summed import summed
from ebca.prompts import Prompt

alphas = st.lists(st.floats(-2, 2).filter(bool), max_size=5).filter(
    lambda given: 1 + sum(given) >= 0.1
)


def edits(weights: list[float], **more: float) -> tuple[Edit, ...]:
    return tuple(Edit(f"text {i}", alpha=alpha, **more) for i, alpha in enumerate(weights))


def at(progress: float, denoised: float | None = None) -> Moment:
    return Moment(Clock(lambda: (progress, progress if denoised is None else denoised)))


def weights(mix: Mix) -> dict[str, float]:
    return {str(branch.source): branch.weight for branch in mix.branches}


@given(alphas)
def test_an_average_weighs_everything_by_the_sum_of_weights(given):
    mix = average(edits(given))
    assert mix.main == pytest.approx(1 / (1 + sum(given)))
    assert mix.main + math.fsum(branch.weight for branch in mix.branches) == pytest.approx(1.0)


@given(alphas)
def test_in_a_sum_the_empty_prompt_takes_away_what_the_others_add(given):
    mix = summed(edits(given))
    assert mix.main == 1.0
    assert math.fsum(branch.weight for branch in mix.branches) == pytest.approx(0.0, abs=1e-9)
    assert ("" in weights(mix)) == (math.fsum(given) != 0.0)


def test_a_contrast_moves_away_from_every_subject_alone_and_leaves_the_sum_at_one():
    prompt = Prompt("a cat, a dog and a bow", subjects=("a cat", "a dog", "a bow"))
    mix = Contrast(contrast=0.9).mix(prompt, at(0.0))
    assert mix.main == pytest.approx(1.9)
    assert weights(mix) == pytest.approx(dict.fromkeys(prompt.subjects, -0.3))


def test_mixes_add_up_as_changes_of_the_plain_output():
    one, other = Mix(0.5, (Branch(0.5, "a"),)), Mix(2.0, (Branch(-1.0, "b"),))
    assert one + PLAIN == PLAIN + one == one
    assert (one + other).main == 1.5
    assert weights(one + other) == {"a": 0.5, "b": -1.0}


@pytest.mark.parametrize(
    ("moment", "acts"),
    [(at(0.9, 0.29), True), (at(0.0, 0.3), False), (at(0.0, 0.9), False), (at(0.5, 0.0), True)],
)
def test_a_contrast_ends_at_a_noise_level_whatever_the_steps_are(moment, acts):
    prompt = Prompt("a cat and a dog", subjects=("a cat", "a dog"))
    assert (Contrast(contrast=1.0, contrast_stop=0.3).mix(prompt, moment) != PLAIN) == acts


def test_the_windows_of_the_paper_are_of_the_steps_whatever_the_noise_is():
    prompt = Prompt("a", edits=edits([1.0]))
    method = Cacao(edit_start=0.5)
    assert method.mix(prompt, at(0.4, 0.9)) == PLAIN
    assert method.mix(prompt, at(0.5, 0.1)) != PLAIN


def test_nobody_asks_for_the_time_without_a_window():
    def read() -> tuple[float, float]:
        raise AssertionError("the time was read")

    prompt = Prompt("a cat and a dog", edits([0.5]), ("a cat", "a dog"))
    moment = Moment(Clock(read))
    for method in Settings(contrast=1.0, contrast_stop=1.0, regions=0.0).methods:
        method.mix(prompt, moment)
        method.step(Prompt("a cat"), "main", moment)


def test_a_part_of_the_hosts_own_and_has_no_subjects_of_its_own():
    prompt = Prompt("a cat and a dog", subjects=("a cat", "a dog"), single=False)
    assert Contrast(contrast=1.0).mix(prompt, at(0.0)) == PLAIN
    assert Contrast(contrast=1.0).texts(prompt) == ()


def test_what_an_edit_says_itself_goes_before_the_settings():
    method = Cacao(edit_start=0.5)
    assert method.mix(Prompt("a", edits([1.0], start=0.0)), at(0.1)) != PLAIN
    assert method.mix(Prompt("a", edits([1.0])), at(0.1)) == PLAIN


@given(st.lists(st.floats(-2, 2), max_size=5), st.floats(-2, 2))
def test_mixed_is_the_weighted_sum_and_changes_no_input(given, main_weight):
    main = noise(2, 3, 4, dtype=torch.float64)
    others = [noise(2, 3, 4, seed=i + 1, dtype=torch.float64) for i in range(len(given))]
    kept = main.clone()
    expected = main_weight * main + sum(w * o for w, o in zip(given, others, strict=True))
    actual = mixed(main, main, main_weight, zip(given, others, strict=True))
    torch.testing.assert_close(actual, expected)
    assert torch.equal(main, kept)


def test_weights_may_differ_from_place_to_place():
    main, other = noise(2, 3, 4), noise(2, 3, 4, seed=1)
    places = noise(2, 3, 1, seed=2)
    torch.testing.assert_close(
        mixed(main, main, 1.0 + places, [(-places, other)]), main + places * (main - other)
    )


@given(st.floats(-2, 2))
def test_what_became_of_the_main_output_is_added_to_what_others_change(main_weight):
    main, moved, other = (noise(2, 3, 4, seed=seed, dtype=torch.float64) for seed in range(3))
    torch.testing.assert_close(
        mixed(moved, main, main_weight, [(0.5, other)]),
        moved + (main_weight - 1) * main + 0.5 * other,
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_a_move_away_keeps_the_size_of_every_pixel(dtype):
    main, *others = (noise(2, 3, 64, seed=seed, dtype=dtype) for seed in range(3))
    places = noise(2, 3, 1, seed=9, dtype=dtype).abs()
    kept = main.clone()
    moved = moved_away(main, [(places, others[0]), (0.5, others[1])])
    free = main + places * (main - others[0]) + 0.5 * (main - others[1])
    exact = dtype == torch.float32
    torch.testing.assert_close(
        moved.float().norm(dim=-1), main.float().norm(dim=-1), rtol=1e-5 if exact else 2e-2, atol=0
    )
    alike = torch.cosine_similarity(moved.float(), free.float(), dim=-1)
    torch.testing.assert_close(alike, torch.ones(2, 3), atol=1e-5 if exact else 1e-2, rtol=0)
    assert torch.equal(main, kept)
    assert moved_away(main, []) is main
    nothing = torch.zeros_like(main)
    assert torch.equal(moved_away(nothing, [(0.5, nothing)]), nothing)


AVERAGE, SUM = Cacao(and_means="average"), Cacao()


@pytest.mark.parametrize("given", [[-1.0], [-0.91], [0.5, -1.5], [-0.5, -0.5]])
def test_weights_that_cancel_the_main_prompt_are_refused(given):
    with pytest.raises(SettingsError, match=r"weights after AND is .* at least -0\.9"):
        AVERAGE.check(Prompt("m", edits(given)))


@pytest.mark.parametrize("given", [[-0.9], [0.1, -1.0], [-0.3, -0.3, -0.3]])
def test_the_smallest_legal_denominator_is_legal(given):
    AVERAGE.check(Prompt("m", edits(given)))


def test_weights_only_cancel_while_they_act_together():
    first, second = Edit(prompt="a", alpha=-0.6, stop=0.5), Edit(prompt="b", alpha=-0.6, start=0.5)
    AVERAGE.check(Prompt("m", (first, second)))
    AVERAGE.check(Prompt("m", (Edit(prompt="  ", alpha=-3.0), Edit(prompt="a", alpha=-0.5))))
    overlapping = Edit(prompt="b", alpha=-0.6, start=0.4)
    ends_first = (Edit(prompt="a", alpha=1.0, stop=0.5), Edit(prompt="b", alpha=-1.5))
    for bad in ((first, overlapping), ends_first):
        with pytest.raises(SettingsError, match="weights after AND"):
            AVERAGE.check(Prompt("m", bad))


def test_a_sum_need_not_leave_anything_of_the_main_prompt_but_is_a_weight_itself():
    SUM.check(Prompt("m", edits([-40.0, -60.0])))
    with pytest.raises(SettingsError, match=r"weights after AND is 101\.0.*-100 to 100"):
        SUM.check(Prompt("m", edits([60.0, 41.0])))


def test_methods_say_what_they_do_in_a_sentence():
    prompt = Prompt("a cat and a dog", edits([0.5]), ("a cat", "a dog"))
    told = [method.tell(prompt) for method in Settings().methods]
    assert "Will try to show all of: “a cat”, “a dog”." in told
    assert "Adds after AND: “text 0” +0.5." in told
    assert Contrast(contrast=1.0).tell(Prompt("a cat")) == ""
    assert Contrast(contrast=0.0).tell(prompt) == ""
