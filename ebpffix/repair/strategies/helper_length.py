"""A length that is given to a helper has no proven limits.

It is clamped to the size of the buffer right before the call, in one variable:

    if (len > sizeof(buf))
        len = sizeof(buf);
    bpf_probe_read_user(buf, len, from);

What is longer is cut off. A signed length may be an error that another helper returned: then the program leaves where
it is negative. 0 is excluded only where the helper does not take it.
"""

from __future__ import annotations

from collections.abc import Iterator

from ebpffix.fix import Span
from ebpffix.frontend import Node
from ebpffix.repair import locate, place, scalar
from ebpffix.repair.model import Candidate, Effect, Refusal, Strategy

STRATEGY = Strategy(
    "helper-length",
    r"min value is negative|unbounded memory access|invalid zero-sized read|outside of the allowed memory|"
    r"invalid access to map value|invalid access to memory, mem_size|"
    r"invalid (?:indirect |variable-offset )?(?:read|write|access) (?:from|to|of) stack",
    "Limits a length, or an offset, that a helper is given",
    15,
)


def propose(refusal: Refusal) -> Iterator[Candidate]:
    """Limits for the argument that the message names, by its register."""
    named = locate.named_argument(refusal)
    if named is None:
        return
    call, register = named
    argument = call.arguments[register - 1]
    if argument.bare.type.is_pointer or argument.bare.type.kind.endswith("ARRAY"):
        yield from _offset(refusal, call, register)
        if register < len(call.arguments):
            yield from _length(refusal, call, call.arguments[register], argument)
    elif register >= 2:
        yield from _length(refusal, call, argument, call.arguments[register - 2])


def _length(refusal: Refusal, call: Node, length: Node, buffer: Node) -> Iterator[Candidate]:
    unit, statement = refusal.unit, place.standing(call.statement)
    made = scalar.held(unit, length, call.statement, b"len")
    room = _room(buffer)
    if made is None or length.constant is not None:
        return
    at, step = Span(call.path, call.start, call.end), place.step(unit, call)
    said = length.text.decode(errors="replace")
    if "zero-sized" in refusal.message:
        zero = made.name + b" == 0"
        # A new variable reads the value once more: what was tested before is not what is passed.
        if made.lines and room is not None:
            zero += b" || " + made.name + b" > " + room
        for kept in (False, True):
            lines = [*made.lines, *([scalar.barrier(made.name)] if kept else [])]
            for action in place.leaving(unit, statement):
                if edits := place.before(unit, statement, [*lines, b"if (" + zero + b")", step + action]):
                    says = f"where {said} is 0: `{action.decode()}`"
                    yield Candidate((*edits, *made.edits), Effect.EXACT, says, at, fallback=kept)
        return
    if room is None:
        return
    clamp = [b"if (" + made.name + b" > " + room + b")", step + made.name + b" = " + room + b";"]
    for kept in (False, True):
        lines = [*made.lines, *([scalar.barrier(made.name)] if kept else [])]
        if made.unsigned and (edits := place.before(unit, statement, [*lines, *clamp])):
            says = f"what is longer than {room.decode()} is cut off"
            yield Candidate((*edits, *made.edits), Effect.EXACT, says, at, fallback=kept)
        for action in place.leaving(unit, statement):
            outside = made.name + b" > " + room
            if not made.unsigned:
                outside = made.name + b" < 0 || " + made.name + b" > (long)" + room
            if edits := place.before(unit, statement, [*lines, b"if (" + outside + b")", step + action]):
                says = f"where {said} is negative or greater than {room.decode()}: `{action.decode()}`"
                yield Candidate((*edits, *made.edits), Effect.EXACT, says, at, fallback=kept or made.unsigned)
    yield from _copied(refusal, call, length, room)


def _copied(refusal: Refusal, call: Node, length: Node, room: bytes) -> Iterator[Candidate]:
    """A copy of 64 bits that is not negative, for lengths that are narrower or signed."""
    unit, statement = refusal.unit, place.standing(call.statement)
    made = scalar.copied(unit, length, call.statement, b"size")
    if made is None:
        return
    step = place.step(unit, call)
    lines = [*made.lines, scalar.barrier(made.name)]
    lines += [b"if (" + made.name + b" > " + room + b")", step + made.name + b" = " + room + b";"]
    if edits := place.before(unit, statement, lines):
        says = f"what is longer than {room.decode()}, or negative, becomes {room.decode()}"
        yield Candidate((*edits, *made.edits), Effect.EXACT, says, Span(call.path, call.start, call.end), fallback=True)


def _room(buffer: Node) -> bytes | None:
    """The text of the size of what a pointer argument points at; None where it is not known."""
    node = buffer.uncast
    if node.kind == "UNARY_OPERATOR" and node.operator == "&":
        return b"sizeof(" + node.children[0].text + b")"
    if node.kind == "BINARY_OPERATOR" and node.operator == "+":
        room, offset = _room(node.children[0]), node.children[1].text
        return b"(" + room + b" - (" + offset + b"))" if room else None
    if node.type.kind == "CONSTANTARRAY":
        return b"sizeof(" + node.text + b")"
    if node.type.is_pointer and node.kind == "DECL_REF_EXPR" and node.type.pointee.size > 1:
        return b"sizeof(*" + node.text + b")"
    return None


def _offset(refusal: Refusal, call: Node, register: int) -> Iterator[Candidate]:
    """The pointer itself has an offset without limits: `buf + off`, or `&buf[off]`, with room for the length."""
    unit, statement = refusal.unit, place.standing(call.statement)
    pointer = call.arguments[register - 1].uncast
    length = call.arguments[register] if register < len(call.arguments) else None
    if pointer.kind == "UNARY_OPERATOR" and pointer.operator == "&":
        pointer = pointer.children[0].bare
    if pointer.kind not in ("BINARY_OPERATOR", "ARRAY_SUBSCRIPT_EXPR") or len(pointer.children) != 2:
        return
    array, index = pointer.children
    limit = _room(array)
    made = scalar.held(unit, index, call.statement, b"off")
    if limit is None or made is None or index.constant is not None:
        return
    room = limit + b" - " + length.text if length is not None and not length.type.is_pointer else limit
    for kept in (False, True):
        lines = [*made.lines, *([scalar.barrier(made.name)] if kept else [])]
        outside = made.name + b" > " + room
        if not made.unsigned:
            outside = made.name + b" < 0 || " + made.name + b" > (long)(" + room + b")"
        for action in place.leaving(unit, statement):
            step = place.step(unit, call)
            if edits := place.before(unit, statement, [*lines, b"if (" + outside + b")", step + action]):
                says = f"where {index.text.decode(errors='replace')} leaves no room: `{action.decode()}`"
                at = Span(call.path, call.start, call.end)
                yield Candidate((*edits, *made.edits), Effect.EXACT, says, at, fallback=kept)
