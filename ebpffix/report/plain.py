"""Data as JSON text, for the JSON report itself and for the formats that are JSON too."""

from __future__ import annotations

import json
from typing import Any


def render(data: Any) -> bytes:
    """UTF-8. What a terminal might obey and nobody sees is an escape; so is a byte of a file's name that is no UTF-8,
    as a lone surrogate: reading gives the text again."""
    text = json.dumps(data, indent=1, ensure_ascii=False)
    lines = (line if line.isprintable() else "".join(map(_shown, line)) for line in text.split("\n"))
    return "\n".join((*lines, "")).encode()


def _shown(character: str) -> str:
    return character if character.isprintable() else json.dumps(character)[1:-1]
