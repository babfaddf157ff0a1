"""The job behind `python -m ebca generate`: load a model, make pictures, save them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageOps, PngImagePlugin

from ebca.core.maps import WHEN, Maps
from ebca.core.trace import Trace
from ebca.editing.pictures import eight_bit, latent_size, plain
from ebca.hosts.keeping import Inversion, invert
from ebca.infotext import write_parameters
from ebca.options import Settings, declared
from ebca.options.infotext import PREFIX, write
from ebca.options.keeping import Keeping
from ebca.options.presets import DEFAULT
from ebca.plots import Labelled, side_by_side
from ebca.prompts import Composed, compose, split_prompt
from ebca.prompts.words import read_list
from ebca.seeing.drawing import strip
from ebca.session import Patch, apply_patch
from ebca.settings import SettingsError
from ebca.settings.checks import check_choice

EMBEDDED_MODEL = Path(__file__).resolve().parent.parent / "small_model" / "weights"
_LATENT_SCALE = 8  # pixels per latent pixel
_SAID = ("keep", "keep_source")
_BELOW_ONE = 0.999  # at 1 an inpainting pipeline ignores the picture's noise


class ModelError(Exception):
    """A model cannot be loaded; the message is one line for the user."""


@dataclass(frozen=True)
class PictureRequest:
    """The pictures to make. Sizes are in pixels; None means the model's own."""

    prompt: str
    negative: str = ""
    settings: Settings = dataclasses.field(default_factory=Settings)
    keeping: Keeping = dataclasses.field(default_factory=Keeping)
    preset: str = DEFAULT
    steps: int = 20
    cfg: float = 4.0
    seed: int = 0
    images: int = 1
    width: int | None = None
    height: int | None = None
    init: Path | None = None
    strength: float = 0.6
    mask: Path | None = None
    compare: bool = False
    energies: bool = False
    maps: str | None = None
    maps_of: str = ""
    out: Path = Path("outputs")

    def __post_init__(self) -> None:
        at_least = {"steps": 1, "images": 1, "seed": 0, "cfg": 0}
        for name, low in at_least.items():
            if not low <= getattr(self, name) < 2**63:
                raise SettingsError(name, getattr(self, name), f"a number of at least {low}")
        if self.maps is not None:
            check_choice("maps", self.maps, WHEN)
        if not 0.0 < self.strength <= 1.0:
            raise SettingsError("strength", self.strength, "a number above 0 and at most 1")
        for name in ("width", "height"):
            value = getattr(self, name)
            if value is not None and (value < _LATENT_SCALE or value % _LATENT_SCALE):
                raise SettingsError(name, value, f"a multiple of {_LATENT_SCALE} pixels")
        if self.mask is not None and self.init is None:
            raise SettingsError("mask", str(self.mask), "given together with init, the image")
        if self.keeping.keep and self.init is None:
            raise SettingsError("keep", True, "given together with init, the image")
        if self.keeping.keep and not self.source.strip():
            raise SettingsError("keep_source", "", "what the image shows, or a prompt must say it")

    @property
    def source(self) -> str:
        """The prompt that describes the init image: `keep_source`, or else the main prompt."""
        return self.keeping.keep_source.strip() or split_prompt(self.prompt)[0].text


def load_pipeline(model: str | None, config: str | None, device: str, dtype: torch.dtype) -> Any:
    """Load a diffusers pipeline from a folder, a single file, a hub id; None: the embedded model.

    Raises ModelError, which says in one line what is wrong.
    """
    import diffusers

    if model is None and not EMBEDDED_MODEL.is_dir():
        raise ModelError("the small model is part of the checkout alone: name a model (--model)")
    source = str(EMBEDDED_MODEL) if model is None else model
    options: dict[str, Any] = {"torch_dtype": dtype}
    try:
        if Path(source).is_file():
            kind = diffusers.StableDiffusionPipeline
            if _is_xl(Path(source)):
                kind = diffusers.StableDiffusionXLPipeline
            if config is not None:
                options["config"] = config
            pipe = kind.from_single_file(source, **options)
        else:
            pipe = diffusers.DiffusionPipeline.from_pretrained(source, **options)
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(f"cannot load the model {source!r}: {reason}") from error
    if getattr(pipe, "safety_checker", None) is not None:
        pipe.safety_checker = None  # it would blacken pictures of small models
    return pipe.to(device)


