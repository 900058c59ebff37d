"""Where the documentation is in the web, and the source: the one place that knows the addresses."""

from __future__ import annotations

from urllib.parse import quote

HOME = "https://OWNER.github.io/ebpffix"
SOURCE = "https://github.com/OWNER/ebpffix"


def transform(name: str) -> str:
    """The page of a built-in transform."""
    return f"{HOME}/transforms/{quote(name)}/"


def strategy(name: str) -> str:
    """The page of a built-in strategy of `--repair`."""
    return f"{HOME}/strategies/{quote(name)}/"
