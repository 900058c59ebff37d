"""Where a transform or a strategy can be read about in the web: the one place that knows the address."""

from __future__ import annotations

from urllib.parse import quote

HOME = "https://OWNER.github.io/ebpffix"


def transform(name: str) -> str:
    """The page of a built-in transform."""
    return f"{HOME}/transforms/{quote(name)}/"


def strategy(name: str) -> str:
    """The page of a built-in strategy of `--repair`."""
    return f"{HOME}/strategies/{quote(name)}/"
