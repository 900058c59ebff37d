"""Loops that do by hand what memcpy or memset does: `for (i = 0; i < N; i++) d[i] = s[i];`."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from ebpffix.analysis.flow import Flow
from ebpffix.editing.settle import NoEdit
from ebpffix.editing.statements import delete_statement, has_comment, statement_end
from ebpffix.fix import Edit
from ebpffix.frontend import Node, Unit
from ebpffix.kernel.inline_copy import is_inline

from .memory import apart, holds, is_own, is_plain

_BYTES = frozenset(("CHAR_S", "CHAR_U", "SCHAR", "UCHAR"))
_PRAGMA = re.compile(rb"^[ \t]*#[ \t]*pragma\b[^\n]*(?:unroll|loop)[^\n]*\n\s*\Z", re.MULTILINE)


@dataclass(frozen=True)
class ByteLoop:
    """A loop over the bytes of `target`: `source` is copied, or else `fill` is set. `fill` and `count` are
    as written; `counter` is declared outside of the loop, or None."""

    loop: Node
    target: Node
    source: Node | None
    fill: bytes
    count: bytes
    counter: Node | None

    @property
    def text(self) -> bytes:
        """The call that does the same."""
        if self.source is not None:
            return b"__builtin_memcpy(" + b", ".join((self.target.text, self.source.text, self.count)) + b");"
        return b"__builtin_memset(" + b", ".join((self.target.text, self.fill, self.count)) + b");"


def byte_loop(unit: Unit, loop: Node, flow: Flow) -> ByteLoop | None:
    """The loop's meaning, if it is exactly that: from 0 in steps of one over single bytes, nothing else done, the
    counter not looked at afterwards, both arrays long enough and certainly apart."""
    if len(loop.children) != 4 or flow.opaque:
        return None
    first, test, step, body = loop.children
    counter, statement = _counter(first), _only_statement(body)
    if counter is None or statement is None or not counts(step, counter):
        return None
    limit = _limit(test, counter)
    if limit is None or not (statement.kind == "BINARY_OPERATOR" and statement.operator == "="):
        return None
    count = limit.constant
    target = _element(statement.children[0], counter)
    if target is None or count is None or count <= 0 or not is_inline(count) or not holds(target, count):
        return None
    if count > 127 and counter.type.size == 1:  # a counter of one byte would wrap
        return None
    if _used_after(flow, loop, counter, first.kind == "DECL_STMT"):
        return None
    text, outside = unit.text(limit), None if first.kind == "DECL_STMT" else counter
    source = _element(statement.children[1], counter)
    if source is not None:
        one_copy = apart(unit, target, source) and holds(source, count)
        return ByteLoop(loop, target, source, b"", text, outside) if one_copy else None
    fill = statement.children[1]
    if fill.constant is None or not is_own(unit, target):
        return None
    return ByteLoop(loop, target, None, b"0" if fill.constant == 0 else unit.text(fill), text, outside)


def replacement(unit: Unit, found: ByteLoop, loops: Collection[ByteLoop], flow: Flow) -> list[Edit]:
    """The loop, and the unroll pragma above it, replaced by the call; a counter that only byte loops use goes too.

    `loops` are all of the function. NoEdit where that would lose a comment or leave a counter that nothing uses.
    """
    loop = found.loop
    source, end = unit.source_of(loop), statement_end(unit, loop)
    if not unit.editable(loop.path, loop.start, end) or has_comment(unit, loop.path, loop.start, end):
        raise NoEdit("a comment or a macro's body is in the way")
    edits = [Edit(loop.path, loop.start, end, found.text)]
    if found.counter is not None:
        inside = {id(n) for other in loops for n in other.loop.walk()}
        left = [u.node for u in flow.uses(found.counter.decl) if id(u.node) not in inside]
        if all(n.kind == "VAR_DECL" for n in left) and not _mentioned(unit, found.counter, loops, left, flow):
            edits.append(_undeclared(unit, left))
    pragma = _PRAGMA.search(source.code[: loop.start])
    if pragma:
        line = source.line_end(pragma.start())
        if has_comment(unit, loop.path, pragma.start(), line):
            raise NoEdit("a comment at its #pragma would be lost")
        edits.insert(0, Edit(loop.path, pragma.start(), line, b""))
    elif source.code[: loop.start].rstrip().endswith(b")") and b"_Pragma" in source.code[: loop.start][-80:]:
        raise NoEdit("a _Pragma stands in front of it")
    return edits


def _mentioned(unit: Unit, counter: Node, loops: Collection[ByteLoop], declarations: list[Node], flow: Flow) -> bool:
    """Whether a function's text has the name elsewhere: in what an #if leaves out, in sizeof."""
    body = flow.function.body
    if body is None:
        return True
    text = bytearray(unit.source_of(body).code)
    for node in (*(other.loop for other in loops), *declarations):
        text[node.start : node.end] = b" " * (node.end - node.start)
    return re.search(rb"\b%s\b" % counter.name.encode(), text[body.start : body.end]) is not None


