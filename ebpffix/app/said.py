"""What a mode has to say. The command says it, in one place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Said:
    """What a mode gives: the exit code, bytes for standard output, and lines for standard error."""

    code: int
    out: bytes = b""
    err: tuple[str, ...] = ()

    def more(self, lines: Iterable[str]) -> Said:
        return replace(self, err=(*self.err, *lines))
