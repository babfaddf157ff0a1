"""The WebUI's own modules, from a wheel, as a host without pages: jobs run through its
`process_images`, with the extension's script loaded as the WebUI loads it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import checkpoints
import standins
import startup
import torch
from calls import Call, listening
from torch import Tensor, nn

JOB = {"prompt": "a cat and a dog", "negative_prompt": "a rat", "seed": 7, "steps": 3,
       "width": 64, "height": 64, "cfg_scale": 5.0, "sampler_name": "Euler"}  # fmt: skip


@dataclass
class Result:
    """What a job left behind."""

    pictures: Tensor  # [images, 3, h, w], decoded and not yet rounded to bytes
    parameters: dict[str, Any]  # for the infotext
    comments: list[str]
    calls: list[Call] = field(repr=False)
    p: Any = field(repr=False)


class Host:
    """The WebUI with a checkpoint loaded and the extension's script."""

    def __init__(self, folder: Path) -> None:
        """Start it: once in a process. `folder` is for its data."""
        self.folder = folder
        self.errors: list[str] = []  # which the host has swallowed
        self.checkpoints: dict[str, Any] = {}
        startup.start(folder, self.errors)
        standins.load_checkpoints_from(self.checkpoints)
        self.runners = {tab: startup.scripts_of(tab) for tab in ("txt2img", "img2img")}
        self.load("sd1")

    # What is loaded

    @property
    def model(self) -> Any:
        from modules import shared

        return shared.sd_model

    @property
    def unet(self) -> nn.Module:
        unet: nn.Module = self.model.model.diffusion_model
        return unet

    def load(self, kind: str, seed: int = 0, *, current: bool = True) -> str:
        """Load a checkpoint; returns its name."""
        from modules import shared

        model = checkpoints.make(kind, self.folder, seed)
        name: str = model.sd_checkpoint_info.name_for_extra
        self.checkpoints[name] = model
        if current:
            shared.sd_model = model
            shared.opts.data["sd_model_checkpoint"] = name
        return name

    def encode(self, text: str) -> Tensor:
        """The context of a text, [tokens, channels]."""
        with torch.no_grad():
            encoded = self.model.get_learned_conditioning([text])
        context: Tensor = encoded["crossattn"] if isinstance(encoded, dict) else encoded
        return context[0]

    @contextlib.contextmanager
    def settings(self, **values: Any) -> Iterator[None]:
        """The WebUI's settings, for a while."""
        from modules import shared

        before = {name: getattr(shared.opts, name) for name in values}
        shared.opts.data.update(values)
        try:
            yield
        finally:
            shared.opts.data.update(before)

    @contextlib.contextmanager
    def another_script(
        self, *, first: bool = False, **methods: Callable[..., Any]
    ) -> Iterator[Any]:
        """Another extension's script with these callbacks, after ours or before it."""
        from modules import scripts

        script = type("Another", (scripts.Script,), dict(methods))()
        script.filename, script.args_from, script.args_to = "another.py", 0, 0
        for runner in self.runners.values():
            runner.alwayson_scripts.insert(0 if first else len(runner.alwayson_scripts), script)
        try:
            yield script
        finally:
            for runner in self.runners.values():
                runner.alwayson_scripts.remove(script)

    # Jobs

    def txt2img(self, args: Sequence[Any] = (), **job: Any) -> Result:
        """`args` are those of the API's `alwayson_scripts`."""
        return self.run(self.job(args, **job))

    def img2img(self, args: Sequence[Any] = (), **job: Any) -> Result:
        return self.run(self.job(args, **job))

    def job(self, args: Sequence[Any] = (), **job: Any) -> Any:
        """The job `p` as the API makes it; of img2img if it has `init_images`."""
        from modules import processing

        tab = "img2img" if "init_images" in job else "txt2img"
        kinds = {
            "txt2img": processing.StableDiffusionProcessingTxt2Img,
            "img2img": processing.StableDiffusionProcessingImg2Img,
        }
        p = kinds[tab](sd_model=self.model, **{**JOB, **job})
        runner, script = self.runners[tab], self.runners[tab].script("EBCA")
        values = [getattr(control, "value", None) for control in runner.inputs]
        values[script.args_from : script.args_from + len(args)] = args
        p.scripts, p.script_args = runner, tuple(values)
        p.is_api = True
        return p

    def run(self, p: Any) -> Result:
        """Do a job, listening to all UNets."""
        pictures: list[Tensor] = []

        def postprocess_batch(_script: Any, job: Any, images: Tensor, **_: Any) -> None:
            if job is p:
                pictures.append(images.clone())

        unets = [model.model.diffusion_model for model in self.checkpoints.values()]
        with listening(unets) as calls, self.another_script(postprocess_batch=postprocess_batch):
            processed = self.process(p)
        told = {k: v for k, v in processed.extra_generation_params.items() if v is not None}
        return Result(torch.cat(pictures), told, list(p.comments), calls, p)

    def process(self, p: Any) -> Any:
        """`process_images` as the API calls it; the wheel wants more arguments."""
        from modules import processing, shared

        shared.state.begin("test")
        try:
            return processing.process_images(p, {}, None, self.model, None)
        finally:
            shared.state.end()
