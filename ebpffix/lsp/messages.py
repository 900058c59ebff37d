"""What the server and its processes say to each other. All offsets are bytes of a text as it was sent, 0-based, ends
exclusive; paths are absolute, behind all links."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ebpffix.fix import Edit, Safety
from ebpffix.rewriting.found import Identity

Edits = Mapping[Path, tuple[Edit, ...]]


# -- asked


@dataclass(frozen=True)
class Opened:
    """A file that an editor has open, or one whose text changed. `generation` is another for each text; `folder` is the
    one that the user works in, or the file's own."""

    path: Path
    data: bytes
    generation: int
    folder: Path


@dataclass(frozen=True)
class Update:
    """What changed since the last one. `fresh`: the disk may be another too."""

    opened: tuple[Opened, ...] = ()
    closed: tuple[Path, ...] = ()
    fresh: bool = False


@dataclass(frozen=True)
class Make:
    """One fix that was only suggested: can it be made?"""

    path: Path
    identity: Identity


@dataclass(frozen=True)
class Silence:
    """The comment that answers one finding."""

    path: Path
    identity: Identity


@dataclass(frozen=True)
class Load:
    """A file that was saved: compile and load its programs."""

    path: Path
    folder: Path


@dataclass(frozen=True)
class Mend:
    """A file with a refused program: search for a repair."""

    path: Path
    folder: Path


# -- answered


@dataclass(frozen=True)
class Finding:
    """One finding in one file. `becomes` says in one line what its edits make; `is_made`: they stood the test, and go
    with those of all others that are made."""

    identity: Identity
    start: int
    end: int
    message: str
    safety: Safety
    reason: str
    origin: tuple[str, ...]
    becomes: str
    edits: Edits
    is_made: bool
    url: str

    @property
    def transform(self) -> str:
        return self.identity[0]


@dataclass(frozen=True)
class Note:
    """What is not clean about a file: on a line (1-based), or 0 for all of it. `kind` is "failed", "partial" or
    "idle" (an ignore comment that silences nothing)."""

    line: int
    text: str
    kind: str


@dataclass(frozen=True)
class Seen:
    """What is in one file, for one text of it. `fix_all` are the edits of all fixes that change this file alone."""

    path: Path
    generation: int
    findings: tuple[Finding, ...] = ()
    fix_all: tuple[Edit, ...] = ()
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True)
class Looked:
    """`problems` stop the analysis of some files, `said` does not: one line each, for the user."""

    seen: tuple[Seen, ...] = ()
    said: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Made:
    """Edits of texts of these generations; or why there are none."""

    edits: Edits = field(default_factory=dict)
    generations: Mapping[Path, int] = field(default_factory=dict)
    refused: str = ""


@dataclass(frozen=True)
class Refusal:
    """What the verifier, or the compiler, says of a line (1-based; 0: of none that is known) of a file. `lost` are the
    line where the proof was lost and what happens there."""

    path: Path
    line: int
    message: str
    lost: tuple[Path, int, str] | None = None


@dataclass(frozen=True)
class Loaded:
    """What came of compiling and loading the programs of a file that held `data`."""

    path: Path
    data: bytes
    refusals: tuple[Refusal, ...] = ()
    said: tuple[str, ...] = ()


@dataclass(frozen=True)
class Mended:
    """A repair: what was done, one line for each step, and the edits of files that hold `before`."""

    path: Path
    before: Mapping[Path, bytes]
    steps: tuple[str, ...] = ()
    edits: Edits = field(default_factory=dict)


@dataclass(frozen=True)
class Bug:
    """A mistake of ours, in one line."""

    text: str
