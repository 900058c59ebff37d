"""Findings that the author of a file has answered: `// ebpffix: ignore[transform]` and `// ebpffix: ignore-file`.

`ignore` answers for its own lines and, where its comment stands alone, for the line of code directly below;
`ignore-file` for the whole file. `[…]` lists transforms; without it all are meant.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from ebpffix.sources.source import Source

_MARK = re.compile(rb"ebpffix:[ \t]*ignore(-file)?(?![\w-])[ \t]*(?:\[([^\]\r\n]*))?")


@dataclass(frozen=True)
class _Ignore:
    """`transforms` is None for all; lines are 1-based and inclusive, None for the whole file."""

    transforms: frozenset[str] | None
    lines: tuple[int, int] | None
    offset: int


class Suppressions:
    """The answers in `source`. A file without the word `ebpffix:` costs one search of its bytes."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._ignores = list(_ignores(source)) if b"ebpffix:" in source.data else []
        self.heeded: set[tuple[int, str]] = set()  # the number of an ignore in the file, and a transform it silenced

    def covers(self, transform: str, start: int, end: int) -> bool:
        """Is a finding of `transform` on bytes `start` to `end` (0-based, end exclusive) answered?"""
        if not self._ignores:
            return False
        first, last = self._source.line(start), self._source.line(max(start, end - 1))
        answers = [
            number
            for number, ignore in enumerate(self._ignores)
            if (ignore.transforms is None or transform in ignore.transforms)
            and (ignore.lines is None or (ignore.lines[0] <= last and first <= ignore.lines[1]))
        ]
        self.heeded |= {(number, transform) for number in answers}
        return bool(answers)

    def __len__(self) -> int:
        return len(self._ignores)

    def unknown(self, transforms: Collection[str]) -> list[str]:
        """One note for each name in a list that is none of `transforms`, in order: "line 3: …"."""
        return [
            f"line {self._source.line(ignore.offset)}: ignore of {name!r}, which is no transform; "
            "`ebpffix --transforms` lists them"
            for ignore in self._ignores
            for name in sorted((ignore.transforms or frozenset()) - set(transforms))
        ]

    def idle(
        self, looked_for: Collection[str], transforms: Collection[str], heeded: Collection[tuple[int, str]]
    ) -> list[str]:
        """One note for each ignore that silenced nothing of what was looked for, in order. One without a list can only
        be judged when all `transforms` were looked for. `heeded` is what the file's ignores, by number, silenced."""
        numbers = {number for number, _ in heeded}
        notes = []
        for number, ignore in enumerate(self._ignores):
            line = self._source.line(ignore.offset)
            if ignore.transforms is None:
                if number not in numbers and set(looked_for) >= set(transforms):
                    notes.append(f"line {line}: this ignore silences nothing; remove it")
                continue
            for name in sorted(ignore.transforms & set(looked_for)):
                if (number, name) not in heeded:
                    notes.append(f"line {line}: ignore of {name!r} silences nothing; remove it")
        return notes


def _ignores(source: Source) -> Iterator[_Ignore]:
    reach = _reach(source)
    for start, end in source.comments:
        # An open list goes on to the line's end: better a name that is reported as unknown than all of them.
        for mark in _MARK.finditer(source.data, start, end):
            names = None
            if mark[2] is not None:
                listed = (name.strip() for name in mark[2].decode("utf-8", "replace").split(","))
                names = frozenset(name for name in listed if name)
            first, last = source.line(start), source.line(end - 1)
            if not source.code[source.line_start(start) : source.line_end(end - 1)].strip():
                last = reach[last]
            yield _Ignore(names, None if mark[1] else (first, last), mark.start())


def _reach(source: Source) -> list[int]:
    """For each line (1-based; [0] is unused) the last line that a comment alone on it answers for: the code below it.

    Further comments may stand between, an empty line may not.
    """
    code, text = ([b"", *data.split(b"\n")] for data in (source.code, source.data))
    reach = list(range(len(text)))
    for line in range(len(text) - 2, 0, -1):
        if not code[line].strip() and text[line + 1].strip():
            reach[line] = reach[line + 1]
    return reach
