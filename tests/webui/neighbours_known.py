"""Other people's extensions: how each is known, switched on, and what is to be seen beside EBCA.

`NEIGHBOURS` is the whole list; the tests run for those that the host has. An extension with several
ways of working is there once for each.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from webui.client import JOB, PROMPT, RefusedError, Result, WebUI

WORKS = "works"
"""Both act, and what EBCA promises alone it promises beside it."""
BUT = "works, but"
"""Both act, with a limit that docs/compatibility.md tells."""
AND_LEFT = "AND is left to it"
"""The other composes, and EBCA says so; it may still update the contexts of all rows."""

ONLY_AND = {"gamma_attn": 0, "gamma_norm": 0, "regions": 0}
"""EBCA with nothing to do but AND."""

EBCA = {"gamma_attn": 0.03, "gamma_norm": 0.02}
"""What EBCA does in the driver's jobs: a noticeable update, the contrast, and a sum for AND."""

HIRES = {"enable_hr": True, "hr_scale": 1.5, "hr_upscaler": "Latent", "denoising_strength": 0.7}

CASES: Mapping[str, Mapping[str, Any]] = {
    "plain": {},
    "AND": {"prompt": f"{PROMPT} AND a yellow hat :0.6"},
    "batch of 2": {"batch_size": 2},
    "batch_cond_uncond off": {"override_settings": {"batch_cond_uncond": False}},
    "hires": HIRES,
    "inpaint": {"tab": "img2img"},
}
"""What every neighbour is tried with."""


