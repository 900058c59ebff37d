"""Text at the beginning of a function, and in front of it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ebpffix.editing.statements import indent_step, statement_end
from ebpffix.fix import Edit
from ebpffix.frontend import Node, Unit
from ebpffix.kernel.helpers import THREAD_ID

DIRECTIVE = re.compile(rb"^[ \t]*#(?:\\\r?\n|[^\n])*\n?", re.MULTILINE)
_REST_OF_LINE = re.compile(rb"[ \t]*(?:\r?\n|\Z)")
_BLANK_LINE = re.compile(rb"[ \t]*\r?\n")
# Calls whose result may go unused, so that a return right behind them leaves nothing open.
_HARMLESS = re.compile(r"bpf_get_\w+|bpf_ktime_\w+|bpf_map_lookup_elem|lookup|__builtin_\w+")


def body_of(function: Node) -> Node:
    """The body of a function definition."""
    assert function.body is not None
    return function.body


def head(unit: Unit, function: Node) -> int:
    """The offset of the line where a function's definition begins, with SEC() and the comment right above it."""
    body = body_of(function)
    source = unit.source_of(body)
    code, end = source.code, body.start
    start = max(code.rfind(b"}", 0, end), code.rfind(b";", 0, end)) + 1
    for directive in DIRECTIVE.finditer(source.uncommented, start, end):
        start = directive.end()
    first = re.compile(rb"\s*").match(code, start)
    position = first.end() if first else start
    for begin, stop in reversed([c for c in source.comments if start <= c[0] and c[1] <= position]):
        gap = source.data[stop:position]
        own_line = not source.data[source.line_start(begin) : begin].strip()
        if gap.strip() or gap.count(b"\n") > 1 or not own_line:
            break
        position = begin
    return source.line_start(position)


def leading(unit: Unit, function: Node, limit: int | None = None) -> tuple[bytes | None, Node | None]:
    """Of the declarations that begin a function, up to the offset `limit`, and hold nothing that must be given back:
    a 64-bit variable among them with the thread's id, and the last of them; each None if there is none."""
    key, last = None, None
    for statement in body_of(function).children:
        source, end = unit.source_of(statement), statement_end(unit, statement)
        if statement.kind != "DECL_STMT" or (limit is not None and end > limit):
            break
        calls = list(statement.find("CALL_EXPR"))
        ends_line = _REST_OF_LINE.match(source.uncommented, end)
        if not unit.editable(statement.path, statement.start, end) or not ends_line:
            break
        if not all(_HARMLESS.fullmatch(call.name) for call in calls):
            break
        last = statement
        for variable in statement.children:
            value = variable.children[-1].uncast if variable.kind == "VAR_DECL" and variable.children else None
            is_thread = value is not None and value.kind == "CALL_EXPR" and value.name == THREAD_ID
            if is_thread and variable.type.kind in ("ULONG", "ULONGLONG"):
                key = variable.name.encode()
    return key, last


def open_body(
    unit: Unit, function: Node, lines: Sequence[bytes], behind: Node | None = None, deleted: Sequence[Edit] = ()
) -> list[Edit]:
    """Put lines at the beginning of a function, or behind one of its first declarations.

    A blank line follows unless there is one, where the edits `deleted` take away what stood next.
    """
    body = body_of(function)
    source = unit.source_of(body)
    newline = source.newline
    step = source.indent(body.end - 1) + indent_step(source)
    text = b"".join(newline + (step + line if line else b"") for line in lines)
    at = statement_end(unit, behind) if behind is not None else body.start + 1
    if not _REST_OF_LINE.match(source.uncommented, at):
        blanks = re.compile(rb"[ \t]*").match(source.data, at)
        return [Edit(body.path, at, blanks.end() if blanks else at, text + newline + step)]
    following = source.line_end(at)
    at = following - (2 if source.data[:following].endswith(b"\r\n") else 1)
    while gone := next((e for e in deleted if e.start == following and e.end > following), None):
        following = gone.end
    closes = source.data[following : body.end].lstrip()[:1] == b"}"
    if not closes and not _BLANK_LINE.match(source.data, following):
        text += newline
    return [Edit(body.path, at, at, text)]


def before_function(unit: Unit, function: Node, lines: Sequence[bytes]) -> list[Edit]:
    """Put lines in front of a function's definition."""
    body, at = body_of(function), head(unit, function)
    source = unit.source_of(body)
    indent = source.indent(body.end - 1)
    text = b"".join((indent + line if line else b"") + source.newline for line in lines)
    return [Edit(body.path, at, at, text)]
