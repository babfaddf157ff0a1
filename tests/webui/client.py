"""A WebUI's API: jobs in, pictures and infotexts out."""

from __future__ import annotations

import base64
import io
import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ebca.options.job import fields

PROMPT = "a red car and a blue crown"
JOB = {
    "prompt": PROMPT,
    "steps": 5,
    "width": 64,
    "height": 64,
    "cfg_scale": 4,
    "seed": 7,
    "sampler_name": "DDIM",
}
"""What a job is where a test does not say otherwise."""

PAPER = {"gamma_spread": 0, "centered": False, "and_means": "average", "contrast": 0, "regions": 0}
ON = {"gamma_attn": 0.03, "gamma_norm": 0.02, **PAPER}
"""Step sizes that every checkpoint of the suite notices within few steps."""

_BRIEF = {
    "prompt": "",
    "steps": 1,
    "sampler_name": "Euler",
    "mask": None,
    "alwayson_scripts": {},
    "script_name": None,
    "infotext": None,
}

SUM = {"gamma_attn": 0, "gamma_norm": 0, "gamma_spread": 0, "contrast": 0, "regions": 0}
ONLY_PLACES = {"gamma_attn": 0, "gamma_norm": 0, "regions": 1}
"""A place for each subject, and nothing else."""

ZERO = {**SUM, "and_means": "average"}


def axis(name: str) -> str:
    """What the X/Y/Z plot calls a field's axis."""
    return f"[EBCA] {fields()[name].label.removesuffix(f' ({name})')} ({name})"


_LABEL = re.compile(r'(EBCA(?: \w+)?): ("(?:\\.|[^\\"])*"|[^,]*)')


class RefusedError(Exception):
    """The WebUI answered with an error status."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"{status}: {body}")
        self.status, self.body = status, body


@dataclass(frozen=True)
class Result:
    """What came out of a job."""

    pictures: list[np.ndarray] = field(repr=False)
    infotexts: list[str]
    info: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def picture(self) -> np.ndarray:
        (picture,) = self.pictures
        return picture

    @property
    def infotext(self) -> str:
        return self.infotexts[0]

    @property
    def labels(self) -> dict[str, str]:
        return labels(self.infotext)


def labels(infotext: str) -> dict[str, str]:
    """EBCA's labels in an infotext, free of their prefix; `EBCA` itself is the empty one."""
    found = _LABEL.findall(infotext.rpartition("\n")[2])
    return {
        label.removeprefix("EBCA").strip(): json.loads(text) if text.startswith('"') else text
        for label, text in found
    }


