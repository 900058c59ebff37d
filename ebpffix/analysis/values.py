"""What is assigned in a function, and where a value goes.

values(function, variable) -> Iterator[Node]    what a variable is set to, in source order
parts(function, variable) -> Iterator[Node]     what its members and elements are set to
returned(function) -> Iterator[Node]            what a function returns
taker(value) -> Node | None                     the variable, member or element that an expression's value goes to
"""

from __future__ import annotations

from collections.abc import Container, Iterator

from ebpffix.frontend import Node, Unit


def values(function: Node, variable: int) -> Iterator[Node]:
    """What a function sets a variable (a `Node.decl`) to, as written: its initialiser and all that `=` gives it."""
    for node in function.find("VAR_DECL", "BINARY_OPERATOR"):
        assignment = node.assignment
        if assignment is not None and assignment[0].decl == variable:
            yield assignment[1]


def parts(function: Node, variable: int) -> Iterator[Node]:
    """What a function sets members and elements of a variable to, as written: by `=` (`k.id = …`), and the values of
    its initialiser, one by one."""
    for node in function.find("VAR_DECL", "BINARY_OPERATOR"):
        target, value = node.assignment or (None, None)
        if target is None or value is None:
            continue
        is_part = target.kind in ("MEMBER_REF_EXPR", "ARRAY_SUBSCRIPT_EXPR") and not target.arrow
        while target.kind in ("MEMBER_REF_EXPR", "ARRAY_SUBSCRIPT_EXPR") and not target.arrow:
            target = target.children[0].bare
        if target.decl == variable and (is_part or value.bare.kind == "INIT_LIST_EXPR"):
            yield from _leaves(value.bare) if value.bare.kind == "INIT_LIST_EXPR" else (value,)


def _leaves(values: Node) -> Iterator[Node]:
    for child in values.children:
        value = child.bare
        if value.kind == "INIT_LIST_EXPR":
            yield from _leaves(value)
        elif value.kind == "UNEXPOSED_EXPR" and len(value.children) > 1:  # a designator and its value
            yield value.children[-1]
        else:
            yield value


def returned(function: Node) -> Iterator[Node]:
    """What the return statements of a function return, as written."""
    return (child for statement in function.find("RETURN_STMT") for child in statement.children)


def taker(value: Node) -> Node | None:
    """What the value of an expression is stored in, casts aside: the declaration that it initialises, or the left side
    of its assignment, bare. None where it goes elsewhere."""
    outer = value.outer_uncast
    assignment = outer.assignment if outer is not None else None
    return assignment[0] if assignment is not None and assignment[1].uncast is value.uncast else None


def callers(unit: Unit, functions: Container[int]) -> dict[int, list[Node]]:
    """The calls of each of these functions, by its `Node.decl`."""
    found: dict[int, list[Node]] = {}
    for call in unit.calls:
        callee = call.callee
        if callee is not None and callee.kind == "DECL_REF_EXPR" and callee.decl in functions:
            found.setdefault(callee.decl, []).append(call)
    return found
