"""The edits that transforms share: statements deleted or put in, includes added, names that are free.

All of them keep to the file's line ends, indentation and comments. Where an edit cannot be made without harm to one of
these they raise NoEdit.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path

from ebpffix.editing.settle import NoEdit
from ebpffix.fix import Edit
from ebpffix.frontend import Node, Unit
from ebpffix.sources.source import Source

_BLANKS = re.compile(rb"[ \t]*")
_REST_OF_LINE = re.compile(rb"[ \t]*(?:\r?\n|\Z)")
_IDENTIFIER = re.compile(rb"[A-Za-z_]\w*")
_INCLUDE = re.compile(rb'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"\n]+)[>"][^\n]*(?:\n|\Z)', re.MULTILINE)


def statement_end(unit: Unit, statement: Node) -> int:
    """The offset behind a statement with its semicolon, which libclang leaves out of an expression statement."""
    source = unit.source_of(statement)
    match = re.compile(rb"\s*;").match(source.code, statement.end)
    last = source.code[statement.end - 1 : statement.end]
    # A compound literal ends an expression statement with a brace too.
    if last == b";" or (last == b"}" and statement.kind.endswith("_STMT")):
        return statement.end
    return match.end() if match else statement.end


def in_block(statement: Node) -> bool:
    """Whether a statement stands directly between braces, so that others can be put before or behind it."""
    return statement.parent is not None and statement.parent.kind == "COMPOUND_STMT"


def delete_statement(unit: Unit, statement: Node) -> Edit:
    """Take a statement out, with its line if nothing else is on it. A comment on the line stays.

    NoEdit where it is no statement between braces, holds a comment, or comes out of a macro's body.
    """
    start, end = statement.start, statement_end(unit, statement)
    source = unit.source_of(statement)
    if not in_block(statement):
        raise NoEdit("it is no statement between braces")
    if not unit.editable(statement.path, start, end):
        raise NoEdit("a macro's body holds it")
    if _has_comment(source, start, end):
        raise NoEdit("a comment in it would be lost")
    line = source.line_start(start)
    rest = _REST_OF_LINE.match(source.data, end)
    if not source.data[line:start].strip(b" \t"):
        if rest:
            return Edit(statement.path, _blank_before(source, line, rest.end()), rest.end(), b"")
        # Something follows on the line: it moves to where the statement began.
        blanks = _BLANKS.match(source.data, end)
        return Edit(statement.path, start, blanks.end() if blanks else end, b"")
    before = len(source.data[line:start].rstrip(b" \t"))
    return Edit(statement.path, line + before, end, b"")


_BLANK_LINES = re.compile(rb"(?:^[ \t]*\r?\n)+\Z", re.MULTILINE)
_CLOSING = re.compile(rb"[ \t]*(?:\}|\r?\n)")


def _blank_before(source: Source, line: int, end: int) -> int:
    """Where to start when lines from `line` to `end` go: with the blank lines before them, if else these would stand
    before a closing brace or other blank lines."""
    blank = _BLANK_LINES.search(source.data[:line])
    return blank.start() if blank and _CLOSING.match(source.data, end) else line


def before(unit: Unit, statement: Node, lines: Sequence[bytes]) -> list[Edit]:
    """Put statements, one a line, in front of a statement, in its indentation; a body without braces gets some.

    NoEdit where that cannot be: in a macro's body, or behind a case or plain label, where no declaration may stand.
    """
    start, end = statement.start, statement_end(unit, statement)
    source = unit.source_of(statement)
    if not unit.editable(statement.path, start, end) or _owner_in_macro(statement):
        raise NoEdit("a macro's body holds the statement")
    newline, indent = source.newline, source.indent(start)
    alone = not source.data[source.line_start(start) : start].strip(b" \t")
    if in_block(statement):
        # Behind other code on one line, such as `{ x(); }`, the new statements stay on that line.
        text = b"".join(line + newline + indent if alone else line.strip() + b" " for line in lines)
        return [Edit(statement.path, start, start, text)]
    if statement.parent is None or statement.parent.kind in ("CASE_STMT", "DEFAULT_STMT", "LABEL_STMT"):
        raise NoEdit("it stands right behind a label, where no declaration may stand")
    return _braced(unit, statement, statement.parent, start, end, lines)


def _owner_in_macro(statement: Node) -> bool:
    """Whether what a statement stands in comes out of the same macro: what is put there would stand around both."""
    parent = statement.parent
    return parent is not None and (parent.path, parent.start) == (statement.path, statement.start)


def _braced(unit: Unit, body: Node, owner: Node, start: int, end: int, lines: Sequence[bytes]) -> list[Edit]:
    source = unit.source_of(body)
    newline, step = source.newline, indent_step(source)
    outer = source.indent(owner.start)
    inner = outer + step
    # From behind what is before the body: `)`, `else` or `do`.
    opening = len(source.code[:start].rstrip())
    text = b" {" + newline + b"".join(inner + line + newline for line in lines) + inner
    opened = [Edit(body.path, opening, start, text)]
    if _has_comment(source, source.code.rfind(b")", 0, start), start):
        # A comment behind a condition stays where it is, if the body has a line of its own.
        alone = not source.data[source.line_start(start) : start].strip(b" \t")
        if not alone or source.code[opening - 1 : opening] != b")":
            raise NoEdit("a comment stands where the braces would have to go")
        added = b"".join(line + newline + source.indent(start) for line in lines)
        opened = [Edit(body.path, opening, opening, b" {"), Edit(body.path, start, start, added)]
    closing = newline + outer + b"}"
    rest = re.compile(rb"\s*(else\b)").match(source.code, end)
    if rest and owner.kind == "IF_STMT" and not _has_comment(source, end, rest.start(1)):
        return [*opened, Edit(body.path, end, rest.start(1), closing + b" ")]
    # A comment behind the body on its line stays with it.
    line_end = _line_comment_end(source, end)
    return [*opened, Edit(body.path, line_end, line_end, closing)]


def after(unit: Unit, statement: Node, lines: Sequence[bytes]) -> list[Edit]:
    """Put statements, one a line, behind a statement between braces (and behind a comment on its line). NoEdit where it
    is not between braces or comes out of a macro's body."""
    end = statement_end(unit, statement)
    source = unit.source_of(statement)
    if not in_block(statement):
        raise NoEdit("it stands where no statement can be put behind it")
    if not unit.editable(statement.path, statement.start, end) or _owner_in_macro(statement):
        raise NoEdit("a macro's body holds the statement")
    indent = source.indent(statement.start)
    if source.data[source.line_start(statement.start) : statement.start].strip(b" \t"):
        return [Edit(statement.path, end, end, b"".join(b" " + line.strip() for line in lines))]
    at = _line_comment_end(source, end)
    if not _REST_OF_LINE.match(source.data, at):
        return [Edit(statement.path, end, end, b"".join(b" " + line.strip() for line in lines))]
    return [Edit(statement.path, at, at, b"".join(source.newline + indent + line for line in lines))]


