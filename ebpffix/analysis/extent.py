"""How much memory there is from a place on.

    extent(argument) -> int | None    bytes from where a pointer points to the end of what it points into

`d.name` of a `struct { char name[16]; int n; } d` has 20 bytes: who copies more than the 16 may mean the next member.
"""

from __future__ import annotations

from ebpffix.frontend import Node


def extent(pointer: Node) -> int | None:
    """The bytes from where a pointer expression (`&x`, `buf`, `p->name`, a literal) points to the end of the variable,
    literal or structure behind a pointer that it names a part of. None where that is not known: a plain pointer, a
    member without a length of its own at the end of a structure."""
    node = pointer.uncast
    if node.kind == "STRING_LITERAL":
        return node.type.size
    place = node.address_of
    if place is None and node.type.length is not None:
        place = node
    return _from(place) if place is not None else None


def object_of(pointer: Node) -> Node | None:
    """The array or variable whose size `sizeof` would give: `x` of `&x`, `a` of `&a[0]`, `buf`, `p->name`, a literal;
    None for all else."""
    node = pointer.uncast
    place = node.address_of
    if place is not None and place.kind == "ARRAY_SUBSCRIPT_EXPR" and place.children[1].constant == 0:
        place = place.children[0].bare  # &a[0] is a
        return place if place.type.length is not None else None
    if place is None:
        place = node if node.type.length is not None else None
    return place


def _from(place: Node) -> int | None:
    """The bytes from an lvalue to the end of what it is a part of."""
    if place.kind == "DECL_REF_EXPR":
        return place.type.size if place.type.size > 0 else None
    if place.kind == "STRING_LITERAL":
        return place.type.size
    if place.kind == "ARRAY_SUBSCRIPT_EXPR":
        array, index = place.children[0].bare, place.children[1].constant
        if array.type.length is None:
            return None
        whole = _from(array)
        return whole - (index or 0) * place.type.size if whole is not None else None
    field = place.field
    if field is None or field.offset is None or not place.children:
        return None
    base = place.children[0].bare
    whole = _structure(base.type.pointee.size) if place.arrow else _from(base)
    if whole is None or (field.type.is_array and (field.type.length or 0) <= 1):
        return None
    return whole - field.offset // 8


def _structure(size: int) -> int | None:
    return size if size > 0 else None