@dataclass(frozen=True)
class Neighbour:
    """One way of working of another extension."""

    name: str
    script: str = ""
    """The title of its script, as the API lists it."""
    extension: str = ""
    """The end of its folder's name, where it has no script that is always there."""
    args: Sequence[Any] = ()
    """The script's arguments that switch it on."""
    job: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the job that it needs, with it or without."""
    prompt: str = "{}"
    """How it is asked for in the prompt, if it is."""
    expected: str = WORKS
    says: str = ""
    """What the line under the picture has where AND is left to it."""
    reads_all: bool = False
    """Whether it takes something of every prompt joined by AND, so that a prompt and itself is not
    that prompt, without EBCA either."""
    acts: bool = True
    """Whether it changes a picture when it is on."""
    fails: Sequence[str] = ()
    """Cases in which it fails without EBCA."""
    repeats: bool = True
    """Whether it makes the same picture twice without EBCA."""
    lingers: bool = False
    """Whether it goes on in the other tab until a job of its own tab has run without it."""
    survives: bool = True
    """Whether the host works on after an error in a job of it, without EBCA."""
    needs: str = ""
    """A network or model, by the name that the host lists, without which it cannot act."""
    unlike: Mapping[str, str] = field(default_factory=dict)
    """Case -> what is expected there, where it is something else."""

    def expect(self, case: str) -> str:
        return self.unlike.get(case, self.expected)

    def given(self, case: str, *, on: bool) -> dict[str, Any]:
        """The fields of the job of a case, with this neighbour switched on or off."""
        job = {**JOB, "steps": 3, "sampler_name": "Euler", **CASES[case], **self.job}
        if on:
            first, *more = job["prompt"].split(" AND ")
            job["prompt"] = " AND ".join([self.prompt.format(first), *more])
            if self.args:
                job["alwayson_scripts"] = {self.script: {"args": list(self.args)}}
        return job


def _unit(**fields: Any) -> list[dict[str, Any]]:
    return [{"enabled": True, "weight": 1.0, "pixel_perfect": False, **fields}]


def _among(count: int, values: Mapping[int, Any], default: Sequence[Any]) -> list[Any]:
    """`default`, lengthened to `count`, with some values replaced."""
    made = [*default, *[None] * (count - len(default))]
    for index, value in values.items():
        made[index] = value
    return made


_INCANTATIONS = [
    *[False, 11.0, 0, 150],
    *[False, 1.0, 0.8, 3.0, 0.0, 0, 150, 4],
    *[False, 0, 0, 150],
    *[False, "Constant", 0, 100, False],
]  # SEG; S-CFG; PAG; the CFG schedule and SANF


def _incantation(name: str, values: Mapping[int, Any], **more: Any) -> Neighbour:
    args = _among(len(_INCANTATIONS), values, _INCANTATIONS)
    return Neighbour(f"incantations, {name}", "Incantations", args=args, **more)


def _tiled(name: str, method: str, overlap: int, batch: int, **more: Any) -> Neighbour:
    args = [True, method, False, True, 128, 128, 16, 16, overlap, batch]
    job = {"width": 192, "height": 192, "hr_scale": 1.125}
    return Neighbour(f"Tiled Diffusion, {name}", "Tiled Diffusion", args=args, job=job, **more)


def _regions(mode: str, **more: Any) -> Neighbour:
    args = [True, False, "Matrix", "Columns", "Mask", "Prompt", "1,1", "0.2"]
    args += [
        False,
        False,
        False,
        mode,
        ["disable convert 'AND' to 'BREAK'"],
        "0",
        "0",
        "0.4",
        None,
        "0",
        "0",
        False,
    ]
    prompt = "{} BREAK a green tree"
    return Neighbour(
        f"Regional Prompter, {mode}", "Regional Prompter", args=args, prompt=prompt, **more
    )


NEIGHBOURS = (
    Neighbour(
        "ControlNet, reference_only",
        "ControlNet",
        args=_unit(module="reference_only", image="{sketch}", processor_res=64),
    ),
    Neighbour(
        "ControlNet, a unit",
        "ControlNet",
        args=_unit(module="none", model="tiny-control", image="{sketch}"),
        needs="tiny-control",
    ),
    Neighbour(
        "ControlNet, T2I-Adapter",
        "ControlNet",
        args=_unit(module="none", model="tiny-t2iadapter", image="{sketch}"),
        needs="tiny-t2iadapter",
    ),
    Neighbour(
        "ControlNet, LLLite",
        "ControlNet",
        args=_unit(module="none", model="tiny-lllite", image="{sketch}"),
        needs="tiny-lllite",
    ),
    Neighbour(
        "ControlNet, IP-Adapter",
        "ControlNet",
        args=_unit(module="none", model="tiny-ip-adapter", ipadapter_input=["{embedding}"]),
        needs="tiny-ip-adapter",
    ),
    _regions("Attention"),
    _regions("Latent", expected=AND_LEFT, says="Regional Prompter"),
    _tiled("full groups", "MultiDiffusion", 8, 4),
    _tiled("a group that is not full", "MultiDiffusion", 8, 3),
    _tiled("Mixture of Diffusers", "Mixture of Diffusers", 8, 4),
    Neighbour(
        "Tiled VAE",
        "Tiled VAE",
        args=[True, 256, 8, True, False, False, False],
        job={"width": 256, "height": 256, "steps": 2, "hr_scale": 1.125},
    ),
    Neighbour("Neutral Prompt, without a keyword", "Neutral Prompt", acts=False),
    Neighbour(
        "Neutral Prompt, AND_PERP",
        "Neutral Prompt",
        prompt="{} AND_PERP a green tree",
        expected=AND_LEFT,
        says="Neutral Prompt",
    ),
    Neighbour("Neutral Prompt, CFG rescale", "Neutral Prompt", args=[0.7]),
    _incantation(
        "SEG",
        {0: True},
        job={"width": 128, "height": 128, "hr_scale": 1.25},
        fails=["batch_cond_uncond off"],
    ),
    _incantation("S-CFG", {4: True}, survives=False),
    _incantation("PAG", {12: True, 13: 3.0}, expected=BUT),
    _incantation("CFG schedule", {16: True, 17: "Cosine"}),
    _incantation("SANF", {12: True, 13: 3.0, 20: True}, expected=BUT),
    Neighbour(
        "ADetailer",
        "ADetailer",
        args=[True, False, {"ad_model": "tiny-detector.pt", "ad_confidence": 0.0, "ad_mask_k": 1}],
        needs="tiny-detector.pt",
        reads_all=True,
    ),
    Neighbour(
        "NegPiP",
        "NegPiP",
        args=[True],
        prompt="{}, (a green tree:-1.3)",
        reads_all=True,
    ),
    Neighbour("Cutoff", "Cutoff", args=[True, "red, yellow", 1.0], prompt="{}, a yellow house"),
    Neighbour(
        "Dynamic Thresholding",
        "Dynamic Thresholding (CFG Scale Fix)",
        args=[True, 2.0, 95.0],
    ),
    Neighbour("CADS", "CADS", args=[True, 0.3, 0.9, 0.25, 1.0, True, True], repeats=False),
    Neighbour(
        "Dynamic Prompts",
        "Dynamic Prompts v2.17.1",
        args=[True],
        prompt="{}, {{2$$a green tree|a house|a boat}}",
        reads_all=True,
    ),
    Neighbour("Agent Scheduler", extension="sd-webui-agent-scheduler", acts=False),
    Neighbour("Perturbed-Attention", extension="sd-perturbed-attention", acts=False),
    Neighbour("Prompt All in One", extension="sd-webui-prompt-all-in-one", acts=False),
    Neighbour(
        "Self Attention Guidance",
        "Self Attention Guidance",
        args=[True, 0.75, 1.0],
        job={"width": 128, "height": 128, "hr_scale": 1.25},
    ),
    Neighbour(
        "FreeU",
        "FreeU",
        args=[True, 0, 1, 0, "Version 2", 1.2, 0.9, 0.0, 0.5, 0.0, 1.0, 1.4, 0.2],
        job={"width": 128, "height": 128, "hr_scale": 1.25},
    ),
    Neighbour(
        "Kohya Hires.fix",
        "Kohya Hires.fix",
        args=[True, False, 3, 4, 0.5, 0.8, "bicubic", 0.5, 2.0, True, False],
    ),
    Neighbour("Infinite Image Browsing", extension="infinite-image-browsing", acts=False),
    Neighbour("Tag Autocomplete", extension="sd-webui-tagcomplete", acts=False),
    Neighbour("SuperMerger", extension="sd-webui-supermerger", acts=False),
    Neighbour(
        "LoRA Block Weight",
        "LoRA Block Weight",
        prompt="{} <lora:tiny-lora:1:lbw=OUTALL>",
        needs="tiny-lora",
        reads_all=True,
    ),
    Neighbour(
        "LyCORIS, LoKr and LoHa",
        "LoRA Block Weight",
        prompt="{} <lora:tiny-lokr:0.7> <lora:tiny-loha:0.7>",
        needs="tiny-lokr",
        reads_all=True,
    ),
    Neighbour("LyCORIS, the extension", extension="sd-webui-lycoris", acts=False),
    Neighbour(
        "Latent Couple",
        "Latent Couple extension",
        args=[True, "1:1,1:2,1:2", "0:0,0:0,0:1", "0.2,0.8,0.8", 20],
        prompt="{} AND a green tree AND a house",
        expected=AND_LEFT,
        says="Latent Couple",
        lingers=True,
    ),
)


def order(webui: WebUI, neighbour: Neighbour) -> str:
    """Whether EBCA was loaded before it, as far as the API tells."""
    scripts = webui.get("/sdapi/v1/scripts")["txt2img"]
    if neighbour.script.lower() not in scripts or "ebca" not in scripts:
        return "in an order that is not known"
    first = scripts.index("ebca") < scripts.index(neighbour.script.lower())
    return "after EBCA" if first else "before EBCA"


def present(webui: WebUI) -> list[Neighbour]:
    """Those that the host has."""
    scripts = set(webui.get("/sdapi/v1/scripts")["txt2img"])
    folders = [each["name"] for each in webui.get("/sdapi/v1/extensions")]
    return [
        each
        for each in NEIGHBOURS
        if (each.script and each.script.lower() in scripts)
        or (each.extension and any(folder.endswith(each.extension) for folder in folders))
    ]


def lists(webui: WebUI) -> set[str]:
    """The names of networks and of other extensions' models that the host lists."""
    names: set[str] = set()
    for path, read in (
        ("/sdapi/v1/loras", lambda answer: [each["name"] for each in answer]),
        ("/controlnet/model_list", lambda answer: answer["model_list"]),
        ("/adetailer/v1/ad_model", lambda answer: answer["ad_model"]),
    ):
        try:
            names |= set(read(webui.get(path)))
        except RefusedError:
            continue  # no such extension
    return names | {name.partition(" [")[0] for name in names}


