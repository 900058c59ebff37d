"""The lines of a pull request's diff that can be commented on: those that its hunks show on the new side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


class UnreadableDiff(ValueError):
    """What a host calls a diff is none; one line."""


@dataclass(frozen=True)
class Line:
    """A line of the new side with its end, and its 1-based number on the old side if it was there too."""

    text: str
    old: int | None


Shown = Mapping[int, Line]
"""One hunk's lines by their 1-based numbers on the new side; the numbers have no gap."""


@dataclass(frozen=True)
class ChangedFile:
    path: str
    old_path: str
    hunks: tuple[Shown, ...]

    def holding(self, start: int, end: int) -> Shown | None:
        """The hunk that shows all lines from `start` to `end`, both included."""
        return next((hunk for hunk in self.hunks if start in hunk and end in hunk), None)


def changed_file(path: str, old_path: str, patch: str) -> ChangedFile:
    """What a host says of one file: `patch` is its hunks without the `---` and `+++` lines, empty if there is none.

    UnreadableDiff for what is no such patch.
    """
    from unidiff.errors import UnidiffParseError
    from unidiff.patch import PatchSet

    try:
        read = PatchSet.from_string(f"--- old\n+++ new\n{patch}\n") if patch else []
    except UnidiffParseError as error:
        raise UnreadableDiff(f"the diff of {path} cannot be read: {' '.join(str(error).split())}") from error
    return ChangedFile(path, old_path, tuple(_shown(hunk) for file in read for hunk in file))


def _shown(hunk: object) -> Shown:
    lines: dict[int, Line] = {}
    last = 0
    for line in hunk:  # type: ignore[attr-defined]
        if line.line_type == "\\" and last:
            lines[last] = Line(lines[last].text.removesuffix("\n"), lines[last].old)
        last = line.target_line_no or 0
        if last:
            lines[last] = Line(line.value, line.source_line_no)
    return lines
