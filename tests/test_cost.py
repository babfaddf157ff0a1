"""What an evaluation costs, counted rather than timed."""

from collections import Counter
from contextlib import nullcontext

import diffusers
import pytest
import torch
from models import LAYERS, PAPER, context, encoding, latent
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from ebca import Edit, Settings, apply_patch, compose
from ebca.core.layers import find_layers
from ebca.generate import load_pipeline

FREE = {  # views, and what is decided without a kernel
    "alias", "as_strided", "detach", "expand", "permute", "promote_types", "select", "slice",
    "split", "split_with_sizes", "squeeze", "t", "transpose", "unsqueeze", "view", "_unsafe_view",
}  # fmt: skip
SYNCHRONISING = {"_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal"}


def edits(count: int, gamma_attn: float = 0.001) -> list[Edit]:
    return [
        Edit(context=encoding(seed=seed), alpha=0.5, gamma_attn=gamma_attn) for seed in range(count)
    ]


class Operations(TorchDispatchMode):
    """Counts the operations that run."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.seen[function.__name__.split(".")[0]] += 1
        return function(*args, **(kwargs or {}))


def operations(unet: nn.Module, patch) -> Counter[str]:
    with patch, torch.no_grad(), Operations() as mode:
        unet(latent(2), 500, encoder_hidden_states=context(2))
    return mode.seen


def added(unet: nn.Module, settings: Settings, edits: list[Edit]) -> int:
    """Kernels that the patch adds to an evaluation."""
    stock = operations(unet, nullcontext())
    patched = operations(unet, apply_patch(unet, settings, edits=edits, conditional_rows=[1]))
    return sum(count for name, count in (patched - stock).items() if name not in FREE)


class Products(TorchDispatchMode):
    """Counts the matrix products with each linear's weight, summed over the layers."""

    def __init__(self, unet: nn.Module) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()
        self._names = {
            linear.weight.data_ptr(): name
            for layer in find_layers(unet)
            for name, linear in [
                *((name, layer.linear(name)) for name in ("to_q", "to_k", "to_v")),
                ("to_out", layer.output[0]),
            ]
        }

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function.__name__.split(".")[0] in {"mm", "addmm"}:
            tensors = {each.data_ptr() for each in args if isinstance(each, torch.Tensor)}
            self.seen.update(self._names[each] for each in tensors & set(self._names))
        return function(*args, **(kwargs or {}))


def products(unet: nn.Module, settings: Settings, edits: list[Edit]) -> dict[str, int]:
    with (
        apply_patch(unet, settings, edits=edits, conditional_rows=[1]),
        torch.no_grad(),
        Products(unet) as mode,
    ):
        unet(latent(2), 500, encoder_hidden_states=context(2))
    return dict(mode.seen)


OFF, ON = Settings(0.0, 0.0, **PAPER), Settings(0.01, 0.02, **PAPER)


def test_off_installs_nothing(unet):
    with apply_patch(unet, OFF):
        for module in unet.modules():
            assert not module._forward_hooks
            assert not module._forward_pre_hooks
    assert added(unet, OFF, []) == 0


def test_outside_its_window_an_evaluation_reads_the_time_and_nothing_else(unet):
    assert added(unet, Settings(start=0.9), []) <= 3


UPDATES = LAYERS - 1  # the last layer's update would be seen by none


def test_bcu_projects_nothing_again(unet):
    once = {"to_q": LAYERS, "to_v": LAYERS, "to_out": LAYERS}
    assert products(unet, OFF, []) == {**once, "to_k": LAYERS}
    assert products(unet, ON, []) == {**once, "to_k": LAYERS + UPDATES}


@pytest.mark.parametrize("count", [1, 2, 8])
def test_cacao_projects_all_its_prompts_and_steps_them_at_once(unet, count):
    assert products(unet, ON, edits(count)) == {
        "to_q": LAYERS,
        "to_k": 2 * LAYERS + 2 * UPDATES,
        "to_v": 2 * LAYERS,
        "to_out": LAYERS,
    }


def test_prompts_of_different_lengths_are_projected_at_once_too(unet):
    given = [Edit(context=encoding(length), alpha=0.5) for length in (3, 9, 20)]
    assert products(unet, OFF, given) == {
        "to_q": LAYERS,
        "to_k": 2 * LAYERS,
        "to_v": 2 * LAYERS,
        "to_out": LAYERS,
    }


def test_bcu_takes_a_dozen_small_operations_a_layer(unet):
    assert added(unet, ON, []) <= 11 * (LAYERS - 1) + 8


@pytest.mark.parametrize(
    ("more", "operations"),
    [
        ({"centered": True}, 2),
        ({"gamma_spread": 0.01}, 3),
        ({"centered": True, "gamma_spread": 0.01}, 3),
    ],
)
def test_what_is_not_in_the_paper_takes_two_or_three_operations_a_layer(unet, more, operations):
    plain, asked = (Settings(0.01, 0.02, **{**PAPER, **given}) for given in ({}, more))
    assert added(unet, asked, []) == added(unet, plain, []) + operations * UPDATES


