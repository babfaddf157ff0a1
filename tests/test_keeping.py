"""`ebca.invert` on pipelines and `--invert` on the command line: the picture comes back, and bad
input is refused."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image

import ebca
from ebca.__main__ import main
from ebca.editing.pictures import fitting, plain
from ebca.generate import load_pipeline
from ebca.infotext import read_parameters

pytestmark = [
    pytest.mark.diffusers,
    pytest.mark.filterwarnings("ignore::FutureWarning"),  # of diffusers, about its own names
    pytest.mark.filterwarnings("ignore:__array_"),  # of its schedulers
]

SOURCE = "a red car"
STEPS = 6
SCHEDULERS = [
    "DDIMScheduler", "DDPMScheduler", "PNDMScheduler", "EulerDiscreteScheduler",
    "EulerAncestralDiscreteScheduler", "HeunDiscreteScheduler", "KDPM2DiscreteScheduler",
    "DPMSolverMultistepScheduler", "UniPCMultistepScheduler",
]  # fmt: skip


@pytest.fixture(scope="module")
def loaded() -> Any:
    pipe = load_pipeline(None, None, "cpu", torch.float32)
    pipe = diffusers.AutoPipelineForImage2Image.from_pipe(pipe)
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture
def pipe(loaded: Any) -> Any:
    """The pipeline; its scheduler must be as it was afterwards."""
    scheduler = loaded.scheduler
    yield loaded
    loaded.scheduler = scheduler
    assert not {"step", "add_noise", "set_timesteps"} & set(vars(scheduler))


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    rows, columns = np.mgrid[0:64, 0:64]
    drawn = np.stack([4 * rows, 4 * columns, 255 - 2 * (rows + columns)], -1).clip(0, 255)
    return Image.fromarray(drawn.astype(np.uint8))


def painted(pipe: Any, inversion: Any, prompt: Any = SOURCE, cfg: float = 1.0, **more: Any) -> Any:
    with inversion.on(pipe):
        return pipe(
            prompt=prompt, guidance_scale=cfg, output_type="np",
            generator=torch.Generator().manual_seed(3), **{**inversion.inputs, **more},
        ).images  # fmt: skip


@torch.no_grad()
def through_the_autoencoder(pipe: Any, picture: Image.Image) -> Any:
    pixels = pipe.image_processor.preprocess(picture)
    again = pipe.vae.decode(pipe.vae.encode(pixels).latent_dist.mode()).sample
    return pipe.image_processor.postprocess(again, output_type="np")


def apart(one: Any, other: Any) -> float:
    """In levels of 0 to 255."""
    return float(np.abs(np.asarray(one) - np.asarray(other)).mean() * 255)


@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.parametrize("noise", ["scattered", "flow"])
def test_the_source_prompt_gives_the_picture_back(pipe, picture, name, noise):
    """As well as the autoencoder can: at guidance 1, or at any guidance away from the source."""
    pipe.scheduler = getattr(diffusers, name).from_config(pipe.scheduler.config)
    best = through_the_autoencoder(pipe, picture)
    for cfg, own in ((1.0, False), (4.0, True)):
        inversion = ebca.invert(
            pipe, picture, source=SOURCE, steps=STEPS, strength=0.8, keep_noise=noise,
            keep_from_source=own,
        )  # fmt: skip
        assert apart(painted(pipe, inversion, cfg=cfg), best) < 0.1


def test_one_evaluation_a_step(pipe, picture):
    for strength, noise, expected in (
        (1.0, "scattered", 6),
        (0.5, "scattered", 3),
        (1.0, "flow", 12),
    ):
        found = ebca.invert(
            pipe, picture, source=SOURCE, steps=STEPS, strength=strength, keep_noise=noise
        )
        assert found.evaluations == expected


def test_an_edit_keeps_more_than_img2img(pipe, picture):
    inversion = ebca.invert(pipe, picture, source=SOURCE, steps=STEPS, strength=0.8)
    best = through_the_autoencoder(pipe, picture)
    composed = ebca.compose("a red car AND a dog :1 AND a red car :-0.6")
    with ebca.apply_patch(pipe, ebca.Settings(regions=0.0), prompt=composed):
        edited = painted(pipe, inversion, composed.main, cfg=4.0)
        generator = torch.Generator().manual_seed(3)
        free = pipe(
            prompt=composed.main, guidance_scale=4.0, generator=generator, output_type="np",
            **inversion.inputs,
        ).images  # fmt: skip
    assert 1.0 < apart(edited, best) < apart(free, best)


def test_more_and_stop(pipe, picture):
    best = through_the_autoencoder(pipe, picture)

    def far(**how):
        found = ebca.invert(pipe, picture, source=SOURCE, steps=STEPS, strength=0.8, **how)
        return apart(painted(pipe, found, "a blue crown", cfg=4.0), best)

    everything, some, none = far(keep_more=1.0), far(keep_more=0.6), far()
    assert everything < 0.1 < some < none
    assert far(keep_stop=0.3) != none


def test_several_pictures_with_sources_of_their_own(pipe, picture):
    pictures, sources = [picture, picture.rotate(90)], ["a red car", "a dog"]
    found = ebca.invert(pipe, pictures, source=sources, steps=STEPS)
    best = [through_the_autoencoder(pipe, each)[0] for each in pictures]
    assert apart(painted(pipe, found, sources), best) < 0.1
    swapped = painted(pipe, found, sources[::-1])
    assert apart(swapped, best) > 0.1


def test_many_pictures_a_few_at_a_time(pipe, picture):
    found = ebca.invert(pipe, [picture] * 9, source=SOURCE, steps=2)
    assert len(painted(pipe, found, [SOURCE] * 9)) == 9


def test_inpainting(pipe, picture):
    inpaint = diffusers.AutoPipelineForInpainting.from_pipe(pipe)
    inpaint.set_progress_bar_config(disable=True)
    mask = Image.new("L", picture.size, 255)
    found = ebca.invert(inpaint, picture, source=SOURCE, steps=STEPS, strength=0.8)
    back = painted(inpaint, found, mask_image=mask, width=64, height=64)
    assert apart(back, through_the_autoencoder(pipe, picture)) < 0.1


def test_a_call_that_begins_with_other_noise_is_refused(pipe, picture):
    """An inpainting pipeline asks for no picture's noise at strength 1, and one for text never."""
    inpaint = diffusers.AutoPipelineForInpainting.from_pipe(pipe)
    text = diffusers.AutoPipelineForText2Image.from_pipe(pipe)
    found = ebca.invert(pipe, picture, source=SOURCE, steps=STEPS)
    mask = Image.new("L", picture.size, 255)
    for other, more in ((inpaint, {"mask_image": mask, "width": 64, "height": 64}), (text, {})):
        other.set_progress_bar_config(disable=True)
        with pytest.raises(ebca.SettingsError, match="inpainting with a strength below 1"):
            painted(other, found, **more)


