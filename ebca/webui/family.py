"""The families of WebUIs: AUTOMATIC1111's own, and Forge with its relatives.

They share their scripts, prompts, samplers and pages, and so all of this package. Their differences
are here: where a model has its UNet and its text encoder, how the rows of a batch are told apart,
which code computes the linears, and how the model is evaluated outside a sampling.
A family is recognised by the attributes of the model in use, never by a name.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from modules import (  # type: ignore[import-not-found]
    prompt_parser,
    sd_models,
    sd_samplers_common,
    shared,
)
from safetensors import SafetensorError, safe_open
from torch import nn

from ebca.core.layers import NoCrossAttentionError, Projections, find_layers
from ebca.hosts.forge import ForgeProjections, ForgeSampling
from ebca.hosts.source import Evaluate, forge_source, webui_source
from ebca.hosts.webui import WebUISampling
from ebca.webui.encoder import webui_text_encoder
from ebca.webui.projections import WebUIProjections


class Family(Protocol):
    """The differences between the families."""

    sampling: type[WebUISampling]
    projections: type[Projections]
    encodes_early: bool
    """Whether EBCA encodes texts before the sampler begins: the host's memory manager makes room
    for the UNet then, and expects no other model to be needed."""

    goes_without: bool
    """Whether a job goes on without EBCA if the model has no cross-attention, because people
    change between models with and without it all the time."""

    def unet(self, model: Any) -> nn.Module:
        """Return the UNet of a model, or the network that the model has in its place."""
        ...

    def text_encoder(self, model: Any) -> Any:
        """Return the text encoder that tells where a prompt's words are; None if none does."""
        ...

    def encoded(self, sampler: Any) -> None:
        """Called after EBCA encoded texts while `sampler` was about to begin."""
        ...

    def source(self, denoiser: Any, encoded: Any) -> AbstractContextManager[Evaluate]:
        """Return a context manager whose function evaluates the model without guidance, under
        prompts `encoded` as the host encodes negative ones; `denoiser` is the host's."""
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
        """Return the first engine: those of SDXL agree on where words are. Chroma has none."""
        names = ("text_processing_engine", "text_processing_engine_l", "text_processing_engine_g")
        engines = (getattr(model, name, None) for name in names)
        own = next((each for each in engines if each is not None), None)
        return own if own is not None else webui_text_encoder(model)

    def encoded(self, sampler: Any) -> None:
        """Load the UNet again, which may have been taken off its device for the text encoder."""
        unet = shared.sd_model.forge_objects.unet
        sd_samplers_common.sampling_prepare(unet, x=sampler.last_latent)

    def source(self, denoiser: Any, encoded: Any) -> AbstractContextManager[Evaluate]:
        return forge_source(denoiser, encoded)


_WEBUI, _FORGE = _WebUI(), _Forge()


def family(model: Any = None) -> Family:
    """Return the family of `model`, by default of the model in use."""
    model = shared.sd_model if model is None else model
    return _FORGE if hasattr(model, "forge_objects") else _WEBUI


def unet() -> nn.Module:
    """Return the UNet in use."""
    return family().unet(shared.sd_model)


def text_encoder() -> Any:
    """Return the text encoder of the model in use, as the host's settings have it."""
    return family().text_encoder(shared.sd_model)


def loaded_model() -> Any:
    """Return the model that is loaded, None if there is none. Unlike `shared.sd_model` this loads
    no model; Forge's placeholder for a model that is not loaded yet counts as none."""
    model = sd_models.model_data.sd_model
    known = any(hasattr(model, name) for name in ("forge_objects", "model"))
    return model if known else None


def chosen_checkpoint() -> Any:
    """Return the host's description of the model that the next job will use: Forge loads the chosen
    model only when the job begins."""
    chosen = getattr(sd_models.model_data, "forge_loading_parameters", None)
    return chosen["checkpoint_info"] if chosen else shared.sd_model.sd_checkpoint_info


class NextModel(NamedTuple):
    """The known facts about the model that the next job will use.

    model: the model, or None if it is not loaded.
    has_attention: whether it has cross-attention; None if that is unknown until it is loaded.
    goes_without: as in `Family`.
    """

    model: Any
    has_attention: bool | None
    goes_without: bool


def next_model() -> NextModel:
    """Describe the model that the next job will use, without loading it."""
    model = loaded_model()
    late = hasattr(sd_models.model_data, "forge_loading_parameters")
    host = None if model is None else family(model)
    without = late if host is None else host.goes_without
    chosen = _chosen()
    loaded = getattr(getattr(model, "sd_checkpoint_info", None), "filename", None)
    if chosen is not None and loaded is not None and chosen.filename != loaded:
        return NextModel(None, file_has_attention(chosen.filename), without)
    if host is None:
        return NextModel(None, None, without)
    return NextModel(model, has_attention(host.unet(model)), without)


def _chosen() -> Any:
    """Return the host's description of the model chosen on its page; None if none is chosen."""
    late = getattr(sd_models.model_data, "forge_loading_parameters", None)
    if late:
        return late["checkpoint_info"]
    name = getattr(shared.opts, "sd_model_checkpoint", None)
    return getattr(sd_models, "checkpoint_aliases", {}).get(name)


def has_attention(model: nn.Module) -> bool:
    """Whether a UNet, or the network in its place, has cross-attention."""
    try:
        find_layers(model)
    except NoCrossAttentionError:
        return False
    return True


def file_has_attention(path: str) -> bool | None:
    """Whether the model in a checkpoint has cross-attention, by the names of its tensors; None if
    the names cannot be read without loading the model."""
    file = Path(path)
    if file.suffix != ".safetensors" or not file.is_file():
        return None
    return _file_has_attention(path, file.stat().st_mtime)


@lru_cache(maxsize=32)
def _file_has_attention(path: str, _changed: float) -> bool | None:
    try:
        with safe_open(path, "pt") as tensors:
            return any(name.endswith(_ATTENTION) for name in tensors.keys())  # noqa: SIM118
    except (OSError, SafetensorError):
        return None


_ATTENTION = ".attn2.to_k.weight"
"""The end of the names of tensors that project a text to keys in a UNet's cross-attention."""