def _undeclared(unit: Unit, declarations: list[Node]) -> Edit:
    """A variable's declaration taken out, if it is a statement by itself."""
    statement = declarations[0].parent if len(declarations) == 1 else None
    if statement is None or statement.kind != "DECL_STMT" or len(statement.children) != 1 or declarations[0].children:
        raise NoEdit("its counter would be left unused")
    return delete_statement(unit, statement)


def _counter(first: Node) -> Node | None:
    """The variable that a loop's first part sets to 0."""
    declares = first.kind == "DECL_STMT" and len(first.children) == 1
    variable, value = (first.children[0] if declares else first).assignment or (None, None)
    if variable is None or value is None or variable.kind not in ("VAR_DECL", "DECL_REF_EXPR"):
        return None
    return variable if value.constant == 0 and not variable.type.is_volatile else None


def counts(step: Node, counter: Node) -> bool:
    """Whether an expression adds one to the counter, and does nothing else."""
    match step:
        case Node("UNARY_OPERATOR", "++" | "++post", [variable]):
            return variable.decl == counter.decl
        case Node("COMPOUND_ASSIGNMENT_OPERATOR", "+=", [variable, amount]):
            return variable.decl == counter.decl and amount.constant == 1
    return False


def _limit(test: Node, counter: Node) -> Node | None:
    """The N of `i < N`."""
    match test.bare:
        case Node("BINARY_OPERATOR", "<" | "!=", [left, right]):
            name = left.uncast
            return right if name.kind == "DECL_REF_EXPR" and name.decl == counter.decl else None
    return None


def _only_statement(body: Node) -> Node | None:
    if body.kind != "COMPOUND_STMT":
        return body
    return body.children[0] if len(body.children) == 1 else None


def _element(node: Node, counter: Node) -> Node | None:
    """The `d` of `d[i]`, where d is a plain name or member of single bytes."""
    node = node.uncast
    if node.kind != "ARRAY_SUBSCRIPT_EXPR" or node.type.kind not in _BYTES:
        return None
    base, index = node.children[0].bare, node.children[1].uncast
    if index.kind != "DECL_REF_EXPR" or index.decl != counter.decl or node.type.is_volatile:
        return None
    named = (n.decl for n in base.find("DECL_REF_EXPR"))
    return base if is_plain(base) and counter.decl not in named else None


def _used_after(flow: Flow, loop: Node, counter: Node, own: bool) -> bool:
    """Whether the counter's value at the end of the loop is looked at."""
    if own:
        return False
    inside = {id(n) for n in loop.walk()}
    writes = {s for u in flow.changes(counter.decl) if id(u.node) in inside and (s := flow.step(u.node)) is not None}
    for use in flow.uses(counter.decl):
        step = flow.step(use.node)
        if id(use.node) not in inside and (step is None or flow.definitions(step, counter.decl) & writes):
            # `i = 0` of the next loop only writes.
            if use in flow.changes(counter.decl) and use.effect.value == "write" and _sets(use.node):
                continue
            return True
    return False


def _sets(node: Node) -> bool:
    outer = node.outer
    return outer is not None and outer.kind == "BINARY_OPERATOR" and outer.operator == "="
