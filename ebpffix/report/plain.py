"""Data as JSON text, for the JSON report itself and for the formats that are JSON too."""

from __future__ import annotations

import json
from typing import Any


def render(data: Any) -> bytes:
    """UTF-8. A file's name that is no UTF-8 has lone surrogates, which become escapes: reading gives the name again."""
    return (json.dumps(data, indent=1, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")
