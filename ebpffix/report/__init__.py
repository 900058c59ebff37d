"""Reports of a run, one module a format."""

from __future__ import annotations

from importlib import import_module
from typing import Any

# Every format is made from the JSON report by `render(report) -> bytes` of a module here.
FORMATS = {
    "json": "plain",
    "sarif": "sarif",
    "github": "github",
    "gitlab": "gitlab",
    "rdjson": "rdjson",
    "html": "html",
}


def render(report: dict[str, Any], format: str) -> bytes:
    """A report (version 1, as `model` makes it) in one of FORMATS. Only that format's module is imported."""
    made: bytes = import_module(f"{__name__}.{FORMATS[format]}").render(report)
    return made
