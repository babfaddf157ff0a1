"""The WebUI's `parameters` text: prompt, negative prompt, and a line of `label: value` pairs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from ebca.options.infotext import written

_PARAMETER = re.compile(r'\s*([\w][\w \-/]+):\s*("(?:\\.|[^\\"])*"|[^,]*)(?:,|$)')


def write_parameters(prompt: str, negative: str, values: Mapping[str, object]) -> str:
    """Return the text that the WebUI's PNG Info reads: prompt, negative prompt, parameters."""
    lines = [prompt]
    if negative:
        lines.append(f"Negative prompt: {negative}")
    lines.append(", ".join(f"{label}: {_quoted(written(v))}" for label, v in values.items()))
    return "\n".join(lines)


def read_parameters(text: str) -> tuple[str, str, dict[str, str]]:
    """Return the prompt, negative prompt and parameters in a text by `write_parameters`."""
    *lines, last = text.strip().split("\n")
    parameters = {match[1]: _unquoted(match[2]) for match in _PARAMETER.finditer(last)}
    prompt, _, negative = "\n".join(lines).partition("Negative prompt: ")
    return prompt.rstrip("\n"), negative, parameters


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False) if re.search(r'[,:\n"]', text) else text


def _unquoted(text: str) -> str:
    return str(json.loads(text)) if text.startswith('"') else text.strip()
