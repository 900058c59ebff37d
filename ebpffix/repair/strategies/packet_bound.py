"""Bytes of the packet are read or written that were not shown to lie inside it.

In front of the access the end of what it touches is compared with the packet's end:

    if ((void *)(udp + 1) > data_end)
        return XDP_PASS;
    if (udp->dest == bpf_htons(53))

A packet that ends inside that header leaves there; it could not have been read. Where the end of the packet is not at
hand, a check that is there, and too short, is widened.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ebpffix.editing.hoist import Place
from ebpffix.editing.hoist import place as evaluated
from ebpffix.fix import Edit, Span
from ebpffix.frontend import Node
from ebpffix.repair import locate, packet, place
from ebpffix.repair.model import Candidate, Effect, Refusal, Strategy

STRATEGY = Strategy(
    "packet-bound",
    r"invalid access to packet",
    "Compares the end of an access with the end of the packet",
    10,
)
_ACCESS = re.compile(r"off=(-?\d+) size=(\d+), R\d+\(id=\d+,off=-?\d+,r=(\d+)\)")


def propose(refusal: Refusal) -> Iterator[Candidate]:
    """A guard in front of the access, in the helper or in its callers; then a wider check."""
    step = refusal.step
    statement = locate.statement_at(refusal.unit, step)
    if step is None or statement is None:
        return
    yield from _argument(refusal)
    nodes = locate.expressions(refusal.unit, step, *packet.ACCESS)
    for access in packet.accesses(refusal.unit, nodes):
        yield from _guarded(refusal, statement, access.node, access.past, access.whole)
        yield from _in_callers(refusal, access.base)
    yield from _wider(refusal)


def _argument(refusal: Refusal) -> Iterator[Candidate]:
    """A helper reads or writes the packet: its length argument says how much."""
    named = locate.named_argument(refusal)
    if named is None or named[1] == len(named[0].arguments):
        return
    call, register = named
    pointer, length = call.arguments[register - 1], call.arguments[register]
    past = b"(void *)" + pointer.uncast.text + b" + " + length.text
    yield from _guarded(refusal, call.statement, call, past, True)


def _guarded(refusal: Refusal, statement: Node, node: Node, past: bytes, whole: bool) -> Iterator[Candidate]:
    unit = refusal.unit
    end = packet.end_of(unit, statement)
    target = place.standing(statement)
    if end is None:
        return
    yield from _in_condition(refusal, statement, node, past, end)
    at = Span(statement.path, statement.start, statement.end)
    for action in place.leaving(unit, target):
        if edits := place.guard(unit, target, past + b" > " + end, action):
            always = target is statement and evaluated(node, statement) is Place.ONCE
            says = f"packets that end before `{past.decode(errors='replace')}`: `{action.decode()}`"
            yield Candidate(tuple(edits), Effect.EXACT if whole and always else Effect.EARLY, says, at)


def _in_condition(refusal: Refusal, statement: Node, node: Node, past: bytes, end: bytes) -> Iterator[Candidate]:
    """The comparison as a part of the condition that the access stands in, where that is not always evaluated."""
    unit = refusal.unit
    part = place.condition_part(node, statement)
    once = place.standing(statement) is statement and evaluated(node, statement) is Place.ONCE
    if part is None or once or not unit.editable(part.path, part.start, part.end):
        return
    text = part.text
    if part.bare.operator in ("||", "?") or part.bare.kind == "CONDITIONAL_OPERATOR":
        text = text if text.startswith(b"(") else b"(" + text + b")"
    edit = Edit(part.path, part.start, part.end, past + b" <= " + end + b" && " + text)
    says = f"where packets end before `{past.decode(errors='replace')}` the condition does not hold"
    yield Candidate((edit,), Effect.EXACT, says, Span(statement.path, statement.start, statement.end))


def _in_callers(refusal: Refusal, base: Node) -> Iterator[Candidate]:
    """A function that gets the pointer and does not know the packet's end: its callers check."""
    unit, function, target = refusal.unit, base.function, base.uncast.declaration
    if function is None or target is None or target.kind != "PARM_DECL" or packet.end_of(unit, base) is not None:
        return
    number = function.parameter_index(target.decl)
    size = base.type.pointee.size
    for mention in unit.mentions(function):
        call = mention.outer
        if number is None or size <= 0 or call is None or call.kind != "CALL_EXPR" or number >= len(call.arguments):
            continue
        argument = call.arguments[number].uncast
        cast = b"" if argument.type.is_void_pointer else b"(void *)"
        past = cast + argument.text + b" + sizeof(" + base.type.pointee.spelling.encode() + b")"
        yield from _guarded(refusal, call.statement, call, past, False)


def _wider(refusal: Refusal) -> Iterator[Candidate]:
    """A check of the same pointer that is too short, by a constant."""
    unit, trace = refusal.unit, refusal.trace
    match = _ACCESS.search(refusal.message)
    position = trace.last_check(refusal.registers[0]) if refusal.registers else None
    if match is None or position is None:
        return
    missing = int(match[1]) + int(match[2]) - int(match[3])
    for node in locate.expressions(unit, trace.steps[position], "BINARY_OPERATOR"):
        if node.operator not in (">", ">=", "<", "<=") or node.from_macro_body or b"end" not in node.text:
            continue
        side = node.children[0 if b"end" not in node.children[0].text else 1]
        if not side.text or missing <= 0 or not unit.editable(side.path, side.start, side.end):
            continue
        text = side.text if packet.is_bytewise(side) else b"(void *)(" + side.text + b")"
        edit = Edit(side.path, side.start, side.end, text + b" + %d" % missing)
        says = f"packets that are up to {missing} bytes shorter than what is read fail the check that is there"
        yield Candidate((edit,), Effect.EARLY, says, Span(node.path, node.start, node.end))
