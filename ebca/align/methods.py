"""The methods to make pictures with: plain, BCU, CACAO, the WebUI's own AND, others, and grids."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ebca.align.alternative import Alternative
from ebca.options import Settings, all_declarations
from ebca.options.keeping import Keeping
from ebca.options.legacy import RENAMED
from ebca.settings import Declaration, Range, SettingsError, declarations
from ebca.settings.checks import check_number

KINDS = {
    "off": "the main prompt, nothing else",
    "joint": "everything in one prompt, nothing else",
    "on": "everything in one prompt, with EBCA as it is installed, whatever the grid",
    "bcu": "everything in one prompt, with EBCA as it is installed or as the grid says",
    "cacao": "joined by AND, composed by CACAO without BCU",
    "both": "joined by AND, composed by CACAO, with EBCA as it is installed or as the grid says",
    "core-and": "joined by AND, as the WebUI composes: one UNet row a prompt",
    "halves": "everything in one prompt, and what is joined by AND in columns side by side",
    "attend-and-excite": "everything in one prompt, latents moved by Attend-and-Excite",
    "kept-joint": "everything in one prompt, from the edited picture's own noise, and kept",
    "kept": "as cacao, from the edited picture's own noise, and kept",
    "kept-both": "as both, from the edited picture's own noise, and kept",
    "alternative": "as joint, from the noise that the WebUI's img2img alternative test finds",
    "kept-same": "what the picture shows, from its noise, and kept: nothing is to change",
    "autoencoder": "the picture, through the autoencoder only",
}
KEEPING = ("kept-joint", "kept", "kept-both", "kept-same")
EDITING = (*KEEPING, "alternative", "autoencoder")
"""Kinds that apply only to pictures that are edited."""
UPDATING = ("on", "bcu", "both", "kept-both")
COMPOSING = ("cacao", "both", "core-and", "kept", "kept-both")
NEGATIVE = ("joint", "on", "bcu", "alternative")
"""Kinds that get what is to be removed as a negative prompt."""
SCALED = (*COMPOSING, "halves", "attend-and-excite")
OTHERS = ("halves", "attend-and-excite")
"""Alternatives to EBCA, which apply only to pictures of several things that are made from noise."""
PATCHED = ("on", "bcu", "cacao", "both", "kept", "kept-both")

_STILL = {
    "gamma_attn": 0.0, "gamma_norm": 0.0, "gamma_spread": 0.0, "centered": False, "contrast": 0.0,
    "regions": 0.0,
}  # fmt: skip
_OFF = Settings(**_STILL)
_OF_ANY = {"alpha": Range(0.0, 100.0), "cfg": Range(0.0, 100.0)}
_PARTS: dict[str, type] = dict.fromkeys(KEEPING, Keeping) | {"alternative": Alternative}
_OWN = ("keep", "keep_source", "keep_steps")  # decided by the case or the sampling
_WORDS = ("subjects", "token_weights")  # these belong to a prompt
_ALWAYS_SHOWN = ("gamma_attn", "gamma_norm")
_GRID_LEGAL = (
    "a field and its values, such as gamma_attn=0.002,0.005; a list of layers is joined by +."
    " Fields: "
)


@dataclass(frozen=True)
class Method:
    """A way to make pictures. `alpha` multiplies the weights of the prompts after AND, the share of
    the columns, or the step size of Attend-and-Excite; `cfg` replaces that of the sampling. `part`
    has the settings of keeping the picture or of the alternative test. `named` are the fields that
    the grid names, which the label always shows."""

    kind: str
    settings: Settings = _OFF
    alpha: float = 1.0
    cfg: float | None = None
    part: Keeping | Alternative | None = None
    named: frozenset[str] = field(default=frozenset(), compare=False)

    def facts(self) -> dict[str, Any]:
        """Return what decides the method's pictures, for JSON; settings only where they act."""
        facts: dict[str, Any] = {"kind": self.kind}
        for name, value in self.settings.items():
            if name in _WORDS or (name.startswith("edit_") and self.kind not in COMPOSING):
                continue
            if self.kind in UPDATING or (self.kind in PATCHED and name == "and_means"):
                facts[name] = value
        for each in declarations(type(self.part)) if self.part else ():
            if each.name not in _OWN:
                facts[each.name] = getattr(self.part, each.name)
        facts |= {"alpha": self.alpha} if self.kind in SCALED else {}
        return facts | ({} if self.cfg is None else {"cfg": self.cfg})

    @property
    def label(self) -> str:
        """A short name: the kind, the step sizes, and values that are named or not the default."""
        usual = Method(self.kind, Settings(), part=_part(self.kind, {})).facts()
        steps = _ALWAYS_SHOWN if self.kind in UPDATING and self.kind != "on" else ()
        shown = {*self.named, *steps}
        parts = [
            f"{name}={_shown(value)}"
            for name, value in self.facts().items()
            if name != "kind" and (name in shown or value != usual.get(name))
        ]
        return " ".join([self.kind, *parts])


