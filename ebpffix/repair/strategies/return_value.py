"""A program may return only certain values, and the value here may be another.

A constant that is outside becomes the nearest that is allowed (where 0 and 1 are, what is not 0 becomes 1); a value
that is computed is tested, `!!value` where 0 and 1 are allowed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ebpffix.fix import Edit, Span
from ebpffix.frontend import Node
from ebpffix.repair import locate
from ebpffix.repair.model import Candidate, Effect, Refusal, Strategy

STRATEGY = Strategy("return-value", r"should have been in", "Returns what programs of this type may return", 10)
_RANGE = re.compile(r"should have been in [\[(](?:0x)?(-?\w+)[,;] (?:0x)?(-?\w+)[\])]")


_SIMPLE = ("DECL_REF_EXPR", "CALL_EXPR", "MEMBER_REF_EXPR", "UNARY_OPERATOR", "ARRAY_SUBSCRIPT_EXPR")


def propose(refusal: Refusal) -> Iterator[Candidate]:
    """Each return of the program whose value is not known to be allowed."""
    match = _RANGE.search(refusal.message)
    function = next((f for f in refusal.unit.functions if f.name == refusal.program), None)
    if match is None or function is None:
        return
    low, high = int(match[1], 0), int(match[2], 0)
    last = locate.statement_at(refusal.unit, refusal.step)
    returns = sorted(function.find("RETURN_STMT"), key=lambda n: (last is None or n.start != last.start, n.start))
    for node in returns:
        if node.children:
            yield from _allowed(refusal, node, node.children[0], low, high)


def _allowed(refusal: Refusal, node: Node, value: Node, low: int, high: int) -> Iterator[Candidate]:
    unit, constant = refusal.unit, value.constant
    if not unit.editable(value.path, value.start, value.end) or (constant is not None and low <= constant <= high):
        return
    said = value.text.decode(errors="replace")
    if constant is not None:
        nearest = low if constant < low else high
        best = 1 if (low, high) == (0, 1) else nearest  # what is not 0 is true
        texts = [(b"%d" % n, f"returns {n}, not {said}") for n in dict.fromkeys((best, low, high))]
    elif (low, high) == (0, 1):
        texts = [(b"!!" + _operand(value), f"returns 1 for whatever {said} is but 0")]
    else:
        return
    for text, says in texts:
        edit = Edit(value.path, value.start, value.end, text)
        yield Candidate((edit,), Effect.EXACT, says, Span(node.path, node.start, node.end))


def _operand(value: Node) -> bytes:
    return value.text if value.bare.kind in _SIMPLE else b"(" + value.text + b")"
