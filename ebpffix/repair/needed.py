"""What a repair would be without one of its candidates: a later one may have made it needless."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ebpffix.fix import Edit, apply

Files = Mapping[Path, bytes]


@dataclass
class _Left:
    """Text that is left out: where it would stand by now, and how many bytes it would have replaced."""

    path: Path
    start: int
    length: int
    old: int


def without(files: Files, made: Sequence[Sequence[Edit]], number: int) -> Files | None:
    """The files with the edits of all candidates but one, each of which counts bytes of what those before it made; None
    where a later edit stands in the text that is left out."""
    left: list[_Left] = []
    for position, edits in enumerate(made):
        if position == number:
            left = _placed(edits)
            continue
        moved = [_moved(edit, left) for edit in edits]
        if any(edit is None for edit in moved):
            return None
        files = made_in(files, [edit for edit in moved if edit is not None])
        for one in left:
            shift = sum(len(e.text) - (e.end - e.start) for e in edits if e.path == one.path and e.end <= one.start)
            one.start += shift
    return files


def made_in(files: Files, edits: Sequence[Edit]) -> dict[Path, bytes]:
    """The files with edits made. ValueError or KeyError for those that cannot be."""
    changed = dict(files)
    for path in {edit.path for edit in edits}:
        changed[path] = apply(files[path], [e for e in edits if e.path == path])
    return changed


def _placed(edits: Sequence[Edit]) -> list[_Left]:
    found, shift = [], dict.fromkeys((e.path for e in edits), 0)
    for edit in sorted(edits):
        old = edit.end - edit.start
        found.append(_Left(edit.path, edit.start + shift[edit.path], len(edit.text), old))
        shift[edit.path] += len(edit.text) - old
    return found


def _moved(edit: Edit, left: Sequence[_Left]) -> Edit | None:
    """An edit as it is where the text is left out; None for one that touches it."""
    shift = 0
    for one in left:
        if one.path != edit.path or edit.end <= one.start:
            continue
        if edit.start < one.start + one.length:
            return None
        shift += one.old - one.length
    return replace(edit, start=edit.start + shift, end=edit.end + shift)
