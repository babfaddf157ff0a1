"""Switch EBCA on and off for a model: `apply_patch`, `remove_patch`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any

from torch import Tensor, nn

from ebca.core.engine import Engine
from ebca.core.evaluation import Image
from ebca.core.layers import NoCrossAttentionError
from ebca.core.trace import Trace
from ebca.hosts.diffusers import Pipeline, is_pipeline
from ebca.hosts.unet import BareUNet
from ebca.methods.bcu import BCU
from ebca.options import Settings
from ebca.prompts import Composed, Edit, Prompt
from ebca.settings import SettingsError


class Patch:
    """EBCA on a model, from `apply_patch` until `remove()` or the end of a `with` block.

    Attributes:
        settings: The `Settings` in use.
        trace: The `Trace` that was given, or None.
    """

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._engine, self.settings = engine, settings

    @property
    def trace(self) -> Trace | None:
        return self._engine.trace

    def remove(self) -> None:
        """Remove EBCA; the model is exactly as before. May be called again."""
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
    prompt: Composed | None = None,
    edits: Sequence[Edit] | Sequence[Sequence[Edit]] = (),
    conditional_rows: Sequence[int] | None = None,
    mask: Tensor | None = None,
    trace: Trace | None = None,
    reference: Tensor | None = None,
    contexts: Mapping[str, Tensor] | None = None,
    tokens: Mapping[str, Sequence[int]] | None = None,
) -> Patch:
    """Switch EBCA on for `model`, in place of an earlier patch.

    Args:
        model: A diffusers pipeline (SD1, SD2, SDXL), or a bare UNet: diffusers'
            `UNet2DConditionModel`, ldm's or sgm's `UNetModel`.
        settings: The settings; the defaults if None.
        prompt: What `ebca.compose` returned: its subjects and its prompts after AND are used. Give
            `prompt.main` to the model itself.
        edits: Prompts after AND, instead of `prompt`: a flat list for every image, or one list per
            prompt (for a bare UNet: per conditional row).
        conditional_rows: Indices of the conditional rows in the UNet's batch, in the order of the
            prompts; all rows if None. A pipeline knows its own.
        mask: [h, w], 1 where an inpainting repaints; only these pixels pull on the context. A
            9-channel inpainting pipeline brings its own.
        trace: A `Trace` to fill while sampling.
        reference: [tokens, channels], the encoding of the empty prompt, needed for prompts after
            AND that are summed. A pipeline that can encode computes its own.
        contexts: Text -> encoding [tokens, channels], for the subjects and the prompts after AND;
            for a bare UNet, which cannot encode.
        tokens: Noun of a subject -> token indices in the encoding of the main prompt; for a bare
            UNet, which knows no words. Without them subjects get places blindly.

    Returns:
        A `Patch`, also a context manager that removes EBCA at its end.

    Raises:
        NoCrossAttentionError: The model has no cross-attention.
        SettingsError: A value cannot be used. After either error the model is unchanged.
    """
    settings = Settings() if settings is None else settings
    if not isinstance(settings, Settings):
        raise SettingsError("settings", settings, "a Settings object")
    if mask is not None and (not isinstance(mask, Tensor) or mask.ndim != 2):
        raise SettingsError("mask", getattr(mask, "shape", mask), "a tensor [h, w]")
    prompts = _prompts(settings, prompt, edits)
    for method in settings.methods:
        for each in prompts:
            method.check(each)
    settings.words.check_count()
    weights = settings.words.index_weights
    encoded = _checked_contexts(contexts or {}, reference)
    find = _checked_tokens(tokens or {})
    images = [
        Image(each, encoded, weights, mask, number, find) for number, each in enumerate(prompts)
    ]
    methods = [m for m in settings.methods if any(m.acts_on(each) for each in prompts)]
    unet = _unet_of(model)
    if is_pipeline(model) and conditional_rows is None:
        host: Pipeline | BareUNet = Pipeline(model, methods, images, settings.words.word_weights)
    else:
        host = BareUNet(unet, methods, images, conditional_rows)
        if words := settings.words.word_weights:
            legal = "factors by token index: a bare UNet does not know words"
            raise SettingsError("token_weights", words, legal)
    if trace is not None:
        trace.formulation = settings.part(BCU).formulation
    engine = Engine(unet, methods, host.describe, trace=trace)
    for method in methods:
        method.check_model(engine.layers)
    remove_patch(unet)
    engine.install()
    return Patch(engine, settings)


def _prompts(
    settings: Settings,
    composed: Composed | None,
    edits: Sequence[Edit] | Sequence[Sequence[Edit]],
) -> list[Prompt]:
    """Return one prompt for each image, or one that all images share."""
    if composed is not None and not isinstance(composed, Composed):
        raise SettingsError("prompt", composed, "what ebca.compose gives")
    if composed is None:
        return [Prompt(edits=each) for each in per_image(edits)]
    if edits:
        raise SettingsError("edits", edits, "left out where a prompt is given, which has its own")
    find = settings.words.subjects_of
    return [each.with_subjects(find(each.main)) for each in composed.prompts]


def per_image(edits: Sequence[Edit] | Sequence[Sequence[Edit]]) -> list[tuple[Edit, ...]]:
    """Return one tuple of edits for each image; a flat sequence is one tuple for all images."""
    images: Sequence[Any] = edits
    if not edits or any(isinstance(edit, Edit) for edit in edits):
        images = [edits]
    for image in images:
        for edit in image if isinstance(image, (list, tuple)) else [image]:
            if not isinstance(edit, Edit) or edit is image:
                raise SettingsError("edits", edit, "a list of Edit, or one such list per image")
    return [tuple(image) for image in images]


def _checked_contexts(
    contexts: Mapping[str, Tensor], reference: Tensor | None
) -> Mapping[str, Tensor]:
    given = {f"contexts[{text!r}]": context for text, context in contexts.items()}
    if reference is not None:
        given["reference"], contexts = reference, {**contexts, "": reference}
    for name, context in given.items():
        if not isinstance(context, Tensor) or context.ndim != 2:
            shape = getattr(context, "shape", context)
            raise SettingsError(name, shape, "a tensor [tokens, channels]")
    return contexts


def _checked_tokens(tokens: Mapping[str, Sequence[int]]) -> Callable[[str], Sequence[int]]:
    for word, indices in tokens.items():
        if not all(isinstance(index, int) and index >= 0 for index in indices):
            raise SettingsError(f"tokens[{word!r}]", indices, "token indices, each 0 or more")
    return lambda words: tokens.get(words, ())


def remove_patch(model: Any) -> None:
    """Switch EBCA off for `model`; does nothing if it is not on.

    Args:
        model: A pipeline or a UNet.

    Raises:
        NoCrossAttentionError: `model` is neither.
    """
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
