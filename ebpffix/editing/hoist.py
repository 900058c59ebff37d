"""Reading a value into a local in front of its statement: where that goes, and whether it is the same there.

`statement_of()` finds the statement, `place()` says how often and when the value is evaluated in it, `can_move()` asks
the same for a probe read, which no condition need guard.
"""

from __future__ import annotations

from enum import Enum

from ebpffix.editing.settle import NoEdit
from ebpffix.frontend import LOOPS, Macro, Node


class Place(Enum):
    """How often a part of a statement is evaluated."""

    ONCE = "always, before anything that it depends on changes"
    GUARDED = "only where a condition holds"
    FIXED = "in its place only"


def statement_of(node: Node, outer: Macro) -> Node:
    """The statement that holds a macro with the node in it, where others can be put in front of it; else NoEdit."""
    found = node.statement
    # A macro's body may have blocks of its own: up to what stands in one that a person wrote.
    while (parent := found.parent) is not None and (
        found.start > outer.start or found.end < outer.end or (outer.start <= parent.start and parent.end <= outer.end)
    ):
        found = parent.statement
    if not takes_braces(found):
        raise NoEdit("there is no place for a local in front of it")
    return found


def takes_braces(statement: Node) -> bool:
    """Whether a block may stand for a statement. Behind an else, the braces that a declaration needs would leave the
    lines within them badly indented."""
    parent = statement.parent
    return parent is not None and not (parent.kind == "IF_STMT" and statement.kind == "IF_STMT")


def place(node: Node, statement: Node) -> Place:
    """How often a part of a statement is evaluated."""
    guarded, part = False, node
    named = {n.decl for n in node.find("DECL_REF_EXPR")}
    while node is not statement and node.parent is not None:
        parent = node.parent
        once = parent.kind == "DO_STMT" and parent.children[-1].bare.integer == 0
        if (parent.kind in LOOPS and not once) or (parent.kind == "COMPOUND_STMT" and parent.text.startswith(b"{")):
            return Place.FIXED
        if parent.kind == "BINARY_OPERATOR" and node is parent.children[-1]:
            if parent.operator == ",":
                return Place.FIXED
            guarded |= parent.operator in ("&&", "||")
        guarded |= parent.kind == "CONDITIONAL_OPERATOR" and node is not parent.children[0]
        node, part = parent, node
    changed = _changed(part if statement.kind in ("IF_STMT", "SWITCH_STMT") else statement)
    if changed & named:
        return Place.FIXED
    return Place.GUARDED if guarded else Place.ONCE


def _changed(part: Node) -> set[int]:
    """The variables that a part of a statement declares, writes, or hands out the address of."""
    found = set()
    for node in part.walk():
        if node.kind == "VAR_DECL":
            found.add(node.decl)
        target = node.written or (node.address_of if node.kind == "UNARY_OPERATOR" else None)
        if target is not None:
            found.add(target.decl)
    return found


def can_move(node: Node, statement: Node) -> bool:
    """Whether an expression means the same in front of its statement. A probe read does no harm where a condition
    kept the access from being made; loops, and variables that the statement changes, do."""
    part = node
    while part is not statement and part.parent is not None:
        if part.parent.kind in LOOPS or part.parent.kind == "StmtExpr":
            return False
        part = part.parent
    changed = {
        n.children[0].bare.decl
        for n in statement.walk()
        if n.kind == "COMPOUND_ASSIGNMENT_OPERATOR"
        or (n.kind == "BINARY_OPERATOR" and n.operator in ("=", ","))
        or (n.kind == "UNARY_OPERATOR" and ("++" in n.operator or "--" in n.operator))
    } | {n.decl for n in statement.walk() if n.kind == "VAR_DECL"}
    return not changed & {n.decl for n in node.find("DECL_REF_EXPR")}
