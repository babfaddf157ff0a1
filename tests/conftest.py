"""Shared by all tests: few threads, quiet Hypothesis, one tiny model of each kind."""

import os
from collections.abc import Iterator

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # nothing here may need the network

import pytest
import torch
from diffusers import UNet2DConditionModel
from hypothesis import HealthCheck, settings
from models import tiny_unet

torch.set_num_threads(1)  # tiny shapes: a second thread only waits for the first
settings.register_profile(
    "ebca",
    deadline=None,
    derandomize=True,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("ebca")


@pytest.fixture(scope="session")
def shared_unet() -> UNet2DConditionModel:
    return tiny_unet()


@pytest.fixture
def unet(shared_unet: UNet2DConditionModel) -> Iterator[UNet2DConditionModel]:
    """A tiny UNet, shared because it is never changed for good: every test must leave it as it
    was, which is checked."""
    yield shared_unet
    left = [
        name
        for name, module in shared_unet.named_modules()
        if module._forward_hooks or module._forward_pre_hooks
    ]
    assert not left, f"hooks left behind on {left}"
