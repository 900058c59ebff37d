"""Where the comment goes that answers a finding."""

from __future__ import annotations

from collections.abc import Sequence

from ebpffix.fix import Edit
from ebpffix.sources.program import Program
from ebpffix.sources.source import Source


def with_comment(source: Source, programs: Sequence[Program], transform: str, offset: int) -> Edit | None:
    """The edit that puts `// ebpffix: ignore[transform]` on a line of its own above that of a byte; None where that
    would not be a comment of C."""
    at = source.line_start(offset)
    text = source.indent(offset) + b"// ebpffix: ignore[%s]" % transform.encode() + source.newline
    edit = Edit(source.path, at, at, text)
    now = Source(source.path, source.data[:at] + text + source.data[at:])
    inside = [program for program in programs if program.file == source.path and not program.on_disk]
    if inside:
        return edit if any(_is_comment(program, now.data) for program in inside) else None
    return edit if _same_code(source.code, now.code, at, len(text)) else None


def _is_comment(program: Program, data: bytes) -> bool:
    """Whether the C in a string has one comment more when its file holds `data`, and the same code."""
    before, after = program.source, program.read(data).source
    return len(after.comments) == len(before.comments) + 1 and after.code.split() == before.code.split()


def _same_code(before: bytes, after: bytes, at: int, length: int) -> bool:
    """Whether what was put in is nothing but a comment, on a line that no other goes on over."""
    line_above = before[:at].removesuffix(b"\n").removesuffix(b"\r")
    is_rest = before[:at] + before[at:] == after[:at] + after[at + length :]
    return is_rest and not line_above.endswith(b"\\") and not after[at : at + length].strip()