def test_the_operations_of_cacao_grow_by_few_a_prompt(unet):
    """The average and the attention of each prompt; its step shares all other operations."""
    one, two, eight = (added(unet, ON, edits(count)) for count in (1, 2, 8))
    assert one <= 32 * LAYERS
    assert two - one <= 4 * LAYERS
    assert eight - two <= 6 * 2 * LAYERS


TEXTS = {name: encoding(seed=seed) for seed, name in enumerate(("a cat", "a dog", "a frog"))}
WHERE = {"cat": [1], "dog": [3], "frog": [5]}


def added_by_subjects(unet: nn.Module, prompt: str) -> int:
    """Kernels that known regions add to an evaluation."""
    stock = operations(unet, nullcontext())
    only = Settings(gamma_attn=0.0)
    given = {"contexts": TEXTS, "tokens": WHERE, "conditional_rows": [1]}
    with apply_patch(unet, only, prompt=compose(prompt), **given), torch.no_grad():
        for _ in range(2):  # to see, and to choose
            unet(latent(2), 900, encoder_hidden_states=context(2))
        with Operations() as mode:
            unet(latent(2), 900, encoder_hidden_states=context(2))
    assert not {"argmax", *SYNCHRONISING - {"_local_scalar_dense"}} & set(mode.seen)
    return sum(count for name, count in (mode.seen - stock).items() if name not in FREE)


def test_a_subject_more_takes_a_few_operations_more_a_layer(unet):
    two, three = (
        added_by_subjects(unet, prompt) for prompt in ("a cat and a dog", "a cat, a dog and a frog")
    )
    assert two <= 29 * LAYERS
    assert three - two <= 7 * LAYERS


def test_the_operations_do_not_depend_on_the_latent_or_the_rows(unet):
    def count(rows: int, size: int) -> int:
        patch = apply_patch(unet, ON, edits=edits(2), conditional_rows=range(rows))
        with torch.no_grad(), Operations() as stock:
            unet(latent(2 * rows, size, size), 500, encoder_hidden_states=context(2 * rows))
        with patch, torch.no_grad(), Operations() as mode:
            unet(latent(2 * rows, size, size), 500, encoder_hidden_states=context(2 * rows))
        return sum((mode.seen - stock.seen).values())

    assert count(1, 8) == count(4, 8) == count(1, 32)


@pytest.mark.parametrize("given", [[], edits(2)])
def test_the_host_never_waits_for_the_device(unet, given):
    patch = apply_patch(unet, ON, edits=given, conditional_rows=[1])
    assert not SYNCHRONISING & set(operations(unet, patch))


@pytest.mark.diffusers
@pytest.mark.filterwarnings("ignore::FutureWarning")  # of diffusers, about its own names
@pytest.mark.filterwarnings("ignore:__array__ implementation")  # of its schedulers
@pytest.mark.parametrize(
    "scheduler", ["DDIMScheduler", "EulerAncestralDiscreteScheduler", "HeunDiscreteScheduler"]
)
def test_a_pipeline_knows_its_progress_without_reading_the_device(scheduler):
    pipe = load_pipeline(None, None, "cpu", torch.float32)
    pipe.set_progress_bar_config(disable=True)
    pipe.scheduler = getattr(diffusers, scheduler).from_config(pipe.scheduler.config)
    stock = run(pipe)
    with apply_patch(pipe, Settings(gamma_attn=0.01, start=0.25, stop=0.75)):
        patched = run(pipe)
    assert patched.total() > stock.total()
    assert {name: patched[name] for name in SYNCHRONISING} == {
        name: stock[name] for name in SYNCHRONISING
    }


@pytest.mark.diffusers
@pytest.mark.filterwarnings("ignore::FutureWarning")  # of diffusers, about its own names
@pytest.mark.filterwarnings("ignore:__array__ implementation")  # of its schedulers
def test_regions_are_chosen_without_reading_the_device():
    pipe = load_pipeline(None, None, "cpu", torch.float32)
    pipe.set_progress_bar_config(disable=True)
    stock = run(pipe)
    with apply_patch(pipe, prompt=compose("a cat and a dog")):
        patched = run(pipe)
    assert patched["argmax"] > stock["argmax"]  # they were chosen
    assert {name: patched[name] for name in SYNCHRONISING} == {
        name: stock[name] for name in SYNCHRONISING
    }


def run(pipe) -> Counter[str]:
    """The operations of a run of a pipeline."""
    generator = torch.Generator().manual_seed(0)
    more = {"num_inference_steps": 4, "height": 64, "width": 64, "output_type": "latent"}
    with Operations() as mode:
        pipe("a cat and a dog", generator=generator, **more)
    return mode.seen
