"""A fix as a run knows it: found by which transform through which program, and made in which pass."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ebpffix.fix import Edit, Fix, apply

Identity = tuple[str, Path, int, int, str]


@dataclass(frozen=True)
class Found:
    """A fix that `transform` proposed while `program` was analysed; the fix itself may lie in a header of it."""

    transform: str
    fix: Fix
    program: Path

    @property
    def identity(self) -> Identity:
        """What makes two findings one, whichever programs they were found through."""
        at = self.fix.at
        return self.transform, at.path, at.start, at.end, self.fix.message

    @property
    def through(self) -> str:
        """The program's name, seen from the file of the finding."""
        return os.path.relpath(self.program, self.fix.at.path.parent)


@dataclass(frozen=True)
class Applied(Found):
    """A fix that was made, its edits in bytes of the files before the run. `pass_number` counts from 1.

    Fixes that build on each other are one: it stands where the first stood, says all their messages, is as safe as
    the least safe of them, and has the edits of all.
    """

    pass_number: int


def edits_by_path(found: Iterable[Found]) -> dict[Path, list[Edit]]:
    """The edits of all of `found`, file by file, in the order that `apply` wants; equal ones once."""
    edits: dict[Path, dict[Edit, None]] = {}
    for one in found:
        for edit in one.fix.edits:
            edits.setdefault(edit.path, {})[edit] = None
    return {path: list(of_path) for path, of_path in edits.items()}


def apply_all(files: Mapping[Path, bytes], found: Iterable[Found]) -> dict[Path, bytes]:
    """`files` with the edits of all of `found` made. ValueError as for `apply`."""
    return {**files, **{path: apply(files[path], edits) for path, edits in edits_by_path(found).items()}}
