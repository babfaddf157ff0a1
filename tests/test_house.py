"""A method is one module and one entry: everything else finds it by itself."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from models import context, encoding, evaluate, latent
from PIL import Image

import ebca
from ebca import Settings, SettingsError, apply_patch, methods
from ebca.__main__ import main
from ebca.core.method import At, Branch, Method, Mix, Moment, SeenRow
from ebca.docs import controls_table
from ebca.infotext import read_parameters
from ebca.options import all_declarations
from ebca.options.infotext import read
from ebca.prompts import Prompt
from ebca.settings import Range
from ebca.settings.declaration import check_settings, setting


@dataclass(frozen=True)
class Dream(Method):
    """A throw-away method: some of the attention goes to a word."""

    dream: float = setting(
        0.0, "How much of the picture is a dream.", label="Dream", group="when", neutral=0.0,
        since="99.0.0", legal=Range(0.0, 1.0),
    )  # fmt: skip
    dream_of: str = setting("sheep", "What it dreams of.", label="Dream of", neutral="sheep")

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def active(self) -> bool:
        return self.dream > 0.0

    def texts(self, prompt: Prompt) -> tuple[str, ...]:
        return (self.dream_of,)

    def mix(self, prompt: Prompt, moment: Moment) -> Mix:
        return Mix(1.0 - self.dream, (Branch(self.dream, self.dream_of),))

    def tell(self, prompt: Prompt) -> str:
        return f"Dreams of {self.dream_of}."


@pytest.fixture(autouse=True)
def dreaming(monkeypatch):
    monkeypatch.setattr(methods, "METHODS", (*methods.METHODS, Dream))


def test_its_settings_are_settings():
    assert Settings(dream=0.5).dream == 0.5
    assert list(Settings())[-2:] == ["dream", "dream_of"]
    with pytest.raises(SettingsError, match="dream is 2, but must be a number from 0 to 1"):
        Settings(dream=2)
    assert [type(method) for method in Settings(dream=0.5).methods][-1] is Dream
    assert Dream not in map(type, Settings().methods)


def test_it_acts_on_a_bare_unet(unet):
    sheep = encoding(seed=9)
    still = Settings(gamma_attn=0.0)
    off = evaluate(unet, latent(1), context(1))
    with apply_patch(unet, still.replace(dream=1.0), contexts={"sheep": sheep}):
        awake = evaluate(unet, latent(1), context(1))
    assert np.allclose(awake, evaluate(unet, latent(1), sheep[None]), atol=1e-5)
    assert not np.allclose(awake, off, atol=1e-3)


@pytest.mark.diffusers
def test_it_has_flags_acts_on_a_pipeline_and_is_written_into_the_picture(tmp_path: Path):
    def made(name: str, *more: str) -> Image.Image:
        command = ["generate", "a cat", "--steps", "2", "--out", str(tmp_path / name), *more]
        assert main(command) == 0
        return Image.open(tmp_path / name / "00000-0.png")

    off, on = made("off"), made("on", "--dream", "0.5", "--dream-of", "a red car")
    assert np.asarray(on).tolist() != np.asarray(off).tolist()
    parameters = read_parameters(on.info["parameters"])[2]
    assert parameters["EBCA dream"] == "0.5"
    assert parameters["EBCA dream_of"] == "a red car"
    _, values = read(parameters, all_declarations())
    assert (values["dream"], values["dream_of"]) == (0.5, "a red car")
    assert "dream" not in off.info["parameters"]
    assert main(["generate", "a cat", "--dream", "2", "--out", str(tmp_path / "bad")]) == 2


def test_older_pictures_do_not_dream():
    _, values = read({"EBCA": "on", "EBCA version": ebca.__version__}, all_declarations())
    assert values["dream"] == 0.0


def test_it_is_in_the_documentation_and_the_help(capsys):
    assert "| Dream | `dream` |" in controls_table()
    with pytest.raises(SystemExit):
        main(["generate", "--help"])
    assert "What it dreams of." in capsys.readouterr().out


@dataclass(frozen=True)
class Memory(Method):
    """Sees three layers of every image and remembers them."""

    def remember(self) -> list[tuple[str, int]]:
        return []

    def sees(self, moment: Moment) -> bool:
        return len(moment.memory) < 3

    def see(self, at: At, rows: list[SeenRow]) -> None:
        for index, row in enumerate(rows):
            assert at.query[index].shape[1] == at.key[index].shape[1]
            row.moment.memory.append((row.prompt.main, at.layer.index))


def test_what_a_method_sees_it_remembers_for_one_sampling(unet, monkeypatch):
    seen: list[list[tuple[str, int]]] = []
    monkeypatch.setattr(Memory, "remember", lambda self: seen.append([]) or seen[-1])
    monkeypatch.setattr(methods, "METHODS", (Memory,))
    both = ebca.compose(["a cat", "a dog"])
    with apply_patch(unet, prompt=both, conditional_rows=[2, 3]):
        for _ in range(2):
            evaluate(unet, latent(4), context(4))
    assert [entries[0] for entries in seen] == [("a cat", 0), ("a dog", 0)]
    assert all(len(entries) == 3 for entries in seen)
