"""What all stages hand on: a place, an edit and what it makes, how sure it is, the fix made of these, the dialects."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

BCC = "bcc"
LIBBPF = "libbpf"


class Safety(enum.StrEnum):
    """How sure a fix is; the words are those of every report."""

    SAFE = "safe"  # whatever the old program was right about stays
    SUGGESTED = "suggested"  # right in nearly every program; the reason says when it is not
    ADVICE = "advice"  # no edit; the message says what to do


@dataclass(frozen=True, order=True)
class Edit:
    """Replace bytes `start` to `end` (0-based, end exclusive) of the file `path` by `text`; start == end inserts."""

    path: Path
    start: int
    end: int
    text: bytes


class Spanned(Protocol):
    """What a finding can point at: a Node, a Macro, or a `Span`."""

    @property
    def path(self) -> Path: ...
    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...


@dataclass(frozen=True)
class Span:
    """A byte range of a file, 0-based, end exclusive."""

    path: Path
    start: int
    end: int


@dataclass(frozen=True)
class Fix:
    """One finding, with its edits if it has any.

    `at` is what the finding points at. `edits` may touch several places and files; they are made together or not at
    all. `reason` says why a fix is only suggested or only advice, and is required then. `origin` says where a pointer
    came from, on which the finding rests: one line for each way that it may have come.
    """

    at: Spanned
    message: str
    safety: Safety
    edits: list[Edit] = field(default_factory=list)
    reason: str = ""
    origin: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.safety is not Safety.SAFE and not self.reason:
            raise ValueError(f"a fix that is {self.safety} needs a reason: {self.message}")
        if (self.safety is Safety.ADVICE) == bool(self.edits):
            raise ValueError(f"{self.safety} with {len(self.edits)} edits: {self.message}")


def apply(data: bytes, edits: Iterable[Edit]) -> bytes:
    """`data` with `edits` made; equal ones once, insertions at one offset in the order given.

    All edits are of one file. ValueError for a range that is not in `data`, or two that overlap.
    """
    parts: list[bytes] = []
    done = 0
    for edit in sorted(dict.fromkeys(edits), key=lambda edit: (edit.start, edit.end)):
        if not 0 <= edit.start <= edit.end <= len(data):
            raise ValueError(f"{edit.path}: edit of bytes {edit.start} to {edit.end}, the file has {len(data)}")
        if edit.start < done:
            raise ValueError(f"{edit.path}: edits overlap at byte {edit.start}")
        parts += (data[done : edit.start], edit.text)
        done = edit.end
    parts.append(data[done:])
    return b"".join(parts)
