"""What a program does with a result: tests that see an error, tests that do not, uses as a number.

uses(flow, result) -> list[Use]    of all that looks at a result, in source order
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from ebpffix.analysis.flow import Flow, Step
from ebpffix.frontend import Node
from ebpffix.kernel.helpers import Role

from .results import UNSIGNED, Result

_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_FEW = 64  # what is compared with less than this is taken for a length that is wanted, not for the room there is


class Says(Enum):
    """What a use makes of an error, which is a large number here."""

    NOTHING = "a test that cannot see an error, or takes it for the opposite"
    LENGTH = "a test that an error passes like a length"
    BOUND = "a test that an error fails, for it is large"
    SIGNED = "a test that looks at it as a signed number"
    NUMBER = "a use as a number, or another value"
    SIZE = "a use as the size of something"


@dataclass(frozen=True)
class Use:
    """`node` is the whole test, or what uses the value; `value` the part of it that is the result."""

    node: Node
    value: Node
    says: Says


def uses(flow: Flow, result: Result) -> list[Use]:
    """What looks at a result. A test that can only see another value of the variable is a use as a number."""
    return [use for value in _values(flow.function, result) if (use := _use(flow, result, value)) is not None]


def _values(function: Node, result: Result) -> Iterator[Node]:
    """The mentions of a result; for one that is set there, the assignment, whose value may be looked at."""
    for node in function.find("DECL_REF_EXPR", "MEMBER_REF_EXPR"):
        if result.is_named_by(node):
            outer = node.outer
            is_set = outer is not None and outer.operator == "=" and outer.children[0].bare is node
            yield outer if is_set and outer is not None else node


def _use(flow: Flow, result: Result, value: Node) -> Use | None:
    if value.operator == "=" and not any(_holds(value, taken.call) for taken in result.taken):
        return Use(value, value, Says.NUMBER)
    part, outer = value, value.outer
    while outer is not None and outer.kind == "CSTYLE_CAST_EXPR":
        if outer.type.kind not in UNSIGNED:
            return Use(outer, value, Says.SIGNED)
        part, outer = outer, outer.outer
    if outer is None or (value.operator == "=" and value.is_statement):
        return None
    if outer.kind == "BINARY_OPERATOR" and outer.operator in _MIRRORED:
        if not _sees_a_result(flow, outer, result):
            return Use(outer, value, Says.NUMBER)
        is_first = outer.children[0].bare is part
        operator = outer.operator if is_first else _MIRRORED[outer.operator]
        says = _compared(result, operator, outer.children[1 if is_first else 0], leaves(outer))
        return Use(outer, part, says) if says is not None else None
    if _is_truth(outer):
        return Use(outer, part, Says.LENGTH) if result.is_length else None
    return Use(outer, value, Says.SIZE if _is_size(outer, part) else Says.NUMBER)


def _compared(result: Result, operator: str, other: Node, leaving: bool) -> Says | None:
    """What a comparison with something says; None where it says nothing of errors."""
    limit = _constant(other)
    few = limit is not None and limit < min(_FEW, (_room(result) or _FEW + 1) - 1)
    match operator:
        case "<" | ">=" | "<=" if limit == 0:
            return Says.NOTHING
        case "==" | "!=":
            return Says.LENGTH if result.is_length and (limit == 0 or (limit == 1 and leaving)) else None
        case "<" | "<=" if not (result.is_length and limit is not None and leaving):
            return Says.BOUND
        case _ if few:  # `> 0` says of what gives no length that it failed
            return Says.LENGTH if result.is_length else None
    return Says.BOUND


def _room(result: Result) -> int | None:
    """The size that the helper is given, where it is a constant."""
    taken = result.taken[0]
    index = taken.helper.where(Role.SIZE)
    arguments = taken.call.arguments
    return _constant(arguments[index]) if index is not None and index < len(arguments) else None


def _constant(node: Node) -> int | None:
    """The value of a literal, or of `sizeof` something."""
    bare = node.uncast
    if bare.kind == "CXX_UNARY_EXPR" and bare.children:
        return bare.children[0].bare.type.size
    return bare.integer


def _sees_a_result(flow: Flow, test: Node, result: Result) -> bool:
    """Whether what a test looks at can be the result of a helper, and not only another value."""
    step = flow.step(test)
    calls = {at for taken in result.taken if (at := flow.step(taken.call)) is not None}
    if step is None or flow.opaque or step in calls:
        return True
    if result.is_local:
        return bool(flow.definitions(step, result.place.decl) & calls)
    others = _other_values(flow, result) - calls
    return any(step in flow.reachable(call, others) for call in calls)


def _other_values(flow: Flow, result: Result) -> set[Step]:
    """The steps that set a member, or the pointer that it is reached by."""
    root = result.place
    while root.kind == "MEMBER_REF_EXPR" and root.children:
        root = root.children[0].bare
    found = set()
    for node in flow.function.find("BINARY_OPERATOR"):
        target = node.assignment[0] if node.assignment is not None else None
        if target is not None and (result.is_named_by(target) or target.decl == root.decl):
            found.add(flow.step(node))
    return {step for step in found if step is not None}


def leaves(test: Node) -> bool:
    """Whether a test is the condition of an `if` that goes away where it holds: the other side is what is kept."""
    outer = test.outer
    if outer is None or outer.kind != "IF_STMT" or len(outer.children) != 2 or outer.children[0].bare is not test:
        return False
    body = outer.children[1]
    last = body.children[-1] if body.kind == "COMPOUND_STMT" and body.children else body
    return last.kind in ("RETURN_STMT", "BREAK_STMT", "CONTINUE_STMT", "GOTO_STMT")


def _is_truth(outer: Node) -> bool:
    return outer.kind in ("IF_STMT", "WHILE_STMT") or (
        outer.kind in ("UNARY_OPERATOR", "BINARY_OPERATOR") and outer.operator in ("!", "&&", "||")
    )


def _is_size(outer: Node, part: Node) -> bool:
    """Whether a helper is told that so many bytes are there, or the last of them is meant: `buf[n - 1]`."""
    if outer.kind == "CALL_EXPR" and outer.helper is not None:
        return any(outer.helper.role(i) is Role.SIZE and a.uncast is part.uncast for i, a in enumerate(outer.arguments))
    index = outer.outer
    is_last = outer.operator == "-" and outer.children[1].constant == 1
    return is_last and index is not None and index.kind == "ARRAY_SUBSCRIPT_EXPR" and index.operands[1] is outer


def _holds(node: Node, inner: Node) -> bool:
    return any(one is inner for one in node.walk())
