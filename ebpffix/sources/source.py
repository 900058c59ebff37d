"""The bytes of one file, and the way between byte offsets, lines and columns.

Offsets are 0-based and count bytes of the file as it is on disk. Lines and columns are 1-based; columns count raw
bytes, as compilers do. Nothing here decodes the text: an edit made on bytes keeps CRLF, a BOM, Latin-1 and tabs as
they were.
"""

from __future__ import annotations

import codecs
import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ebpffix.sources.reader import read_file

# A comment, a string or a character literal of C. A line comment goes on after a backslash at the line's end. None of
# them can fail once it began, and no character is a step of its own: a file is read in one go, whatever is in it.
_OPAQUE = re.compile(
    rb"""//[^\n\\]*(?:\\(?:\r?\n)?[^\n\\]*)*"""
    rb"""|/\*.*?(?:\*/|\Z)"""
    rb"""|"[^"\\\n]*(?:\\(?:\r\n|.)[^"\\\n]*)*(?:"|(?=\n)|\\?\Z)"""
    rb"""|'[^'\\\n]*(?:\\.[^'\\\n]*)*(?:'|(?=\n)|\\?\Z)""",
    re.DOTALL,
)
# A preprocessor directive, to the end of its last line; in text without comments.
DIRECTIVE = re.compile(rb"^[ \t]*#[^\n]*(?:(?:(?<=\\)|(?<=\\\r))\n[^\n]*)*", re.MULTILINE)
_BLANKED = bytes(byte if byte in b"\r\n" else ord(" ") for byte in range(256))
_SLASH = ord("/")


@dataclass(frozen=True, eq=False)
class Source:
    """One file: `path` is absolute, `data` is all of it, undecoded."""

    path: Path
    data: bytes

    @classmethod
    def read(cls, path: Path) -> Source:
        """Read `path`. OSError passes through: the caller says which file, and what to do."""
        return cls(path, read_file(path))

    @cached_property
    def _line_starts(self) -> list[int]:
        return [0, *(m.end() for m in re.finditer(rb"\n", self.data))]

    @cached_property
    def _opaque(self) -> list[tuple[int, int]]:
        return [m.span() for m in _OPAQUE.finditer(self.data)]

    @cached_property
    def code(self) -> bytes:
        """`data` with comments and literals blanked by spaces: same length, same lines. For searches by regex."""
        return self._without(self._opaque)

    @cached_property
    def uncommented(self) -> bytes:
        """`data` with comments blanked and literals kept: same length, same lines."""
        return self._without(self.comments)

    @cached_property
    def comments(self) -> list[tuple[int, int]]:
        """The comments as (start, end) byte offsets, in order."""
        return [span for span in self._opaque if self.data[span[0]] == _SLASH]

    def _without(self, spans: Sequence[tuple[int, int]]) -> bytes:
        parts, at = [], 0
        for start, end in spans:
            parts += [self.data[at:start], self.data[start:end].translate(_BLANKED)]
            at = end
        return b"".join((*parts, self.data[at:]))

    @property
    def newline(self) -> bytes:
        """The line end that the file's first line has."""
        first = self.data.find(b"\n")
        return b"\r\n" if first > 0 and self.data[first - 1 : first] == b"\r" else b"\n"

    @property
    def encoding(self) -> str:
        """ "utf-8", "utf-8-sig" (a BOM) or "latin-1" (what is no UTF-8): for display only, edits stay bytes."""
        if self.data.startswith(codecs.BOM_UTF8):
            return "utf-8-sig"
        try:
            self.data.decode("utf-8")
        except UnicodeDecodeError:
            return "latin-1"
        return "utf-8"

    def line(self, offset: int) -> int:
        """The 1-based line that holds byte `offset`."""
        return bisect_right(self._line_starts, offset)

    def column(self, offset: int) -> int:
        """The 1-based column, in bytes, of `offset` in its line."""
        return offset - self._line_starts[self.line(offset) - 1] + 1

    def offset_of(self, line: int) -> int:
        """The offset at which a line begins (1-based); that of the file's end for one that it does not have."""
        return self._line_starts[line - 1] if 1 <= line <= len(self._line_starts) else len(self.data)

    def line_start(self, offset: int) -> int:
        """The offset at which the line of `offset` begins."""
        return self._line_starts[self.line(offset) - 1]

    def line_end(self, offset: int) -> int:
        """The offset just past the line of `offset`, its line end included."""
        line = self.line(offset)
        return self._line_starts[line] if line < len(self._line_starts) else len(self.data)

    def offset(self, line: int, column: int = 1) -> int:
        """The byte offset of a 1-based line and column. IndexError for a line that is not there."""
        return self._line_starts[line - 1] + column - 1

    def indent(self, offset: int) -> bytes:
        """The blanks that begin the line of `offset`."""
        start = self.line_start(offset)
        match = re.compile(rb"[ \t]*").match(self.data, start)
        return match[0] if match else b""
