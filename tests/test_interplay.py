"""Other people's code on the same layers: hooks, LoRA, attention processors."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from diffusers.models.attention_processor import AttnProcessor, AttnProcessor2_0
from models import context, distance, encoding, evaluate, latent
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from ebca import Edit, Settings, apply_patch, compose

EDITS = [Edit(context=encoding(9), alpha=0.7, gamma_attn=0.05)]
GAMMAS = (0.03, 0.05)


@contextmanager
def patched(unet: nn.Module) -> Iterator[None]:
    with apply_patch(
        unet, Settings(*GAMMAS, composition="average"), edits=EDITS, conditional_rows=[1]
    ):
        yield


def output_of(unet: nn.Module) -> Tensor:
    return evaluate(unet, latent(2), context(2))


def patched_output(unet: nn.Module) -> Tensor:
    with patched(unet):
        return output_of(unet)


def cross_attention(unet: nn.Module) -> list[nn.Module]:
    return [module for name, module in unet.named_modules() if name.endswith("attn2")]


def output_beside(unet: nn.Module, first: str, register: Callable[[nn.Module], Any]) -> Tensor:
    """The patched output with someone's hook on every layer, from before or after the patch."""

    def install() -> list[Any]:
        return [register(module) for module in cross_attention(unet)]

    handles = install() if first == "theirs" else []
    with patched(unet):
        handles = handles or install()
        actual = output_of(unet)
    for handle in handles:
        handle.remove()
    return actual


@pytest.mark.parametrize("first", ["theirs", "ours"])
@pytest.mark.parametrize(("linear", "factor"), [("to_k", 1.5), ("to_q", 0.7), ("to_v", 1.4)])
def test_a_hook_that_changes_a_projection_acts_as_changed_weights(unet, first, linear, factor):
    changed = copy.deepcopy(unet)
    for module in cross_attention(changed):
        getattr(module, linear).weight.mul_(factor)
    expected = patched_output(changed)
    assert distance(expected, patched_output(unet)) > 1e-2

    actual = output_beside(
        unet,
        first,
        lambda module: getattr(module, linear).register_forward_hook(lambda *c: c[-1] * factor),
    )
    assert distance(actual, expected) < 1e-5


@pytest.mark.parametrize("linear", ["to_k", "to_q", "to_v"])
def test_a_hook_that_changes_a_projection_in_place_acts_as_changed_weights(unet, linear):
    changed = copy.deepcopy(unet)
    for module in cross_attention(changed):
        getattr(module, linear).weight.mul_(1.5)

    def change(*call: Any) -> None:
        call[-1].mul_(1.5)

    actual = output_beside(
        unet, "theirs", lambda module: getattr(module, linear).register_forward_hook(change)
    )
    assert distance(actual, patched_output(changed)) < 1e-5


@pytest.mark.parametrize("linear", ["to_k", "to_q", "to_v"])
def test_a_hook_that_records_sees_what_the_host_computes_and_nothing_else(unet, linear):
    """As S-CFG of sd-webui-incantations does."""
    recorded: list[torch.Size] = []

    def record(*call: Any) -> None:
        recorded.append(call[-1].shape)

    def install(module: nn.Module) -> Any:
        return getattr(module, linear).register_forward_hook(record)

    handles = [install(module) for module in cross_attention(unet)]
    output_of(unet)
    stock, recorded[:] = list(recorded), []
    for handle in handles:
        handle.remove()
    actual = output_beside(unet, "theirs", install)
    assert recorded == stock
    assert torch.equal(actual, patched_output(unet))


def test_a_layer_whose_own_forward_has_been_replaced_is_composed_as_a_whole(unet):
    """Regional Prompter's puts out one region after the other."""

    def in_regions(module: nn.Module) -> Callable[..., Tensor]:
        def forward(hidden_states: Tensor, encoder_hidden_states: Tensor, **_: Any) -> Tensor:
            own = type(module).forward
            left, right = (own(module, hidden_states, encoder_hidden_states) for _ in range(2))
            pixels = left.shape[1] // 2
            return torch.cat([left[:, :pixels], right[:, pixels:]], dim=1)

        return forward

    expected = patched_output(unet)
    for module in cross_attention(unet):
        module.forward = in_regions(module)
    try:
        assert distance(patched_output(unet), expected) < 1e-5
    finally:
        for module in cross_attention(unet):
            del module.forward


