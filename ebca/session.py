"""Opening and closing EBCA on a model: `apply_patch`, `remove_patch`."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from torch import Tensor, nn

from ebca.composition import Composition, per_image
from ebca.engine import Engine
from ebca.hosts.diffusers import Pipeline, is_pipeline
from ebca.hosts.unet import BareUNet
from ebca.layers import NoCrossAttentionError
from ebca.settings import Edit, Settings, SettingsError, check_alphas
from ebca.trace import Trace


class Patch:
    """EBCA on a model, until `remove()` or the end of a `with` block."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def settings(self) -> Settings:
        return self._engine.settings

    @property
    def trace(self) -> Trace | None:
        return self._engine.trace

    def remove(self) -> None:
        """Take EBCA off; the model is exactly as before. May be called again."""
        self._engine.remove()

    def __enter__(self) -> Patch:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.remove()


def apply_patch(
    model: Any,
    settings: Settings | None = None,
    *,
    edits: Sequence[Edit] | Sequence[Sequence[Edit]] = (),
    conditional_rows: Sequence[int] | None = None,
    mask: Tensor | None = None,
    trace: Trace | None = None,
    reference: Tensor | None = None,
) -> Patch:
    """Switch EBCA on for `model`; a patch that is there already is replaced.

    model: a diffusers pipeline (SD1, SD2, SDXL), or a bare UNet: diffusers
        `UNet2DConditionModel`, ldm or sgm `UNetModel`.
    settings: step sizes and the rest; the defaults of `Settings` if not given.
    edits: editorial prompts for CACAO: a flat list for every image, or one list per prompt (for
        a bare UNet: per conditional row).
    conditional_rows: indices of the conditional rows in the UNet's batch, in the order of
        `edits`; all rows if not given. A pipeline knows its own.
    mask: [h, w], 1 where an inpainting repaints; only those pixels pull on the context. A
        9-channel inpainting pipeline brings its own.
    trace: collects energies while sampling.
    reference: [tokens, channels], the encoding of the empty prompt, for edits that are summed. A
        pipeline that can encode finds its own.

    Raises NoCrossAttentionError for a model without cross-attention, SettingsError for a value
    that cannot be used; then nothing is changed.
    """
    settings = Settings() if settings is None else settings
    if not isinstance(settings, Settings):
        raise SettingsError("settings", settings, "a Settings object")
    if mask is not None and (not isinstance(mask, Tensor) or mask.ndim != 2):
        raise SettingsError("mask", getattr(mask, "shape", mask), "a tensor [h, w]")
    if reference is not None and (not isinstance(reference, Tensor) or reference.ndim != 2):
        legal = "a tensor [tokens, channels]"
        raise SettingsError("reference", getattr(reference, "shape", reference), legal)
    images = []
    for image in per_image(edits):
        check_alphas(image, settings.composition)
        summed = reference if settings.composition == "sum" else None
        images.append(Composition(image, settings.token_weights, mask, summed))
    unet = _unet_of(model)
    if is_pipeline(model) and conditional_rows is None:
        host: Pipeline | BareUNet = Pipeline(model, settings, images)
    else:
        host = BareUNet(unet, settings, images, conditional_rows)
    engine = Engine(
        unet,
        settings,
        host.describe,
        composes=any(e.alpha or e.contrast for image in images for e in image.edits),
        trace=trace,
    )
    remove_patch(unet)
    engine.install()
    return Patch(engine)


def remove_patch(model: Any) -> None:
    """Take EBCA off `model`, a pipeline or UNet; nothing happens if it is not on."""
    for hook in list(_unet_of(model)._forward_pre_hooks.values()):
        engine = getattr(hook, "__self__", None)
        if isinstance(engine, Engine):
            engine.remove()


def _unet_of(model: Any) -> nn.Module:
    unet = getattr(model, "unet", model)
    if isinstance(unet, nn.Module) and not inspect.isclass(unet):
        return unet
    raise NoCrossAttentionError(
        f"EBCA: {type(model).__name__} is neither a diffusers pipeline with a unet nor a UNet."
    )
