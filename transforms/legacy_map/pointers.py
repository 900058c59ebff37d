"""Pointers to the old structure: where a map's address is kept in one, it becomes `void *`, as helpers take it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ebpffix.editing.settle import NoEdit
from ebpffix.fix import Edit
from ebpffix.frontend import Node, Type, Unit


def freed(unit: Unit, variable: Node) -> list[Edit]:
    """The edits that make what keeps the address of a map able to keep that of any; none where nothing does. NoEdit
    where a member of the map is read, or a pointer to it cannot be changed."""
    record = variable.type.name
    uses = [n for f in unit.functions for n in f.find("DECL_REF_EXPR") if n.decl == variable.decl]
    if any(use.outer is not None and use.outer.kind == "MEMBER_REF_EXPR" for use in uses):
        raise NoEdit("the program reads a member of the map")
    if not any(target.is_pointer and target.pointee.name == record for use in uses for target in _targets(use)):
        return []
    read = (n for f in unit.functions for n in f.find("MEMBER_REF_EXPR") if n.arrow and n.children)
    if any(n.children[0].type.pointee.name == record for n in read):
        raise NoEdit("the program reads members of a map through a pointer")
    return list(_void(unit, record.encode()))


def _targets(use: Node) -> Iterator[Type]:
    """The types of what the address of a map goes to without a cast."""
    node = use.outer
    if node is None or node.operator != "&":
        return
    above = node.outer
    while above is not None and above.kind == "CONDITIONAL_OPERATOR":
        node, above = above, above.outer
    if above is None:
        return
    if above.kind == "CALL_EXPR" and above.callee is not None:
        for argument, type_ in zip(above.arguments, above.callee.type.parameters or (), strict=False):
            if argument.start <= node.start < argument.end:
                yield type_
    elif above.kind == "RETURN_STMT" and above.function is not None:
        yield above.function.type.result
    elif (made := above.assignment) is not None:
        yield made[0].type


def _void(unit: Unit, record: bytes) -> Iterator[Edit]:
    pointer = re.compile(rb"\bstruct\s+%s(?=\s*\*)" % record)
    for path, source in unit.sources.items():
        for match in pointer.finditer(source.code):
            if unit.inactive(path, match.start()):
                continue
            if not unit.editable(path, match.start(), match.end()):
                raise NoEdit(f"a macro's body has a pointer to `struct {record.decode()}`")
            yield Edit(path, match.start(), match.end(), b"void")
