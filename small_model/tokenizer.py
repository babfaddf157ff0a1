"""The small model's tokenizer: CLIP's, with no more of its vocabulary than captions need.

    python -m small_model.tokenizer CLIP_TOKENIZER DEST

CLIP_TOKENIZER is a folder with `vocab.json` and `merges.txt` of any Stable Diffusion 1 model. The
new tokenizer keeps the 512 single letters (bytes, within a word and at its end), the merges that
build the words of `captions.vocabulary()`, and the begin and end tokens. It splits captions as
before and spells any other word in letters. Tokens are renumbered without gaps, in CLIP's order.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path

from small_model.captions import vocabulary

_LETTERS = 512
_HEADER = "#version: 0.2"


def shrink(source: Path, destination: Path, texts: Iterable[str]) -> None:
    """Write the part of the tokenizer in `source` that splits `texts` as the whole one does."""
    from transformers import CLIPTokenizer

    texts = list(texts)
    whole = CLIPTokenizer.from_pretrained(str(source))
    used = {token for text in texts for token in whole.tokenize(text)}
    merges = _read_merges(source / "merges.txt")
    built = {"".join(merge): merge for merge in merges}
    needed: set[str] = set()
    while used:
        token = used.pop()
        if token in built and token not in needed:
            needed.add(token)
            used.update(built[token])
    numbers: dict[str, int] = json.loads((source / "vocab.json").read_text(encoding="utf-8"))
    kept = [
        token
        for token, number in sorted(numbers.items(), key=lambda item: item[1])
        if number < _LETTERS or token in needed or token in (whole.bos_token, whole.eos_token)
    ]
    destination.mkdir(parents=True, exist_ok=True)
    vocab = {token: number for number, token in enumerate(kept)}
    (destination / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False), encoding="utf-8")
    lines = [_HEADER, *(" ".join(merge) for merge in merges if "".join(merge) in needed)]
    (destination / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    config = (source / "tokenizer_config.json").read_text(encoding="utf-8")
    (destination / "tokenizer_config.json").write_text(config, encoding="utf-8")
    small = CLIPTokenizer.from_pretrained(str(destination))
    changed = [text for text in texts if whole.tokenize(text) != small.tokenize(text)]
    assert not changed, f"split in another way: {changed}"


def _read_merges(file: Path) -> list[tuple[str, str]]:
    lines = file.read_text(encoding="utf-8").splitlines()
    pairs = (line.split() for line in lines if line and not line.startswith("#version"))
    return [(first, second) for first, second in pairs]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="CLIP's tokenizer with the captions' words alone.")
    parser.add_argument("source", type=Path, help="folder of CLIP's tokenizer")
    parser.add_argument("destination", type=Path)
    chosen = parser.parse_args(arguments)
    shrink(chosen.source, chosen.destination, vocabulary())


if __name__ == "__main__":
    main()
