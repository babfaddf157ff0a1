"""IP-Adapters add an image's attention to the text's; compiled UNets may ignore hooks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor2_0, IPAdapterAttnProcessor2_0
from models import (
    CONTEXT_WIDTH,
    PAPER,
    context,
    distance,
    encoding,
    evaluate,
    latent,
    noise,
    tiny_unet,
)
from torch import Tensor

import ebca

_STILL = ebca.Settings(gamma_attn=0.0, gamma_norm=0.0, **PAPER)


@pytest.fixture
def adapted(monkeypatch: pytest.MonkeyPatch) -> Iterator[UNet2DConditionModel]:
    """A UNet with an IP-Adapter of random weights and a random picture's encoding."""
    unet = tiny_unet()
    torch.manual_seed(3)
    processors: dict[str, torch.nn.Module | AttnProcessor2_0] = {}
    for name in unet.attn_processors:
        width = unet.get_submodule(name.rpartition(".")[0]).to_q.out_features
        processors[name] = (
            IPAdapterAttnProcessor2_0(width, CONTEXT_WIDTH, num_tokens=(4,), scale=[0.7])
            if "attn2" in name
            else AttnProcessor2_0()
        )
    unet.set_attn_processor(processors)
    picture = noise(2, 1, 4, CONTEXT_WIDTH, seed=9)

    def both(
        encoder_hidden_states: Tensor, added_cond_kwargs: object
    ) -> tuple[Tensor, list[Tensor]]:
        return encoder_hidden_states, [picture[:, 0]]

    monkeypatch.setattr(unet, "process_encoder_hidden_states", both)
    return unet.eval().requires_grad_(False)


def test_the_picture_of_an_ip_adapter_is_not_averaged_away(adapted: UNet2DConditionModel) -> None:
    sample, text = latent(2), context(2)
    off = evaluate(adapted, sample, text)
    copies = [[ebca.Edit(context=text[row], alpha=0.8)] for row in range(2)]
    with ebca.apply_patch(adapted, _STILL, edits=copies):
        assert distance(evaluate(adapted, sample, text), off) < 1e-5
    with ebca.apply_patch(adapted, _STILL, edits=[ebca.Edit(context=encoding(), alpha=0.8)]):
        assert distance(evaluate(adapted, sample, text), off) > 1e-3


def test_contexts_are_updated_beside_an_ip_adapter(adapted: UNet2DConditionModel) -> None:
    sample, text = latent(2), context(2)
    off = evaluate(adapted, sample, text)
    with ebca.apply_patch(adapted, ebca.Settings(gamma_attn=0.2)):
        assert distance(evaluate(adapted, sample, text), off) > 1e-3
    assert torch.equal(evaluate(adapted, sample, text), off)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_unet_compiled_before_patching_is_said_to_ignore_the_patch() -> None:
    unet, sample, text = tiny_unet(), latent(1), context(1)
    compiled = torch.compile(unet, backend="eager")
    evaluate(compiled, sample, text)
    told = pytest.warns(UserWarning, match="EBCA: no effect")
    with ebca.apply_patch(compiled, ebca.Settings(gamma_attn=0.2)), told:
        evaluate(compiled, sample, text)
    torch._dynamo.reset()