@pytest.mark.parametrize("covered", [0, 255])
def test_a_mask_of_nothing_or_of_everything(pipe, picture, covered):
    inpaint = diffusers.AutoPipelineForInpainting.from_pipe(pipe)
    inpaint.set_progress_bar_config(disable=True)
    mask = Image.new("L", picture.size, covered)
    found = ebca.invert(inpaint, picture, source=SOURCE, steps=STEPS, strength=0.8)
    made = painted(inpaint, found, "a dog", cfg=4.0, mask_image=mask, width=64, height=64)
    changed = apart(made, through_the_autoencoder(pipe, picture))
    assert (changed > 5.0) == bool(covered)  # the pipeline draws the latents that it keeps


def test_one_step_at_guidance_1(pipe, picture):
    found = ebca.invert(pipe, picture, source=SOURCE, steps=1)
    assert apart(painted(pipe, found), through_the_autoencoder(pipe, picture)) < 0.1


def test_an_interrupted_inversion_leaves_nothing(pipe, picture):
    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ebca.invert(pipe, picture, source=SOURCE, steps=2, progress=interrupt)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in pipe.unet.modules())


def test_the_pipeline_is_as_before(pipe, picture):
    def free():
        generator = torch.Generator().manual_seed(1)
        return pipe(
            prompt=SOURCE, image=picture, strength=0.8, num_inference_steps=STEPS,
            generator=generator, output_type="np",
        ).images  # fmt: skip

    before = free()
    found = ebca.invert(pipe, picture, source=SOURCE, steps=STEPS, strength=0.8)
    painted(pipe, found)
    with pytest.raises(ZeroDivisionError), found.on(pipe):
        raise ZeroDivisionError
    assert np.array_equal(free(), before)


