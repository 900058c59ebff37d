"""What is assigned in a function, and where a value goes.

values(function, variable) -> Iterator[Node]    what a variable is set to, in source order
returned(function) -> Iterator[Node]            what a function returns
taker(value) -> Node | None                     the variable, member or element that an expression's value goes to
"""

from __future__ import annotations

from collections.abc import Iterator

from ebpffix.frontend import Node


def values(function: Node, variable: int) -> Iterator[Node]:
    """What a function sets a variable (a `Node.decl`) to, as written: its initialiser and all that `=` gives it."""
    for node in function.find("VAR_DECL", "BINARY_OPERATOR"):
        assignment = node.assignment
        if assignment is not None and assignment[0].decl == variable:
            yield assignment[1]


def returned(function: Node) -> Iterator[Node]:
    """What the return statements of a function return, as written."""
    return (child for statement in function.find("RETURN_STMT") for child in statement.children)


def taker(value: Node) -> Node | None:
    """What the value of an expression is stored in, casts aside: the declaration that it initialises, or the left side
    of its assignment, bare. None where it goes elsewhere."""
    outer = value.outer_uncast
    assignment = outer.assignment if outer is not None else None
    return assignment[0] if assignment is not None and assignment[1].uncast is value.uncast else None
