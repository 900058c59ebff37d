"""A packet pointer with an offset that the verifier does not follow: it may reach 65,535, so that no check counts.

The offset goes into a variable of its own and is limited there; the pointer is built from it, and checked as any other:

    __u64 off = len;
    asm volatile("" : "+r"(off));
    if (off > 0x7fff)
        return XDP_PASS;
    p = data + off;
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ebpffix.editing.c import barrier
from ebpffix.fix import Span
from ebpffix.frontend import Node
from ebpffix.repair import locate, packet, place, scalar
from ebpffix.repair.model import Candidate, Effect, Refusal, Strategy

STRATEGY = Strategy(
    "packet-offset",
    r"invalid access to packet|math between pkt pointer",
    "Limits what is added to a packet pointer",
    25,
)
_LARGEST = b"0x7fff"  # bytes; the verifier follows a packet pointer as far as 0xffff
_WIDE = re.compile(r"umax=(?:\w+=)*(0x[0-9a-f]+|\d+)")


def propose(refusal: Refusal) -> Iterator[Candidate]:
    """The variable terms that the refused pointer was made with."""
    trace = refusal.trace
    register = refusal.registers[0] if refusal.registers else 0
    if not _may_be_far(refusal, register):
        return
    done: set[int] = set()
    for position in trace.chain(register):
        statement = locate.statement_at(refusal.unit, trace.steps[position])
        nodes = locate.expressions(
            refusal.unit, trace.steps[position], "BINARY_OPERATOR", "COMPOUND_ASSIGNMENT_OPERATOR"
        )
        for node in nodes:
            if statement is None or node.start in done or node.operator not in ("+", "+="):
                continue
            done.add(node.start)
            yield from _limited(refusal, statement, node)


def _may_be_far(refusal: Refusal, register: int) -> bool:
    """Whether the pointer's variable part can be more than the verifier follows, or is not known."""
    if "math between" in refusal.message:
        return True
    state = refusal.trace.state(register)
    found = _WIDE.search(state)
    return "id=" in state and (found is None or int(found[1], 0) >= 0xFFFF)


def _limited(refusal: Refusal, statement: Node, node: Node) -> Iterator[Candidate]:
    unit = refusal.unit
    left, right = node.operands
    if right.type.is_pointer and not left.type.is_pointer:
        left, right = right, left
    if right.constant is not None or not packet.may_point_there(unit, left):
        return
    target = place.standing(statement)
    made = scalar.copied(unit, right, target, b"off")
    action = place.leave(unit, target)
    if made is None or action is None:
        return
    lines = [*made.lines, barrier(made.name), b"if (" + made.name + b" > " + _LARGEST + b")"]
    if edits := place.before(unit, target, [*lines, place.step(unit, target) + action]):
        says = f"where {right.text.decode(errors='replace')} is greater than {_LARGEST.decode()}: `{action.decode()}`"
        yield Candidate((*edits, *made.edits), Effect.EARLY, says, Span(node.path, node.start, node.end))
