"""Counts what a judge saw: one number for each picture and figure, and the judge's error.

present     everything asked for is there (things, scene, style), nothing that was taken away
right       as present, and every colour is the one asked for
clean       as right, and nothing asked for is there more often than asked
recall      the share of the asked things that are there
binding     the share of right colours among the asked things that are there
doubled     something asked for is there more often than asked
odd         the share of the objects in the picture that are unlike true ones
scene       the scene and the style are those asked for
removed     what was taken away is not there
structure   distance in structure to the picture that was edited
whole, rest   mean difference to its pixels, 0 to 1; rest: outside of the mask or the edited region
clip, clip-least   similarity to the prompt; to the least similar of its things
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from ebca.align.cases import Case
from ebca.align.statistics import Floats, beta_draws

YES_OR_NO = ("present", "right", "clean", "doubled", "scene", "removed")
WORN = ("wearing", "dressing")  # tasks in which one thing is on another
MAIN = ("present", "right", "clip-least")  # the figure that a picture is judged by, if there is one


def figures(saw: dict[str, Any], case: Case) -> dict[str, float]:
    """Return all figures of one picture that its case has; NaN where there is nothing to count."""
    if "full" in saw:
        return {"clip": saw["full"], "clip-least": min(saw["each"], default=math.nan)}
    if "seen" not in saw:
        return {}
    objects = [tuple(thing) for thing in saw["seen"]]
    names = Counter(name for name, _ in objects)
    asked = Counter(thing.name for thing in case.things)
    found = names & asked
    coloured = [thing for thing in case.things if thing.colour]
    in_colour = sum((Counter(objects) & Counter(map(tuple, coloured))).values())
    there = sum((names & Counter(thing.name for thing in coloured)).values())
    removed = not any(_shows(objects, thing.name, thing.colour) for thing in case.absent)
    looks = {"scene": case.scene, "style": case.style}
    scene = all(asked_for in (None, saw.get(name)) for name, asked_for in looks.items())
    present = found == asked and removed and scene
    right = present and in_colour == len(coloured)
    doubled = any(names[name] > count for name, count in asked.items())
    result = {
        "present": float(present),
        "right": float(right),
        "clean": float(right and not doubled),
        "recall": sum(found.values()) / max(1, sum(asked.values())),
        "binding": in_colour / there if there else math.nan,
        "doubled": float(doubled),
    }
    if saw.get("odd") is not None:
        result["odd"] = saw["odd"]
    result |= {"scene": float(scene)} if any(looks.values()) else {}
    result |= {"removed": float(removed)} if case.absent else {}
    return result | {name: saw[name] for name in ("structure", "whole", "rest") if name in saw}


def _shows(objects: Sequence[tuple[str, ...]], name: str, colour: str) -> bool:
    return any(each[0] == name and colour in ("", each[1]) for each in objects)


def reliability(
    error: dict[str, Any], case: Case, figure: str, draws: int, seed: int = 1
) -> tuple[Floats, Floats] | None:
    """Draw plausible values of the judge's sensitivity and specificity for a yes-or-no figure, from
    its measured error on reconstructions of as many objects. None where that was not measured.

    A wrong yes needs the judge to invent exactly the thing that is missing; the rate at which it
    invents anything is taken instead, which is conservative.
    """
    beside = len(case.source.things) if case.source and case.source.mask else 0
    count = min(3, len(case.things) + beside)
    of = "worn" if case.task in WORN else f"{count} object{'s' if count > 1 else ''}"
    rates = error.get(f"reconstructions, {of}")
    if rates is None or figure not in ("present", "right"):
        return None

    def draw(name: str) -> Floats:
        rate = rates[name]
        return beta_draws(rate["rate"], rate["n"], draws, seed + len(name))

    asked = len(case.things)
    sensitivity = (1 - draw("missed")) ** asked
    specificity = 1 - draw("invented")
    coloured = sum(bool(thing.colour) for thing in case.things)
    if figure == "right" and coloured:
        sensitivity = sensitivity * (1 - draw("wrong_colour")) ** coloured
        specificity = specificity * (1 - draw("wrong_colour"))
    for name in ("scene", "style"):
        if getattr(case, name) is not None:
            sensitivity = sensitivity * (1 - draw(f"{name}_wrong"))
    return np.asarray(sensitivity), np.asarray(specificity)


def column(saws: Sequence[dict[str, Any]], cases: Sequence[Case]) -> dict[str, list[float]]:
    """Return every figure of all pictures of a task, in order."""
    each = [figures(saw, case) for saw, case in zip(saws, cases, strict=True)]
    names = dict.fromkeys(name for one in each for name in one)
    return {name: [one.get(name, math.nan) for one in each] for name in names}
