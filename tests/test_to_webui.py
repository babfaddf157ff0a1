"""The small model as a WebUI checkpoint: the same network under ldm's names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from models import distance, evaluate, latent, noise
from omegaconf import OmegaConf
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from small_model.to_webui import WEIGHTS, main

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore:.*torch.jit.*:FutureWarning"
)

_PREFIXES = {
    "unet": "model.diffusion_model.",
    "vae": "first_stage_model.",
    "text": "cond_stage_model.transformer.",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "with: a space, #1"
    folder.mkdir()
    main([str(folder)])
    return folder


@pytest.fixture(scope="module")
def params(folder: Path) -> Any:
    return OmegaConf.load(folder / "ebca-small.yaml").model.params


@pytest.fixture(scope="module")
def state(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "ebca-small.safetensors")


def part(state: dict[str, Tensor], of: str) -> dict[str, Tensor]:
    prefix = _PREFIXES[of]
    return {
        name.removeprefix(prefix): tensor.float()
        for name, tensor in state.items()
        if name.startswith(prefix)
    }


def numbers(state: dict[str, Tensor]) -> int:
    return sum(tensor.numel() for tensor in state.values())


def diffusers_part(kind: type[nn.Module], name: str) -> nn.Module:
    return kind.from_pretrained(WEIGHTS / name, torch_dtype=torch.float32)


def test_every_weight_is_there_once_as_fp16(state: dict[str, Tensor]) -> None:
    files = [load_file(file) for file in WEIGHTS.glob("*/*.safetensors")]
    assert len(files) == 3
    assert sum(map(len, files)) == len(state)
    assert sum(map(numbers, files)) == numbers(state)
    assert {tensor.dtype for tensor in state.values()} == {torch.float16}
    assert all(name.startswith(tuple(_PREFIXES.values())) for name in state)


def test_ldm_unet_computes_the_same(state: dict[str, Tensor], params: Any) -> None:
    from ldm.modules.diffusionmodules.openaimodel import UNetModel

    unet = UNetModel(**OmegaConf.to_container(params.unet_config.params))
    unet.load_state_dict(part(state, "unet"), strict=True)
    sample, text = latent(2), noise(2, 77, 128)
    times = torch.tensor([981, 21])
    with torch.no_grad():
        got = unet(sample, timesteps=times, context=text)
    want = evaluate(diffusers_part(UNet2DConditionModel, "unet"), sample, text, times)
    assert distance(got, want) < 1e-4


def test_ldm_autoencoder_computes_the_same(state: dict[str, Tensor], params: Any) -> None:
    from ldm.modules.diffusionmodules.model import Decoder, Encoder

    config = OmegaConf.to_container(params.first_stage_config.params.ddconfig)
    width, depth = config["z_channels"], params.first_stage_config.params.embed_dim
    autoencoder = nn.ModuleDict(
        {
            "encoder": Encoder(**config),
            "decoder": Decoder(**config),
            "quant_conv": nn.Conv2d(2 * width, 2 * depth, 1),
            "post_quant_conv": nn.Conv2d(depth, width, 1),
        }
    )
    autoencoder.load_state_dict(part(state, "vae"), strict=True)
    vae = diffusers_part(AutoencoderKL, "vae")
    picture, sample = noise(1, 3, 64, 48), noise(1, 4, 8, 6)
    with torch.no_grad():
        encoded = autoencoder["quant_conv"](autoencoder["encoder"](picture))
        decoded = autoencoder["decoder"](autoencoder["post_quant_conv"](sample))
        assert distance(encoded, vae.encode(picture).latent_dist.parameters) < 1e-4
        assert distance(decoded, vae.decode(sample).sample) < 1e-4
    assert params.scale_factor == vae.config.scaling_factor


def test_the_text_encoder_is_made_from_the_folder_that_the_yaml_names(
    state: dict[str, Tensor], params: Any, folder: Path
) -> None:
    version = Path(params.cond_stage_config.params.version)
    assert version == folder.resolve() / "ebca-small"
    weights = version / "model.safetensors"
    save_file(part(state, "text"), weights, metadata={"format": "pt"})
    try:
        encoder, report = CLIPTextModel.from_pretrained(
            version, torch_dtype=torch.float32, output_loading_info=True
        )
    finally:
        weights.unlink()
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    prompt = "a green apple and a red frog, at night"
    tokens, original = (
        CLIPTokenizer.from_pretrained(source)(prompt, padding="max_length", return_tensors="pt")
        for source in (version, WEIGHTS / "tokenizer")
    )
    assert tokens.input_ids.tolist() == original.input_ids.tolist()
    assert tokens.input_ids.shape == (1, 77)
    want = diffusers_part(CLIPTextModel, "text_encoder")
    with torch.no_grad():
        got = encoder(tokens.input_ids).last_hidden_state
        assert distance(got, want(original.input_ids).last_hidden_state) < 1e-4


def test_the_noise_schedule_is_the_same(params: Any) -> None:
    from diffusers import DDIMScheduler

    scheduler = DDIMScheduler.from_pretrained(WEIGHTS / "scheduler")
    ends = (params.linear_start**0.5, params.linear_end**0.5)  # what ldm calls linear
    betas = torch.linspace(*ends, params.timesteps, dtype=torch.float64).square()
    alphas = (1 - betas).cumprod(0).float()
    assert torch.allclose(alphas, scheduler.alphas_cumprod, rtol=1e-4)
    assert scheduler.config.prediction_type == "epsilon"


def test_a_missing_folder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([str(tmp_path / "absent")])
    assert "there is no folder" in capsys.readouterr().err
