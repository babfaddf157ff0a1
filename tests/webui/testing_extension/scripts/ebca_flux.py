"""For tests alone: a Flux of a few megabytes, for what EBCA says of models without cross-attention.

Forge takes every size of Flux from files of its own. Here it is told of one more, which is known
by a mark in its checkpoint. To write that, with random weights, in Forge's folder and with its
Python:

    python <this file> models/Stable-diffusion --always-cpu
"""

import contextlib
import json
import sys
import tempfile
from pathlib import Path

NAME = "tiny-flux"
MARK = "ebca_testing"
WIDTH = 64  # of both text encoders

FLUX = {
    "vec_in_dim": WIDTH,
    "context_in_dim": WIDTH,
    "hidden_size": 128,
    "num_heads": 1,
    "depth": 1,
    "depth_single_blocks": 1,
}
SIZES = {
    "text_encoder": {
        "hidden_size": WIDTH,
        "projection_dim": WIDTH,
        "intermediate_size": WIDTH,
        "num_attention_heads": 2,
        "num_hidden_layers": 1,
    },
    "text_encoder_2": {
        "d_model": WIDTH,
        "d_ff": WIDTH,
        "d_kv": 16,
        "num_heads": 4,
        "num_layers": 2,  # Forge takes fewer tensors for none
    },
    "vae": {"block_out_channels": [32, 32, 32, 32], "layers_per_block": 1},
}


def write_sizes(base, folder):
    """A copy of Forge's files about Flux, with the sizes of this one."""
    for source in base.rglob("*.json"):
        part = source.relative_to(base)
        if source.name.endswith("index.json") and len(part.parts) > 1:
            continue  # of the large model's weights
        changes = SIZES.get(part.parts[0], {}) if source.name == "config.json" else {}
        target = folder / part
        target.parent.mkdir(parents=True, exist_ok=True)
        settings = json.loads(source.read_text(encoding="utf-8"))
        target.write_text(json.dumps({**settings, **changes}), encoding="utf-8")
    merges = Path("tokenizer", "merges.txt")
    (folder / merges).write_bytes((base / merges).read_bytes())


def teach():
    """Let Forge know it."""
    from backend import loader
    from huggingface_guess import model_list

    class TinyFlux(model_list.FluxSchnell):
        required_keys = {MARK: {}}  # noqa: RUF012 - as its parent has it
        unet_extra_config = FLUX

    parent = TinyFlux.huggingface_repo
    folder = Path(tempfile.mkdtemp(prefix="ebca-testing-")) / parent
    write_sizes(Path(loader.dir_path) / "huggingface" / parent, folder)
    TinyFlux.huggingface_repo = str(folder)
    model_list.models.insert(0, TinyFlux)


def write_checkpoint(destination):
    """With weights of Forge's own modules."""
    import torch
    from backend.nn.clip import IntegratedCLIP
    from backend.nn.flux import IntegratedFluxTransformer2DModel
    from backend.nn.t5 import IntegratedT5
    from backend.nn.vae import IntegratedAutoencoderKL
    from backend.utils import read_arbitrary_config
    from huggingface_guess import detection, model_list
    from safetensors.torch import save_file
    from transformers import CLIPTextConfig, CLIPTextModel

    base = Path("backend", "huggingface", model_list.FluxSchnell.huggingface_repo)
    mark = "double_blocks.0.img_attn.norm.key_norm.scale"  # by which Flux is known
    flux = {**detection.detect_unet_config({mark: None}, ""), **FLUX}
    flux.pop("image_model")
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_sizes(base, folder)
        clip = CLIPTextConfig.from_pretrained(folder / "text_encoder")
        parts = {
            "model.diffusion_model": IntegratedFluxTransformer2DModel(**flux),
            "text_encoders.clip_l": IntegratedCLIP(CLIPTextModel, clip, add_text_projection=True),
            "text_encoders.t5xxl": IntegratedT5(
                read_arbitrary_config(str(folder / "text_encoder_2"))
            ),
            "vae": IntegratedAutoencoderKL.from_config(
                IntegratedAutoencoderKL.load_config(folder / "vae")
            ),
        }
    state = {MARK: torch.zeros(1)}
    for prefix, part in parts.items():
        for key, tensor in part.state_dict().items():
            random = torch.ones if tensor.ndim == 1 else torch.randn
            scale = 1.0 if tensor.ndim < 2 else tensor[0].numel() ** -0.5
            state[f"{prefix}.{key}"] = (random(tensor.shape) * scale).half().contiguous()
    save_file(state, Path(destination) / f"{NAME}.safetensors", metadata={"format": "pt"})


if __name__ == "__main__":
    destination = sys.argv.pop(1)  # the rest is for Forge: --always-cpu
    sys.path[:0] = [".", "repositories/huggingface_guess", "packages_3rdparty"]
    write_checkpoint(destination)
else:
    with contextlib.suppress(ImportError):  # not Forge
        teach()
