"""Copies that are written out by hand, element by element:

key.ret[0] = w->ret[0]; key.ret[1] = w->ret[1]; …
key.ret[d] = w->ret[d]; d++; key.ret[d] = w->ret[d]; d++; …
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ebpffix.analysis.flow import same_expression
from ebpffix.editing.settle import NoEdit
from ebpffix.editing.statements import has_comment, statement_end
from ebpffix.fix import Edit
from ebpffix.frontend import Node, Unit
from ebpffix.kernel.inline_copy import is_inline

from .byteloop import counts
from .memory import apart, holds, is_plain

_LEAST = 4  # elements: fewer read better as they are


@dataclass(frozen=True)
class Element:
    """A statement that copies an element of `source` to `target`; `index` is that of both."""

    statement: Node
    target: Node
    source: Node
    index: Node


@dataclass(frozen=True)
class Run:
    """`count` elements that are copied one after the other, from that of the statement `first`; `counter` is the index
    that is counted up, `added` how often; `last` is the last statement."""

    first: Node
    target: Node
    source: Node
    index: Node
    count: int
    last: Node
    counter: Node | None = None
    added: int = 0


def runs(unit: Unit, function: Node) -> Iterator[Run]:
    for block in function.find("COMPOUND_STMT"):
        rest: Sequence[Node] = block.children
        while rest:
            run = _run(rest)
            if run is not None and run.count >= _LEAST and _is_one_copy(unit, run):
                yield run
            rest = rest[rest.index(run.last) + 1 :] if run is not None else rest[1:]


def _run(statements: Sequence[Node]) -> Run | None:
    """The run that begins with the first of some statements."""
    first = _element(statements[0])
    if first is None:
        return None
    found = Run(first.statement, first.target, first.source, first.index, 1, first.statement)
    for statement in statements[1:]:
        following = _followed_by(found, statement)
        if following is None:
            break
        found = following
    return found


def _followed_by(run: Run, statement: Node) -> Run | None:
    """A run with one more statement; None where that is no part of it."""
    index, start = run.index, run.index.constant
    given = run.first, run.target, run.source, index
    if start is None and index.kind == "DECL_REF_EXPR" and run.added == run.count - 1 and counts(statement.bare, index):
        return Run(*given, run.count, statement, index, run.added + 1)
    element = _element(statement)
    if element is None or not _same_arrays(run, element):
        return None
    if start is not None:
        is_next = element.index.constant == start + run.count
    else:
        is_next = same_expression(element.index, index) and run.added == run.count
    return Run(*given, run.count + 1, statement, run.counter, run.added) if is_next else None


def _element(statement: Node) -> Element | None:
    match statement.bare:
        case Node("BINARY_OPERATOR", "=", [target, source]) if target.kind == source.kind == "ARRAY_SUBSCRIPT_EXPR":
            (to, index), (from_, other) = target.operands, source.operands
            index, other = index.uncast, other.uncast
            plain = is_plain(to) and is_plain(from_) and target.type.canonical.spelling in _spellings(source)
            same = index.constant == other.constant if index.constant is not None else same_expression(index, other)
            whole = not (target.type.is_volatile or source.type.is_volatile)
            return Element(statement, to, from_, index) if plain and same and whole else None
    return None


def _spellings(node: Node) -> tuple[str, str]:
    name = node.type.canonical.spelling
    return name, name.removeprefix("const ")


def _same_arrays(run: Run, element: Element) -> bool:
    return same_expression(run.target, element.target) and same_expression(run.source, element.source)


def _is_one_copy(unit: Unit, run: Run) -> bool:
    """Whether it does what one copy does: within both arrays, from one piece of memory to another."""
    size, start = run.target.type.pointee.size * run.count, run.index.constant
    named = {n.decl for array in (run.target, run.source) for n in array.find("DECL_REF_EXPR")}
    if size <= 0 or not is_inline(size) or (run.counter is not None and run.counter.decl in named):
        return False
    if start is None and (run.counter is None or not run.counter.is_local or run.counter.type.is_volatile):
        return False
    end = run.count + (start or 0)
    return (
        (start or 0) >= 0 and holds(run.target, end) and holds(run.source, end) and apart(unit, run.target, run.source)
    )


def at_once(unit: Unit, run: Run) -> Edit:
    """The run as one copy. NoEdit where a comment or a directive would be lost."""
    source, end = unit.source_of(run.first), statement_end(unit, run.last)
    start = run.first.start
    if not unit.editable(run.first.path, start, end) or has_comment(unit, run.first.path, start, end):
        raise NoEdit("a comment or a macro's body is in the way")
    if any(start <= at < end for at, _ in unit.directives(run.first.path)):
        raise NoEdit("a directive stands among the statements")
    lines = [b"__builtin_memcpy(" + b", ".join(_arguments(run)) + b");"]
    if run.counter is not None:
        lines.append(run.counter.text + b" += %d;" % run.added)
    return Edit(run.first.path, start, end, (source.newline + source.indent(start)).join(lines))


def _arguments(run: Run) -> tuple[bytes, bytes, bytes]:
    to, from_, index = run.target.text, run.source.text, run.index
    each = run.target.type.pointee.size
    size = b"%d" % run.count if each == 1 else b"%d * sizeof(%s[0])" % (run.count, to)
    if index.constant != 0:
        to, from_ = (b"&%s[%s]" % (array, index.text) for array in (to, from_))
    elif run.target.type.length == run.count:
        size = b"sizeof(" + to + b")"
    return to, from_, size
