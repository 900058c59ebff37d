"""Strings whose bytes are known: literals, and arrays that hold one and are never written.

    text_of(unit, argument) -> Text | None
    read_only(unit, text) -> list[Edit]     none for what is read-only data already; NoEdit where it cannot become that
    is_constant(array) -> bool              whether it is declared `const`

bpf_strncmp wants its second string in read-only data: a literal, or an array that is `const`, and not on the stack.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ebpffix.analysis.extent import object_of
from ebpffix.analysis.flow import Flow, use
from ebpffix.analysis.provenance import is_evaluated
from ebpffix.editing.settle import NoEdit
from ebpffix.fix import Edit
from ebpffix.frontend import Node, Unit

BY_HAND = "give it a literal, or declare the string `static const`"
_PLAIN = re.compile(rb"(?:(?:static|const)\s+)*(?:unsigned\s+|signed\s+)?(?:char|__u8|u8)\b")


@dataclass(frozen=True)
class Text:
    """A string: its `literal`, the bytes of it or of the array that holds it, with the NUL; `variable` is that array's
    declaration."""

    literal: Node
    size: int
    variable: Node | None = None

    @property
    def is_read_only(self) -> bool:
        variable = self.variable
        return variable is None or (is_constant(variable) and not variable.is_local)


def is_constant(array: Node) -> bool:
    return array.type.is_const or array.type.pointee.is_const


def text_of(unit: Unit, argument: Node) -> Text | None:
    """The string that an argument stands for; None where that is not known."""
    node = object_of(argument)
    if node is None or node.kind == "STRING_LITERAL":
        return Text(node, node.type.size) if node is not None else None
    variable = _declared(unit, node) if node.kind == "DECL_REF_EXPR" else None
    value = variable.initialiser if variable is not None else None
    literal = value.bare if value is not None else None
    if variable is None or literal is None or literal.kind != "STRING_LITERAL" or _is_written(unit, variable):
        return None
    return Text(literal, variable.type.size, variable)


def _declared(unit: Unit, node: Node) -> Node | None:
    """The declaration that a name means, as it stands in the tree."""
    function = node.function
    places: Iterable[Node] = unit.declarations if node.is_global or function is None else function.find("VAR_DECL")
    return next((d for d in places if d.kind == "VAR_DECL" and d.decl == node.decl and not d.is_extern), None)


def _is_written(unit: Unit, variable: Node) -> bool:
    """Whether something may write the array, or get to know its address for good."""
    function = variable.function
    if function is not None:
        flow = Flow(function)
        return flow.opaque or any(u.node.kind != "VAR_DECL" for u in flow.changes(variable.decl))
    named = (n for f in unit.functions for n in f.find("DECL_REF_EXPR") if n.decl == variable.decl)
    return any(use(node).may_write for node in named if is_evaluated(node))


def read_only(unit: Unit, text: Text) -> list[Edit]:
    variable = text.variable
    if variable is None or text.is_read_only:
        return []
    statement = variable.parent
    alone = variable.is_global or (statement is not None and len(statement.children) == 1)
    start = statement.start if statement is not None and statement.kind == "DECL_STMT" else variable.start
    found = _PLAIN.match(unit.text(variable)) if start == variable.start else None
    if not alone or found is None or not unit.editable(variable.path, start, start + found.end()):
        raise NoEdit(BY_HAND)
    words = found[0].split()
    missing = [w for w in (b"static", b"const") if w not in words and (w == b"const" or not variable.is_global)]
    # `static` comes first, and `const` right behind it.
    at = start + (len(b"static ") if words[0] == b"static" else 0)
    return [Edit(variable.path, at, at, b"".join(word + b" " for word in missing))]