class Pictures:
    """Fingerprints of pictures in a file, by which a host is compared to one of another kind.

    A host without EBCA, or without the neighbour, is the only one that knows how a job looks there,
    so it writes them down; a host with both reads them.
    """

    def __init__(self, path: str | None) -> None:
        self._path = Path(path) if path else None

    def write(self, who: str, case: str, result: Result) -> None:
        if self._path is not None:
            known = self._known()
            known[f"{who}: {case}"] = fingerprint(result)
            self._path.write_text(json.dumps(known, indent=1, sort_keys=True))

    def agree(self, who: str, case: str, result: Result) -> bool:
        """Whether `result` is what was written down; True if nothing was."""
        known = self._known().get(f"{who}: {case}")
        return known is None or known == fingerprint(result)

    def alike(self, one: str, other: str, case: str) -> bool:
        """Whether two that were written down are the same; True if one was not. Regional Prompter,
        switched off, takes back what a job says of `batch_cond_uncond`."""
        first, second = (self._known().get(f"{who}: {case}") for who in (one, other))
        return first is None or second is None or first == second

    def _known(self) -> dict[str, list[str]]:
        if self._path is None or not self._path.exists():
            return {}
        return json.loads(self._path.read_text())


def fingerprint(result: Result) -> list[str]:
    return [hashlib.sha256(picture.tobytes()).hexdigest() for picture in result.pictures]
