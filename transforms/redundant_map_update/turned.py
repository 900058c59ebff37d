"""An if whose first branch goes and whose else stays: its condition turned round."""

from __future__ import annotations

import re

from ebpffix.editing.settle import NoEdit
from ebpffix.editing.statements import has_comment
from ebpffix.fix import Edit
from ebpffix.frontend import Node, Unit

_OPPOSITE = {"==": b"!=", "!=": b"==", "<": b">=", ">=": b"<", ">": b"<=", "<=": b">"}
_SIMPLE = ("DECL_REF_EXPR", "MEMBER_REF_EXPR", "ARRAY_SUBSCRIPT_EXPR", "CALL_EXPR", "PAREN_EXPR")


def turned(unit: Unit, branch: Node) -> list[Edit]:
    """The edits that leave of `if (x) branch else other` only `if (!x) other`. NoEdit for a branch of another kind, for
    `else if`, and where a comment or a macro is in the way."""
    owner = branch.parent
    if owner is None or owner.kind != "IF_STMT" or len(owner.children) != 3 or branch is not owner.children[1]:
        raise NoEdit("it is no first branch")
    condition, _, other = owner.children
    source, path = unit.source_of(branch), branch.path
    closing = re.compile(rb"\s*\)").match(source.code, condition.end)
    kept = re.compile(rb"\s*;?\s*else\b").match(source.code, branch.end)
    if closing is None or kept is None or other.kind == "IF_STMT":
        raise NoEdit("the condition cannot be turned round")
    start, end = closing.end(), kept.end()
    if has_comment(unit, path, start, end) or not unit.editable(path, owner.start, end):
        raise NoEdit("a comment or a macro's body is in the way")
    return [*_negated(unit, condition), Edit(path, start, end, b"")]


def _negated(unit: Unit, condition: Node) -> list[Edit]:
    """The edits that make a condition its opposite."""
    path, start, end = condition.path, condition.start, condition.end
    match condition.bare:
        case Node("UNARY_OPERATOR", "!", [_]) as negation if condition.kind != "PAREN_EXPR":
            inner = negation.children[0]
            bare = inner.bare if inner.bare.text.count(b"(") < inner.text.count(b"(") else inner
            return [Edit(path, start, bare.start, b""), *([Edit(path, bare.end, end, b"")] if bare.end < end else [])]
        case Node("BINARY_OPERATOR", operator, [left, right]) if (
            operator in _OPPOSITE and condition.kind != "PAREN_EXPR"
        ):
            code = unit.sources[path].code
            at = code.find(operator.encode(), left.end, right.start)
            if at >= 0 and left.end <= right.start and not unit.macros_around(path, at, at + 1):
                return [Edit(path, at, at + len(operator), _OPPOSITE[operator])]
    if condition.kind in _SIMPLE or condition.bare.kind in _SIMPLE:
        return [Edit(path, start, start, b"!")]
    return [Edit(path, start, start, b"!("), Edit(path, end, end, b")")]