def _part(kind: str, values: dict[str, Any]) -> Any:
    """Return the settings of a kind beyond EBCA's own, from `values`; None for most kinds."""
    owner = _PARTS.get(kind)
    if owner is None:
        return None
    given = {each.name: values[each.name] for each in declarations(owner) if each.name in values}
    return owner(**({"keep": True} if owner is Keeping else {}), **given)


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def grid_fields() -> list[str]:
    names = [name for name in (*all_declarations(), *_part_fields()) if name not in _WORDS]
    return [*names, *_OF_ANY]


def _part_fields() -> dict[str, Declaration]:
    owners = dict.fromkeys(_PARTS.values())
    known = {each.name: each for owner in owners for each in declarations(owner)}
    return {name: each for name, each in known.items() if name not in _OWN}


def read_grid(axes: Sequence[str]) -> list[dict[str, Any]]:
    """Turn `gamma_attn=0.002,0.005 layers=all,mid` into one dict for every combination."""
    read: dict[str, list[Any]] = {}
    for axis in axes:
        name, equals, values = axis.partition("=")
        name = RENAMED.get(name, name)
        if name not in grid_fields() or not equals or not values.strip(","):
            raise SettingsError("grid", axis, _GRID_LEGAL + ", ".join(grid_fields()))
        read[name] = [_value(name, text.strip()) for text in values.split(",") if text.strip()]
    return [dict(zip(read, values, strict=True)) for values in itertools.product(*read.values())]


def _value(name: str, text: str) -> Any:
    if name in _OF_ANY:
        try:
            return check_number(name, float(text), _OF_ANY[name])
        except ValueError:
            raise SettingsError(name, text, str(_OF_ANY[name])) from None
    if name == "max_relative_update" and text == "none":
        text = "0"
    return {**all_declarations(), **_part_fields()}[name].read(
        text.replace("+", ",") if name == "layers" else text
    )


def methods(kinds: Sequence[str], base: Settings, grid: Sequence[dict[str, Any]]) -> list[Method]:
    """Return every method of `kinds` at every point of the grid, without repeating equal ones.

    At a point that names a step size, what it does not name of the step sizes, regions and contrast
    is zero, and the update is not centered. A point that names the contrast has no regions.
    """
    found: dict[str, Method] = {}
    for kind in kinds:
        if kind not in KINDS:
            raise SettingsError("methods", kind, "one of " + ", ".join(KINDS))
        for point in grid or [{}]:
            method = _at(kind, base, point)
            found.setdefault(str(method.facts()), method)
    return list(found.values())


def _at(kind: str, base: Settings, point: dict[str, Any]) -> Method:
    if kind == "autoencoder":  # samples nothing
        return Method(kind)
    cfg = point.get("cfg")
    if kind == "on":
        return Method(kind, Settings(), cfg=cfg)
    changes = {name: value for name, value in point.items() if name in all_declarations()}
    names_steps = any(name.startswith("gamma") for name in changes)
    if "contrast" in changes:  # instead of the regions
        changes = {"regions": 0.0, **changes}
    settings = base.replace(**({**_STILL, **changes} if names_steps else changes))
    if kind not in UPDATING:
        settings = _OFF.replace(and_means=settings.and_means)
    alpha = point.get("alpha", 1.0) if kind in SCALED else 1.0
    return Method(kind, settings, alpha, cfg, _part(kind, point), frozenset(point))
