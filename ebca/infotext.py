"""Settings as text and back: the `EBCA ...` part of the WebUI's `parameters` line.

A value is written under `EBCA <field name>`. Reading returns what was written, value by value, so
writing and reading again changes nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

PREFIX = "EBCA "

_PARAMETER = re.compile(r'\s*([\w][\w \-/]+):\s*("(?:\\.|[^\\"])*"|[^,]*)(?:,|$)')


def write_fields(values: Mapping[str, object]) -> dict[str, str]:
    """`{field: value}` as `{label: text}`; values are numbers, flags, texts or None."""
    return {PREFIX + name: _written(value) for name, value in values.items()}


def read_fields(parameters: Mapping[str, str]) -> dict[str, str]:
    """The `{field: text}` among `{label: text}` parameters that are EBCA's."""
    return {
        label.removeprefix(PREFIX): text
        for label, text in parameters.items()
        if label.startswith(PREFIX)
    }


def write_parameters(prompt: str, negative: str, values: Mapping[str, object]) -> str:
    """The text that the WebUI's PNG Info reads: prompt, negative prompt, a line of parameters."""
    lines = [prompt]
    if negative:
        lines.append(f"Negative prompt: {negative}")
    lines.append(", ".join(f"{label}: {_quoted(_written(v))}" for label, v in values.items()))
    return "\n".join(lines)


def read_parameters(text: str) -> tuple[str, str, dict[str, str]]:
    """Prompt, negative prompt and parameters of such a text."""
    *lines, last = text.strip().split("\n")
    parameters = {match[1]: _unquoted(match[2]) for match in _PARAMETER.finditer(last)}
    prompt, _, negative = "\n".join(lines).partition("Negative prompt: ")
    return prompt.rstrip("\n"), negative, parameters


def _written(value: object) -> str:
    if isinstance(value, float):
        return repr(value).removesuffix(".0")  # the shortest text that reads back the same
    return str(value)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False) if re.search(r'[,:\n"]', text) else text


def _unquoted(text: str) -> str:
    return str(json.loads(text)) if text.startswith('"') else text.strip()