class WebUI:
    """A live WebUI at `url`."""

    def __init__(self, url: str) -> None:
        self._url, self._checkpoint = url.rstrip("/"), ""

    # Jobs

    def txt2img(self, *, ebca: Any = None, **job: Any) -> Result:
        """A job; `ebca` are the fields with which EBCA is on, or its list of arguments."""
        return self.job("txt2img", {**JOB, **job}, ebca)

    def img2img(self, picture: np.ndarray, *, ebca: Any = None, **job: Any) -> Result:
        """A job on `picture`; `mask`, if there is one, is an array too."""
        job = {"init_images": [encoded(picture)], "denoising_strength": 0.7, **JOB, **job}
        if "mask" in job:
            job["mask"] = encoded(job["mask"])
        self.job("img2img", {**job, **_BRIEF})
        # since the WebUI encodes a picture with whatever random numbers the last job has left
        return self.job("img2img", job, ebca)

    def job(self, tab: str, job: Mapping[str, Any], ebca: Any = None) -> Result:
        """A job of nothing but what `job` and `ebca` say."""
        if ebca is not None:
            arguments = [{"enabled": True, **ebca}] if isinstance(ebca, dict) else ebca
            scripts = job.get("alwayson_scripts", {})
            job = {**job, "alwayson_scripts": {**scripts, "EBCA": {"args": arguments}}}
        self._need_settings(job.get("override_settings", {}))
        if job.get("enable_hr") and "hr_additional_modules" in self._fields:
            job = {**job, "hr_additional_modules": ["Use same choices"]}  # Forge cannot do without
        if job.get("infotext"):
            self.need_infotext()
        answer = self.post(f"/sdapi/v1/{tab}", job)
        info = json.loads(answer["info"])
        infotexts = info["infotexts"]
        pictures = [decoded(each) for each in answer["images"][: len(infotexts)]]
        return Result(pictures, infotexts, info)  # without what ControlNet adds to look at

    # The state of the WebUI

    def load(self, checkpoint: str) -> None:
        """Switch to a checkpoint, unless it is in use."""
        if checkpoint != self._checkpoint:
            self.set_options(sd_model_checkpoint=checkpoint)
            self._checkpoint = checkpoint

    def set_options(self, **wanted: Any) -> None:
        """The API tells whole numbers as 3.0, which UniPC of Forge cannot take as its order."""
        self.post("/sdapi/v1/options", {name: _whole(value) for name, value in wanted.items()})

    @contextmanager
    def options(self, **wanted: Any) -> Iterator[None]:
        """The WebUI's settings, for a while."""
        self._need_settings(wanted)
        now = self.get("/sdapi/v1/options")
        self.set_options(**wanted)
        try:
            yield
        finally:
            self.set_options(**{name: now[name] for name in wanted})

    def has_setting(self, name: str) -> bool:
        return name in self._settings

    def _need_settings(self, wanted: Iterable[str]) -> None:
        """Skip the test on a WebUI that is too old to know them."""
        if absent := set(wanted) - self._settings:
            pytest.skip(f"the WebUI has no setting {min(absent)}")

    def need_infotext(self) -> None:
        """Skip the test on a WebUI before 1.8: it would make 50 steps of 512x512 instead."""
        if "infotext" not in self._fields:
            pytest.skip("the WebUI's API reads no infotext")
        if self._infotext_fails:
            pytest.skip("the WebUI's API fails at every infotext, EBCA or not (Forge 2.0.1)")

    @cached_property
    def _fields(self) -> set[str]:
        """Of a job of txt2img."""
        schemas = self.get("/openapi.json")["components"]["schemas"]
        return set(schemas["StableDiffusionProcessingTxt2Img"]["properties"])

    @cached_property
    def _infotext_fails(self) -> bool:
        """Whether it does so even without anything of EBCA's in it."""
        try:
            self.post("/sdapi/v1/txt2img", {**JOB, "steps": 1, "infotext": "a cat\nSteps: 1"})
        except RefusedError as error:
            return error.status == 500
        return False

    @cached_property
    def _settings(self) -> set[str]:
        return set(self.get("/sdapi/v1/options"))

    def plot_arguments(self, *axes: tuple[str, str]) -> list[Any]:
        """Of the X/Y/Z plot for axes (label, values): cells without a legend, each a picture. What
        else it asks for depends on the host."""
        controls = next(s for s in self.get("/sdapi/v1/script-info") if s["name"] == "x/y/z plot")
        labels = controls["args"][0]["choices"]
        chosen: list[Any] = []
        for label, values in [*axes, *[("Nothing", "")] * (3 - len(axes))]:
            chosen += [labels.index(label), values, []]
        wishes = {"Draw legend": False, "Include Sub Images": True}
        wishes["Use text inputs instead of dropdowns"] = True
        rest = controls["args"][len(chosen) :]
        return [*chosen, *(wishes.get(control["label"], control["value"]) for control in rest)]

    def names(self, path: str, key: str = "name") -> list[str]:
        """What the WebUI lists under a path of its API."""
        return [each[key] for each in self.get(f"/sdapi/v1/{path}")]

    def choices(self, option: str) -> list[str]:
        """What a setting can be, as its page offers it."""
        for component in self.get("/config")["components"]:
            if component["props"].get("elem_id") == f"setting_{option}":
                return [c[0] if isinstance(c, list) else c for c in component["props"]["choices"]]
        return []

    def get(self, path: str) -> Any:
        return self._call(urllib.request.Request(self._url + path))

    def post(self, path: str, body: Any = None) -> Any:
        data = json.dumps(body or {}).encode()
        headers = {"Content-Type": "application/json"}
        return self._call(urllib.request.Request(self._url + path, data, headers))

    def delete(self, path: str) -> Any:
        return self._call(urllib.request.Request(self._url + path, method="DELETE"))

    def _call(self, request: urllib.request.Request) -> Any:
        try:
            with urllib.request.urlopen(request, timeout=300) as answer:
                return json.loads(answer.read() or "null")
        except urllib.error.HTTPError as error:
            raise RefusedError(error.code, error.read().decode()) from None


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def encoded(picture: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def decoded(text: str) -> np.ndarray:
    return opened(base64.b64decode(text))


def opened(file: bytes) -> np.ndarray:
    """Without an alpha channel, in which Forge hides the infotext of some pictures."""
    return np.asarray(Image.open(io.BytesIO(file)).convert("RGB"))


# Comparing pictures


def distance(one: np.ndarray, other: np.ndarray) -> float:
    """The mean difference of two pictures, in levels of 0 to 255."""
    assert one.shape == other.shape
    return float(np.abs(one.astype(int) - other.astype(int)).mean())


def same(one: Result, other: Result) -> bool:
    """Whether all pictures are equal, bit by bit."""
    pairs = zip(one.pictures, other.pictures, strict=True)
    return all(np.array_equal(*pair) for pair in pairs)


def apart(one: Result, other: Result) -> float:
    """The largest distance of pictures that belong together."""
    return max(distance(*pair) for pair in zip(one.pictures, other.pictures, strict=True))


def alike(one: Result, other: Result) -> bool:
    """Whether all pictures are equal but for the rounding of another order of computing."""
    return apart(one, other) < 0.05


def differ(*results: Result) -> bool:
    """Whether any two of the results differ in every picture, by more than rounding could."""
    return all(
        distance(*pair) > 0.1
        for index, one in enumerate(results)
        for other in results[index + 1 :]
        for pair in zip(one.pictures, other.pictures, strict=True)
    )