def test_other_steps_or_sizes_are_refused(pipe, picture):
    found = ebca.invert(pipe, picture, source=SOURCE, steps=STEPS, strength=0.8)
    with pytest.raises(ebca.SettingsError, match="made with the inversion's inputs"):
        painted(pipe, found, num_inference_steps=7)
    with pytest.raises(ebca.SettingsError, match="those of the inversion"):
        painted(pipe, found, image=picture.resize((128, 64)))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"source": " "}, "source is ' ', but must be a prompt"),
        ({"source": ["a car", "a dog"]}, "or one for each picture"),
        ({"steps": 0}, "steps is 0, but must be a whole number of at least 1"),
        ({"strength": 0.0}, "strength is 0.0, but must be above 0"),
        ({"strength": 0.01}, "large enough for one of the 20 steps"),
        ({"strength": "half"}, "strength is 'half', but must be above 0"),
        ({"seed": None}, "seed is None, but must be one whole number, or one for each picture"),
        ({"seed": [1, 2]}, "seed is .1, 2., but must be one whole number"),
        ({"seed": 1.5}, "seed is 1.5, but must be one whole number"),
        ({"iterations": 1.5}, "iterations is 1.5"),
        ({"image": "cat.png"}, "image is 'str', but must be a PIL picture"),
        ({"image": []}, "pictures of one size, at least one"),
        ({"keep_more": 2.0}, "keep_more is 2.0, but must be a number from 0 to 1"),
        ({"keep_noise": "pink"}, "one of scattered, flow"),
        ({"keeep": 1}, "setting is 'keeep'"),
    ],
)
def test_bad_input_is_refused(pipe, picture, wrong, message):
    with pytest.raises(ebca.SettingsError, match=message):
        ebca.invert(pipe, **{"image": picture, "source": SOURCE, **wrong})


def test_models_that_cannot_be_inverted(pipe, picture):
    with pytest.raises(ebca.SettingsError, match="a diffusers pipeline with a UNet"):
        ebca.invert(pipe.unet, picture, source=SOURCE)
    without = SimpleNamespace(**vars(pipe) | {"unet": torch.nn.Linear(1, 1)})
    without.encode_prompt = pipe.encode_prompt
    with pytest.raises(ebca.NoCrossAttentionError, match="Linear has no cross-attention"):
        ebca.invert(without, picture, source=SOURCE)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1", "CMYK", "I;16"])
def test_pictures_of_any_mode_and_size(mode):
    made = Image.new("RGB", (67, 33), (250, 120, 10))
    if mode == "I;16":
        made = Image.fromarray(np.full((33, 67), 30000, np.uint16))
    else:
        made = made.convert(mode)
    fitted = fitting(made)
    assert (fitted.mode, fitted.size) == ("RGB", (64, 32))
    if mode == "I;16":
        assert abs(fitted.getpixel((5, 5))[0] - 30000 / 257) <= 1


def test_a_photo_stands_the_right_way_up(tmp_path):
    """Cameras write how they were held."""
    taken = Image.new("RGB", (64, 32))
    exif = taken.getexif()
    exif[0x0112] = 6  # a quarter turn
    taken.save(tmp_path / "taken.jpg", exif=exif)
    assert fitting(Image.open(tmp_path / "taken.jpg")).size == (32, 64)


