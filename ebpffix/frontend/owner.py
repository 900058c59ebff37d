"""What nodes and types ask of the unit that they belong to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from ebpffix.fix import Spanned
from ebpffix.sources.source import Source


class Owner(Protocol):
    """A `Unit`, as its nodes know it."""

    @property
    def dialect(self) -> str: ...
    @property
    def sources(self) -> Mapping[Path, Source]: ...
    @property
    def errors(self) -> int: ...
    @property
    def tu(self) -> Any: ...
    def file(self, name: str) -> Path: ...
    def extent(self, cursor: Any) -> tuple[Path | None, int, int]: ...
    def text(self, at: Spanned) -> bytes: ...
    def editable(self, path: Path, start: int, end: int) -> bool: ...
