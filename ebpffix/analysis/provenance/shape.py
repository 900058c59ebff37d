"""Questions on how an expression is written, that follow no pointer."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ebpffix.frontend import Node, Type


def last_value(node: Node) -> Node | None:
    """The expression whose value a statement expression has."""
    block = node.children[0] if node.children else None
    return block.children[-1] if block is not None and block.children else None


def offset_of(node: Node) -> list[Node]:
    """The members, from the outermost on, whose distance from the structure's beginning `offsetof` gives; none for any
    other expression."""
    bare = node.uncast
    return [c for c in bare.children if c.kind == "MEMBER_REF"] if bare.kind == "UNEXPOSED_EXPR" else []


def is_address(node: Node) -> bool:
    """Whether an expression is a pointer, or was one before it was cast to a number."""
    while True:
        bare = node.bare
        if bare.type.is_pointer or bare.type.is_array:
            return True
        if bare.kind != "CSTYLE_CAST_EXPR":
            return False
        node = bare.children[-1]


def types(node: Node) -> Iterable[Type]:
    """The types that an expression has, casts around it and in it included."""
    bare = node.bare
    while True:
        yield bare.type
        if bare.kind != "CSTYLE_CAST_EXPR":
            return
        bare = bare.children[-1].bare


def used_as(node: Node) -> Type:
    """As what the value of an access is used: the type of the cast around it, or of the variable that it is put in."""
    at: Node = node
    while at.parent is not None and at.parent.kind in ("CSTYLE_CAST_EXPR", "PAREN_EXPR", "UNEXPOSED_EXPR"):
        at = at.parent
        if at.type.is_pointer and not at.type.is_void_pointer:
            return at.type
    outer = at.outer if at.kind not in ("CSTYLE_CAST_EXPR",) else at.parent
    while outer is not None and outer.kind in ("PAREN_EXPR", "UNEXPOSED_EXPR"):
        outer = outer.parent
    if outer is not None and outer.kind == "VAR_DECL" and outer.type.is_pointer:
        return outer.type
    assigned = outer is not None and outer.kind == "BINARY_OPERATOR" and outer.operator == "="
    if outer is not None and assigned and outer.children[0].type.is_pointer:
        return outer.children[0].type
    return at.type if at.type.is_pointer else node.type


def is_null(node: Node) -> bool:
    """Whether it is 0 or NULL as written."""
    bare = node.uncast
    return bare.kind == "INTEGER_LITERAL" and bare.constant == 0


_USER = re.compile(rb"\b__user\b|btf_type_tag\(\"user\"\)")


def is_marked_user(declaration: bytes) -> bool:
    """Whether the text of a declaration says that the pointer is one of user space: `__user`, as the kernel's sources
    have it, or the tag that BTF has instead."""
    return _USER.search(declaration) is not None


def short(node: Node, most: int = 60) -> str:
    """Its text for a message, on one line, in at most so many characters."""
    text = " ".join(node.text.decode("utf-8", "replace").split())
    return text if len(text) <= most else text[: most - 3] + "…"
