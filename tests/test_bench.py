"""The benchmark: it measures what it says, and prints it."""

import json
import sys

import pytest
import torch
from models import PAPER, context, distance, encoding, evaluate, latent

from ebca import Edit, Settings, apply_patch
from ebca.__main__ import main
from ebca.bench import (
    _STEPS,
    DEFAULTS,
    MAPPED,
    ONE_ROW,
    STOCK,
    Bench,
    Setup,
    _stopwatch,
    measure,
    peak_of_process,
    table,
    ticks,
)
from ebca.naive import Rows, Text, naive

TINY = Setup("tiny", latent=8, prompts=2)


@pytest.mark.parametrize("edits", [(), (Edit(context=encoding(9), alpha=0.7, gamma_attn=0.05),)])
def test_the_naive_implementation_computes_the_same(unet, edits):
    settings = Settings(0.03, 0.05, **PAPER)
    before = dict(unet.attn_processors)
    off = evaluate(unet, latent(2), context(2))
    with apply_patch(unet, settings, edits=edits, conditional_rows=[1]):
        ours = evaluate(unet, latent(2), context(2))
    mains = [Text(text) for text in context(2)]
    mains[1].gamma_attn, mains[1].gamma_norm = 0.03, 0.05
    others = [Text(e.context, e.gamma_attn, alpha=e.alpha) for e in edits]
    with naive(unet, Rows(mains, [[], others])):
        theirs = evaluate(unet, latent(2), context(2))
    assert distance(theirs, ours) < 1e-5
    assert distance(theirs, off) > 1e-2
    assert {name: type(each) for name, each in unet.attn_processors.items()} == {
        name: type(each) for name, each in before.items()
    }


def test_every_case_evaluates_the_rows_that_it_says():
    bench = Bench(TINY)
    rows: list[int] = []
    hook = bench.unet.register_forward_pre_hook(lambda _, args: rows.append(len(args[0])))
    for case in bench.cases().values():
        assert bench.evaluate(case).seconds > 0
    hook.remove()
    search = [1] * _STEPS, [1] * 2 * _STEPS  # by flow: a guess, and one fixed-point iteration
    assert rows == [2, *[2, 2] * 6, 1, *search[0], *search[1], 3, 2, 2]


def test_of_an_inversion_one_step_is_counted_and_measured_against_one_row():
    setup = Setup("tiny", latent=8, only=("inversion", "1 row"))
    measured = {row.case: row for row in measure(setup, 2, False, lambda: None)}
    assert list(measured) == [STOCK, ONE_ROW, "inversion, a step", "inversion by flow, a step"]
    assert [row.beyond for row in measured.values()] == ["", "", ONE_ROW, ONE_ROW]
    assert any(line.startswith("inversion, a step: ") for line in table(list(measured.values())))


def test_the_cases_do_what_their_names_say():
    bench = Bench(Setup("tiny", latent=8, images=2))
    cases = bench.cases()
    outputs = {}
    sample, text = latent(4), torch.randn(4, 77, 32)
    for name, case in cases.items():
        with case.patch(), torch.no_grad():
            for timestep in (950, 900) if case.rows == 2 else ():  # places are found in the first
                outputs[name] = bench.unet(sample, timestep, text).sample
    assert torch.equal(outputs[STOCK], outputs["EBCA off"])
    assert torch.equal(outputs[STOCK][:2], outputs["BCU"][:2])
    assert not torch.equal(outputs[STOCK][2:], outputs["BCU"][2:])
    contrast = outputs["the defaults, 2 subjects"]
    assert torch.equal(outputs[STOCK][:2], contrast[:2])
    assert not torch.equal(contrast[2:], outputs[STOCK][2:])
    both = outputs["BCU and CACAO of 3 prompts"]
    assert not torch.equal(both[2:], outputs["BCU"][2:])
    assert not torch.equal(both[2:], outputs["BCU and CACAO of 3 prompts, summed"][2:])


