"""A plain number is used as a pointer: memory of user space, or of the kernel, is read directly.

    u16 family = addr->sa_family;

becomes an explicit read, of user space where the pointer came out of a system call's arguments:

    u16 sa_family = 0;
    bpf_probe_read_user(&sa_family, sizeof(sa_family), &addr->sa_family);
    u16 family = sa_family;

Pointers that certainly go into the kernel are the lesson `unsafe-deref`'s.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ebpffix.analysis.provenance import Space, is_load, pointer, prove
from ebpffix.editing.hoist import can_move
from ebpffix.editing.statements import local_name
from ebpffix.fix import Edit, Span
from ebpffix.frontend import Node
from ebpffix.repair import locate, packet, place
from ebpffix.repair.model import Candidate, Effect, Refusal, Strategy

STRATEGY = Strategy(
    "explicit-read", r"invalid mem access '(?:scalar|inv)'", "Reads through a helper what cannot be read directly", 40
)
_USER = re.compile(r"(?:tracepoint|tp)/syscalls/|uprobe|uretprobe|usdt|ksyscall")


def propose(refusal: Refusal) -> Iterator[Candidate]:
    """The loads on the refused line, through the helper of the space that they likely go to."""
    unit = refusal.unit
    statement = locate.statement_at(unit, refusal.step)
    if statement is None or (refusal.registers and refusal.trace.moved_by(refusal.registers[0]) is not None):
        return
    for node in locate.expressions(unit, refusal.step, *packet.ACCESS):
        base = pointer(node)
        if base is None or not is_load(node) or node.type.is_record or node.type.is_array:
            continue
        spaces = {way.space for way in prove(unit, base).ways}
        if any(space.is_bpf for space in spaces):
            continue
        user = Space.USER in spaces or bool(_USER.match(refusal.section))
        yield from _read(refusal, statement, node, b"bpf_probe_read_user" if user else b"bpf_probe_read_kernel")


def _read(refusal: Refusal, statement: Node, node: Node, helper: bytes) -> Iterator[Candidate]:
    unit, function = refusal.unit, statement.function
    target = place.standing(statement)
    if function is None or not can_move(node, target) or not unit.editable(node.path, node.start, node.end):
        return
    name = local_name(unit, function, node.name.encode() or b"value", ())
    kind = node.type.spelling.replace("const ", "").encode()
    lines = [
        kind + (b"" if kind.endswith(b"*") else b" ") + name + b" = 0;",
        helper + b"(&" + name + b", sizeof(" + name + b"), &" + node.text + b");",
    ]
    if edits := place.before(unit, target, lines):
        says = f"{node.text.decode(errors='replace')} is read by {helper.decode()}(), 0 where that fails"
        edit = Edit(node.path, node.start, node.end, name)
        yield Candidate((*edits, edit), Effect.EXACT, says, Span(node.path, node.start, node.end))
