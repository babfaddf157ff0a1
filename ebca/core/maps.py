"""Maps of the attention: where in the picture the model put each subject or word.

    share(n, w) = mean over heads h of  sum over tokens t of w of  softmax_t(beta q_n . k_t)

is the part, from 0 to 1, that word w has in what pixel n takes from the text. It is averaged over
layers and over the evaluations of a sampling, for each picture separately. Sums are kept at 1/16 of
the picture (1/32 of a large one), [words, h, w]; a layer's own attention is computed in pieces and
dropped. The maps also hold the weight of each branch that the methods mixed in, and how much each
prompt s after AND changes what a pixel takes from the text,

    change(n) = | w_s ( attn(q_n, C_s) - attn(q_n, C_0) ) | / | attn(q_n, C_main) |

where C_0 is the prompt that s replaces: the empty one in a sum, the main one in an average. So the
changes of all these prompts, as vectors, add up to the whole change.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from ebca.core.attention import attention_share, split_heads
from ebca.core.evaluation import Evaluation, Image
from ebca.core.layers import Layer, check_layers, names_layer
from ebca.core.method import Mix
from ebca.prompts.prompt import noun_tokens
from ebca.prompts.words import telling_words
from ebca.settings.checks import check_choice

WHEN = ("all", "early", "late")
"""Which steps count: all, the first third (where the layout is decided), or the last third."""

MOST_WORDS = 8
_FINEST, _COARSEST = 64 * 64, 16 * 16
"""The most and the fewest pixels of a map. Above _FINEST at 1/16 of the picture, a map is made at
1/32; below _COARSEST at 1/8, unless 1/8 has more than _FINEST."""

_AT_ONCE = 2**24
"""How many attention scores are held in memory at once: 64 MiB in fp32."""

Size = tuple[int, int]


@dataclass(frozen=True)
class Used:
    """A text whose attention the methods mixed into the picture's.

    weight: the mean over the evaluations that were seen: a number, or [h, w] on the CPU where it
        differs from place to place.
    change: for a prompt after AND, how much it changes what each spot takes from the text, [h, w]
        on the CPU, 0.1 for a tenth: the mean over layers and evaluations, 0 where it took no part.
        None for any other text.
    """

    name: str
    weight: float | Tensor
    change: Tensor | None = None


@dataclass(frozen=True)
class Seen:
    """The maps of one picture.

    `maps` [words, h, w], on the CPU, has the share of each of `words`, from 0 to 1; `used` lists
    the texts that were mixed in, `evaluations` counts those that were seen.
    """

    words: tuple[str, ...]
    maps: Tensor
    used: tuple[Used, ...]
    evaluations: int


Words = tuple[str, tuple[int, ...]]
"""A caption and the token indices that it stands for."""


@dataclass
class _Sum:
    """A sum of maps [..., h, w] and the number of summands."""

    maps: Tensor
    count: int = 1

    def add(self, maps: Tensor) -> None:
        self.maps, self.count = self.maps + maps, self.count + 1

    @property
    def mean(self) -> Tensor:
        return self.maps / self.count


@dataclass
class _Under:
    """The current evaluation."""

    pictures: tuple[int, ...]  # one for each conditional row, as the next two
    words: tuple[tuple[Words, ...], ...]
    mixes: Sequence[Mix]
    grid: Size
    tokens: Tensor | None = None  # [rows, t, words], 1 where a word has a token
    maps: _Sum | None = None  # summed over layers, [rows, words, h, w]
    changes: dict[tuple[int, int], _Sum] = field(default_factory=dict)
    """(row, place in its mix) -> change [h, w], summed over layers."""


@dataclass
class Maps:
    """Collects attention maps of a sampling, as the `maps` of a `Trace`; `seen` returns them.

    Args:
        words: The words of the prompt to look for; or a mapping of captions to token indices of the
            main context, which a bare UNet needs. Empty: the nouns of the prompt's subjects, or the
            prompt's words where it has fewer than two subjects. At most 8 are looked for.
        when: The steps that count: `all`, `early` (the first third) or `late` (the last third).
        layers: The layers that count, as in the setting `layers`, such as `mid, up`. Empty: the
            layers at 1/16 and 1/32 of the picture, which tell most.

    Raises:
        SettingsError: `when` or `layers` cannot be used.
    """

    words: Sequence[str] | Mapping[str, Sequence[int]] = ()
    when: str = "all"
    layers: str = ""
    _sums: dict[tuple[object, ...], _Sum] = field(default_factory=dict, init=False, repr=False)
    _used: dict[tuple[int, str], float | Tensor] = field(default_factory=dict, init=False)
    _changes: dict[tuple[int, str], float | Tensor] = field(default_factory=dict, init=False)
    _counts: dict[int, int] = field(default_factory=dict, init=False)
    _found: dict[tuple[object, ...], tuple[Words, ...]] = field(default_factory=dict, init=False)
    _under: _Under | None = field(default=None, init=False, repr=False)
    _progress: float = field(default=-1.0, init=False)

    def __post_init__(self) -> None:
        check_choice("when", self.when, WHEN)
        if self.layers:
            check_layers(self.layers)

    # Called by the engine

    def begin(self, evaluation: Evaluation, mixes: Sequence[Mix]) -> bool:
        """Begin an evaluation with the mix of each of its images; return whether it counts.

        A piece of a picture does not: nothing tells which piece it is.
        """
        self._under = None
        rows = [row.image for row in evaluation.rows if row.conditional]
        if not rows or not evaluation.whole or not self._in_time(evaluation):
            return False
        images = [evaluation.images[index] for index in rows]
        self._under = _Under(
            tuple(image.picture for image in images),
            tuple(self._words_of(image) for image in images),
            [mixes[index] for index in rows],
            grid_of(evaluation.size),
        )
        return True

    def restart(self) -> None:
        """Drop this evaluation's maps: the host begins again at the first layer."""
        if self._under is not None:
            self._under.maps, self._under.changes = None, {}

    def wants(self, layer: Layer, size: Size) -> bool:
        """Return whether a layer counts that sees the picture as `size` (h, w)."""
        if self._under is None:
            return False
        if self.layers:
            return names_layer(self.layers, layer)
        grid = self._under.grid
        return size in (grid, _half(grid))

    def see(
        self, layer: Layer, size: Size, query: Tensor, key: Tensor, bias: Tensor | None = None
    ) -> None:
        """Add a layer's maps for the conditional rows.

        query is [b, n, h*d], key [b, t, h*d]; `bias` [b, 1, n, t] is added to the scores.
        """
        under = self._under
        if under is None:
            return
        if under.tokens is None or under.tokens.shape[1] != key.shape[1]:
            under.tokens = _indicator(under.words, key)
        maps = word_maps(query, key, layer.heads, layer.beta(key.shape[-1]), under.tokens, bias)
        maps = _resized(maps.mT.reshape(*maps.mT.shape[:2], *size), under.grid)
        if under.maps is None:
            under.maps = _Sum(maps)
        else:
            under.maps.add(maps)

    def see_changes(
        self,
        rows: Sequence[int],
        size: Size,
        main: Tensor,
        branches: Mapping[int, tuple[float | Tensor, Tensor]],
    ) -> None:
        """Add how much the prompts after AND change at a layer that sees the picture as `size`.

        rows: which of the conditional rows these are.
        main: [rows, n, w], the main prompt's output.
        branches: place in the mix -> weight, a number or [rows, 1 or n, 1], and output, like
            `main`.
        """
        under = self._under
        if under is None:
            return
        whole = main.float().norm(dim=-1).clamp(min=1e-12)
        for number, row in enumerate(rows):
            mix = under.mixes[row].branches
            texts = {each.source: n for n, each in enumerate(mix) if isinstance(each.source, str)}
            for place, branch in enumerate(mix):
                if branch.edit is None:
                    continue
                weight, given = branches[place]
                other = branches[texts[branch.beyond]][1] if branch.beyond in texts else main
                beyond = (given[number] - other[number]).float()
                weight = weight[number].float() if isinstance(weight, Tensor) else weight
                change = (weight * beyond).norm(dim=-1) / whole[number]
                fine = _resized(change.reshape(1, 1, *size), under.grid)[0, 0]
                if (row, place) in under.changes:
                    under.changes[row, place].add(fine)
                else:
                    under.changes[row, place] = _Sum(fine)

    def end(self) -> None:
        """End the evaluation and add its maps to the sums."""
        under, self._under = self._under, None
        if under is None or under.maps is None:
            return
        rows = (under.pictures, under.words, under.grid)
        if rows in self._sums:
            self._sums[rows].add(under.maps.mean)
        else:
            self._sums[rows] = _Sum(under.maps.mean)
        for picture in set(under.pictures):
            self._counts[picture] = self._counts.get(picture, 0) + 1
        for row, (picture, mix) in enumerate(zip(under.pictures, under.mixes, strict=True)):
            for place, name, weight in _named(mix):
                key = picture, name
                self._used[key] = _sum(self._used.get(key, 0.0), weight)
                if change := under.changes.get((row, place)):
                    self._changes[key] = _sum(self._changes.get(key, 0.0), change.mean)

    # Read after sampling

    @property
    def pictures(self) -> list[int]:
        """The places in the batch of the pictures that have maps, in ascending order."""
        return sorted(self._counts)

    def seen(self, picture: int = 0) -> Seen:
        """Return the maps of one picture as `Seen`.

        Args:
            picture: Its place in the batch.

        Raises:
            KeyError: Nothing was seen of this picture.
        """
        total: dict[str, Tensor] = {}
        counts: dict[str, int] = {}
        sizes = [each.maps.shape[-2:] for each in self._sums.values()]
        height, width = max(sizes, default=(1, 1))
        for caption, maps, count in self._of(picture):
            fitting = _resized(maps[None, None], (height, width))[0, 0]
            total[caption] = total[caption] + fitting if caption in total else fitting
            counts[caption] = counts.get(caption, 0) + count
        evaluations = self._counts[picture]
        means = [(total[caption] / counts[caption]).cpu() for caption in total]
        used = []
        for (whose, name), weight in self._used.items():
            if whose == picture:
                change = self._changes.get((whose, name))
                mean = None if change is None else torch.as_tensor(_mean(change, evaluations))
                used.append(Used(name, _mean(weight, evaluations), mean))
        shown = torch.stack(means) if means else torch.zeros(0, height, width)
        return Seen(tuple(total), shown, tuple(used), evaluations)

    def _of(self, picture: int) -> Iterator[tuple[str, Tensor, int]]:
        """Yield (caption, sum of maps, number of evaluations) for a picture's rows and words."""
        for (pictures, words, _), kept in self._sums.items():
            assert isinstance(pictures, tuple)
            assert isinstance(words, tuple)
            for row, whose in enumerate(pictures):
                for place, (caption, _tokens) in enumerate(words[row] if whose == picture else ()):
                    yield caption, kept.maps[row, place].float(), kept.count

    # When to look, and for which words

    def _in_time(self, evaluation: Evaluation) -> bool:
        """Return whether an evaluation counts.

        With `late`, the latest step counts where no step lies in the last third.
        """
        if self.when == "all":
            return True
        progress = evaluation.clock.progress
        if self.when == "early":
            return progress < 1 / 3 - 1e-9
        if self._progress < 2 / 3 - 1e-9 and progress != self._progress:
            self._sums.clear()
            self._used.clear()
            self._changes.clear()
            self._counts.clear()
        self._progress = progress
        return True

    def _words_of(self, image: Image) -> tuple[Words, ...]:
        """Return the words to look for in an image, found once for each prompt."""
        key = (image.prompt.main, image.prompt.subjects)
        if key not in self._found:
            words = (each for each in self._captioned(image) if each[1])
            self._found[key] = tuple(words)[:MOST_WORDS]
        return self._found[key]

    def _captioned(self, image: Image) -> list[Words]:
        if isinstance(self.words, Mapping):
            return [(caption, tuple(tokens)) for caption, tokens in self.words.items()]
        prompt = image.prompt
        if not self.words and prompt.subjects:
            nouns = noun_tokens(prompt, image.tokens)
            return [
                (words, tuple(each)) for words, each in zip(prompt.subjects, nouns, strict=True)
            ]
        wanted = self.words or telling_words(prompt.main)
        return [(words, tuple(image.tokens(words))) for words in wanted]