def test_what_is_transparent_becomes_white():
    assert plain(Image.new("RGBA", (8, 8), (255, 0, 0, 0))).getpixel((0, 0)) == (255, 255, 255)


# The command line


def generate(out: Path, *arguments: str) -> int:
    return main(["generate", "--steps", "4", "--device", "cpu", "--out", str(out), *arguments])


def test_the_command_line(tmp_path, picture, capsys):
    photo = tmp_path / "photo.png"
    picture.save(photo)
    edit = "a red car AND a dog :1 AND a red car :-0.6"
    more = ("--init", str(photo), "--invert", "--source", "a red car", "--keep-more", "0.2")
    assert generate(tmp_path / "out", edit, *more, "--compare") == 0
    names = [Path(line).name for line in capsys.readouterr().out.split()]
    assert names == ["00000-0-reconstruction.png", "00000-0-off.png", "00000-0.png",
                     "00000-compare.png"]  # fmt: skip
    parameters = read_parameters(Image.open(tmp_path / "out" / names[2]).info["parameters"])[2]
    assert parameters["EBCA keep"] == "True"
    assert parameters["EBCA keep_source"] == "a red car"
    assert parameters["EBCA keep_more"] == "0.2"


def test_the_command_line_with_a_mask(tmp_path, picture):
    photo, mask = tmp_path / "photo.png", tmp_path / "mask.png"
    picture.save(photo)
    half = np.zeros((64, 64), np.uint8)
    half[:, 32:] = 255
    Image.fromarray(half).save(mask)
    more = ("--init", str(photo), "--mask", str(mask), "--invert", "--strength", "1")
    assert generate(tmp_path / "out", "a red car AND a dog", *more) == 0
    made = np.asarray(Image.open(tmp_path / "out" / "00000-0.png").convert("RGB"))
    assert np.array_equal(made[:, :32], np.asarray(picture)[:, :32])


@pytest.mark.parametrize("covered", [0, 40000])
def test_the_command_line_with_a_mask_of_nothing_or_everything(tmp_path, picture, covered):
    """In 16 bit, as some programs write masks."""
    photo, mask = tmp_path / "photo.png", tmp_path / "mask.png"
    picture.save(photo)
    Image.fromarray(np.full((64, 64), covered, np.uint16)).save(mask)
    more = ("--init", str(photo), "--mask", str(mask), "--invert", "--cfg", "1")
    assert generate(tmp_path / "out", "a dog", *more) == 0
    made = np.asarray(Image.open(tmp_path / "out" / "00000-0.png").convert("RGB"), float)
    assert (np.abs(made - np.asarray(picture, float)).mean() > 1.0) == (covered > 0)


def test_the_command_line_interrupted(tmp_path, picture, capsys, monkeypatch):
    def interrupt(*_args, **_more):
        raise KeyboardInterrupt

    picture.save(tmp_path / "photo.png")
    monkeypatch.setattr("ebca.generate.invert", interrupt)
    assert generate(tmp_path / "out", "a dog", "--invert", "--init", str(tmp_path / "photo.png"))
    assert capsys.readouterr().err.strip() == "ebca: error: interrupted"
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a dog", "--invert"], "keep is True, but must be given together with init"),
        (
            ["", "--invert", "--init", "PHOTO"],
            "keep_source is '', but must be what the image shows",
        ),
        (["a dog", "--invert", "--init", "PHOTO", "--keep-more", "3"], "keep_more is 3.0"),
        (["a dog", "--invert", "--init", "PHOTO", "--strength", "0.1"], "strength is 0.1"),
    ],
)
def test_the_command_line_refuses(tmp_path, picture, capsys, arguments, message):
    picture.save(tmp_path / "photo.png")
    given = [str(tmp_path / "photo.png") if each == "PHOTO" else each for each in arguments]
    assert generate(tmp_path / "out", *given) == 2
    assert message in capsys.readouterr().err
