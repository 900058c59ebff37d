"""What a run works on: a program, which is a file of its own or a string of a host program, and a header.

Who analyses and who compiles see the C alone (`source`); what is edited is `file`. How one is part of the other, and
what follows from it for a finding, only the program itself knows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from ebpffix.fix import Edit, Fix
from ebpffix.sources.source import Source


class Program(Protocol):
    """An eBPF program. All that it says of places in its file counts bytes of `whole`."""

    @property
    def source(self) -> Source:
        """The C of it."""

    @property
    def dialect(self) -> str: ...

    @property
    def root(self) -> Path:
        """Of its git tree, else the folder that was named or walked."""

    @property
    def path(self) -> Path:
        """Its name, which no other program of the run has."""

    @property
    def on_disk(self) -> bool:
        """Whether `path` is a file with this C: else it is a part of `file`."""

    @property
    def file(self) -> Path:
        """The file that is edited."""

    @property
    def whole(self) -> Source:
        """That file as it was when the program was read; its comments are those of the file's own language."""

    def read(self, data: bytes) -> Program:
        """The program as it is when its file holds `data`."""

    def otherwise(self) -> Program | None:
        """The program as its host makes it in another case, where there is one."""

    @property
    def unknown(self) -> tuple[int, str] | None:
        """The line (1-based) of its file and the name of what stands for code that only a running host tells."""

    def holds(self, edit: Edit) -> bool:
        """Whether an edit of its file changes this program."""

    def placed(self, fix: Fix) -> Fix:
        """A finding in the C as one in the file; advice where the file cannot be edited so."""

    def answering(self, fix: Fix) -> tuple[int, ...]:
        """Where in its file a comment answers for a finding in the C too, beside the comments of the C itself."""

    def placed_note(self, note: str) -> str:
        """A note that begins with a line of the C as one with the line of the file."""

    def placed_message(self, message: str) -> str:
        """A compiler's message on a line of the C as one on the line of the file."""


@dataclass(frozen=True, eq=False)
class FileProgram:
    """A program that is a file: there is nothing to translate."""

    source: Source
    dialect: str
    root: Path
    on_disk = True
    unknown = None

    @property
    def path(self) -> Path:
        return self.source.path

    @property
    def file(self) -> Path:
        return self.source.path

    @property
    def whole(self) -> Source:
        return self.source

    def read(self, data: bytes) -> FileProgram:
        return replace(self, source=Source(self.path, data))

    def otherwise(self) -> None:
        return None

    def holds(self, edit: Edit) -> bool:
        return edit.path == self.path

    def placed(self, fix: Fix) -> Fix:
        return fix

    def answering(self, fix: Fix) -> tuple[int, ...]:
        return ()

    def placed_note(self, note: str) -> str:
        return note

    def placed_message(self, message: str) -> str:
        return message


@dataclass(frozen=True, eq=False)
class Header:
    """A header of the run, and the eBPF programs of the project that are known to include it, sorted by path."""

    path: Path
    root: Path
    programs: tuple[Program, ...]
