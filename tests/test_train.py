"""Training the small model: from nothing, killed, resumed, with tiny networks."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ebca.generate import EMBEDDED_MODEL, load_pipeline
from small_model.networks import (
    TINY,
    Sizes,
    Words,
    new_autoencoder,
    new_text_encoder,
    new_unet,
    take_weights,
)
from small_model.stage import Budget, Dice, Stage, TrainingError
from small_model.stages import Painter
from small_model.train import main

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"
)
_ROOT = Path(__file__).parents[1]
_OPTIONS = ["--tiny", "--steps", "20", "10", "--latents", "8", "--threads", "1"]
_OPTIONS += ["--save-every", "0"]


def wait_for(path: Path, seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < until, f"{path} was not written"
        time.sleep(0.02)


def test_a_killed_training_goes_on_and_ends_as_if_it_had_not_been_killed(tmp_path: Path) -> None:
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    command = [sys.executable, "-m", "small_model.train", "--out", str(killed), *_OPTIONS]
    with subprocess.Popen(command, cwd=_ROOT, stderr=subprocess.DEVNULL) as process:
        wait_for(killed / "training" / "autoencoder.pt")
        process.send_signal(signal.SIGKILL)
    assert not (killed / "model_index.json").exists()
    assert main(["--out", str(killed), *_OPTIONS]) == 0
    assert main(["--out", str(whole), *_OPTIONS]) == 0
    for part in ("unet/diffusion_pytorch_model", "vae/diffusion_pytorch_model"):
        ours, theirs = (load_file(out / f"{part}.safetensors") for out in (killed, whole))
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    curve = json.loads((killed / "training" / "painter-loss.json").read_text())
    assert [step for step, _ in curve["losses"]] == [10]
    assert (killed / "training" / "painter-loss.png").stat().st_size > 1000
    assert "reconstructions" in json.loads((killed / "training" / "ceiling.json").read_text())

    names = load_file(killed / "text_encoder" / "model.safetensors")
    assert all(name.startswith("text_model.") for name in names)  # as older libraries want them
    pipe = load_pipeline(str(killed), None, "cpu", torch.float32)
    pipe.set_progress_bar_config(disable=True)
    picture = pipe("a red car", num_inference_steps=1, width=64, height=64).images[0]
    assert picture.size == (64, 64)
    assert pipe.text_encoder.get_input_embeddings().weight.shape[0] == len(pipe.tokenizer)


def test_a_folder_of_other_settings_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "plan.json").write_text("{}")
    assert main(["--out", str(tmp_path), *_OPTIONS]) == 1
    assert "was begun with other settings" in capsys.readouterr().err


def test_a_unet_takes_the_weights_of_one_with_more_levels() -> None:
    """Down blocks are counted from the first, up blocks from the last."""
    deep = new_unet(replace(TINY, unet=(32, 32, 32)))
    shallow = new_unet(TINY)
    take_weights(shallow, deep)
    for ours, theirs in (
        (shallow.down_blocks[1].attentions[0], deep.down_blocks[1].attentions[0]),
        (shallow.mid_block, deep.mid_block),
        (shallow.up_blocks[0].resnets[1], deep.up_blocks[1].resnets[1]),
        (shallow.up_blocks[1], deep.up_blocks[2]),
        (shallow.conv_out, deep.conv_out),
    ):
        mine, other = ours.state_dict(), theirs.state_dict()
        assert mine.keys() == other.keys()
        assert all(torch.equal(mine[name], other[name]) for name in mine)


def test_weights_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"conv_in.weight \(32, 4, 3, 3\) is not in the other"):
        take_weights(new_unet(TINY), new_unet(replace(TINY, unet=(64, 64))))


def test_training_starts_from_the_weights_that_it_is_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A rate of zero would leave them; one step of the warm-up moves them by next to nothing."""
    short = ["--tiny", "--steps", "1", "1", "--latents", "4", "--threads", "1"]
    first, second = tmp_path / "first", tmp_path / "second"
    assert main(["--out", str(first), *short, "--seed", "1"]) == 0
    start = ["--autoencoder", str(first), "--start", str(first)]
    assert main(["--out", str(second), *short, *start]) == 0
    name = "unet/diffusion_pytorch_model.safetensors"
    theirs, ours = load_file(first / name), load_file(second / name)
    assert all(torch.allclose(ours[key], theirs[key], atol=1e-3) for key in theirs)
    assert main(["--out", str(tmp_path / "third"), *short, *start[:3], str(EMBEDDED_MODEL)]) == 1
    assert "cannot start from" in capsys.readouterr().err


