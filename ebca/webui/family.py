"""The families of WebUIs: AUTOMATIC1111's own, and Forge with its relatives.

They share their scripts, prompts, samplers and pages, and so all of this package. What differs is
here: where the model has its UNet and its text encoder, how rows are told, who does the linears,
how the model is asked beside a sampling.
A family is known by what the model in use has, never by a name.
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


class NextModel(NamedTuple):
    """What is known of the model that the next job is made with.

    model: the model, if it is loaded; None if another one is chosen, or none is loaded.
    has_attention: whether it has cross-attention; None if nobody knows before it is loaded.
    goes_without: as `Family` has it.
    """

    model: Any
    has_attention: bool | None
    goes_without: bool


def next_model() -> NextModel:
    """The model that the next job is made with; loads none."""
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
    """The host's description of what is chosen on its page; None if nothing is."""
    late = getattr(sd_models.model_data, "forge_loading_parameters", None)
    if late:
        return late["checkpoint_info"]
    name = getattr(shared.opts, "sd_model_checkpoint", None)
    return getattr(sd_models, "checkpoint_aliases", {}).get(name)


def has_attention(model: nn.Module) -> bool:
    """Whether a UNet, or what stands in its place, has cross-attention."""
    try:
        find_layers(model)
    except NoCrossAttentionError:
        return False
    return True


def file_has_attention(path: str) -> bool | None:
    """Whether the model in a checkpoint has cross-attention, by the names of its tensors; None if
    they cannot be read without loading it."""
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
"""How the names end of what projects a text in a UNet's cross-attention."""
