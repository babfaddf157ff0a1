"""Hosts that put something between a context and its layers: what the WebUI's hypernetworks do."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from models import PAPER, context, distance, encoding, evaluate, latent
from torch import Tensor, nn

from ebca import Edit, Settings
from ebca.core.engine import Engine
from ebca.core.evaluation import Image
from ebca.core.layers import Projections, find_layers
from ebca.hosts.unet import BareUNet
from ebca.naive import Text, gradient_step
from ebca.prompts import Prompt

SETTINGS = Settings(0.03, 0.05, scale_with_depth=False, **PAPER)


def for_key(text: Tensor) -> Tensor:
    """A map that is neither linear nor the same for every token."""
    return text + 0.5 * torch.tanh(text).roll(1, -1) * text


def for_value(text: Tensor) -> Tensor:
    return text - 0.3 * text.square()


class Between(Projections):
    def inputs(self, context: Tensor) -> tuple[Tensor, Tensor]:
        return for_key(context), for_value(context)

    def pull_back(self, context: Tensor, gradient: Tensor) -> Tensor:
        return torch.autograd.functional.vjp(for_key, context, gradient)[1]


def attention(layer: nn.Module, pixels: Tensor, text: Tensor) -> Tensor:
    """Heads' output [b, n, h*d], written out."""
    packed = layer.to_q(pixels), layer.to_k(for_key(text)), layer.to_v(for_value(text))
    q, k, v = (each.unflatten(-1, (layer.heads, -1)).transpose(1, 2) for each in packed)
    return ((q @ k.mT * layer.scale).softmax(-1) @ v).transpose(1, 2).flatten(2)


@contextmanager
def hypernetwork(unet: nn.Module) -> Iterator[list[nn.Module]]:
    """`unet` as a host with a hypernetwork runs it."""
    layers = [layer.module for layer in find_layers(unet)]
    for layer in layers:
        layer.forward = lambda hidden, encoder_hidden_states=None, layer=layer, **_: layer.to_out[
            0
        ](attention(layer, hidden, encoder_hidden_states))
    try:
        yield layers
    finally:
        for layer in layers:
            del layer.forward


def written_out(unet: nn.Module, layers: list[nn.Module], edit: Edit) -> Tensor:
    """One row, its main and its editorial context updated by hand, layer by layer."""
    texts = [context(1), edit.context[None]]
    steps = [
        Text(texts[0][0], SETTINGS.gamma_attn, SETTINGS.gamma_norm),
        Text(edit.context, edit.gamma_attn or 0.0, edit.gamma_norm or 0.0),
    ]

    def forward(layer: nn.Module, hidden: Tensor) -> Tensor:
        main, other = (attention(layer, hidden, text) for text in texts)
        query, weight = layer.to_q(hidden)[0], layer.to_k.weight
        for index, step in enumerate(steps):
            key = layer.to_k(for_key(texts[index]))[0]
            by_key = gradient_step(query, key, weight, layer.heads, step, "reference", None)
            with torch.enable_grad():
                source = texts[index].clone().requires_grad_()
                (update,) = torch.autograd.grad(for_key(source), source, by_key[None])
            texts[index] = texts[index] + update
        return layer.to_out[0]((main + edit.alpha * other) / (1 + edit.alpha))

    for layer in layers:
        layer.forward = lambda hidden, layer=layer, **_: forward(layer, hidden)
    return evaluate(unet, latent(1), context(1))


@pytest.mark.parametrize("noted", [True, False])
def test_the_update_goes_through_what_lies_between(unet, noted):
    """`noted`: the engine sees the key as the host makes it, or has to make it itself."""
    edit = Edit(context=encoding(9), alpha=0.7, gamma_attn=0.06)
    with hypernetwork(unet) as layers:
        off = evaluate(unet, latent(1), context(1))
        methods = SETTINGS.methods
        host = BareUNet(unet, methods, [Image(Prompt(edits=(edit,)))], None)
        engine = Engine(unet, methods, host.describe, projections=Between())
        engine.install()
        theirs = [] if noted else [
            layer.to_k.register_forward_hook(lambda *_: None) for layer in layers
        ]  # fmt: skip
        try:
            on = evaluate(unet, latent(1), context(1))
        finally:
            engine.remove()
            for handle in theirs:
                handle.remove()
        expected = written_out(unet, layers, edit)
    assert distance(expected, off) > 1e-2
    assert distance(on, expected) < 1e-5


def test_a_host_that_begins_an_evaluation_again_starts_from_the_prompt(unet):
    """As the WebUI's ControlNet does for a reference picture: one UNet call, two walks."""
    with torch.no_grad():
        host = BareUNet(unet, SETTINGS.methods, [Image()], None)
        engine = Engine(unet, SETTINGS.methods, host.describe)
        engine.install()
        try:
            once = evaluate(unet, latent(1), context(1))
            forward, outputs = unet.forward, []
            unet.forward = lambda *args, **kwargs: (
                [outputs.append(forward(*args, **kwargs)) for _ in range(2)] and outputs[-1]
            )
            twice = evaluate(unet, latent(1), context(1))
        finally:
            del unet.forward
            engine.remove()
    assert len(outputs) == 2
    assert torch.equal(twice, once)
