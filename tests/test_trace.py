"""The trace: the energies and updates that it records are those of the layers."""

from __future__ import annotations

import pytest
import torch
from diffusers import UNet2DConditionModel
from models import LAYERS, PAPER, context, encoding, evaluate, latent

import ebca
from ebca.core.layers import find_layers
from ebca.plots import PANELS, energies_figure


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


@pytest.fixture
def sampled(unet: UNet2DConditionModel) -> ebca.Trace:
    """Of three steps."""
    trace = ebca.Trace()
    with ebca.apply_patch(unet, ebca.Settings(0.01, 0.01), trace=trace, conditional_rows=[1]):
        for step in range(3):
            evaluate(unet, latent(2, seed=step), context(2), timestep=900 - 300 * step)
    return trace


def test_what_is_drawn_changes_and_fills_its_panel(sampled: ebca.Trace) -> None:
    """Energies themselves would be flat: they change by little of what they are."""
    for axis in energies_figure(sampled.table()).axes:
        bottom, top = axis.get_ylim()
        drawn = [line.get_ydata() for line in axis.lines if len(line.get_ydata()) == 3]
        heights = [(y, axis.transData.transform((1, y))[1]) for ys in drawn for y in ys]
        places = [height for _, height in heights]
        assert all(bottom <= y <= top for y, _ in heights)
        assert max(places) - min(places) > axis.bbox.height / 2
        assert any(len(set(ys)) == 3 for ys in drawn)


def test_what_is_drawn_is_the_difference_made_in_percent(sampled: ebca.Trace) -> None:
    table = sampled.table()
    figure = energies_figure(table)
    fit, strength, steps, length = figure.axes
    rows = [row for row in table if row["layer"] == 2]

    def line(axis: object) -> list[float]:
        return next(
            list(line.get_ydata())
            for line in axis.lines  # type: ignore[attr-defined]
            if line.get_label() == "2 (mid)"
        )

    for axis, name in ((fit, "conditional"), (strength, "prior")):
        made = [100 * (row[name + "_after"] - row[name]) / abs(row[name]) for row in rows]
        assert line(axis) == pytest.approx(made)
    start = rows[0]["conditional"]
    since = [100 * (row["conditional"] - start) / abs(start) for row in rows]
    assert line(steps) == pytest.approx(since)
    assert line(length) == pytest.approx([100 * row["relative_update"] for row in rows])
    assert list(fit.lines[0].get_xdata()) == [1, 2, 3]


def test_a_figure_of_no_updates_says_so(unet: UNet2DConditionModel) -> None:
    trace = traced(unet, ebca.Settings(0.01, start=0.9))
    figure = energies_figure(trace.table())
    said = [
        "nothing was updated" in {text.get_text() for text in axis.texts} for axis in figure.axes
    ]
    assert said == [True, True, False, True]
    assert len(figure.axes) == len(PANELS)
