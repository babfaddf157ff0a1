"""The engine on the WebUI's own UNets."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hosts import ADM_CHANNELS, CONTEXT_WIDTH, tiny_ldm, tiny_sgm
from models import PAPER, latent, noise
from torch import Tensor, nn

import ebca
from ebca.core.layers import find_layers

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*sdp_kernel:FutureWarning",  # of sgm
    "ignore::DeprecationWarning",
    "ignore:.*torch.jit.*:FutureWarning",
)

_STRONG = ebca.Settings(0.2, 0.2, scale_with_depth=False, **PAPER)


def text(rows: int, tokens: int = 7, seed: int = 2) -> Tensor:
    return noise(rows, tokens, CONTEXT_WIDTH, seed=seed)


def evaluate(unet: nn.Module, sample: Tensor, context: Tensor) -> Tensor:
    vector = {"y": noise(1, ADM_CHANNELS).expand(len(sample), -1)} if unet.num_classes else {}
    times = torch.full((len(sample),), 500.0)
    with torch.no_grad():
        output: Tensor = unet(sample, timesteps=times, context=context, **vector)
    return output


@pytest.fixture(scope="module", params=[tiny_ldm, tiny_sgm])
def unet(request: pytest.FixtureRequest) -> nn.Module:
    make: Callable[[], nn.Module] = request.param
    return make()


def reference(unet: nn.Module, sample: Tensor, context: Tensor, rows: list[int]) -> Tensor:
    """BCU written out with materialised attention, by replacing every layer's forward."""
    state = context.clone()

    def forward(layer: nn.Module, hidden: Tensor) -> Tensor:
        nonlocal state
        packed = (layer.to_q(hidden), layer.to_k(state), layer.to_v(state))
        heads = [each.unflatten(-1, (layer.heads, -1)).transpose(1, 2) for each in packed]
        query, key, value = heads
        score = query @ key.mT * layer.scale
        out = layer.to_out((score.softmax(-1) @ value).transpose(1, 2).flatten(2))
        pull = (score.mT.softmax(-1) @ query).transpose(1, 2).flatten(2)
        hold = packed[1].square().sum(-1).softmax(-1)[..., None] * packed[1]
        update = (0.2 * pull - 0.2 * hold) @ layer.to_k.weight
        state = state.clone()
        state[rows] += update[rows]
        return out

    layers = [layer.module for layer in find_layers(unet)]
    for layer in layers:
        layer.forward = lambda hidden, context=None, layer=layer, **_: forward(layer, hidden)
    try:
        return evaluate(unet, sample, context)
    finally:
        for layer in layers:
            del layer.forward


def test_layers_are_found_in_order(unet: nn.Module) -> None:
    places = [layer.place for layer in find_layers(unet)]
    assert places == sorted(places, key=["down", "mid", "up"].index)
    assert len(places) == (11 if unet.num_classes else 7)


def test_update_agrees_with_the_maths_written_out(unet: nn.Module) -> None:
    sample, context = latent(3), text(3)
    off = evaluate(unet, sample, context)
    with ebca.apply_patch(unet, _STRONG, conditional_rows=[0, 2]):
        on = evaluate(unet, sample, context)
    expected = reference(unet, sample, context, [0, 2])
    torch.testing.assert_close(on, expected, atol=2e-5, rtol=1e-5)
    assert (on - off).abs().max() > 1e-2
    assert torch.equal(evaluate(unet, sample, context), off)


def test_editing_with_the_main_context_changes_nothing(unet: nn.Module) -> None:
    sample, context = latent(2), text(2)
    edits = [ebca.Edit(context=context[1], alpha=0.7)]
    still = ebca.Settings(0.0, 0.0, **PAPER)
    with ebca.apply_patch(unet, still, edits=edits, conditional_rows=[1]):
        same = evaluate(unet, sample, context)
    torch.testing.assert_close(same, evaluate(unet, sample, context), atol=1e-5, rtol=1e-5)


def test_editorial_contexts_of_any_length_compose(unet: nn.Module) -> None:
    sample, context = latent(2), text(2)
    edits = [ebca.Edit(context=text(1, length, seed=length)[0], alpha=0.5) for length in (3, 20)]
    with ebca.apply_patch(unet, _STRONG, edits=edits, conditional_rows=[0]):
        on = evaluate(unet, sample, context)
    off = evaluate(unet, sample, context)
    assert (on[0] - off[0]).abs().max() > 1e-2
    torch.testing.assert_close(on[1], off[1], atol=1e-5, rtol=1e-5)
