"""The WebUI's modules, started once. They need an environment of their own, which
`python dev.py test` makes."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import pytest
import torch

if TYPE_CHECKING:
    from host import Host

if importlib.util.find_spec("gradio") is None or importlib.util.find_spec("auto1111sdk") is None:
    raise pytest.UsageError(
        "tests/wheel needs requirements-webui.txt installed: run `python dev.py test`"
    )
torch.set_num_threads(1)  # tiny shapes: a second thread only waits for the first


@pytest.fixture(scope="session")
def started(tmp_path_factory: pytest.TempPathFactory) -> Host:
    from host import Host

    return Host(tmp_path_factory.mktemp("webui"))


@pytest.fixture
def host(started: Host) -> Iterator[Host]:
    """The host with the SD1 checkpoint. Every test must leave it as it was and provoke no error
    that the host swallows, which is checked."""
    started.load("sd1")
    before = _state()
    yield started
    started.load("sd1")
    errors, started.errors[:] = list(started.errors), []
    from calls import hooks_of

    hooks = [each for model in started.checkpoints.values() for each in hooks_of(model)]
    assert not hooks, f"hooks left behind on {hooks}"
    assert _state() == before, "something left behind"
    assert not errors


@pytest.fixture(params=["sd1", "sdxl"])
def each_model(host: Host, request: pytest.FixtureRequest) -> Host:
    """The host with the checkpoint of each kind of UNet."""
    host.load(request.param)
    return host


def _state() -> list[Any]:
    """What the extension could leave changed in the host."""
    from modules import prompt_parser, script_callbacks, sd_samplers_common, shared

    callbacks = {name: list(each) for name, each in script_callbacks.callback_map.items()}
    sampler = {
        name: vars(sd_samplers_common.Sampler)[name] for name in ("launch_sampling", "sample")
    }
    return [callbacks, sampler, prompt_parser.get_multicond_prompt_list, dict(shared.opts.data)]
