"""Maps of the attention are what the layers attend to, written out; and cost nothing when off."""

from __future__ import annotations

import pytest
import torch
from diffusers import UNet2DConditionModel
from hypothesis import given
from hypothesis import strategies as st
from models import context, encoding, evaluate, latent, noise
from torch.utils._python_dispatch import TorchDispatchMode

import ebca
from ebca.core import maps as core_maps
from ebca.core.cascade import level_size
from ebca.core.evaluation import Evaluation, Image, Row
from ebca.core.layers import find_layers
from ebca.core.maps import Maps, Size, grid_of, word_maps
from ebca.core.method import PLAIN, Clock
from ebca.prompts import Prompt

CAPTIONS = {"cat": [2], "red balloon": [4, 5]}


def trace(**maps: object) -> ebca.Trace:
    return ebca.Trace(energies=False, maps=Maps(**{"words": CAPTIONS, **maps}))  # type: ignore[arg-type]


class Written:
    """The same maps, written out: all heads, pixels and tokens of all layers, in float64."""

    def __init__(self, unet: UNet2DConditionModel, row: int, latent_size: Size) -> None:
        self.shares: list[dict[int, torch.Tensor]] = []  # of each evaluation, by layer: [t, h, w]
        self._latent, self._row, self._layers = latent_size, row, find_layers(unet)
        self._handles = [
            layer.linear(name).register_forward_hook(self._note(layer.index, name))
            for layer in self._layers
            for name in ("to_q", "to_k")
        ]
        self._handles.append(unet.register_forward_pre_hook(lambda *_: self.shares.append({})))
        self._query: torch.Tensor | None = None

    def _note(self, index: int, name: str) -> object:
        def hook(_linear: object, _args: object, out: torch.Tensor) -> None:
            if out.shape[0] == 1 and self._row >= 1:
                return  # the engine's own projections of branches
            if name == "to_q":
                self._query = out[self._row].double()
                return
            assert self._query is not None
            layer = self._layers[index]
            if index in self.shares[-1]:
                return
            key, beta = out[self._row].double(), layer.beta(out.shape[-1])
            total = torch.zeros(key.shape[0], self._query.shape[0], dtype=torch.float64)
            width = key.shape[1] // layer.heads
            for head in range(layer.heads):
                part = slice(head * width, (head + 1) * width)
                for pixel in range(self._query.shape[0]):
                    scores = beta * (key[:, part] @ self._query[pixel, part])
                    total[:, pixel] += (scores - scores.max()).exp() / (
                        (scores - scores.max()).exp().sum()
                    )
            size = level_size(self._latent, self._query.shape[0])
            assert size is not None
            self.shares[-1][index] = (total / layer.heads).reshape(-1, *size)

        return hook

    def maps(self, evaluations: range | None = None, layers: set[int] | None = None) -> list:
        """Of the captions, over layers at the two levels that count."""
        grid = grid_of(self._latent)
        levels = (grid, (-(-grid[0] // 2), -(-grid[1] // 2)))
        found = []
        for tokens in CAPTIONS.values():
            means = []
            for number in evaluations or range(len(self.shares)):
                shares = [
                    share[tokens].sum(0)
                    for index, share in self.shares[number].items()
                    if (index in layers if layers else share.shape[1:] in levels)
                ]
                assert shares
                means.append(torch.stack([_fitted(each, grid) for each in shares]).mean(0))
            found.append(torch.stack(means).mean(0))
        return found

    def remove(self) -> None:
        for handle in self._handles:
            handle.remove()


def _fitted(share: torch.Tensor, size: Size) -> torch.Tensor:
    if tuple(share.shape) == size:
        return share
    how = "area" if share.numel() > size[0] * size[1] else "bilinear"
    return torch.nn.functional.interpolate(share[None, None], size=size, mode=how)[0, 0]


@pytest.mark.parametrize("size", [(8, 8), (7, 13), (12, 5)])
@pytest.mark.parametrize("gamma", [0.0, 0.02])
def test_maps_are_the_attention_written_out(
    unet: UNet2DConditionModel, size: Size, gamma: float
) -> None:
    settings, seen = ebca.Settings(gamma_attn=gamma), trace()
    written = Written(unet, 1, size)
    with ebca.apply_patch(unet, settings, trace=seen, conditional_rows=[1]):
        for step in range(3):
            evaluate(unet, latent(2, *size, seed=step), context(2), timestep=900 - 300 * step)
    written.remove()
    assert seen.maps is not None
    shown = seen.maps.seen()
    assert shown.words == tuple(CAPTIONS)
    assert shown.evaluations == 3
    assert shown.maps.shape == (2, *size)
    for mine, theirs in zip(shown.maps, written.maps(), strict=True):
        torch.testing.assert_close(mine.double(), theirs, rtol=1e-4, atol=1e-6)
    assert 0.0 < shown.maps.min() < shown.maps.max() < 1.0


def test_layers_can_be_chosen(unet: UNet2DConditionModel) -> None:
    seen = trace(layers="mid, 0")
    written = Written(unet, 1, (8, 8))
    with ebca.apply_patch(unet, trace=seen, conditional_rows=[1]):
        evaluate(unet, latent(2), context(2))
    written.remove()
    for mine, theirs in zip(seen.maps.seen().maps, written.maps(layers={0, 2}), strict=True):
        torch.testing.assert_close(mine.double(), theirs, rtol=1e-4, atol=1e-6)
    with pytest.raises(ebca.SettingsError, match="layers is 'sideways', but must be"):
        Maps(layers="sideways")


@pytest.mark.parametrize(
    ("when", "steps"),
    [("all", range(6)), ("early", range(2)), ("late", range(4, 6))],
)
def test_early_and_late_are_thirds(unet: UNet2DConditionModel, when: str, steps: range) -> None:
    seen = trace(when=when)
    written = Written(unet, 1, (8, 8))
    with ebca.apply_patch(unet, trace=seen, conditional_rows=[1]):
        for step in range(6):  # a bare UNet's progress is that of the training's timesteps
            evaluate(unet, latent(2, seed=step), context(2), timestep=999 - -(-1000 * step // 6))
    written.remove()
    shown = seen.maps.seen()
    assert shown.evaluations == len(steps)
    for mine, theirs in zip(shown.maps, written.maps(steps), strict=True):
        torch.testing.assert_close(mine.double(), theirs, rtol=1e-4, atol=1e-6)


def test_of_two_steps_the_last_one_is_late(unet: UNet2DConditionModel) -> None:
    seen = trace(when="late")
    with ebca.apply_patch(unet, trace=seen, conditional_rows=[1]):
        for timestep in (999, 499):
            evaluate(unet, latent(2), context(2), timestep=timestep)
    assert seen.maps.seen().evaluations == 1
    with pytest.raises(ebca.SettingsError, match="when is 'soon', but must be one of all, early"):
        Maps(when="soon")


def test_pictures_of_a_batch_have_maps_of_their_own(unet: UNet2DConditionModel) -> None:
    both = ebca.compose(["a cat", "a dog"])
    seen, alone = trace(), trace()
    sample, texts = latent(4), context(4)
    with ebca.apply_patch(unet, prompt=both, trace=seen, conditional_rows=[2, 3]):
        evaluate(unet, sample, texts)
    with ebca.apply_patch(unet, prompt=ebca.compose("a dog"), trace=alone, conditional_rows=[1]):
        evaluate(unet, sample[[1, 3]], texts[[1, 3]])
    assert seen.maps.pictures == [0, 1]
    torch.testing.assert_close(seen.maps.seen(1).maps, alone.maps.seen(0).maps)
    assert not torch.allclose(seen.maps.seen(0).maps, seen.maps.seen(1).maps)
    with pytest.raises(KeyError):
        seen.maps.seen(2)


def test_watching_does_not_change_the_output_and_off_adds_no_hook(
    unet: UNet2DConditionModel,
) -> None:
    def hooks() -> int:
        modules = unet.modules()
        return sum(len(each._forward_hooks) + len(each._forward_pre_hooks) for each in modules)

    outputs, counted = [], []
    for watched in (None, trace()):
        edits = [ebca.Edit(context=encoding(), alpha=0.5)]
        patch = {"edits": edits, "reference": encoding(seed=20), "trace": watched}
        with ebca.apply_patch(unet, ebca.Settings(), conditional_rows=[1], **patch):
            counted.append(hooks())
            outputs.append(evaluate(unet, latent(2), context(2)))
    assert torch.equal(*outputs)
    assert counted[0] == counted[1] > 0
    plain = evaluate(unet, latent(2), context(2))
    off = ebca.Settings(gamma_attn=0.0, regions=0.0)
    with ebca.apply_patch(unet, off, conditional_rows=[1]):
        assert hooks() == 0
    with ebca.apply_patch(unet, off, trace=trace(), conditional_rows=[1]):
        assert torch.equal(evaluate(unet, latent(2), context(2)), plain)
    assert hooks() == 0


def test_what_was_used_is_named_and_averaged(unet: UNet2DConditionModel) -> None:
    prompt = ebca.compose("a cat and a dog AND at night :0.5")
    texts = {text: encoding(seed=n) for n, text in enumerate(("", "a cat", "a dog", "at night"))}
    seen = trace()
    settings = ebca.Settings(gamma_attn=0.0, edit_stop=0.5)
    with ebca.apply_patch(
        unet, settings, prompt=prompt, trace=seen, contexts=texts, conditional_rows=[1]
    ):
        for timestep in (999, 899, 499, 0):
            evaluate(unet, latent(2), context(2), timestep=timestep)
    used = {each.name: each.weight for each in seen.maps.seen().used}
    assert set(used) == {"a cat", "a dog", "AND at night"}
    assert used["AND at night"] == pytest.approx(0.25)  # in two of four evaluations
    strength = 9 / 7
    both = used["a cat"] + used["a dog"]
    assert both.shape == (8, 8)
    torch.testing.assert_close(both, torch.full((8, 8), -strength * 2 / 4))  # first: it looks


class Attended:
    """What the attention of a layer gives for any context, as the host's own module computes it."""

    def __init__(self, unet: UNet2DConditionModel, size: Size) -> None:
        self._size, self._hidden = size, {}
        self._handles = [
            module.register_forward_hook(self._hook(name), with_kwargs=True)
            for name, module in unet.named_modules()
            if name.endswith("attn2")
        ]
        self.modules = {n: m for n, m in unet.named_modules() if n.endswith("attn2")}

    def remove(self) -> None:
        for handle in self._handles:
            handle.remove()

    def _hook(self, name: str):  # type: ignore[no-untyped-def]
        def hook(_module: object, args: tuple, kwargs: dict, _out: object) -> None:
            if name not in self._hidden:
                self._hidden[name] = args[0][1].double()

        return hook

    def of(self, name: str, text: torch.Tensor) -> torch.Tensor:
        """[n, h*d], before the output projection, head by head."""
        module = self.modules[name]
        query = self._hidden[name] @ module.to_q.weight.double().T
        key, value = (text.double() @ each.weight.double().T for each in (module.to_k, module.to_v))
        width = query.shape[1] // module.heads
        parts = []
        for head in range(module.heads):
            part = slice(head * width, (head + 1) * width)
            share = (query[:, part] @ key[:, part].T * module.scale).softmax(-1)
            parts.append(share @ value[:, part])
        return torch.cat(parts, 1)

    def changes(self, main: torch.Tensor, of: list[tuple[float, torch.Tensor, torch.Tensor]]):  # type: ignore[no-untyped-def]
        """For each (weight, text, the text in whose place it is) the mean over layers."""
        grid = grid_of(self._size)
        found = []
        for weight, text, other in of:
            layers = []
            for name, hidden in self._hidden.items():
                size = level_size(self._size, hidden.shape[0])
                if size not in (grid, (-(-grid[0] // 2), -(-grid[1] // 2))):
                    continue
                moved = weight * (self.of(name, text) - self.of(name, other))
                change = moved.norm(dim=1) / self.of(name, main).norm(dim=1)
                layers.append(_fitted(change.reshape(size), grid))
            assert layers
            found.append(torch.stack(layers).mean(0))
        return found


@pytest.mark.parametrize("size", [(8, 8), (7, 13)])
@pytest.mark.parametrize("means", ["sum", "average"])
def test_what_a_prompt_after_and_changes_is_that_written_out(
    unet: UNet2DConditionModel, means: str, size: Size
) -> None:
    texts = {text: encoding(seed=n) for n, text in enumerate(("", "at night", "in snow"), 5)}
    settings = ebca.Settings(gamma_attn=0.0, regions=0.0, and_means=means)
    prompt = ebca.compose("a cat AND at night :0.5 AND in snow :-0.25")
    seen, main = trace(), context(2)
    attended = Attended(unet, size)
    with ebca.apply_patch(
        unet, settings, prompt=prompt, trace=seen, contexts=texts, conditional_rows=[1]
    ):
        evaluate(unet, latent(2, *size), main)
    attended.remove()
    night, snow, empty = texts["at night"], texts["in snow"], texts[""]
    if means == "sum":
        expected = [(0.5, night, empty), (-0.25, snow, empty)]
    else:
        expected = [(0.5 / 1.25, night, main[1]), (-0.25 / 1.25, snow, main[1])]
    written = attended.changes(main[1], expected)
    used = {each.name: each.change for each in seen.maps.seen().used}
    assert list(used) == ["AND at night", "AND in snow"]
    for mine, theirs in zip(used.values(), written, strict=True):
        assert mine.shape == size
        torch.testing.assert_close(mine.double(), theirs, rtol=1e-4, atol=1e-6)
        assert 0.0 < mine.min() < mine.max()


def test_changes_of_a_batch_and_of_weights_that_cancel(unet: UNet2DConditionModel) -> None:
    """Where the weights cancel the empty prompt is in no mix: what changes is beyond the main."""
    texts = {text: encoding(seed=n) for n, text in enumerate(("", "at night", "in snow"), 5)}
    settings = ebca.Settings(gamma_attn=0.0, regions=0.0)
    prompts = ["a cat AND at night :0.5", "a dog AND at night :0.5 AND in snow :-0.5"]
    sample, main = latent(4), context(4)
    seen = trace()
    with ebca.apply_patch(
        unet, settings, prompt=ebca.compose(prompts), trace=seen, contexts=texts,
        conditional_rows=[2, 3],
    ):  # fmt: skip
        evaluate(unet, sample, main)
    for picture, text in enumerate(prompts):
        alone, rows = trace(), [picture, 2 + picture]
        with ebca.apply_patch(
            unet, settings, prompt=ebca.compose(text), trace=alone, contexts=texts,
            conditional_rows=[1],
        ):  # fmt: skip
            attended = Attended(unet, (8, 8))
            evaluate(unet, sample[rows], main[rows])
            attended.remove()
        mine, theirs = seen.maps.seen(picture).used, alone.maps.seen().used
        assert [each.name for each in mine] == [each.name for each in theirs]
        for one, other in zip(mine, theirs, strict=True):
            torch.testing.assert_close(one.change, other.change, rtol=1e-4, atol=1e-6)
    own = main[3]
    cancelled = [(0.5, texts["at night"], own), (-0.5, texts["in snow"], own)]
    for each, written in zip(mine, attended.changes(own, cancelled), strict=True):
        torch.testing.assert_close(each.change.double(), written, rtol=1e-4, atol=1e-6)


def test_what_takes_no_part_changes_nothing(unet: UNet2DConditionModel) -> None:
    prompt = ebca.compose("a cat AND at night :0.5")
    texts = {"": encoding(seed=5), "at night": encoding(seed=6)}
    settings = ebca.Settings(gamma_attn=0.0, regions=0.0, edit_stop=0.5)
    made = {}
    for timesteps in ((999,), (999, 0)):
        seen = trace()
        with ebca.apply_patch(
            unet, settings, prompt=prompt, trace=seen, contexts=texts, conditional_rows=[1]
        ):
            for timestep in timesteps:
                evaluate(unet, latent(2), context(2), timestep=timestep)
        ((_, weight, change),) = [vars(each).values() for each in seen.maps.seen().used]
        made[timesteps] = weight, change
    assert made[999,][0] == pytest.approx(2 * made[999, 0][0])
    torch.testing.assert_close(made[999,][1], 2 * made[999, 0][1])


@given(
    st.tuples(st.integers(1, 3), st.integers(1, 60), st.integers(2, 9)),
    st.integers(1, 4),
    st.integers(1, 300),
)
def test_pieces_are_the_whole(shape: tuple[int, int, int], heads: int, at_once: int) -> None:
    rows, pixels, tokens = shape
    query, key = noise(rows, pixels, heads * 4), noise(rows, tokens, heads * 4, seed=1)
    words = (noise(rows, tokens, 3, seed=2) > 0).float()
    bias = noise(rows, 1, pixels, tokens, seed=3)
    whole = [word_maps(query, key, heads, 0.5, words, added) for added in (None, bias)]
    before, core_maps._AT_ONCE = core_maps._AT_ONCE, at_once
    try:
        for added, expected in zip((None, bias), whole, strict=True):
            pieces = word_maps(query, key, heads, 0.5, words, added)
            torch.testing.assert_close(pieces, expected)
    finally:
        core_maps._AT_ONCE = before


class Largest(TorchDispatchMode):
    """The number of elements of the largest tensor that is ever made."""

    numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        made = func(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor):
            self.numel = max(self.numel, made.numel())
        return made


def test_the_attention_of_a_large_picture_is_never_held_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(core_maps, "_AT_ONCE", 2**16)
    query, key = noise(2, 64 * 64, 8 * 4), noise(2, 77, 8 * 4, seed=1)
    with Largest() as largest:
        word_maps(query, key, 8, 0.5, torch.zeros(2, 77, 2))
    assert largest.numel <= max(2**16, query.numel())  # 2 * 8 * 4096 * 77 would be 5,046,272


@pytest.mark.parametrize(
    ("latent_size", "grid"),
    [
        ((64, 64), (32, 32)),  # 512 x 512: 1/16
        ((128, 128), (64, 64)),
        ((152, 104), (76, 52)),
        ((192, 192), (48, 48)),  # 1536 x 1536: 1/32
        ((256, 256), (64, 64)),
        ((63, 97), (32, 49)),
        ((32, 32), (16, 16)),
        ((30, 30), (30, 30)),
        ((8, 8), (8, 8)),
        ((1, 1), (1, 1)),
    ],
)
def test_the_grid_is_a_sixteenth_and_for_large_pictures_half_of_that(
    latent_size: Size, grid: Size
) -> None:
    assert grid_of(latent_size) == grid


def evaluation(images: list[Image], whole: bool = True) -> Evaluation:
    rows = [Row(number, True) for number in range(len(images))]
    return Evaluation(rows, images, Clock(lambda: (0.0, 0.0)), (8, 8), whole=whole)


def test_pieces_of_a_picture_are_left_out() -> None:
    assert not Maps(CAPTIONS).begin(evaluation([Image()], whole=False), [PLAIN])
    unconditional = Evaluation([Row(0, False)], [Image()], Clock(lambda: (0.0, 0.0)), (8, 8))
    assert not Maps(CAPTIONS).begin(unconditional, [PLAIN])


def test_a_layer_that_is_called_first_again_begins_anew(unet: UNet2DConditionModel) -> None:
    """As ControlNet's reference does, which lets the UNet see another picture first."""
    layer, maps = find_layers(unet)[0], Maps(CAPTIONS)
    query, key = noise(1, 64, 32), noise(1, 7, 32, seed=1)
    maps.begin(evaluation([Image()]), [PLAIN])
    maps.see(layer, (8, 8), noise(1, 64, 32, seed=5), key)
    maps.restart()
    maps.see(layer, (8, 8), query, key)
    maps.end()
    once = Maps(CAPTIONS)
    once.begin(evaluation([Image()]), [PLAIN])
    once.see(layer, (8, 8), query, key)
    once.end()
    assert torch.equal(maps.seen().maps, once.seen().maps)


def placed(prompt: Prompt, **more: object) -> Image:
    """With each word of the prompt a token, the first at 1."""
    text = prompt.main.split()

    def tokens(words: str) -> list[int]:
        wanted = words.split()
        starts = [n for n in range(len(text)) if text[n : n + len(wanted)] == wanted]
        return [1 + n + each for n in starts for each in range(len(wanted))]

    return Image(prompt, tokens=tokens, **more)  # type: ignore[arg-type]


def captions(maps: Maps, *images: Image) -> list[dict[str, tuple[int, ...]]]:
    maps.begin(evaluation(list(images)), [PLAIN] * len(images))
    assert maps._under is not None
    return [dict(words) for words in maps._under.words]


def test_what_is_looked_for() -> None:
    two = Prompt("a cat and a red balloon", (), ("a cat", "a red balloon"), ("cat", "balloon"))
    one = Prompt("a photo of the old house by night")
    assert captions(Maps(), placed(two)) == [{"a cat": (2,), "a red balloon": (6,)}]
    assert captions(Maps(), placed(one)) == [
        {"photo": (2,), "old": (5,), "house": (6,), "night": (8,)}
    ]
    picked = Maps(["red balloon", "dog", "a"])
    assert captions(picked, placed(two)) == [{"red balloon": (5, 6), "a": (1, 4)}]
    many = Prompt(" ".join(f"thing{n}" for n in range(30)))
    assert len(captions(Maps(), placed(many))[0]) == 8


def test_rows_of_one_picture_make_one(unet: UNet2DConditionModel) -> None:
    """Prompts that a host joins by itself have a row each."""
    parts = [
        placed(Prompt("cat", single=False), number=0, part_of=0),
        placed(Prompt("night", single=False), number=1, part_of=0),
    ]
    maps, layer = Maps(), find_layers(unet)[0]
    query, key = noise(2, 64, 32), noise(2, 7, 32, seed=1)
    maps.begin(evaluation(parts), [PLAIN, PLAIN])
    maps.see(layer, (8, 8), query, key)
    maps.end()
    shown = maps.seen()
    assert (maps.pictures, shown.words, shown.evaluations) == ([0], ("cat", "night"), 1)
    tokens = torch.zeros(2, 7, 1)
    tokens[:, 1] = 1.0
    beta = layer.beta(32)
    expected = word_maps(query, key, layer.heads, beta, tokens)[..., 0].view(2, 8, 8)
    torch.testing.assert_close(shown.maps, expected)


def test_a_word_that_a_place_does_not_see_takes_nothing_there(unet: UNet2DConditionModel) -> None:
    """The second step is the first in which words are kept to their places."""
    where = {"cat": [2], "dog": [5]}
    texts = {"a cat": encoding(seed=3), "a dog": encoding(seed=4)}

    def shown(steps: int) -> torch.Tensor:
        trace = ebca.Trace(energies=False, maps=Maps(where))
        given = {"contexts": texts, "tokens": where, "conditional_rows": [1], "trace": trace}
        with ebca.apply_patch(
            unet, ebca.Settings(gamma_attn=0.0), prompt=ebca.compose("a cat and a dog"), **given
        ):
            for step in range(steps):
                evaluate(unet, latent(2), context(2), timestep=900 - step)
        assert trace.maps is not None
        return trace.maps.seen().maps

    first = shown(1)
    second = 2 * shown(2) - first
    assert (first.amin(0) > 1e-3).all()
    hidden = second.amin(0) < 1e-3
    assert hidden.float().mean() > 0.5  # all but where places meet
    assert (second.amax(0) > 1e-3).all()
