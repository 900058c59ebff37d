"""A comparison that is only asked whether two strings are equal, written out byte by byte.

test_around(call) -> Test | None
byte_by_byte(unit, test, buffer, literal, size) -> Edit
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ebpffix.editing.settle import NoEdit
from ebpffix.editing.statements import has_comment
from ebpffix.fix import Edit
from ebpffix.frontend import Node, Unit

LONGEST = 16  # bytes, as many as a thread's name has
_ON_A_LINE = 8
_NO = "compare byte by byte"


@dataclass(frozen=True)
class Test:
    """The expression that asks, and whether it is true where the strings are equal."""

    node: Node
    equal: bool


def test_around(call: Node) -> Test | None:
    outer = call.outer
    match outer:
        case Node("UNARY_OPERATOR", "!"):
            return Test(outer, True)
        case Node("BINARY_OPERATOR", "==" | "!=", operands):
            other = next((o for o in operands if o is not call), None)
            is_zero = other is not None and other.constant == 0
            return Test(outer, outer.operator == "==") if is_zero else None
        case Node("BINARY_OPERATOR", "&&" | "||"):
            return Test(call, False)
        case Node("IF_STMT" | "CONDITIONAL_OPERATOR", _, [condition, *_]) if condition is call:
            return Test(call, False)
    return None


def byte_by_byte(unit: Unit, test: Test, buffer: Node, literal: Node, size: int) -> Edit:
    """The expression written out over the first `size` bytes of the literal. NoEdit where that cannot be."""
    plain, node = re.fullmatch(rb'"([^"\\\n]*)"', literal.text), test.node
    if plain is None or buffer.kind not in ("DECL_REF_EXPR", "MEMBER_REF_EXPR") or any(c > 126 for c in plain[1]):
        raise NoEdit(_NO)
    if not unit.editable(node.path, node.start, node.end) or has_comment(unit, node.path, node.start, node.end):
        raise NoEdit(_NO)
    letters = [b"'\\''" if c == ord("'") else b"'%c'" % c for c in plain[1]] + [b"'\\0'"]
    sign, glue = (b"==", b"&&") if test.equal else (b"!=", b"||")
    tests = [b"%s[%d] %s %s" % (buffer.text, i, sign, letter) for i, letter in enumerate(letters[:size])]
    text, outer = _lines(unit, node, tests, glue), node.outer
    same = outer is not None and (outer.kind == "IF_STMT" or outer.operator == glue.decode())
    inside = node.parent is not None and node.parent.kind == "PAREN_EXPR"
    return unit.edit(node, text if same or inside else b"(" + text + b")")


def _lines(unit: Unit, node: Node, tests: Sequence[bytes], glue: bytes) -> bytes:
    """The tests on one line; many of them on several."""
    if len(tests) <= _ON_A_LINE:
        return (b" " + glue + b" ").join(tests)
    source = unit.source_of(node)
    indent = source.newline + source.indent(node.statement.start) + b"\t"
    return (b" " + glue + indent).join((b" " + glue + b" ").join(tests[i : i + 4]) for i in range(0, len(tests), 4))
