"""What the wheel lacks or has changed, as small as it can be, each with its reason."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import inspect
import sys
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

UNUSED = (
    "accelerate", "blendmodes", "clean_fid", "cleanfid", "clip", "jsonmerge", "kornia",
    "open_clip", "piexif", "pytorch_lightning", "resize_right", "skimage", "timm", "tomesd",
    "torch.utils.tensorboard", "torchvision",
    "modules.api",
)  # fmt: skip
"""Imported by the WebUI's modules and never called here. Most are large, some have no build for
every Python; of `pytorch_lightning` two names are used, `modules.api` is not in the wheel."""


class _Anything:
    """Stands for any class or function of an unused package."""

    def __init__(self, *_args: Any, **_kwargs: Any) -> None: ...


class _UnusedPackages(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(
        self, name: str, path: object = None, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        if any(f"{name}.".startswith(f"{unused}.") for unused in UNUSED):
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        module = types.ModuleType(spec.name)
        module.__getattr__ = _public_name  # type: ignore[method-assign]
        return module

    def exec_module(self, module: types.ModuleType) -> None: ...


def _public_name(name: str) -> type[_Anything]:
    if name.startswith("__"):
        raise AttributeError(name)
    return _Anything


def stand_in_for_unused_packages() -> None:
    sys.meta_path.insert(0, _UnusedPackages())
    import pytorch_lightning
    from pytorch_lightning import utilities

    class LightningModule(torch.nn.Module):
        """What the WebUI uses of it: a module that knows its precision and its device."""

        dtype = property(lambda self: next(self.parameters()).dtype)
        device = property(lambda self: next(self.parameters()).device)

    pytorch_lightning.LightningModule = LightningModule
    utilities.rank_zero_only = lambda function: function


def stand_in_for_ui_components() -> None:
    """`modules.ui_components`, whose InputAccordion the wheel, which has no pages, lacks: a hidden
    checkbox that opens an accordion. And the `tooltip` that the WebUI takes from all components."""
    import gradio as gr

    class InputAccordion(gr.Checkbox):  # type: ignore[misc]
        def __init__(self, value: bool, **kwargs: Any) -> None:
            super().__init__(value, **{**kwargs, "visible": False})
            self.accordion = gr.Accordion(label=kwargs["label"], open=value)

        def __enter__(self) -> InputAccordion:
            self.accordion.__enter__()
            return self

        def __exit__(self, *exception: Any) -> None:
            self.accordion.__exit__(*exception)

        def get_block_name(self) -> str:
            return "checkbox"

    components = types.ModuleType("modules.ui_components")
    components.InputAccordion = InputAccordion  # type: ignore[attr-defined]
    sys.modules[components.__name__] = components

    make = gr.components.IOComponent.__init__

    def make_without_tooltip(self: Any, *args: Any, tooltip: str = "", **kwargs: Any) -> None:
        make(self, *args, **kwargs)

    gr.components.IOComponent.__init__ = make_without_tooltip


def tell_the_release(root: Path) -> None:
    """The wheel has neither the changelog nor a page, by which the WebUI's release is known; so
    there is one in `root`, and the scripts are said to be in there."""
    from modules import scripts

    (root / "modules").mkdir()
    (root / "modules" / "sd_samplers_cfg_denoiser.py").touch()
    (root / "CHANGELOG.md").write_text("## 1.7.0\n", encoding="utf-8")
    scripts.__file__ = str(root / "modules" / "scripts.py")


def undo_what_the_wheel_changed() -> None:
    """The wheel's makers pass the model along where the WebUI uses `shared.sd_model`, and left
    half of the samplers broken on the way. After this a job's model is `shared.sd_model`, all
    samplers can be made, a denoiser knows its sampler, and the old implementation of emphasis can
    be chosen, as in the WebUI."""
    from modules import (
        processing,
        sd_hijack_clip,
        sd_hijack_clip_old,
        sd_models,
        sd_samplers,
        sd_samplers_cfg_denoiser,
        sd_samplers_common,
        sd_unet,
        shared,
    )

    get_unet_option = sd_unet.get_unet_option
    sd_unet.get_unet_option = lambda *_: get_unet_option(shared.sd_model)
    sd_samplers_common.sd_models = sd_models  # which its refiner uses and it does not import
    current = property(lambda self: shared.sd_model, lambda self, value: None)
    processing.StableDiffusionProcessing._sd_model = current
    sd_samplers_cfg_denoiser.CFGDenoiser.sd_model = current

    make = sd_samplers_common.Sampler.__init__

    def make_with_current_model(self: Any, funcname: Any, *_: Any) -> None:
        make(self, funcname, shared.sd_model, shared.total_tqdm)

    sd_samplers_common.Sampler.__init__ = make_with_current_model

    for data in sd_samplers.all_samplers:  # the wheel wants a progress bar of most of them
        wanted = len(inspect.signature(data.constructor).parameters)
        bars = (None,) * (wanted - 1 - ("funcname" in str(inspect.signature(data.constructor))))

        def constructor(
            model: Any,
            _bar: Any = None,
            made: Callable[..., Any] = data.constructor,
            bars: tuple[None, ...] = bars,
        ) -> Any:
            return made(model, *bars)

        sd_samplers.all_samplers_map[data.name] = data._replace(constructor=constructor)

    create = sd_samplers.create_sampler

    def create_sampler(name: str, model: Any, bar: Any) -> Any:
        sampler = create(name, model, bar)
        denoiser = sampler.model_wrap_cfg
        denoiser._modules.pop("sampler", None)  # the model, which the wheel puts there
        denoiser.sampler = sampler
        return sampler

    sd_samplers.create_sampler = create_sampler

    encode = sd_hijack_clip.FrozenCLIPEmbedderWithCustomWordsBase.forward

    def forward(self: Any, texts: Any) -> Any:
        if shared.opts.use_old_emphasis_implementation:
            return sd_hijack_clip_old.forward_old(self, texts)
        return encode(self, texts)

    sd_hijack_clip.FrozenCLIPEmbedderWithCustomWordsBase.forward = forward


def load_checkpoints_from(checkpoints: dict[str, Any]) -> None:
    """`reload_model_weights` takes a model out of `checkpoints`, by its checkpoint's name, where
    the WebUI reads a file; without a name, the job's own, which is the first of them."""
    from modules import sd_models, shared

    def reload_model_weights(*_: Any, info: Any = None, **__: Any) -> Any:
        name = info.name_for_extra if info else shared.opts.sd_model_checkpoint
        shared.sd_model = checkpoints[name]
        return shared.sd_model

    sd_models.reload_model_weights = reload_model_weights


def script_classes(module: types.ModuleType, base: type) -> Sequence[type]:
    """What the WebUI's `load_scripts`, of which the wheel has only the beginning, registers."""
    classes = (value for value in vars(module).values() if isinstance(value, type))
    return [each for each in classes if issubclass(each, base) and each is not base]