@pytest.mark.parametrize("kind", ["edit", "contrast"])
def test_what_a_replaced_forward_adds_is_not_weighed(unet, kind):
    """ControlNet's IP-Adapters and NegPiP add to what comes from the text."""

    def adding(module: nn.Module) -> Callable[..., Tensor]:
        def forward(hidden_states: Tensor, encoder_hidden_states: Tensor, **_: Any) -> Tensor:
            text = type(module).forward(module, hidden_states, encoder_hidden_states)
            return text + 0.5 * hidden_states.flip(1)

        return forward

    for module in cross_attention(unet):
        module.forward = adding(module)
    same = context(2)[1]
    settings = Settings(gamma_attn=0, and_means="average", contrast=1.3, contrast_stop=1)
    given = (
        {"edits": [Edit(context=same, alpha=0.5)]}
        if kind == "edit"
        else {"prompt": compose("a cat and a dog"), "contexts": {"a cat": same, "a dog": same}}
    )
    try:
        expected = output_of(unet)
        with apply_patch(unet, settings, conditional_rows=[1], **given):
            assert distance(output_of(unet), expected) < 1e-5
    finally:
        for module in cross_attention(unet):
            del module.forward


def test_a_forward_that_was_put_back_is_none(unet):
    """ControlNet's IP-Adapters leave the class's own on every layer."""
    expected = patched_output(unet)
    for module in cross_attention(unet):
        module.forward = module.forward
    try:
        assert torch.equal(patched_output(unet), expected)
    finally:
        for module in cross_attention(unet):
            del module.forward


@pytest.mark.parametrize("first", ["theirs", "ours"])
def test_a_pre_hook_that_changes_the_input_of_to_k_counts_in_the_gradient(unet, first):
    changed = copy.deepcopy(unet)
    for module in cross_attention(changed):
        module.to_k.weight.mul_(1.5)

    actual = output_beside(
        unet,
        first,
        lambda module: module.to_k.register_forward_pre_hook(lambda _, args: (args[0] * 1.5,)),
    )
    assert distance(actual, patched_output(changed)) < 1e-5


def add_lora(unet: nn.Module, targets: list[str]) -> None:
    torch.manual_seed(1)
    where = rf".*attn2\.({'|'.join(targets)})"
    config = LoraConfig(r=2, lora_alpha=2, target_modules=where, init_lora_weights=False)
    inject_adapter_in_model(config, unet)
    for module in unet.modules():
        if isinstance(module, LoraLayer):
            module.requires_grad_(False)


def merged(unet: nn.Module) -> nn.Module:
    """A copy without adapters, their weights added to the linears."""
    copied = copy.deepcopy(unet)
    for name, module in list(copied.named_modules()):
        if isinstance(module, LoraLayer):
            linear = module.get_base_layer()
            linear.weight.add_(module.get_delta_weight("default"))
            parent, _, child = name.rpartition(".")
            setattr(copied.get_submodule(parent), child, linear)
    assert not any(isinstance(module, LoraLayer) for module in copied.modules())
    return copied


@pytest.mark.parametrize("first", ["lora", "ours"])
@pytest.mark.parametrize("targets", [["to_q", "to_k", "to_v", "to_out.0"], ["to_k"], ["to_out.0"]])
def test_lora_acts_as_its_merged_weights(shared_unet, first, targets):
    unet = copy.deepcopy(shared_unet)
    if first == "lora":
        add_lora(unet, targets)
    with patched(unet):
        if first == "ours":
            add_lora(unet, targets)
        actual = output_of(unet)
    plain = merged(unet)
    assert distance(output_of(unet), output_of(plain)) < 1e-5
    assert distance(actual, patched_output(plain)) < 1e-5
    assert distance(actual, patched_output(shared_unet)) > 1e-2
    hooks = [m for m in unet.modules() if m._forward_hooks or m._forward_pre_hooks]
    assert not hooks


