"""Rows of Forge's evaluations, with a denoiser that batches as Forge's does: last condition first,
a shorter context repeated, in as many calls as there is room for. That the real one does so is
held by `tests/webui/test_forge.py`."""

from __future__ import annotations

import functools
import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hosts import tiny_ldm
from models import PAPER, latent, noise
from torch import Tensor, nn

import ebca
from ebca.core.evaluation import Image, Row
from ebca.hosts.forge import MARK, REPLACED, ForgeProjections, ForgeSampling, MarkedRows
from ebca.prompts import Prompt

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

STRONG = ebca.Settings(0.2, 0.2, scale_with_depth=False, **PAPER)
WIDTH = 24


class Context:
    """A condition's context, as the host has it."""

    def __init__(self, cond: Tensor) -> None:
        self.cond = cond

    def can_concat(self, other: Context) -> bool:
        return max(self.tokens, other.tokens) % min(self.tokens, other.tokens) == 0

    def concat(self, others: list[Context]) -> Tensor:
        every = [self, *others]
        length = math.lcm(*(each.tokens for each in every))
        return torch.cat([each.cond.repeat(1, length // each.tokens, 1) for each in every])

    def process_cond(self, **_: Any) -> Context:
        return self

    @property
    def tokens(self) -> int:
        return self.cond.shape[1]


class Denoiser(nn.Module):
    """`model` is a UNet; `room` how many conditions fit into one call of it."""

    def __init__(self, unet: nn.Module, contexts: list[list[Tensor]], negative: Tensor) -> None:
        super().__init__()
        self.unet, self.contexts, self.negative = unet, contexts, negative
        self.room, self.step, self.total_steps = 99, 0, 1
        self.options: dict[str, Any] = {}
        patcher = SimpleNamespace(model_options=self.options)
        model = SimpleNamespace(forge_objects=SimpleNamespace(unet=patcher))
        self.inner_model = SimpleNamespace(inner_model=model)
        self.listeners: list[Any] = []

    def forward(
        self, x: Tensor, sigma: Tensor, cond: Any = None, cond_scale: float = 5.0
    ) -> Tensor:
        for listener in self.listeners:
            listener(SimpleNamespace(x=x, text_cond=None, text_uncond=None))
        ands = zip(*self.contexts, strict=False)  # as many as the image with the fewest has
        conds = [self.condition(torch.stack(each)) for each in ands]
        uncond = [self.condition(self.negative)] if cond_scale != 1.0 else None
        for modify in self.options.get("conditioning_modifiers", ()):
            _, x, sigma, uncond, conds, cond_scale, *_ = modify(
                None, x, sigma, uncond, conds, cond_scale, self.options, 0
            )
        waiting = [*conds, *(uncond or ())]
        outputs: dict[int, Tensor] = {}
        while waiting:
            fitting = [each for each in waiting if self.concatenable(each, waiting[0])][::-1]
            together = fitting[: self.room]
            waiting = [each for each in waiting if not any(each is one for one in together)]
            given = [each["model_conds"] for each in together]
            merged = {
                name: given[0][name].concat([e[name] for e in given[1:]]) for name in given[0]
            }
            times = torch.full((len(x) * len(together),), 500.0)
            context = merged.pop("c_crossattn")
            made = self.unet(
                x.repeat(len(together), 1, 1, 1),
                times,
                context=context,
                transformer_options=self.options.get("transformer_options", {}),
                **merged,
            )
            outputs.update(zip(map(id, together), made.chunk(len(together)), strict=True))
        positive = sum(outputs[id(each)] for each in conds) / len(conds)
        if uncond is None:
            return positive
        return outputs[id(uncond[0])] + cond_scale * (positive - outputs[id(uncond[0])])

    @staticmethod
    def condition(context: Tensor) -> dict[str, Any]:
        return {"cross_attn": context, "model_conds": {"c_crossattn": Context(context)}}

    @staticmethod
    def concatenable(one: dict[str, Any], other: dict[str, Any]) -> bool:
        first, second = one["model_conds"], other["model_conds"]
        same_kinds = first.keys() == second.keys()
        return same_kinds and all(first[name].can_concat(second[name]) for name in first)


class Job:
    """One denoising of two pictures, with EBCA or without."""

    def __init__(self, prompts: tuple[int, ...] = (1, 1), tokens: int = 7, longer: int = 1) -> None:
        encoded = iter(noise(sum(prompts), tokens, WIDTH, seed=4))
        self.contexts = [[next(encoded) for _ in range(count)] for count in prompts]
        negative = noise(len(prompts), tokens * longer, WIDTH, seed=5)
        self.unet = tiny_ldm().eval().requires_grad_(False)
        self.denoiser = Denoiser(self.unet, self.contexts, negative)
        self.cond = SimpleNamespace(batch=self.contexts)
        self.seen: list[tuple[Row, ...]] = []
        self.calls: list[tuple[int, int]] = []  # rows and tokens of each call of the UNet

    def run(self, settings: ebca.Settings | None = STRONG, scale: float = 5.0) -> Tensor:
        x, sigma = latent(len(self.contexts)), torch.full((len(self.contexts),), 3.0)
        count = self.unet.register_forward_pre_hook(self._count, with_kwargs=True)
        sampling = self._sampling(settings) if settings else None
        try:
            if sampling:
                sampling.open()
                self.denoiser.listeners = [sampling.announce]
            with torch.inference_mode():
                made: Tensor = self.denoiser(x, sigma, cond=self.cond, cond_scale=scale)
                return made
        finally:
            if sampling:
                sampling.close()
            self.denoiser.listeners = []
            count.remove()

    def _count(self, _unet: nn.Module, args: Any, kwargs: Any) -> None:
        self.calls.append(tuple(kwargs["context"].shape[:2]))

    def _sampling(self, settings: ebca.Settings) -> ForgeSampling:
        job = self

        class Prompts:
            def images(self, cond: Any, step: int) -> list[Image]:
                count = sum(map(len, cond.batch))
                return [Image(Prompt(f"{number}"), number=number) for number in range(count)]

            def whole(self, cond: Any) -> None:
                return None

        class Noted(ForgeSampling):
            def _describe(self, call: Any) -> Any:
                evaluation = super()._describe(call)
                assert evaluation is not None
                for row, context in zip(evaluation.rows, call.context, strict=True):
                    assert torch.equal(context, job.context_of(row))
                job.seen.append(tuple(evaluation.rows))
                return evaluation

        given = {"cond": self.cond, "cond_scale": 5.0}
        sampler = SimpleNamespace(func=None, model_wrap_cfg=self.denoiser, sampler_extra_args=given)
        return Noted(
            sampler,
            [each for each in settings.methods if each.acts_on(Prompt("a cat"))],
            Prompts(),
            lambda: self.unet,
            from_noise=True,
            projections=ForgeProjections(),
            give_back=lambda: None,
        )

    def context_of(self, row: Row) -> Tensor:
        every = [each for image in self.contexts for each in image]
        if row.conditional:
            return every[row.image]
        firsts = [sum(map(len, self.contexts[:image])) for image in range(len(self.contexts))]
        return self.denoiser.negative[firsts.index(row.image)]


@pytest.mark.parametrize("prompts", [(1, 1), (2, 2), (3, 3), (2, 1), (1, 3)])
@pytest.mark.parametrize("room", [1, 2, 99])
def test_rows_are_those_whose_contexts_the_unet_is_given(
    prompts: tuple[int, ...], room: int
) -> None:
    job = Job(prompts)
    job.denoiser.room = room
    job.run()
    conditions = min(prompts) + 1
    assert len(job.seen) == -(-conditions // room)
    assert sum(map(len, job.seen)) == 2 * conditions


def test_how_the_host_cuts_the_batch_does_not_matter() -> None:
    whole, pieces = Job((2, 2)), Job((2, 2))
    pieces.denoiser.room = 1
    made = whole.run()
    assert torch.allclose(made, pieces.run(), atol=1e-4)
    assert not torch.allclose(made, Job((2, 2)).run(None), atol=1e-2)


def test_contexts_of_different_lengths_are_not_repeated() -> None:
    off, on = Job(longer=2), Job(longer=2)
    off.run(None)
    assert off.calls == [(4, 14)]  # what the host does by itself
    on.run()
    assert sorted(on.calls) == [(2, 7), (2, 14)]


def test_without_a_negative_prompt_there_are_conditional_rows_alone() -> None:
    job = Job()
    job.run(scale=1.0)
    assert job.seen == [(Row(0, True), Row(1, True))]


def test_the_guidance_is_that_of_the_pass_under_way() -> None:
    job, told = Job(), []
    sampling = job._sampling(STRONG)
    sampling.open()
    describe = sampling._describe_batch
    sampling._describe_batch = lambda *args: told.append(args[2]) or describe(*args)  # type: ignore
    job.denoiser.listeners = [sampling.announce]
    job.denoiser(latent(2), torch.full((2,), 3.0), cond=job.cond, cond_scale=2.5)
    sampling.close()
    assert told == [2.5]


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_is_left(fails: bool) -> None:
    job = Job()
    others = [lambda *args: args]
    job.denoiser.options["conditioning_modifiers"] = others
    before = job.run(None)

    def fail(*_: Any) -> None:
        raise ValueError("a test's")

    if fails:
        handle = job.unet.register_forward_hook(fail)
        with pytest.raises(ValueError, match="a test's"):
            job.run()
        handle.remove()
    else:
        job.run()
    assert job.denoiser.options == {"conditioning_modifiers": others}
    assert "forward" not in vars(job.denoiser)
    hooks = [(m._forward_hooks, m._forward_pre_hooks) for m in job.unet.modules()]
    assert not any(each for pair in hooks for each in pair)
    assert torch.equal(before, job.run(None))


def test_who_runs_the_model_before_rows_are_told_is_left_alone() -> None:
    """And the prompts after AND stay EBCA's."""
    job = Job((2, 2))

    def run(model: Any, x: Tensor, *rest: Any) -> tuple[Any, ...]:
        job.unet(x, torch.full((2,), 500.0), context=job.denoiser.negative)
        return (model, x, *rest)

    alone = job.run()
    job.denoiser.options["conditioning_modifiers"] = [run]
    sampling = job._sampling(STRONG)
    sampling._prompts.whole = lambda cond: cond  # type: ignore[method-assign]
    sampling._describe = functools.partial(ForgeSampling._describe, sampling)  # type: ignore[method-assign]
    sampling.open()
    job.denoiser.listeners = [sampling.announce]
    with torch.inference_mode():
        made = job.denoiser(latent(2), torch.full((2,), 3.0), cond=job.cond)
    sampling.close()
    assert torch.equal(made, alone)
    assert (sampling.strange_evaluations, sampling.gave_back) == (1, False)


@pytest.mark.parametrize("longer", [1, 2])
def test_without_step_sizes_every_picture_is_the_host_s(longer: int) -> None:
    """Bit by bit: a context that the host repeats is repeated, too."""
    nothing = ebca.Settings(0.0, 0.0, **PAPER)
    off, zero = Job((2, 2), longer=longer), Job((2, 2), longer=longer)
    assert torch.equal(zero.run(nothing), off.run(None))
    assert zero.calls == off.calls


def test_a_replaced_attention_is_told() -> None:
    job = Job()
    job.denoiser.options["transformer_options"] = {"patches_replace": {"attn2": {("input", 1): 1}}}
    sampling = job._sampling(STRONG)
    sampling.open()
    job.denoiser.listeners = [sampling.announce]
    job.denoiser(latent(2), torch.full((2,), 3.0), cond=job.cond)
    sampling.close()
    assert sampling.said == {REPLACED}


@pytest.mark.parametrize("installed", [False, True])
def test_an_error_while_rows_are_announced_is_raised(installed: bool) -> None:
    """Though the host logs it and goes on: by a layer, or else when the model has been called."""
    job = Job()
    sampling = job._sampling(STRONG)
    sampling.open()

    def fail() -> None:
        if not installed:
            sampling._engine.remove()  # type: ignore[union-attr]
        raise ValueError("a test's")

    sampling._follow_unet = fail  # type: ignore[method-assign]
    job.denoiser.listeners = [sampling.announce]
    with pytest.raises(ValueError, match="a test's"):
        job.denoiser(latent(2), torch.full((2,), 3.0), cond=job.cond)
    sampling.close()


def test_marks_are_no_arguments_of_the_unet() -> None:
    job = Job()
    names: list[set[str]] = []
    sampling = job._sampling(STRONG)
    sampling.open()
    job.denoiser.listeners = [sampling.announce]
    forward = job.unet.forward
    job.unet.forward = lambda *args, **kwargs: names.append({*kwargs}) or forward(*args, **kwargs)  # type: ignore
    job.denoiser(latent(2), torch.full((2,), 3.0), cond=job.cond)
    sampling.close()
    assert names
    assert all(MARK not in each for each in names)


def test_marks_batch_as_conditions_do() -> None:
    one, two = MarkedRows([Row(0, True)], 7), MarkedRows([Row(0, False)], 7)
    assert one.process_cond(batch_size=1, device="cpu", area=None) is one
    assert one.can_concat(two)
    assert not one.can_concat(MarkedRows([Row(0, False)], 14))
    assert one.concat([two]) == (Row(0, True), Row(0, False))
    assert one.concat([]) == one.rows


# Weights of linears that cast, patch or quantise


class CastingLinear(nn.Linear):
    """As the family's: `parameters_manual_cast`, and what it does to its weight in every call."""

    parameters_manual_cast = True
    scale_weight: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight.to(x)
        return x @ (weight if self.scale_weight is None else weight * self.scale_weight).mT


def key_weight(linear: nn.Linear, calls: list[Tensor]) -> Tensor:
    def project(units: Tensor) -> Tensor:
        calls.append(units)
        return linear(units)

    return ForgeProjections().key_weight(linear, noise(1, 3, 6), project)


def test_a_weight_that_acts_as_it_stands_is_taken_as_it_stands() -> None:
    linear, calls = CastingLinear(6, 4, bias=False), []
    assert key_weight(linear, calls) is linear.weight
    assert not calls


@pytest.mark.parametrize("change", ["half precision", "scale", "hook"])
def test_else_it_is_found_out_by_calling(change: str) -> None:
    linear, calls = CastingLinear(6, 4, bias=False), []
    true = linear.weight.detach().clone()
    if change == "half precision":
        linear.half()
        true = linear.weight.detach().float()
    if change == "scale":
        linear.scale_weight = torch.tensor(2.0)
        true = 2 * true
    if change == "hook":
        linear.register_forward_hook(lambda _linear, _args, output: 3 * output)
        true = 3 * true
    assert torch.allclose(key_weight(linear, calls), true, atol=1e-5)
    assert calls
