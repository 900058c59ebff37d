"""A helper wants an address and is given the value, or wants read-only data and is given the stack.

`bpf_map_lookup_elem(&map, (void *)key)` becomes `…, &key)`, if key has the size that the map says. The second string of
`bpf_strncmp` must not be writable: the local array becomes `static const`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ebpffix.editing.hoist import can_move
from ebpffix.editing.statements import local_name
from ebpffix.fix import Edit, Span
from ebpffix.frontend import Node
from ebpffix.repair import locate, place
from ebpffix.repair.model import Candidate, Effect, Refusal, Strategy

STRATEGY = Strategy(
    "argument-form",
    r"R\d+ type=\w* ?expected=|R\d+ is not a known constant|doesn't point to a const string",
    "Gives a helper the address of a value, or read-only data",
    9,
)


def propose(refusal: Refusal) -> Iterator[Candidate]:
    """The argument that the message names by its register."""
    named = locate.named_argument(refusal)
    if named is None:
        return
    call, register = named
    argument = call.arguments[register - 1]
    if "type=fp expected=map_value" in refusal.message:
        yield from _constant(refusal, call, argument)
    elif "type=scalar" in refusal.message or "type=inv" in refusal.message:
        yield from _address(refusal, call, argument, register)


def _address(refusal: Refusal, call: Node, argument: Node, register: int) -> Iterator[Candidate]:
    unit, value = refusal.unit, argument.uncast
    target = value.declaration if value.kind == "DECL_REF_EXPR" else None
    if target is None or target.kind not in ("VAR_DECL", "PARM_DECL") or value.type.is_pointer:
        return
    if not unit.editable(argument.path, argument.start, argument.end):
        return
    wanted = _size(refusal, register)
    size = value.type.size
    if wanted is not None and wanted != size:
        yield from _copied(refusal, call, argument, wanted)
        return
    edit = Edit(argument.path, argument.start, argument.end, b"&" + value.text)
    says = f"{call.name} reads the {size} bytes of {value.name}, not what stands at that address"
    yield Candidate((edit,), Effect.EXACT, says, Span(call.path, call.start, call.end))


def _copied(refusal: Refusal, call: Node, argument: Node, size: int) -> Iterator[Candidate]:
    """A copy of the size that the map wants, of a number that is wider or narrower."""
    unit, value, function = refusal.unit, argument.uncast, call.function
    statement = place.standing(call.statement)
    if function is None or size not in (1, 2, 4, 8) or not can_move(value, statement):
        return
    name = local_name(unit, function, value.text + b"%d" % (8 * size), ())
    line = b"__u%d %s = %s;" % (8 * size, name, value.text)
    if edits := place.before(unit, statement, [line]):
        edit = Edit(argument.path, argument.start, argument.end, b"&" + name)
        says = f"{call.name} reads the low {size} bytes of {value.name}"
        yield Candidate((*edits, edit), Effect.CHANGING, says, Span(call.path, call.start, call.end))


def _size(refusal: Refusal, register: int) -> int | None:
    """The size of the key (R2) or value (R3) of the map in R1, as the state has it."""
    match = re.search(r"ks=(\d+),vs=(\d+)", refusal.trace.state(1))
    return int(match[register - 1]) if match and register in (2, 3) else None


def _constant(refusal: Refusal, call: Node, argument: Node) -> Iterator[Candidate]:
    unit, value, function = refusal.unit, argument.uncast, call.function
    if value.kind != "DECL_REF_EXPR" or function is None:
        return
    for node in function.find("VAR_DECL"):
        if node.decl == value.decl and unit.editable(node.path, node.start, node.end):
            text = b"static " if node.text.startswith(b"const") else b"static const "
            edit = Edit(node.path, node.start, node.start, text)
            says = f"{node.name} is read-only data, not on the stack"
            yield Candidate((edit,), Effect.EXACT, says, Span(node.path, node.start, node.end))
