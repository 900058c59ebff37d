"""Where a file-scope definition goes that a transform adds: behind the includes, before the first use."""

from __future__ import annotations

import re

from ebpffix.editing.settle import NoEdit
from ebpffix.editing.statements import indent_step
from ebpffix.fix import Edit, Spanned
from ebpffix.frontend import Unit
from ebpffix.sources.source import Source

_INCLUDE = re.compile(rb"""^[ \t]*\#[ \t]*include[ \t]*[<"]([^>"\n]+)[>"][^\n]*(?:\n|\Z)""", re.MULTILINE)
_CONDITION = re.compile(rb"^[ \t]*#[ \t]*(if|ifn?def|endif)\b", re.MULTILINE)
_GUARD = re.compile(rb"\s*#[ \t]*ifndef[ \t]+(\w+)[^\n]*\n\s*#[ \t]*define[ \t]+\1\b")
_DIRECTIVES = re.compile(rb"(?:\s+|#(?:\\\r?\n|[^\n])*)*")


def insert_definition(unit: Unit, use: Spanned, text: bytes, header: bytes = b"", guard: bytes = b"") -> Edit:
    """Put `text` (whole lines, tabs, "\\n") behind the last include above `use`, else above the file's first code.

    It gets the file's indentation and line ends, blank lines around it, `#include <header>` above it unless a file of
    the program has that already, and the macro `guard` around it. NoEdit where there is no place outside of an #if.
    """
    source = unit.sources[use.path]
    place = _place(source, use.start)
    if place is None:
        raise NoEdit("there is no place for it outside of an #if and before its first use")
    lines = text.replace(b"\t", indent_step(source)).splitlines()
    if guard:
        lines = [b"#ifndef " + guard, b"#define " + guard, *lines, b"#endif"]
    data, newline = source.data, source.newline
    includes = {m[1]: m.end() for m in _INCLUDE.finditer(source.uncommented)}
    if place in includes.values():
        lines.insert(0, b"")
    if header and not any(m[1] == header for s in unit.sources.values() for m in _INCLUDE.finditer(s.uncommented)):
        lines = [b"#include <" + header + b">", *([] if lines[0] == b"" else [b""]), *lines]
    if data[place : source.line_end(place)].strip():
        lines.append(b"")
    before = b"" if data[:place].endswith(b"\n") or not place else newline
    return Edit(use.path, place, place, before + b"".join(line + newline for line in lines))


def _place(source: Source, use: int) -> int | None:
    conditions = [(m.start(), -1 if m[1] == b"endif" else 1) for m in _CONDITION.finditer(source.uncommented)]
    if _GUARD.match(source.uncommented):
        conditions = conditions[1:]

    def free(offset: int) -> bool:
        return sum(step for at, step in conditions if at < offset) <= 0

    ends = [m.end() for m in _INCLUDE.finditer(source.uncommented, 0, use) if free(m.start())]
    if ends:
        return ends[-1]
    directives = _DIRECTIVES.match(source.code)
    first = source.line_start(directives.end() if directives else 0)
    for start, end in reversed(source.comments):  # what explains the first code stays with it
        if end <= first and source.data[end:first].count(b"\n") <= 1 and not source.data[end:first].strip():
            first = source.line_start(start)
    return first if free(first) else None
