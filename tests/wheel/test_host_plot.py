"""The X/Y/Z plot: axes for all options, cells that are single jobs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import startup
from calls import listening
from host import Host

from ebca.options.job import fields


def axis(name: str) -> str:
    """What the plot calls a field's axis."""
    return f"[EBCA] {fields()[name].label.removesuffix(f' ({name})')} ({name})"


ON = {"enabled": True, "gamma_attn": 0.1}


def plot(host: Host) -> Any:
    return host.runners["txt2img"].script("X/Y/Z plot")


def cells(host: Host, args: list[Any], label: str, values: list[str], **job: Any) -> list[Any]:
    made: list[Any] = plot(host).run(host.job(args, **job), label, values)
    return made


def alike(one: Any, other: Any) -> bool:
    ours = [
        {k: v for k, v in each.extra_generation_params.items() if k.startswith("EBCA")}
        for each in (one, other)
    ]
    pictures = [np.asarray(each.images[0]) for each in (one, other)]
    return ours[0] == ours[1] and np.array_equal(*pictures)


def single(host: Host, **options: Any) -> Any:
    return host.process(host.job([options]))


def test_there_is_one_axis_for_each_option_however_often_the_pages_are_made(host: Host) -> None:
    from modules import scripts

    startup.before_ui()
    startup.before_ui()
    (module,) = (d.module for d in scripts.scripts_data if hasattr(d.module, "axis_options"))
    labels = [axis.label for axis in module.axis_options]
    assert labels == ["Steps", *(axis(name) for name in fields())]


@pytest.mark.parametrize(
    ("name", "values", "taken"),
    [
        ("gamma_attn", ["0", "0.05", "0.2"], [0.0, 0.05, 0.2]),
        ("enabled", ["True", "False", "true"], [True, False, True]),
        ("formulation", ["reference", "paper"], ["reference", "paper"]),
        ("layers", ["all", "mid"], ["all", "mid"]),
        ("stop", ["0.5", "1"], [0.5, 1.0]),
    ],
)
def test_cells_are_what_single_jobs_with_their_values_are(
    host: Host, name: str, values: list[str], taken: list[Any]
) -> None:
    made = cells(host, [ON], axis(name), values)
    for cell, value in zip(made, taken, strict=True):
        assert alike(cell, single(host, **{**ON, name: value}))


def test_a_cell_that_is_off_tells_nothing(host: Host) -> None:
    on, off = cells(host, [ON], axis("enabled"), ["True", "False"])
    assert "EBCA" not in off.extra_generation_params
    assert alike(off, single(host, enabled=False))
    assert off.images != on.images


def test_axes_switch_on_what_is_closed(host: Host) -> None:
    off, on = cells(host, [], axis("enabled"), ["False", "True"])
    assert alike(on, single(host, enabled=True))
    assert alike(off, single(host, enabled=False))


def test_cells_of_other_axes_keep_the_options(host: Host) -> None:
    for cell, steps in zip(cells(host, [ON], "Steps", ["2", "4"]), (2, 4), strict=True):
        assert alike(cell, host.process(host.job([ON], steps=steps)))


def test_a_plot_leaves_nothing_for_the_next_job(host: Host) -> None:
    before = single(host, **ON)
    cells(host, [ON], axis("gamma_attn"), ["0.2", "0.3"])
    assert alike(single(host, **ON), before)


@pytest.mark.parametrize(
    ("name", "value"),
    [("gamma_attn", "99"), ("enabled", "maybe"), ("and_means", "both"), ("layers", "side"),
     ("start", "1"), ("token_weights", "cat"), ("subjects", "cat")],
)  # fmt: skip
def test_a_bad_value_is_refused_before_the_first_cell(host: Host, name: str, value: str) -> None:
    good = {"gamma_attn": "0", "enabled": "True", "and_means": "sum", "layers": "all",
            "start": "0", "token_weights": "cat:2", "subjects": "cat, dog"}[name]  # fmt: skip
    told = f"EBCA: {name} is"
    with listening([host.unet]) as calls, pytest.raises(Exception, match=told):
        cells(host, [ON], axis(name), [good, value])
    assert not calls