def test_a_compiled_unet_is_trained_to_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compiled without a C++ compiler, which not every machine has."""
    short = ["--tiny", "--steps", "1", "3", "--latents", "8", "--threads", "1"]
    assert main(["--out", str(tmp_path / "plain"), *short]) == 0
    compiled: list[torch.nn.Module] = []

    def compile_it(painter: torch.nn.Module) -> None:
        compiled.append(painter)
        torch.nn.Module.compile(painter, backend="eager")

    monkeypatch.setattr(Painter, "compile", compile_it)
    assert main(["--out", str(tmp_path / "compiled"), *short, "--compile"]) == 0
    assert len(compiled) == 1
    name = "unet/diffusion_pytorch_model.safetensors"
    plain, ours = (load_file(tmp_path / out / name) for out in ("plain", "compiled"))
    assert all(torch.allclose(ours[key], plain[key], atol=1e-3) for key in plain)


@pytest.mark.parametrize("wrong", [["--steps", "0", "5"], ["--minutes", "-1"], ["--latents", "0"]])
def test_a_length_that_is_not_above_zero_is_refused(tmp_path: Path, wrong: list[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--out", str(tmp_path), *wrong])


def test_the_networks_are_those_of_the_released_model() -> None:
    released = load_pipeline(None, None, "cpu", torch.float32)
    made = {
        "vae": new_autoencoder(Sizes()),
        "unet": new_unet(Sizes()),
        "text_encoder": new_text_encoder(Sizes(), Words()),
    }
    for name, network in made.items():
        ours = {key: tensor.shape for key, tensor in network.state_dict().items()}
        theirs = getattr(released, name).state_dict()
        assert ours == {key: tensor.shape for key, tensor in theirs.items()}


def test_only_tokens_of_captions_are_trained_and_the_released_model_knows_them_all() -> None:
    words = Words()
    state = load_file(EMBEDDED_MODEL / "text_encoder" / "model.safetensors")
    released = next(tensor for name, tensor in state.items() if "token_embedding" in name)
    made = new_text_encoder(Sizes(), words).get_input_embeddings().weight
    for table in (released, made):
        assert table.shape[0] == len(words.tokenizer)
        assert words.ids == table.float().abs().sum(dim=1).nonzero().flatten().tolist()


def test_captions_are_encoded_as_the_tokenizer_does_it() -> None:
    words, text = Words(), "a red car and an orange clock on the grass"
    full = words.tokenizer(text, padding="max_length", max_length=77).input_ids
    assert words.encode([text, text], 77).tolist() == [full, full]
    assert words.encode([text], 24).tolist() == [full[:24]]


def test_randomness_belongs_to_the_step() -> None:
    first, again, next_one = Dice(0, "painter", 5), Dice(0, "painter", 5), Dice(0, "painter", 6)
    assert first.rng.random() == again.rng.random()
    noise = first.noise(3)
    assert torch.equal(noise, again.noise(3))
    assert not torch.equal(noise, next_one.noise(3))


def test_a_budget_is_in_steps_or_in_seconds() -> None:
    assert Budget(10).done(5, 1000.0) == 0.5
    assert Budget(10, seconds=60.0).done(5, 30.0) == 0.5


def test_a_loss_that_is_not_finite_stops_with_the_step(tmp_path: Path) -> None:
    model = torch.nn.Linear(1, 1)
    stage = Stage(tmp_path, "stage", model, seed=0, rate=1e-3)
    with pytest.raises(TrainingError, match="the loss of stage is nan at step 0"):
        stage.run(Budget(3), lambda net, _: net(torch.full((1, 1), torch.nan)).sum(), 60)


def test_a_stage_lowers_its_loss_and_its_average_follows(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = torch.nn.Linear(4, 1)
    stage = Stage(tmp_path, "stage", model, seed=0, rate=1e-2)

    def loss(net: torch.nn.Module, dice: Dice) -> torch.Tensor:
        seen = dice.noise(16, 4)
        return (net(seen) - seen.sum(dim=1, keepdim=True)).square().mean()

    stage.run(Budget(600), loss, save_every=60)
    assert stage.losses[-1][1] < 0.05 * stage.losses[0][1]
    torch.testing.assert_close(stage.average.weight, model.weight.data, atol=0.05, rtol=0)
