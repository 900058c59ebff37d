"""The local that takes a field: its type, as BCC programs spell it, and its name."""

from __future__ import annotations

import re

from ebpffix.editing.settle import NoEdit
from ebpffix.frontend import Node

_TYPES = {
    "unsigned char": b"u8", "unsigned short": b"u16", "unsigned int": b"u32", "unsigned long": b"u64",
    "unsigned long long": b"u64", "signed char": b"s8", "short": b"s16", "long long": b"s64",
}  # fmt: skip
_KERNEL_TYPE = re.compile(r"(?:__)?(?:u|be|le|s)(?:8|16|32|64)\Z|__w?sum(?:16)?\Z|unsigned|short|long")
_PREFIX = re.compile(rb"(?:skc|sk|inet|ir|tw|u6)_(?=[a-z])")


def declared(node: Node) -> bytes:
    """The type of a field in front of a local's name, as BCC programs spell it. NoEdit for what has no simple name."""
    type_ = node.type
    spelled = re.sub(r"\b(?:const|volatile)\s+", "", type_.spelling).strip()
    known = _TYPES.get(re.sub(r"\b(?:const|volatile)\s+", "", type_.canonical.spelling))
    if known and _KERNEL_TYPE.match(spelled):
        return known + b" "
    if "(" in spelled:  # a pointer to a function, or an enum without a name
        raise NoEdit("its type has no simple name")
    return spelled.encode() + (b"" if spelled.endswith("*") else b" ")


def field_name(node: Node) -> bytes:
    """What a local that holds an access is called: the member, without what all members of its structure begin with."""
    while node.kind in ("ARRAY_SUBSCRIPT_EXPR", "UNARY_OPERATOR") and node.children:
        node = node.children[0].uncast
    return _PREFIX.sub(b"", node.name.encode()) or b"value"
