"""The text of a document, and the way between its bytes and the positions of the protocol.

A line ends with CR LF, LF or CR, and nothing else: not with a form feed, which Python's splitlines takes for an end. A
column counts code units of the encoding that was agreed upon; an editor never places anything between CR and LF.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property

from lsprotocol import types

from ebpffix.fix import Edit, apply

_LINE_END = re.compile(rb"\r\n|\n|\r")
_UNITS = {"utf-8": 1, "utf-16": 2, "utf-32": 4}  # bytes of one


class Text:
    """One text. `data` is UTF-8; half a surrogate pair, which JSON can hold, is kept as it is."""

    def __init__(self, text: str, encoding: str = "utf-16") -> None:
        self.data = text.encode("utf-8", "surrogatepass")
        self._encoding = encoding

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *(match.end() for match in _LINE_END.finditer(self.data))]

    def position(self, offset: int) -> types.Position:
        """Where a byte is; one that is within a character, or between CR and LF, where that begins."""
        while 0 < offset < len(self.data) and self.data[offset] & 0xC0 == 0x80:
            offset -= 1
        offset -= self._splits_line_end(offset)
        line = bisect_right(self._starts, offset) - 1
        return types.Position(line, self._units(self.data[self._starts[line] : offset]))

    def range(self, start: int, end: int) -> types.Range:
        return types.Range(self.position(start), self.position(end))

    def line_range(self, line: int) -> types.Range:
        """The code of a line as compilers count lines (1-based, ended by LF), without the blanks around it; the
        beginning of the text for one that is not there."""
        lines = self.data.split(b"\n")
        if not 1 <= line <= len(lines):
            return self.range(0, 0)
        start = sum(len(one) + 1 for one in lines[: line - 1])
        code = lines[line - 1]
        return self.range(start + len(code) - len(code.lstrip()), start + len(code.rstrip()))

    def offset(self, position: types.Position) -> int:
        """The byte that a position is before; one behind the end of its line is at that end."""
        if position.line >= len(self._starts):
            return len(self.data)
        start = self._starts[position.line]
        match = _LINE_END.search(self.data, start)
        line = self.data[start : match.start() if match else len(self.data)]
        if line.isascii():
            return start + min(position.character, len(line))
        units = self._encode(line)[: position.character * _UNITS[self._encoding]]
        before = units.decode(self._codec, "ignore" if self._encoding == "utf-8" else "surrogatepass")
        return start + len(before.encode("utf-8", "surrogatepass"))

    def edits(self, edits: Iterable[Edit]) -> list[types.TextEdit]:
        """Edits of this text as an editor takes them: those that touch as one, so that no order is left to it, and none
        that begins or ends between CR and LF."""
        groups: list[tuple[int, int, list[Edit]]] = []
        for edit in sorted(edits, key=lambda one: (one.start, one.end)):
            start = edit.start - self._splits_line_end(edit.start)
            end = edit.end + self._splits_line_end(edit.end)
            if groups and start <= groups[-1][1]:
                first, last, together = groups.pop()
                groups.append((first, max(last, end), [*together, edit]))
            else:
                groups.append((start, end, [edit]))
        made = []
        for start, end, together in groups:
            moved = [replace(edit, start=edit.start - start, end=edit.end - start) for edit in together]
            text = apply(self.data[start:end], moved).decode("utf-8", "surrogatepass")
            made.append(types.TextEdit(self.range(start, end), text))
        return made

    def _splits_line_end(self, offset: int) -> bool:
        return offset > 0 and self.data[offset - 1 : offset + 1] == b"\r\n"

    @property
    def _codec(self) -> str:
        return "utf-8" if self._encoding == "utf-8" else f"{self._encoding}-le"

    def _encode(self, part: bytes) -> bytes:
        return part.decode("utf-8", "surrogatepass").encode(self._codec, "surrogatepass")

    def _units(self, part: bytes) -> int:
        return len(part) if part.isascii() else len(self._encode(part)) // _UNITS[self._encoding]
