"""The live WebUI, with a checkpoint loaded and its settings as they were before the suite."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from webui.client import RefusedError, WebUI
from webui.neighbours_known import order, present

CHECKPOINTS = {
    "sd1": "tiny-sd15",
    "other": "tiny-sd15-b",  # another one of SD1's kind
    "sd2": "tiny-sd2",
    "sdxl": "tiny-sdxl",
    "small": "ebca-small",
    "inpaint": "tiny-inpaint",
    "edit": "tiny-ip2p",
    "flux": "tiny-flux",
}
"""Kind -> the name of a checkpoint; EBCA_WEBUI_SD1=name and so on choose others."""

FOUR_CHANNELS = ("sd1", "sd2", "sdxl", "small")
"""Kinds that make pictures from a prompt alone."""

URL = os.environ.get("EBCA_WEBUI")


def checkpoint(host: WebUI, kind: str) -> str:
    """The name of the host's checkpoint of a kind; skips the test if it has none."""
    name = os.environ.get(f"EBCA_WEBUI_{kind.upper()}", CHECKPOINTS[kind])
    if name not in host.names("sd-models", "model_name"):
        pytest.skip(f"the WebUI has no checkpoint {name} ({kind})")
    return name


@pytest.fixture(scope="session")
def host() -> Iterator[WebUI]:
    """The host. A setting that was never saved is not restored after a job that overrides it
    (modules/processing.py, process_images), so that all of them are saved first."""
    host = WebUI(URL)
    before = host.get("/sdapi/v1/options")
    host.set_options(**before)
    yield host
    host.set_options(sd_model_checkpoint=before["sd_model_checkpoint"])


@pytest.fixture
def webui(host: WebUI) -> WebUI:
    """The host with an SD1 checkpoint."""
    host.load(checkpoint(host, "sd1"))
    return host


@pytest.fixture(scope="session", params=FOUR_CHANNELS)
def kind(request: pytest.FixtureRequest) -> str:
    """In session scope, so that all tests with one checkpoint follow each other."""
    return request.param


@pytest.fixture
def any_webui(host: WebUI, kind: str) -> WebUI:
    """The host with each of its checkpoints that make pictures from a prompt alone."""
    host.load(checkpoint(host, kind))
    return host


@pytest.fixture
def edits(host: WebUI, sketch: np.ndarray) -> WebUI:
    """The host with an InstructPix2Pix checkpoint, if it can use one: reForge leaves out the
    picture that such a model looks at, with EBCA and without."""
    host.load(checkpoint(host, "edit"))
    try:
        host.img2img(sketch, steps=1, image_cfg_scale=1.5)
    except RefusedError as error:
        if error.status != 500:
            raise
        pytest.skip("the host's own jobs fail with an InstructPix2Pix checkpoint")
    return host


@pytest.fixture
def other(host: WebUI) -> str:
    return checkpoint(host, "other")


@pytest.fixture(scope="session")
def sketch() -> np.ndarray:
    """Something to begin img2img with."""
    rows, columns = np.mgrid[0:64, 0:64]
    picture = np.stack([4 * rows, 4 * columns, 255 - 2 * (rows + columns)], axis=-1)
    return picture.clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def half() -> np.ndarray:
    """A mask that repaints the right half."""
    mask = np.zeros((64, 64), np.uint8)
    mask[:, 32:] = 255
    return mask


def pytest_runtest_setup() -> None:
    """One line for all tests, where a skip in a fixture would be one for each."""
    if not URL:
        pytest.skip("no live WebUI: EBCA_WEBUI is not set (e.g. http://127.0.0.1:7860)")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests of what the host lists run once for each of it."""
    lists = {
        "sampler": lambda host: host.names("samplers"),
        "scheduler": _schedulers,
        "attention": lambda host: host.choices("cross_attention_optimization"),
        "neighbour": _neighbours,
        "integrated": _integrated,
    }
    for name in set(lists) & set(metafunc.fixturenames):
        metafunc.parametrize(name, lists[name](WebUI(URL)) if URL else ["of no host"])


def _neighbours(host: WebUI) -> list[Any]:
    """Those that the host has; the test's name tells the order of loading where it is known."""
    return [pytest.param(each, id=f"{each.name} ({order(host, each)})") for each in present(host)]


def _integrated(host: WebUI) -> list[str]:
    """The extensions of Forge's family that call themselves so, by a checkbox of their own."""
    names = host.get("/sdapi/v1/scripts")["txt2img"]
    return [name for name in names if "integrated" in name]


def _schedulers(host: WebUI) -> list[str]:
    """None before 1.9, where they are a part of the samplers' names."""
    try:
        return host.names("schedulers", "label")
    except RefusedError:
        return []


# What only the extension in `testing_extension` can do


@pytest.fixture
def comments(host: WebUI) -> Callable[[], list[str] | None]:
    """The lines under the last job's pictures; None where the host cannot tell."""

    def comments() -> list[str] | None:
        try:
            return host.get("/ebca-testing/comments")
        except RefusedError:
            return None

    return comments


@pytest.fixture
def no_faults(host: WebUI) -> Iterator[None]:
    """None before the test and none after it."""
    try:
        host.delete("/ebca-testing/fault")
    except RefusedError:
        pytest.skip("the WebUI lacks tests/webui/testing_extension, by which faults come in")
    yield
    host.delete("/ebca-testing/fault")


@pytest.fixture
def fault(host: WebUI, no_faults: None) -> Callable[..., Callable[[], dict[str, Any]]]:
    """fault(where, what, after=n) lets things go wrong at the n-th call of a function; what it
    returns tells how often that was called."""

    def fault(where: str, what: str, after: int = 1) -> Callable[[], dict[str, Any]]:
        host.post("/ebca-testing/fault", {"where": where, "what": what, "after": after})
        return lambda: host.get("/ebca-testing/fault")[0]

    return fault