class StubbornProcessor:
    """Attention that computes its projections in an unexpected way, but the right values."""

    def __init__(self, project: Callable[..., Tensor], finish: Callable[..., Tensor]) -> None:
        self.project, self.finish = project, finish

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, **_):
        text = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query = self.project(attn.to_q, hidden_states)
        key, value = self.project(attn.to_k, text), self.project(attn.to_v, text)
        query, key, value = map(attn.head_to_batch_dim, (query, key, value))
        heads = (query @ key.mT * attn.scale).softmax(-1) @ value
        return self.finish(attn, attn.batch_to_head_dim(heads))


def call(linear: nn.Module, tensor: Tensor) -> Tensor:
    return linear(tensor)


def call_twice(linear: nn.Module, tensor: Tensor) -> Tensor:
    linear(torch.zeros_like(tensor))
    return linear(tensor)


def call_row_by_row(linear: nn.Module, tensor: Tensor) -> Tensor:
    return torch.cat([linear(row[None]) for row in tensor])


def call_flattened(linear: nn.Module, tensor: Tensor) -> Tensor:
    return linear(tensor.flatten(0, 1)).unflatten(0, tensor.shape[:2])


def bypass(linear: nn.Module, tensor: Tensor) -> Tensor:
    return F.linear(tensor, linear.weight, linear.bias)


def finish(attn: nn.Module, heads: Tensor) -> Tensor:
    return attn.to_out[1](attn.to_out[0](heads))


def finish_as_one(attn: nn.Module, heads: Tensor) -> Tensor:
    for part in attn.to_out:
        heads = part(heads)
    return heads


def finish_bypassing(attn: nn.Module, heads: Tensor) -> Tensor:
    return bypass(attn.to_out[0], heads)


def finish_flattened(attn: nn.Module, heads: Tensor) -> Tensor:
    return call_flattened(attn.to_out[0], heads)


def finish_row_by_row(attn: nn.Module, heads: Tensor) -> Tensor:
    return call_row_by_row(attn.to_out[0], heads)


PROJECTIONS = [call, call_twice, call_row_by_row, call_flattened, bypass]
FINISHES = [finish, finish_as_one, finish_bypassing, finish_flattened, finish_row_by_row]


@pytest.mark.parametrize(
    "processor",
    [
        AttnProcessor(),
        AttnProcessor2_0(),
        *(StubbornProcessor(project, finish) for project in PROJECTIONS),
        *(StubbornProcessor(call, end) for end in FINISHES),
        StubbornProcessor(bypass, finish_bypassing),
    ],
    ids=lambda p: "-".join(f.__name__ for f in vars(p).values()) or type(p).__name__,
)
def test_every_attention_processor_gives_the_same_image(shared_unet, processor):
    unet = copy.deepcopy(shared_unet)
    unet.set_attn_processor(processor)
    assert distance(output_of(unet), output_of(shared_unet)) < 1e-5
    assert distance(patched_output(unet), patched_output(shared_unet)) < 1e-5


@pytest.mark.parametrize("size", ["auto", "max", 1])
def test_attention_slicing_gives_the_same_image(shared_unet, size):
    unet = copy.deepcopy(shared_unet)
    unet.set_attention_slice(size)
    assert distance(patched_output(unet), patched_output(shared_unet)) < 1e-5


def test_fused_projections_give_the_same_image(shared_unet):
    unet = copy.deepcopy(shared_unet)
    unet.fuse_qkv_projections()
    assert distance(patched_output(unet), patched_output(shared_unet)) < 1e-5


def test_a_processor_set_while_the_patch_is_on_is_followed(shared_unet):
    unet = copy.deepcopy(shared_unet)
    expected = patched_output(unet)
    with patched(unet):
        unet.set_attn_processor(AttnProcessor())
        assert distance(output_of(unet), expected) < 1e-5