def word_maps(
    query: Tensor,
    key: Tensor,
    heads: int,
    beta: float,
    tokens: Tensor,
    bias: Tensor | None = None,
) -> Tensor:
    """Return the share of each word, [b, n, words], computed for few pixels at a time.

    query is [b, n, h*d], key [b, t, h*d]; `tokens` [b, t, words] is 1 where a word has a token;
    `bias` [b, 1, n, t] is added to the scores.
    """
    apart = split_heads(key, heads)
    pixels = max(1, _AT_ONCE // (apart.shape[0] * heads * apart.shape[2]))
    pieces = []
    for begin in range(0, query.shape[1], pixels):
        part = slice(begin, begin + pixels)
        added = None if bias is None else bias[:, :, part]
        share = attention_share(split_heads(query[:, part], heads), apart, beta, added)
        pieces.append(share @ tokens)
    return torch.cat(pieces, dim=1)


def grid_of(latent: Size) -> Size:
    """Return (h, w) of the maps, given the latent's size: 1/16 of the picture; or 1/32, or 1/8."""
    sizes = [latent, _half(latent), _half(_half(latent))]
    grid = sizes[2] if _pixels(sizes[1]) > _FINEST else sizes[1]
    return latent if _pixels(grid) < _COARSEST and _pixels(latent) <= _FINEST else grid


def _half(size: Size) -> Size:
    """Return the size of the next level of a UNet."""
    return -(-size[0] // 2), -(-size[1] // 2)


def _pixels(size: Size) -> int:
    return size[0] * size[1]


def _indicator(words: Sequence[Sequence[Words]], key: Tensor) -> Tensor:
    """Return [rows, t, words], 1 where a word has a token, for a key [rows, t, *]."""
    most = max(map(len, words))
    tokens = torch.zeros(len(words), key.shape[1], most)
    for row, captioned in enumerate(words):
        for place, (_, indices) in enumerate(captioned):
            tokens[row, [index for index in indices if index < key.shape[1]], place] = 1.0
    return tokens.to(key.device)


def _resized(maps: Tensor, size: Size) -> Tensor:
    """Resize maps [b, k, h, w]."""
    if tuple(maps.shape[-2:]) == tuple(size):
        return maps
    if not maps.numel():
        return maps.new_zeros(*maps.shape[:2], *size)
    if _pixels(size) < maps.shape[-1] * maps.shape[-2]:
        return F.interpolate(maps, size=size, mode="area")
    return F.interpolate(maps, size=size, mode="bilinear", align_corners=False)


def _sum(before: float | Tensor, now: float | Tensor) -> float | Tensor:
    """Add two numbers or maps [h, w]; the sum has the size of `now`."""
    if isinstance(before, Tensor) and isinstance(now, Tensor):
        before = _resized(before[None, None], (now.shape[0], now.shape[1]))[0, 0]
    return before + now


def _mean(total: float | Tensor, count: int) -> float | Tensor:
    """Divide a sum by `count`; a map is moved to the CPU."""
    return (total / count).cpu() if isinstance(total, Tensor) else total / count


def _named(mix: Mix) -> Iterator[tuple[int, str, float | Tensor]]:
    """Yield place, name and weight of the branches with a text that is not empty."""
    for place, branch in enumerate(mix.branches):
        text = branch.edit.prompt if branch.edit else branch.source
        if isinstance(text, str) and not text.strip():
            continue
        name = text.strip() if isinstance(text, str) else "an encoding"
        weight = -branch.weight if branch.away else branch.weight
        yield place, f"AND {name}" if branch.edit else name, weight
