"""What is known of two pieces of memory, that one may be copied to the other at once.

is_own(unit, array) -> bool             certainly the program's own memory
apart(unit, target, source) -> bool     that, both of them, and they do not overlap
holds(array, count) -> bool             has so many elements
is_plain(expression) -> bool            means the same as often as it is evaluated
"""

from __future__ import annotations

from ebpffix.analysis.provenance import Space, prove
from ebpffix.frontend import Node, Unit


def holds(node: Node, count: int) -> bool:
    """Whether an array has that many bytes; what a pointer points at is as long as the loop takes it to be."""
    length = node.type.length
    return length is None or length >= count


def is_own(unit: Unit, node: Node) -> bool:
    if "address_space" in node.type.canonical.spelling:  # an arena's, which no builtin takes
        return False
    proof = prove(unit, node)
    return proof.is_bpf and proof.is_certain and proof.space not in (Space.CTX, Space.UNKNOWN)


def apart(unit: Unit, target: Node, source: Node) -> bool:
    """Whether two pieces of memory certainly do not overlap."""
    if not (is_own(unit, target) and is_own(unit, source)):
        return False
    if prove(unit, target).space is not prove(unit, source).space:
        return True
    objects = _object(target), _object(source)
    return None not in objects and objects[0] != objects[1]


def _object(node: Node) -> int | None:
    """The variable of which an array is a part, not through a pointer."""
    while node.kind == "MEMBER_REF_EXPR" and node.children and not node.arrow:
        node = node.children[0].bare
    return node.decl if node.kind == "DECL_REF_EXPR" and not node.type.is_pointer else None


def is_plain(node: Node) -> bool:
    """Whether an expression is made of names and members alone: a call, or an assignment, would be made once instead
    of often."""
    return all(n.kind in ("DECL_REF_EXPR", "MEMBER_REF_EXPR", "UNEXPOSED_EXPR", "PAREN_EXPR") for n in node.walk())