def _is_xl(file: Path) -> bool:
    """Tell whether a single-file checkpoint has SDXL's second text encoder."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="pt") as tensors:
            return any(name.startswith("conditioner.embedders.1.") for name in tensors.keys())  # noqa: SIM118
    except SafetensorError as error:
        raise ModelError(f"{str(file)!r} is not a .safetensors file: {error}") from error


def run(pipe: Any, job: PictureRequest, progress: Callable[[int, int], None]) -> Iterator[Path]:
    """Make the pictures of `job` and yield the path of each file written.

    `progress(done, total)` is called after each denoising step. Raises SettingsError before
    anything is sampled if the job cannot be done.
    """
    composed = compose(job.prompt)
    assert isinstance(composed.main, str)
    painter = _Painter(pipe, job, progress)

    def patched(
        trace: Trace | None = None, settings: Settings = job.settings, prompt: Composed = composed
    ) -> Patch:
        return apply_patch(
            painter.pipe, settings, prompt=prompt, mask=painter.mask_latent, trace=trace
        )

    def watched(energies: bool = False) -> Trace | None:
        words = read_list(job.maps_of)
        maps = Maps(words, job.maps) if job.maps is not None else None
        return Trace(energies=energies, maps=maps) if energies or maps else None

    def beside(inversion: Inversion | None, trace: Trace | None) -> Any:
        """Return the context of the picture to compare with: EBCA off, or where a picture is kept,
        on."""
        if inversion:
            return patched(trace)
        off = patched(trace, job.settings.off(), compose(composed.main)) if trace else None
        return off or nullcontext()

    patched().remove()  # raises here for what the model cannot do
    job.out.mkdir(parents=True, exist_ok=True)
    number = _next_number(job.out)
    rows: list[list[Labelled]] = []
    known = declared(page=False)
    fields = write({**job.settings, **vars(job.keeping)}, known, job.preset)
    for seed in range(job.seed, job.seed + job.images):
        row, inversion = [], painter.invert(seed)
        if job.compare and inversion:
            row.append(Labelled("source", painter.source))
            again = painter.paint(job.source, seed, inversion)
            row.append(Labelled(f"reconstruction: {job.source}", again))
            yield painter.save(
                again, job.out / f"{number:05d}-{seed}-reconstruction.png", job.source, seed, {}
            )
        if job.compare:
            seen = watched()
            with beside(inversion, seen):
                off = painter.paint(composed.main, seed)
            label = f"not kept: {job.prompt}" if inversion else f"off: {composed.main}"
            row.append(Labelled(label.strip(), off))
            path = job.out / f"{number:05d}-{seed}-off.png"
            yield painter.save(off, path, composed.main, seed, {})
            if seen is not None:
                yield painter.save_maps(off, path, composed.main, seed, {}, seen)
        trace = watched(job.energies)
        with patched(trace):
            on = painter.paint(composed.main, seed, inversion)
        row.append(Labelled(f"on: {job.prompt.strip()}", on))
        rows.append(row)
        path = job.out / f"{number:05d}-{seed}.png"
        yield painter.save(on, path, job.prompt, seed, fields)
        if trace is not None and trace.maps is not None:
            yield painter.save_maps(on, path, job.prompt, seed, fields, trace)
        if trace is not None and trace.energies:
            path = job.out / f"{number:05d}-{seed}-energies.png"
            trace.plot(path)
            path.with_suffix(".json").write_text(json.dumps(trace.table(), indent=1))
            yield path
        number += 1
    if job.compare:
        path = job.out / f"{number - 1:05d}-compare.png"
        side_by_side(rows).save(path)
        yield path


class _Painter:
    """Calls the pipeline for the job: text to image, image to image, or inpainting."""

    def __init__(
        self, pipe: Any, job: PictureRequest, progress: Callable[[int, int], None]
    ) -> None:
        import diffusers

        self.pipe, self._job, self._progress = pipe, job, progress
        self._done, self._strength = 0, job.strength
        native = pipe.unet.config.sample_size * _LATENT_SCALE
        self._size = (job.width or native, job.height or native)
        self._inputs: dict[str, Any] = {}
        self._init: Image.Image | None = None
        self._mask: Image.Image | None = None
        self.mask_latent: torch.Tensor | None = None
        steps = job.steps
        if job.init is not None:
            self._init = plain(_open_picture("init", job.init))
            if job.width is None and job.height is None:
                self._size = latent_size(self._init.size)
            self._init = self._init.resize(self._size, Image.Resampling.LANCZOS)
            steps = min(int(job.steps * job.strength), job.steps)
            if steps < 1:
                legal = f"large enough for one of the {job.steps} steps"
                raise SettingsError("strength", job.strength, legal)
            if job.keeping.keep and job.mask is not None:
                self._strength = min(job.strength, _BELOW_ONE)
            self._inputs = {"image": self._init, "strength": self._strength}
            if job.mask is None:
                self.pipe = diffusers.AutoPipelineForImage2Image.from_pipe(pipe)
        if job.mask is not None:
            mask = eight_bit(ImageOps.exif_transpose(_open_picture("mask", job.mask))).convert("L")
            self._mask = mask.resize(self._size, Image.Resampling.NEAREST)
            self._inputs["mask_image"] = self._mask
            pixels = torch.frombuffer(bytearray(self._mask.tobytes()), dtype=torch.uint8)
            self.mask_latent = (pixels.reshape(self._size[1], self._size[0]) > 127).float()
            self.pipe = diffusers.AutoPipelineForInpainting.from_pipe(pipe)
        if self._init is None or self._mask is not None:
            self._inputs |= {"width": self._size[0], "height": self._size[1]}
        self.pipe.set_progress_bar_config(disable=True)
        runs = 1 + job.compare
        if job.keeping.keep:
            runs += job.compare + (2 if job.keeping.keep_noise == "flow" else 1)
        self._total = steps * job.images * runs

    @property
    def source(self) -> Image.Image:
        """The picture that the job begins with."""
        assert self._init is not None
        return self._init

    def invert(self, seed: int) -> Inversion | None:
        """Return what keeps the picture, or None if the job does not keep it."""
        job = self._job
        if not job.keeping.keep:
            return None
        own = {name: value for name, value in vars(job.keeping).items() if name not in _SAID}
        return invert(
            self.pipe, self.source, source=job.source, steps=job.steps, strength=self._strength,
            seed=seed, progress=self._advance, **own,
        )  # fmt: skip

    def paint(self, prompt: str, seed: int, inversion: Inversion | None = None) -> Image.Image:
        """Make one picture. The seed alone decides its noise, on any device."""
        inputs = self._inputs
        if inversion is not None:  # its inputs replace the picture and the steps
            inputs = {**inputs, **inversion.inputs}
        held = nullcontext() if inversion is None else inversion.on(self.pipe)
        call: dict[str, Any] = {
            "prompt": prompt,
            "negative_prompt": self._job.negative,
            "num_inference_steps": self._job.steps,
            "guidance_scale": self._job.cfg,
            "generator": torch.Generator("cpu").manual_seed(seed),
            "callback_on_step_end": self._step,
            **inputs,
        }
        with held:
            picture: Image.Image = self.pipe(**call).images[0]
        if self._mask is not None and self._init is not None:
            picture = Image.composite(picture, self._init, self._mask)
        return picture

    def _step(self, _pipe: Any, _step: int, _time: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        self._advance()
        return tensors

    def _advance(self) -> None:
        self._done += 1
        self._progress(min(self._done, self._total), self._total)

    def save(
        self, picture: Image.Image, path: Path, prompt: str, seed: int, fields: dict[str, str]
    ) -> Path:
        """Write a picture with what made it, as the WebUI does; `fields` are EBCA's parameters."""
        job = self._job
        values: dict[str, object] = {
            "Steps": job.steps,
            "Sampler": type(self.pipe.scheduler).__name__.removesuffix("Scheduler"),
            "CFG scale": job.cfg,
            "Seed": seed,
            "Size": f"{self._size[0]}x{self._size[1]}",
        }
        if job.init is not None:
            values["Denoising strength"] = job.strength
        chunks = PngImagePlugin.PngInfo()
        text = write_parameters(prompt.strip(), job.negative, {**values, **fields})
        chunks.add_itxt("parameters", text)
        picture.save(path, pnginfo=chunks)
        return path

    def save_maps(
        self,
        picture: Image.Image,
        path: Path,
        prompt: str,
        seed: int,
        fields: dict[str, str],
        trace: Trace,
    ) -> Path:
        """Write the strip of attention maps beside the picture at `path`."""
        assert trace.maps is not None
        drawn = strip(picture, trace.maps.seen())
        path = path.with_name(f"{path.stem}-attention.png")
        return self.save(drawn, path, prompt, seed, {**fields, PREFIX + "picture": "attention"})


def _open_picture(field: str, path: Path) -> Image.Image:
    try:
        picture = Image.open(path)
        picture.load()
    except (OSError, ValueError) as error:
        raise SettingsError(field, str(path), "an image file that can be read") from error
    return picture


def _next_number(folder: Path) -> int:
    """Return 1 more than the highest number in `folder`, so that nothing is overwritten."""
    numbers = [path.name[:5] for path in folder.glob("[0-9]" * 5 + "-*")]
    return max(map(int, numbers), default=-1) + 1