def test_ticks_are_counted_beforehand():
    few = Setup("tiny", latent=8, others=False)
    one = Setup("tiny", latent=8, only=("off",))
    for setup in (TINY, Setup("tiny", latent=8, images=2), few, one):
        seen: list[None] = []
        measure(setup, 1, False, lambda seen=seen: seen.append(None))
        assert len(seen) == ticks(setup, 1, False)


def test_the_table_compares_with_stock():
    measured = measure(TINY, 2, False, lambda: None)
    assert (measured[0].case, measured[0].ratio_median) == (STOCK, 1.0)
    lines = list(table(measured))
    assert lines[1 + len(measured)].startswith("| naive")
    assert lines[2].startswith("| stock |")
    assert "1.000x (1.000x)" in lines[2]


def test_maps_are_measured_against_the_same_without():
    chosen = Setup("tiny", latent=8, only=("off", "defaults"))
    measured = measure(chosen, 2, False, lambda: None)
    assert [row.case for row in measured] == [STOCK, "EBCA off", DEFAULTS, MAPPED]
    assert [row.beyond for row in measured] == ["", "", "", DEFAULTS]
    assert measured[-1].ratio_beyond > 0
    assert measured[-1].processor_beyond > 0
    last = list(table(measured))[-1]
    assert last.startswith(f"{MAPPED}: {measured[-1].ratio_beyond:.3f}x of {DEFAULTS}; processor")
    alone = measure(Setup("tiny", latent=8, only=("maps",)), 1, False, lambda: None)
    assert [(row.case, row.ratio_beyond) for row in alone] == [(STOCK, None), (MAPPED, None)]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not tell a process's peak")
def test_the_peak_is_that_of_a_process_that_evaluates_one_case():
    small = peak_of_process(TINY, STOCK)
    assert 10**7 < small < peak_of_process(Setup("tiny", latent=256), STOCK)


def test_the_time_in_hooks_is_that_of_ebca_alone_and_changes_nothing():
    bench = Bench(TINY)
    cases = bench.cases()
    sample, text = latent(2), torch.randn(2, 77, 32)

    def output(case):
        with case.patch(), torch.no_grad():
            return bench.unet(sample, 900, text).sample

    before = output(cases["BCU"])
    owns = {name: bench.evaluate(case) for name, case in cases.items()}
    assert torch.equal(output(cases["BCU"]), before)
    for name, timing in owns.items():
        if name.startswith(("BCU", "the defaults")):
            assert 0 < timing.own < timing.seconds
        else:
            assert timing.own == 0


def test_watching_the_time_leaves_the_result_as_it_is():
    bench = Bench(TINY)
    sample, text = latent(2), torch.randn(2, 77, 32)
    with torch.no_grad(), bench.cases()["BCU"].patch():
        plain = bench.unet(sample, 900, text).sample
        calls = []
        hook = bench.unet.register_forward_pre_hook(lambda *_: calls.append(None))
        with _stopwatch(bench.unet) as spent:
            watched = bench.unet(sample, 900, text).sample
        hook.remove()
    assert torch.equal(watched, plain)
    assert calls
    assert len(spent) > 10


def test_the_command_prints_and_writes_the_figures(tmp_path, capsys):
    file = tmp_path / "figures.json"
    options = [
        "--size",
        "tiny",
        "--latent",
        "8",
        "--repeats",
        "1",
        "--no-memory",
        "--device",
        "cpu",
    ]
    assert main(["bench", *options, "--json", str(file)]) == 0
    printed = capsys.readouterr().out
    assert "tiny, 8x8 latents, 1 image(s) of 2 rows, float32" in printed
    assert "| naive BCU and CACAO of 3 prompts |" in printed
    figures = json.loads(file.read_text())
    assert figures["setup"]["latent"] == 8
    assert figures["cases"][0]["case"] == STOCK


def test_a_bad_value_is_named(capsys):
    assert main(["bench", "--latent", "0"]) == 2
    assert "latent is 0, but must be a number of at least 8" in capsys.readouterr().err
