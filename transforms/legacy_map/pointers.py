"""Pointers to the old structure: where a map's address is kept in one, it becomes `void *`, as helpers take it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ebpffix.editing.settle import NoEdit
from ebpffix.fix import Edit, Fix, Safety, Span
from ebpffix.frontend import Node, Type, Unit

from .definition import section_of

_NEW = re.compile(rb'"\.maps"')


def check_members(unit: Unit, variable: Node) -> None:
    """NoEdit where the program reads a member of a map, which the new form does not have."""
    record = variable.type.name
    for use in _uses(unit, variable):
        if use.outer is not None and use.outer.kind == "MEMBER_REF_EXPR":
            raise NoEdit("the program reads a member of the map")
    read = (n for f in unit.functions for n in f.find("MEMBER_REF_EXPR") if n.arrow and n.children)
    if any(n.children[0].type.pointee.name == record for n in read):
        raise NoEdit("the program reads members of maps through pointers")


_OLD = frozenset(("bpf_map_def", "bpf_elf_map"))


def pointers(unit: Unit, variables: Sequence[Node]) -> Iterator[Fix]:
    """One finding for each file that keeps the address of a map, one of these or one in the new form, in a pointer to
    the old structure."""
    new = [d for d in unit.declarations if d.kind == "VAR_DECL" and _NEW.search(section_of(d))]
    old = _OLD | {variable.type.name for variable in variables}
    kept = {_record(to) for v in (*variables, *new) for use in _uses(unit, v) for to in _targets(use)} & old
    for record in kept:
        pointer = re.compile(rb"\bstruct\s+%s(?=\s*\*)" % record.encode())
        for path, source in unit.sources.items():
            found = [match.span() for match in pointer.finditer(source.code)]
            edits = [Edit(path, a, b, b"void") for a, b in found if _is_written(unit, Span(path, a, b))]
            if edits:
                message = f"a pointer to `struct {record}` holds the address of a map: `void *` does so for any"
                reason = "it goes with the maps' new form"
                at = Span(path, edits[0].start, edits[0].end)
                yield Fix(at, message, Safety.SUGGESTED, edits, reason)


def _is_written(unit: Unit, at: Span) -> bool:
    return not unit.inactive(at.path, at.start) and unit.editable(at.path, at.start, at.end)


def _uses(unit: Unit, variable: Node) -> list[Node]:
    return [n for f in unit.functions for n in f.find("DECL_REF_EXPR") if n.decl == variable.decl]


def _record(type_: Type) -> str:
    """The structure that a pointer points to."""
    return type_.pointee.name if type_.is_pointer else ""


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
