"""The trace: the energies and updates that it records are those of the layers."""

from __future__ import annotations

import pytest
import torch
from diffusers import UNet2DConditionModel
from models import LAYERS, PAPER, context, encoding, evaluate, latent

import ebca
from ebca.layers import find_layers


def traced(unet: UNet2DConditionModel, settings: ebca.Settings, **patch: object) -> ebca.Trace:
    trace = ebca.Trace()
    with ebca.apply_patch(unet, settings, trace=trace, conditional_rows=[1], **patch):
        evaluate(unet, latent(2), context(2))
    return trace


def test_first_layers_energies_are_those_written_out(unet: UNet2DConditionModel) -> None:
    layer = find_layers(unet)[0].module
    seen: dict[str, torch.Tensor] = {}
    handle = layer.to_q.register_forward_hook(lambda _, __, out: seen.update(query=out[1]))
    record = traced(unet, ebca.Settings()).records[0]
    handle.remove()
    key = layer.to_k(context(2))[1]
    query, split = (each.unflatten(-1, (layer.heads, -1)) for each in (seen["query"], key))
    score = torch.einsum("nhd,thd->htn", query, split) * layer.scale
    conditional = -(score.logsumexp(-1) / layer.scale).sum()
    prior = key.square().sum(-1).logsumexp(-1) / 2
    torch.testing.assert_close(record.conditional[0], conditional, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(record.prior[0], prior)


@pytest.mark.parametrize("formulation", ["reference", "paper"])
def test_small_steps_lower_the_sum_of_the_energies_they_step_on(
    unet: UNet2DConditionModel, formulation: str
) -> None:
    gammas = {"gamma_attn": 0.001, "gamma_norm": 0.001}
    records = traced(unet, ebca.Settings(formulation=formulation, **gammas, **PAPER)).table()
    assert len(records) == LAYERS
    assert records[-1]["conditional_after"] is None  # no layer would see its update
    for row in records[:-1]:
        after = row["conditional_after"] + row["prior_after"]
        assert after < row["conditional"] + row["prior"]


def test_recorded_update_is_the_one_taken(unet: UNet2DConditionModel) -> None:
    free = traced(unet, ebca.Settings(gamma_attn=0.2))
    capped = traced(unet, ebca.Settings(gamma_attn=0.2, max_relative_update=0.01))
    sizes = [float(record.relative_update) for record in free.records[:-1]]
    assert max(sizes) > 0.05
    for record in capped.records[:-1]:
        assert float(record.relative_update) == pytest.approx(0.01, rel=1e-4)


def test_papers_mask_belongs_to_the_energy(unet: UNet2DConditionModel) -> None:
    mask = torch.zeros(8, 8)
    mask[:4] = 1
    settings = ebca.Settings(formulation="paper", gamma_attn=0.001, gamma_norm=0.0, **PAPER)
    masked, whole = traced(unet, settings, mask=mask), traced(unet, settings)
    assert masked.records[0].conditional > whole.records[0].conditional  # fewer pixels
    for row in masked.table()[:-1]:
        assert row["conditional_after"] < row["conditional"]


def test_a_trace_does_not_change_the_output(unet: UNet2DConditionModel) -> None:
    outputs = []
    for trace in (None, ebca.Trace()):
        edits = [ebca.Edit(context=encoding(), alpha=0.5)]
        patch = {"edits": edits, "reference": encoding(seed=20), "trace": trace}
        with ebca.apply_patch(unet, ebca.Settings(), **patch):
            outputs.append(evaluate(unet, latent(2), context(2)))
    assert torch.equal(*outputs)
