"""Writes the tables of docs/controls.md from the declarations: `python -m ebca.docs`.

With `--check` it only tells whether the page is up to date (exit code 1 if not).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from ebca.options import declared
from ebca.options.infotext import written
from ebca.options.presets import PRESETS
from ebca.settings import Declaration, Range
from ebca.settings.declaration import GROUPS

PAGE = Path(__file__).resolve().parent.parent / "docs" / "controls.md"
_BEGIN, _END = "<!-- controls: written by python -m ebca.docs -->", "<!-- controls end -->"


def controls_table(known: Sequence[Declaration] | None = None) -> str:
    """Return every setting in Markdown, in the accordion's groups and order, and the presets."""
    return "\n".join([*_tables(known or [*declared().values()]), *_presets()])


def _tables(known: Sequence[Declaration]) -> Iterator[str]:
    for group, title in GROUPS.items():
        members = [each for each in known if each.group == group]
        if not members:
            continue
        yield f"\n### {title or 'In sight'}\n"
        yield "| control | name | default | legal | what it does |"
        yield "|---|---|---|---|---|"
        for each in members:
            default = f"`{_value(each.default)}`" if each.default != "" else "empty"
            yield f"| {each.label} | `{each.name}` | {default} | {_legal(each)} | {each.help} |"


def _legal(each: Declaration) -> str:
    if isinstance(each.legal, Range):
        return f"{each.legal.low:g} to {each.legal.high:g}"
    if each.choices:
        return ", ".join(f"`{choice}`" for choice in each.choices)
    return "on, off" if each.is_flag else "a text"


def _presets() -> Iterator[str]:
    yield "\n### Presets\n"
    yield "| preset | what differs from the defaults |"
    yield "|---|---|"
    for name, values in PRESETS.items():
        shown = ", ".join(f"`{key}` {_value(value)}" for key, value in values.items())
        yield f"| `{name}` | {shown or 'nothing: these are the defaults'} |"


def _value(value: object) -> str:
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else written(value)


def page(text: str) -> str:
    """Return the page `text` with its tables brought up to date."""
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}\n{controls_table()}\n\n{_END}{after}"


def main(arguments: Sequence[str]) -> int:
    now = PAGE.read_text(encoding="utf-8")
    new = page(now)
    if "--check" in arguments:
        return int(new != now)
    PAGE.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
