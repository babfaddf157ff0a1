"""The pictures and judgements made so far, on disk, so that a sweep can be continued.

`results.jsonl` is only ever appended to, and a line that a kill cut short is ignored. Pictures are
kept, so that another judge can look at them without sampling again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ebca.align.painter import Pictures


def key_of(facts: dict[str, Any]) -> str:
    """Return a short hash of all that decides a picture: case, method, sampling, weights."""
    text = json.dumps(facts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


class Store:
    """Pictures and records in a folder, by key."""

    def __init__(self, folder: Path) -> None:
        self._file, self._pictures = folder / "results.jsonl", folder / "pictures"
        self._pictures.mkdir(parents=True, exist_ok=True)
        self._records: dict[tuple[str, str], dict[str, Any]] = {}
        text = self._file.read_text(encoding="utf-8") if self._file.exists() else ""
        for line in text.splitlines():
            try:
                record = json.loads(line)
                self._records[record["key"], record["kind"]] = record
            except (ValueError, KeyError, TypeError):
                continue  # half a line
        if text and not text.endswith("\n"):
            with self._file.open("a", encoding="utf-8") as file:
                file.write("\n")

    def get(self, key: str, kind: str) -> dict[str, Any] | None:
        """Return the record of a kind: `picture`, `trace`, or the name of a judge."""
        return self._records.get((key, kind))

    def put(self, records: Iterable[dict[str, Any]]) -> None:
        """Append records, each with `key` and `kind`, in one write."""
        records = list(records)
        with self._file.open("a", encoding="utf-8") as file:
            file.write("".join(json.dumps(record) + "\n" for record in records))
        for record in records:
            self._records[record["key"], record["kind"]] = record

    def has_picture(self, key: str) -> bool:
        """Tell whether a picture is complete: its record is written after its file."""
        return self.get(key, "picture") is not None and self.path(key).exists()

    def path(self, key: str) -> Path:
        return self._pictures / key[:2] / f"{key}.png"

    def put_pictures(
        self, keys: list[str], pictures: Pictures, facts: list[dict[str, Any]]
    ) -> None:
        for key, picture in zip(keys, pictures, strict=True):
            self.path(key).parent.mkdir(exist_ok=True)
            Image.fromarray(picture).save(self.path(key))
        self.put(
            {"key": key, "kind": "picture", **each} for key, each in zip(keys, facts, strict=True)
        )

    def pictures(self, keys: list[str]) -> Pictures:
        return np.stack([np.asarray(Image.open(self.path(key)).convert("RGB")) for key in keys])
