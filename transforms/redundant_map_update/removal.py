"""The edit that takes an update out, wherever it stands: between braces, as all that an if does, behind a label."""

from __future__ import annotations

import re

from ebpffix.editing.settle import NoEdit, first_of
from ebpffix.editing.statements import delete_statement, has_comment, in_block
from ebpffix.fix import Edit
from ebpffix.frontend import Node, Unit

_EFFECTS = frozenset("= += -= *= /= %= &= |= ^= <<= >>= ++ -- ++post --post".split())


def removal(unit: Unit, statement: Node) -> Edit:
    """Take the update out, and with it an if or else that has nothing else to do and whose condition does nothing."""
    if unit.macros_around(statement.path, statement.start, statement.end):
        raise NoEdit("a macro holds it: take the update out by hand")
    owner = statement
    while (parent := owner.parent) is not None:
        if parent.kind == "COMPOUND_STMT":
            is_idle = len(parent.children) == 1 and parent.parent is not None and parent.parent.kind == "IF_STMT"
        else:
            is_idle = parent.kind == "IF_STMT" and len(parent.children) == 2 and not _acts(parent.children[0])
        if not is_idle:
            break
        owner = parent
    if owner is not statement and not has_comment(unit, owner.path, owner.start, owner.end):
        return first_of(lambda: _cut(unit, owner), lambda: _cut(unit, statement))
    return _cut(unit, statement)


def _cut(unit: Unit, statement: Node) -> Edit:
    if in_block(statement):
        return delete_statement(unit, statement)
    return first_of(lambda: _without_else(unit, statement), lambda: _emptied(unit, statement))


def _emptied(unit: Unit, statement: Node) -> Edit:
    """Leave the semicolon: an empty statement as what an if with an else does, or behind a label that no statement
    follows to which it could belong."""
    start, end = statement.start, statement.end
    label = statement.parent
    if label is not None and label.kind == "LABEL_STMT" and label.parent is not None:
        following = next((n for n in label.parent.children if n.start >= end), None)
        data = unit.source_of(statement).data
        if following is not None and following.kind != "DECL_STMT" and data[end : following.start].strip() == b";":
            end = following.start
    if statement.kind != "CALL_EXPR" or has_comment(unit, statement.path, start, end):
        raise NoEdit("it is all that stands behind a label or a condition: take the update out by hand")
    if not unit.editable(statement.path, start, end):
        raise NoEdit("a macro's body is in the way: take the update out by hand")
    return Edit(statement.path, start, end, b"")


def _acts(condition: Node) -> bool:
    return any(node.kind == "CALL_EXPR" or node.operator in _EFFECTS for node in condition.walk())


def _without_else(unit: Unit, branch: Node) -> Edit:
    """Cut ` else …` off an if whose else branch is `branch`."""
    owner = branch.parent
    if owner is None or owner.kind != "IF_STMT" or len(owner.children) != 3 or branch is not owner.children[2]:
        raise NoEdit("it is all that stands behind a label or a condition: take the update out by hand")
    source = unit.source_of(branch)
    end = branch.end
    if branch.kind != "COMPOUND_STMT":
        match = re.compile(rb"\s*;").match(source.code, end)
        end = match.end() if match else end
    start = source.code.rfind(b"else", owner.start, branch.start)
    begin = len(source.data[:start].rstrip())
    if start < 0 or has_comment(unit, branch.path, begin, end) or not unit.editable(branch.path, begin, end):
        raise NoEdit("a comment or a macro's body is in the way: take the update out by hand")
    return Edit(branch.path, begin, end, b"")
