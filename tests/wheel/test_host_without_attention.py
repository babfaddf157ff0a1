"""The page of a host on which people change to models without cross-attention (Flux, Chroma). That
Forge's are such is held by `tests/webui/test_no_cross_attention.py`."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from host import Host
from torch import nn

from ebca.options.job import fields

PAGE = json.dumps({"prompt": "a cat and a dog", "styles": [], "hires": None, "steps": 20})
LINE = "EBCA does nothing with this model: it has no cross-attention."


class Transformer(nn.Module):
    """In the UNet's place."""


def line(**values: Any) -> str:
    from ebca.webui.status import status

    defaults = {name: each.default for name, each in fields().items()}
    return status(PAGE, {**defaults, "enabled": True, **values})


@pytest.fixture
def loaded(host: Host, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Where the host keeps the model that is loaded."""
    from modules import sd_models

    kept = SimpleNamespace(sd_model=host.model)
    monkeypatch.setattr(sd_models, "model_data", kept, raising=False)
    return kept


@pytest.fixture
def without_attention(loaded: SimpleNamespace) -> Any:
    """A model as Forge has it, with text encoders of which EBCA knows nothing."""
    patcher = SimpleNamespace(model=SimpleNamespace(diffusion_model=Transformer()))
    model = SimpleNamespace(
        forge_objects=SimpleNamespace(unet=patcher), cond_stage_model=None, first_stage_model=None
    )
    loaded.sd_model = model
    return model


@pytest.mark.usefixtures("without_attention")
def test_the_line_is_all_that_is_said_of_it() -> None:
    assert LINE in line()
    assert "ebca-chip" not in line()
    assert LINE in line(layers="90-99", token_weights="tree:2")  # of which it is too soon to speak


@pytest.mark.usefixtures("without_attention")
def test_a_bad_value_is_told_and_the_words_have_no_tokens() -> None:
    told = line(start=1.0, stop=0.5)
    assert "“Paper&#x27;s update from” is 1.0" in told
    assert "ebca-chip" in told


@pytest.mark.usefixtures("loaded")
def test_a_model_that_has_it_is_told_by_its_words() -> None:
    assert "Will try to show all of" in line()
    assert "ebca-chip" in line()


def test_nobody_tells_where_the_words_of_such_a_model_are(without_attention: Any) -> None:
    from ebca.webui.encoder import webui_text_encoder
    from ebca.webui.family import family

    assert family(without_attention).text_encoder(without_attention) is None
    assert webui_text_encoder(SimpleNamespace(cond_stage_model=nn.Linear(1, 1))) is None
