"""The command `python -m ebca vote`, and its pictures, made by a diffusers pipeline."""

from __future__ import annotations

import argparse
import contextlib
import threading
import webbrowser
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import diffusers
import torch
from PIL import Image, ImageFont

from ebca.align.painter import Painter as Loaded
from ebca.align.painter import Sampling as LoadedSampling
from ebca.prompts import compose
from ebca.session import apply_patch
from ebca.settings import SettingsError
from ebca.version import VERSION
from ebca.vote.cli import given
from ebca.vote.painter import Sampling
from ebca.vote.server import Server
from ebca.vote.service import Service
from ebca.vote.sides import Values, settings_of
from ebca.vote.store import Poll, Store

SMALL = "the small model"


class PipelinePainter:
    """A pipeline, loaded once, for all polls of this run."""

    def __init__(self, options: argparse.Namespace, dtype: str) -> None:
        """Load the model. Raises `ebca.generate.ModelError` if that fails."""
        sampling = LoadedSampling(
            options.model, options.model_config, options.device, dtype, sampler=options.sampler
        )
        self._loaded, self._lock = Loaded(sampling), threading.Lock()
        pipe = self._loaded.pipe
        native = int(pipe.unet.config.sample_size) * 8
        model = options.model and Path(options.model).name
        self._conditions = {
            "version": VERSION,
            "host": f"diffusers {diffusers.__version__}",
            "model": f"{model or SMALL} [{self._loaded.fingerprint()}]",
            "device": options.device,
            "dtype": dtype,
        }
        self._usual: Sampling = {
            "steps": options.steps,
            "cfg": options.cfg if options.cfg is not None else 7.5 if options.model else 4.0,
            "width": options.width or native,
            "height": options.height or native,
            "sampler": type(pipe.scheduler).__name__.removesuffix("Scheduler"),
            "negative": options.negative,
        }

    def turn(self) -> AbstractContextManager[object]:
        return self._lock

    def conditions(self) -> dict[str, Any]:
        return self._conditions

    def usual(self) -> Sampling:
        return self._usual

    def samplers(self) -> list[str]:
        return []

    @torch.no_grad()
    def paint(self, prompt: str, seed: int, sampling: Sampling, side: Values) -> Image.Image:
        pipe, settings, composed = self._loaded.pipe, settings_of(side), compose(prompt)
        with contextlib.ExitStack() as stack:
            if settings is not None:
                stack.enter_context(apply_patch(pipe, settings, prompt=composed))
            picture: Image.Image = pipe(
                prompt=composed.main,
                negative_prompt=sampling["negative"],
                num_inference_steps=sampling["steps"],
                guidance_scale=sampling["cfg"],
                width=sampling["width"],
                height=sampling["height"],
                generator=torch.Generator("cpu").manual_seed(seed),
            ).images[0]
        return picture

    def font(self, size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
        return ImageFont.load_default(size)


def run(options: argparse.Namespace, dtype: str) -> int:
    """Serve the page until Ctrl+C. Raises SettingsError, ModelError and StoreError."""
    asked, store = given(options), Store(options.data)
    service = Service(store, PipelinePainter(options, dtype))
    try:
        server = Server(service, options.port)
    except (OSError, OverflowError) as error:
        legal = f"a port that is free ({error}); 0 takes one"
        raise SettingsError("port", options.port, legal) from error
    with server:
        address = server.address
        if asked is not None:
            poll = _begun(service, store, asked)
            service.maker.start(poll)
            address += f"#vote/{poll.id}"
        print(address, flush=True)
        if not options.no_browser:
            webbrowser.open(address)
        try:
            server.serve_forever()
        finally:
            service.maker.pause()
    return 0


def _begun(service: Service, store: Store, asked: dict[str, Any]) -> Poll:
    """Return the poll with the same facts, prompts and seeds, or else a new one."""
    poll = service.add(asked)
    wanted = {(pair.prompt, pair.seed) for pair in store.pairs(poll.id)}
    for other in store.polls():
        pairs = {(pair.prompt, pair.seed) for pair in store.pairs(other.id)}
        if other.id != poll.id and other.fingerprint == poll.fingerprint and pairs == wanted:
            store.forget(poll.id)
            return other
    return poll
