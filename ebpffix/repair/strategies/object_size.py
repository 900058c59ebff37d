"""A constant length, or a type, that is not the object's.

A helper is given more bytes than the object has: the length becomes `sizeof(object)`. A key or value on the stack is
narrower than the map says: the variable gets the map's type. A map whose value is declared as a pointer to a struct,
and used as that struct: the value becomes the struct.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ebpffix.fix import Edit, Span
from ebpffix.frontend import Node
from ebpffix.repair import locate
from ebpffix.repair.model import Candidate, Effect, Refusal, Strategy

STRATEGY = Strategy(
    "object-size",
    r"(?:read|write|access)(?: from| to| of)? (?:from |to )?stack|invalid access to map (?:value|key)|"
    r"invalid access to memory, mem_size",
    "Gives a length, a variable or a map the size of the object",
    12,
)
_MAP_CALL = re.compile(r"bpf_map_\w+_elem\Z")
_POINTER = re.compile(rb"__type\s*\(\s*value\s*,\s*((?:struct|union)\s+\w+)\s*(\*)\s*\)")


def propose(refusal: Refusal) -> Iterator[Candidate]:
    """The constant length of the call, the variable that is too narrow, the map's value."""
    named = locate.named_argument(refusal)
    if named is not None:
        call, register = named
        yield from _length(refusal, call, register)
        if _MAP_CALL.match(call.name) and register in (2, 3):
            yield from _wider(refusal, call, register)
    if "map value" in refusal.message:
        yield from _value(refusal)


def _length(refusal: Refusal, call: Node, register: int) -> Iterator[Candidate]:
    unit, buffer = refusal.unit, call.arguments[register - 1].uncast
    if register >= len(call.arguments):
        return
    length = call.arguments[register]
    target = buffer.children[0].bare if buffer.kind == "UNARY_OPERATOR" and buffer.operator == "&" else buffer
    size = target.type.size
    constant = length.constant
    if target.type.is_pointer and target is buffer:
        size = target.type.pointee.size
    if constant is None or size <= 0 or constant <= size or not unit.editable(length.path, length.start, length.end):
        return
    star = b"*" if target.type.is_pointer and target is buffer else b""
    text = b"sizeof(" + star + target.text + b")"
    says = f"{call.name} is given {size} bytes, not {constant}"
    edit = Edit(length.path, length.start, length.end, text)
    yield Candidate((edit,), Effect.EXACT, says, Span(call.path, call.start, call.end))


def _wider(refusal: Refusal, call: Node, register: int) -> Iterator[Candidate]:
    """The variable whose address is a key or a value, declared with the type that the map has."""
    unit, argument = refusal.unit, call.arguments[register - 1].uncast
    wanted = map_type(refusal, call.arguments[0], b"key" if register == 2 else b"value")
    if argument.kind != "UNARY_OPERATOR" or argument.operator != "&" or wanted is None:
        return
    variable = argument.children[0].bare
    function = call.function
    if variable.kind != "DECL_REF_EXPR" or function is None:
        return
    for node in function.find("VAR_DECL"):
        if node.decl != variable.decl:
            continue
        match = re.compile(rb"(?:const\s+)?(?:(?:unsigned|signed|struct|long)\s+)*\w+(?=\s+%s\b)" % variable.text)
        found = match.match(node.text)
        alone = node.parent is not None and len([c for c in node.parent.children if c.kind == "VAR_DECL"]) == 1
        if found and alone and unit.editable(node.path, node.start, node.start + found.end()):
            edit = Edit(node.path, node.start, node.start + found.end(), wanted)
            says = f"{variable.name} has the type of the map's {'key' if register == 2 else 'value'}, {wanted.decode()}"
            yield Candidate((edit,), Effect.EXACT, says, Span(node.path, node.start, node.end))


def map_type(refusal: Refusal, argument: Node, what: bytes) -> bytes | None:
    """The type of a map's key or value as its definition writes it."""
    name = argument.uncast.text.lstrip(b"&").strip()
    for source in refusal.unit.sources.values():
        for match in re.finditer(rb"struct\s*\w*\s*\{([^{}]*)\}\s*%s\b" % re.escape(name), source.uncommented):
            if found := re.search(rb"__type\s*\(\s*%s\s*,\s*([^()]*?)\s*\)" % what, match[1]):
                return found[1]
    return None


def _value(refusal: Refusal) -> Iterator[Candidate]:
    """The map that is looked up on the path, declared with a pointer as its value."""
    trace = refusal.trace
    register = refusal.registers[0] if refusal.registers else 0
    state = trace.state(register)
    for node in refusal.unit.declarations:
        named = re.search(rf"\bmap={re.escape(node.name[:15])}\b", state) if node.kind == "VAR_DECL" else None
        text = node.text
        match = _POINTER.search(text) if named else None
        if match:
            edit = Edit(node.path, node.start + match.end(1), node.start + match.end(2), b"")
            says = f"the map {node.name} holds {match[1].decode()} itself, not a pointer to it"
            yield Candidate((edit,), Effect.EXACT, says, Span(node.path, node.start, node.end))