def _line_comment_end(source: Source, end: int) -> int:
    """The end of what stands on the line behind `end` if that is only a comment, else `end`."""
    for start, stop in source.comments:
        if start >= end:
            between = source.data[end:start]
            one_line = b"\n" not in source.data[start:stop].rstrip(b"\r\n")
            return stop if not between.strip(b" \t") and one_line and _REST_OF_LINE.match(source.data, stop) else end
    return end


def _has_comment(source: Source, start: int, end: int) -> bool:
    return any(a < end and start < b for a, b in source.comments)


def has_comment(unit: Unit, path: Path, start: int, end: int) -> bool:
    """Whether a comment stands anywhere in a span: an edit that replaces the span would swallow it."""
    return _has_comment(unit.sources[path], start, end)


def indent_step(source: Source) -> bytes:
    """One level of the file's indentation: a tab, or the smallest run of blanks that lines of code begin with."""
    runs = [m[0] for m in re.finditer(rb"^[ \t]+(?=[^\s*])", source.code, re.MULTILINE)]
    if not runs or sum(r[:1] == b"\t" for r in runs) * 2 >= len(runs):
        return b"\t"
    return b" " * max(2, min(len(r) for r in runs if r[:1] == b" " and len(r) > 1))


def fresh_name(unit: Unit, around: Node, wanted: bytes) -> bytes:
    """`wanted`, or with a number behind it, so that nothing in the file around a node is called so."""
    source = unit.source_of(around)
    return numbered(wanted, set(_IDENTIFIER.findall(source.code)))


def local_name(unit: Unit, function: Node, wanted: bytes, given: Collection[bytes]) -> bytes:
    """`wanted`, or with a number behind it, for a local of a function: no variable, type or macro that the function can
    see is called so, and none of the names `given` to other new locals is."""
    source, body = unit.source_of(function), function.body
    code = source.code[function.start : body.end if body is not None else function.end]
    taken = set(re.findall(rb"(?<![\w.])(?<!->)[A-Za-z_]\w*", code)) | set(given)
    taken |= {d.name.encode() for d in unit.declarations}
    taken |= {m.name.encode() for m in unit.root.children if m.kind == "MACRO_DEFINITION"}
    return numbered(wanted, taken)


def nth_local(unit: Unit, function: Node, wanted: bytes, number: int) -> bytes:
    """A `local_name` for the number-th (from 1) of the fixes that each put such a local into a function."""
    given: list[bytes] = []
    for _ in range(number):
        given.append(local_name(unit, function, wanted, given))
    return given[-1]


def numbered(wanted: bytes, taken: Collection[bytes]) -> bytes:
    """`wanted`, or with the first number behind it that makes it none of `taken`."""
    name, number = wanted, 1
    while name in taken:
        number += 1
        name = wanted + b"%d" % number
    return name


def add_include(unit: Unit, path: Path, header: bytes) -> list[Edit]:
    """Add `#include <header>` behind the last include of the file that stands outside of any #if, in the file's line
    ends; at the top if it has none. No edit if the file, or a header of the run that it includes, has it already."""
    if any(m[2] == header for source in unit.sources.values() for m in _INCLUDE.finditer(source.uncommented)):
        return []
    source = unit.sources[path]
    line = b"#include <" + header + b">" + source.newline
    last = max((m.end() for m in _INCLUDE.finditer(source.uncommented) if not _in_if(source, m.start())), default=None)
    if last is None:
        return [Edit(path, 0, 0, line)]
    if not source.data[:last].endswith(b"\n"):
        line = source.newline + line.rstrip(b"\r\n")
    return [Edit(path, last, last, line)]


_CONDITION = re.compile(rb"^[ \t]*#[ \t]*(ifn?def|if|endif)\b[^\n]*", re.MULTILINE)


def _in_if(source: Source, offset: int) -> bool:
    """Whether an #if is open at an offset, the include guard of a header aside."""
    depth = 0
    for number, match in enumerate(_CONDITION.finditer(source.uncommented, 0, offset)):
        guard = number == 0 and match[1] == b"ifndef"
        depth += -1 if match[1] == b"endif" else not guard
    return depth > 0
