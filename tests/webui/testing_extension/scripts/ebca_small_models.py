"""For tests alone: lets Forge and reForge load checkpoints of unusual sizes, such as the small
model.

They know a model by its UNet's sizes and take all else from files or lines of their own. So for
every checkpoint with an ldm or sgm yaml beside it, whose sizes they do not know, they are told what
the yaml says. On AUTOMATIC1111's WebUI, which reads the yaml, this does nothing.
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

try:
    from ldm_patched.modules import sd, sd1_clip, supported_models
except ImportError:
    supported_models = None

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


class Description:
    """What the yaml beside a checkpoint says."""

    def __init__(self, path):
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        unet = (find(config, "unet_config") or find(config, "network_config"))[0]["params"]
        self.name, self.encoders = path.stem, text_encoders(config)
        self.kind = KINDS[tuple(kind for kind, _ in self.encoders)]
        self.sizes = {
            "context_dim": unet["context_dim"],
            "model_channels": unet["model_channels"],
            "use_linear_in_transformer": unet.get("use_linear_in_transformer", False),
            "adm_in_channels": unet.get("adm_in_channels"),
        }
        self.heads = {name: unet.get(name, -1) for name in ("num_heads", "num_head_channels")}
        (self.scale,) = find(config, "scale_factor")
        (self.vae,) = find(config, "ddconfig")

    def known_to(self, models):
        return any(self.sizes.items() <= model.unet_config.items() for model in models)

    def model(self, parent, **more):
        """A class of model as the family has them."""
        extra = {**parent.unet_extra_config, **self.heads}
        return type(
            f"Small{self.kind}",
            (parent,),
            {"unet_config": self.sizes, "unet_extra_config": extra, **more},
        )


def teach_forge(description, root):
    parent = getattr(model_list, description.kind)
    base = Path(loader.dir_path) / "huggingface" / parent.huggingface_repo
    folder, vae = root / description.name, description.vae
    for name in ("model_index.json", "scheduler/scheduler_config.json"):
        changed(base / name, folder / name)
    changed(
        base / "vae" / "config.json",
        folder / "vae" / "config.json",
        block_out_channels=[vae["ch"] * factor for factor in vae["ch_mult"]],
        layers_per_block=vae["num_res_blocks"],
        scaling_factor=description.scale,
    )
    for number, (kind, which) in enumerate(description.encoders):
        write_text_encoder(kind, which, base, folder, number)
    model_list.models.insert(0, description.model(parent, huggingface_repo=str(folder)))


class Loading:
    """The small model that reForge is loading, which from then on loads no others."""

    description = None
    root = None

    @classmethod
    def text_config(cls, number):
        kind, which = cls.description.encoders[number]
        if kind == "clip":
            return str(Path(which) / "config.json")
        from open_clip import get_model_config

        text = get_model_config(which)["text_cfg"]
        folder, name = Path(sd1_clip.__file__).parent, "sd2_clip_config.json"
        own = folder / "text_encoders" / name
        base = own if own.exists() else folder / name  # in Forge Classic
        if number:
            base = folder / "clip_config_bigg.json"
        target = cls.root / f"{cls.description.name}-{number}.json"
        changed(
            base,
            target,
            hidden_size=text["width"],
            intermediate_size=4 * text["width"],
            num_attention_heads=text["heads"],
            num_hidden_layers=text["layers"],
            projection_dim=text["width"],
        )
        return str(target)


def teach_reforge(description, root):
    parent = getattr(supported_models, description.kind)
    Loading.root = root

    def get_model(self, *args, **kwargs):
        Loading.description = description
        return parent.get_model(self, *args, **kwargs)

    class Latents(parent.latent_format):
        def __init__(self):
            super().__init__()
            self.scale_factor = description.scale

    small = description.model(parent, get_model=get_model, latent_format=Latents)
    supported_models.models.insert(0, small)


def wrap_reforge():
    """Its text encoders and autoencoder, which are of one size in its code, take another one."""
    encoder, vae = sd1_clip.SDClipModel.__init__, sd.VAE.__init__
    tokenizer = sd1_clip.SDTokenizer.__init__

    def is_second(kwargs):
        return int("bigg" in str(kwargs.get("textmodel_json_config")))

    def encoder_init(self, *args, **kwargs):
        if Loading.description is not None:
            kwargs["textmodel_json_config"] = Loading.text_config(is_second(kwargs))
        encoder(self, *args, **kwargs)

    def tokenizer_init(self, *args, **kwargs):
        if Loading.description is not None and kwargs.get("embedding_key", "clip_l") == "clip_l":
            kwargs["tokenizer_path"] = Loading.description.encoders[0][1]
        tokenizer(self, *args, **kwargs)

    def vae_init(self, sd=None, **kwargs):
        if Loading.description is not None:
            params = {"ddconfig": Loading.description.vae, "embed_dim": 4}
            kwargs["config"] = {"params": params}
        vae(self, sd=sd, **kwargs)

    sd1_clip.SDClipModel.__init__ = encoder_init
    sd1_clip.SDTokenizer.__init__ = tokenizer_init
    sd.VAE.__init__ = vae_init


def wrap_forge():
    """Its textual inversions, which are of one size in its code, take another one."""
    from backend.text_processing.classic_engine import ClassicTextProcessingEngine

    engine = ClassicTextProcessingEngine.__init__

    def engine_init(self, text_encoder, *args, **kwargs):
        if kwargs.get("embedding_expected_shape") in (768, 1024):  # SDXL's are of two encoders
            kwargs["embedding_expected_shape"] = text_encoder.transformer.config.hidden_size
        engine(self, text_encoder, *args, **kwargs)

    ClassicTextProcessingEngine.__init__ = engine_init


def teach_all():
    """For all checkpoints that have a yaml."""
    root = Path(tempfile.mkdtemp(prefix="ebca-testing-"))
    known, teach = (
        (model_list.models, teach_forge)
        if model_list is not None
        else (supported_models.models, teach_reforge)
    )
    checkpoints = Path(models_path) / "Stable-diffusion"
    for path in sorted(checkpoints.glob("*.yaml")):
        if path.with_suffix(".safetensors").is_file():
            description = Description(path)
            if not description.known_to(known):
                teach(description, root)


if model_list is not None:
    wrap_forge()
    teach_all()
elif supported_models is not None:
    wrap_reforge()
    teach_all()
