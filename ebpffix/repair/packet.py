"""The packet as a program sees it: its end, the accesses to it, and the comparison that shows one to lie inside."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ebpffix.analysis.provenance import Space, pointer, prove
from ebpffix.frontend import Node, Unit

_CONTEXT = re.compile(r"\b(?:xdp_md|__sk_buff)\b")
_SIMPLE = re.compile(rb"[A-Za-z_]\w*\Z|\(.*\)\Z", re.DOTALL)
ACCESS = ("MEMBER_REF_EXPR", "ARRAY_SUBSCRIPT_EXPR", "UNARY_OPERATOR")


@dataclass(frozen=True)
class Access:
    """One access through a packet pointer. `past` is the text of the first address behind what must lie inside, `whole`
    whether that is exactly what the access reads."""

    node: Node
    base: Node
    past: bytes
    whole: bool


def end_of(unit: Unit, at: Node) -> bytes | None:
    """How the packet's end is written at a place: a variable or parameter that holds it, else through the context;
    None where neither is in scope."""
    function = at.function
    if function is None:
        return None
    for node in function.find("VAR_DECL", "PARM_DECL"):
        is_set = node.kind == "VAR_DECL" and b"data_end" in node.text and node.initialiser is not None
        if is_set and not node.type.is_record and node.end <= at.start:
            return node.name.encode()
        if node.kind == "PARM_DECL" and "end" in node.name and node.type.is_pointer:
            return node.name.encode()
    for node in function.find("BINARY_OPERATOR"):
        if node.operator == "=" and b"->data_end" in node.children[1].text and node.end <= at.start:
            return node.children[0].text
    return _in_cursor(function, at) or through_context(function, b"data_end")


def _in_cursor(function: Node, at: Node) -> bytes | None:
    """`c->end` or `c.end` of a parameter or a local struct that has such a member."""
    for node in function.find("PARM_DECL", "VAR_DECL"):
        record = node.type.pointee if node.type.is_pointer else node.type
        if node.kind == "VAR_DECL" and node.end > at.start:
            continue
        for field in record.fields:
            if "end" in field.name and field.type.is_pointer and field.type.pointee.is_void:
                return node.name.encode() + (b"->" if node.type.is_pointer else b".") + field.name.encode()
    return None


def through_context(function: Node, member: bytes) -> bytes | None:
    """`(void *)(long)ctx->data_end` in a function that has the context as a parameter."""
    for node in function.find("PARM_DECL"):
        if node.type.is_pointer and _CONTEXT.search(node.type.canonical.spelling):
            return b"(void *)(long)" + node.name.encode() + b"->" + member
    return None


def accesses(unit: Unit, nodes: list[Node]) -> Iterator[Access]:
    """The accesses among expressions that may go to the packet, the widest of those through one pointer."""
    found: dict[bytes, Access] = {}
    for node in nodes:
        if node.kind not in ACCESS or (base := pointer(node)) is None:
            continue
        if not may_point_there(unit, base):
            continue
        if made := _access(node, base):
            known = found.get(made.base.text)
            if known is None or _reach(made) > _reach(known):
                found[made.base.text] = made
    yield from found.values()


def may_point_there(unit: Unit, pointer_: Node) -> bool:
    """Whether a pointer may go to the packet, as far as can be told."""
    return any(way.space in (Space.PACKET, Space.UNKNOWN) for way in prove(unit, pointer_).ways)


def _reach(access: Access) -> int:
    """The constant index of an access through a pointer; 0 for a member."""
    node = access.node
    if node.kind == "ARRAY_SUBSCRIPT_EXPR":
        return node.children[1].constant or 0
    return 0


def _access(node: Node, base: Node) -> Access | None:
    text = base.bare.text
    if not text or base.from_macro_body:
        return None
    size = base.type.pointee.size
    at = node.children[0].bare
    if node.kind == "ARRAY_SUBSCRIPT_EXPR" and at.text == text:
        index = node.children[1]
        term = index.text if index.bare.kind in ("INTEGER_LITERAL", "DECL_REF_EXPR") else b"(" + index.text + b")"
        return Access(node, base, _cast(_wrapped(text) + b" + " + term + b" + 1"), True)
    if size <= 0:
        return None
    cast = base.bare
    if cast.kind == "CSTYLE_CAST_EXPR" and is_bytewise(cast.children[-1]):
        inner = cast.children[-1].bare.text
        kind = base.type.pointee.spelling.encode()
        return Access(node, base, inner + b" + sizeof(" + kind + b")", node.kind == "UNARY_OPERATOR")
    return Access(node, base, _cast(_wrapped(text) + b" + 1"), _reaches_end(node, size))


def _reaches_end(node: Node, size: int) -> bool:
    """Whether an access ends where the object of `size` bytes that its pointer points at does."""
    if node.kind != "MEMBER_REF_EXPR" or not node.arrow:
        return bool(node.type.size == size)
    field = node.children[0].type.pointee.member(node.name)
    return field is not None and field.offset is not None and field.offset // 8 + node.type.size == size


def is_bytewise(node: Node) -> bool:
    """Whether a pointer counts single bytes: `void *` or `char *`."""
    return node.type.is_pointer and node.type.pointee.size in (0, 1)


def _wrapped(text: bytes) -> bytes:
    return text if _SIMPLE.match(text) else b"(" + text + b")"


def _cast(text: bytes) -> bytes:
    return b"(void *)(" + text + b")"
