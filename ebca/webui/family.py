"""The families of WebUIs: AUTOMATIC1111's own, and Forge with its relatives.

They share their scripts, prompts, samplers and pages, and so all of this package. What differs is
here: where the model has its UNet and its text encoder, how rows are told, who does the linears,
how the model is asked beside a sampling.
A family is known by what the model in use has, never by a name.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Protocol

from modules import (  # type: ignore[import-not-found]
    prompt_parser,
    sd_models,
    sd_samplers_common,
    shared,
)
from torch import nn

from ebca.core.layers import Projections
from ebca.hosts.forge import ForgeProjections, ForgeSampling
from ebca.hosts.source import Evaluate, forge_source, webui_source
from ebca.hosts.webui import WebUISampling
from ebca.webui.encoder import webui_text_encoder
from ebca.webui.projections import WebUIProjections


class Family(Protocol):
    """What differs."""

    sampling: type[WebUISampling]
    projections: type[Projections]
    encodes_early: bool
    """Whether texts are encoded before the sampler begins: its memory manager makes room for
    the UNet then, and counts on nobody else coming."""

    goes_without: bool
    """Whether a job goes on without EBCA where the model cannot have it: where people change
    between models with and without cross-attention all the time."""

    def unet(self, model: Any) -> nn.Module:
        """The UNet of a model, or what the model has in its place."""
        ...

    def text_encoder(self, model: Any) -> Any:
        """Who tells where the words of a prompt are; None where nobody does."""
        ...

    def encoded(self, sampler: Any) -> None:
        """Called after texts were encoded while `sampler` was about to begin."""
        ...

    def source(self, denoiser: Any, encoded: Any) -> AbstractContextManager[Evaluate]:
        """What evaluates the model under prompts, `encoded` as the host encodes negative ones,
        without guidance; `denoiser` is the host's."""
        ...


class _WebUI:
    sampling: type[WebUISampling] = WebUISampling
    projections: type[Projections] = WebUIProjections
    encodes_early = False
    goes_without = False

    def unet(self, model: Any) -> nn.Module:
        unet: nn.Module = model.model.diffusion_model
        return unet

    def text_encoder(self, model: Any) -> Any:
        return webui_text_encoder(model)

    def encoded(self, sampler: Any) -> None:
        pass

    def source(self, denoiser: Any, encoded: Any) -> AbstractContextManager[Evaluate]:
        def contexts(step: int) -> Any:
            return prompt_parser.reconstruct_cond_batch(encoded, step)

        return webui_source(denoiser, contexts, shared.sd_model.model.conditioning_key)


class _Forge:
    sampling: type[WebUISampling] = ForgeSampling
    projections: type[Projections] = ForgeProjections
    encodes_early = True
    goes_without = True

    def unet(self, model: Any) -> nn.Module:
        unet: nn.Module = model.forge_objects.unet.model.diffusion_model
        return unet

    def text_encoder(self, model: Any) -> Any:
        """The engines of SDXL agree on where words are. Chroma has none of these."""
        names = ("text_processing_engine", "text_processing_engine_l", "text_processing_engine_g")
        engines = (getattr(model, name, None) for name in names)
        own = next((each for each in engines if each is not None), None)
        return own if own is not None else webui_text_encoder(model)

    def encoded(self, sampler: Any) -> None:
        """The memory manager may have taken the UNet off its device for the text encoder."""
        unet = shared.sd_model.forge_objects.unet
        sd_samplers_common.sampling_prepare(unet, x=sampler.last_latent)

    def source(self, denoiser: Any, encoded: Any) -> AbstractContextManager[Evaluate]:
        return forge_source(denoiser, encoded)


_WEBUI, _FORGE = _WebUI(), _Forge()


def family(model: Any = None) -> Family:
    """Whose `model` is; the one in use if none is given."""
    model = shared.sd_model if model is None else model
    return _FORGE if hasattr(model, "forge_objects") else _WEBUI


def unet() -> nn.Module:
    """The UNet in use."""
    return family().unet(shared.sd_model)


def text_encoder() -> Any:
    """The text encoder of the model in use, as the host's settings have it."""
    return family().text_encoder(shared.sd_model)


def loaded_model() -> Any:
    """The model that is loaded; None if none is. Loads none, unlike `shared.sd_model`, and takes
    what stands there until one is loaded (Forge) for none."""
    model = sd_models.model_data.sd_model
    known = any(hasattr(model, name) for name in ("forge_objects", "model"))
    return model if known else None


def chosen_checkpoint() -> Any:
    """The host's description of the model that the next job is made with: Forge loads the one that
    is chosen only then."""
    chosen = getattr(sd_models.model_data, "forge_loading_parameters", None)
    return chosen["checkpoint_info"] if chosen else shared.sd_model.sd_checkpoint_info
