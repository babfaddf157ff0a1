"""For tests alone: lets Forge load checkpoints of unusual sizes, such as the small model.

Forge knows a model by its UNet's sizes and takes all else from folders of its own. So for every
checkpoint with an ldm or sgm yaml beside it, whose sizes Forge does not know, it gets such a
folder, made of what the yaml says. On AUTOMATIC1111's WebUI, which reads the yaml, this does
nothing.
"""

import json
import shutil
import tempfile
from pathlib import Path

import yaml
from modules.paths_internal import models_path

try:
    from backend import loader
    from huggingface_guess import model_list
except ImportError:
    model_list = None

KINDS = {  # by the text encoders' number and kind: the class to derive from, and their prefixes
    ("clip",): "SD15",
    ("open_clip",): "SD20",
    ("clip", "open_clip"): "SDXL",
}


def find(tree, name):
    """All values of `name` in a tree of mappings and lists."""
    found = []
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
        if key == name:
            found.append(value)
        if isinstance(value, (dict, list)):
            found += find(value, name)
    return found


def params(tree, name):
    (section,) = find(tree, name)
    return section["params"]


def changed(source, target, **values):
    """A copy of a JSON file of Forge's with some values changed."""
    settings = json.loads(source.read_text(encoding="utf-8"))
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps({**settings, **values}), encoding="utf-8")


def text_encoders(config):
    """(kind, folder or architecture) of each."""
    sections = [each for each in find(config, "params") if "arch" in each or "version" in each]
    return [("open_clip", s["arch"]) if "arch" in s else ("clip", s["version"]) for s in sections]


def write_text_encoder(kind, which, base, folder, number):
    """The configuration and the tokenizer of one."""
    suffix = "" if number == 0 else f"_{number + 1}"
    target = folder / f"text_encoder{suffix}" / "config.json"
    if kind == "clip":
        shutil.copytree(which, folder / f"tokenizer{suffix}", dirs_exist_ok=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(Path(which) / "config.json", target)
        return
    from open_clip import get_model_config

    architecture = get_model_config(which)
    text = architecture["text_cfg"]
    shutil.copytree(base / f"tokenizer{suffix}", folder / f"tokenizer{suffix}", dirs_exist_ok=True)
    changed(
        base / f"text_encoder{suffix}" / "config.json",
        target,
        hidden_size=text["width"],
        intermediate_size=4 * text["width"],
        num_attention_heads=text["heads"],
        num_hidden_layers=text["layers"] - (number == 0),  # SD2's last layer is not used
        projection_dim=architecture["embed_dim"],
    )


def teach(path, root):
    """Let Forge know the checkpoint that the yaml at `path` describes."""
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    unet = (find(config, "unet_config") or find(config, "network_config"))[0]["params"]
    encoders = text_encoders(config)
    parent = getattr(model_list, KINDS[tuple(kind for kind, _ in encoders)])
    sizes = {
        "context_dim": unet["context_dim"],
        "model_channels": unet["model_channels"],
        "use_linear_in_transformer": unet.get("use_linear_in_transformer", False),
        "adm_in_channels": unet.get("adm_in_channels"),
    }
    if any(sizes.items() <= known.unet_config.items() for known in model_list.models):
        return
    base = Path(loader.dir_path) / "huggingface" / parent.huggingface_repo
    folder = root / path.stem
    for name in ("model_index.json", "scheduler/scheduler_config.json"):
        changed(base / name, folder / name)
    (scale,) = find(config, "scale_factor")
    (vae,) = find(config, "ddconfig")
    changed(
        base / "vae" / "config.json",
        folder / "vae" / "config.json",
        block_out_channels=[vae["ch"] * factor for factor in vae["ch_mult"]],
        layers_per_block=vae["num_res_blocks"],
        scaling_factor=scale,
    )
    for number, (kind, which) in enumerate(encoders):
        write_text_encoder(kind, which, base, folder, number)
    heads = {name: unet.get(name, -1) for name in ("num_heads", "num_head_channels")}
    model_list.models.insert(
        0,
        type(
            f"Small{parent.__name__}",
            (parent,),
            {
                "huggingface_repo": str(folder),
                "unet_config": sizes,
                "unet_extra_config": {**parent.unet_extra_config, **heads},
            },
        ),
    )


def teach_all():
    root = Path(tempfile.mkdtemp(prefix="ebca-testing-"))
    checkpoints = Path(models_path) / "Stable-diffusion"
    for path in sorted(checkpoints.glob("*.yaml")):
        if path.with_suffix(".safetensors").is_file():
            teach(path, root)


if model_list is not None:
    teach_all()
