"""What a map's definition may say of its key and value: their types, or only their sizes.

A type in a definition ends up in the object's BTF, and the kernel compares it with what the map is: some maps take no
types at all, an array's key must be an integer of 32 bits, a trie's a structure.

    Measured.of(node)                        the T of `sizeof(T)`
    may_be_typed(HASH, "key", measured)
    used_type(unit, variable, "value", 8)    "struct flow", by what the program hands to the map
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ebpffix.frontend import MapCall, Node, Type, Unit
from ebpffix.kernel.map_types import MapType, Shape

_SIZEOF = re.compile(rb"sizeof\s*\(\s*(.*?)\s*\)", re.DOTALL)
_NAMED = re.compile(rb"(?:(?:struct|union|enum)\s+)?\w+")
_BUILT_IN = frozenset(b"unsigned signed int long short char".split())
_INTEGERS = ("INT", "UINT")  # of 32 bits on BPF


@dataclass(frozen=True)
class Measured:
    """What stands in `sizeof(…)`: its text, its size in bytes, and its type where it is a single name that has one."""

    text: bytes
    size: int
    type: Type | None

    @classmethod
    def of(cls, node: Node) -> Measured | None:
        """What an expression measures; None for all that is not just `sizeof(…)` of something with a size."""
        node = node.bare
        match = _SIZEOF.fullmatch(node.text) if node.kind == "CXX_UNARY_EXPR" else None
        if match is None or not node.constant or not _balanced(match[1]) or match[1] == b"void":
            return None
        references = [c for c in node.children if c.kind == "TYPE_REF"]
        single = len(references) == 1 and _NAMED.fullmatch(match[1]) is not None
        return cls(match[1], node.constant, references[0].type if single else None)

    @property
    def is_integer(self) -> bool:
        """Whether it is surely an integer of 32 bits, and no enumeration."""
        if self.type is not None:
            return self.type.kind in _INTEGERS
        return self.size == 4 and _BUILT_IN.issuperset(self.text.split())


def _balanced(text: bytes) -> bool:
    """Whether the parenthesis behind `sizeof` closes at the end, not before."""
    depth = 0
    for byte in text:
        depth += (byte == ord("(")) - (byte == ord(")"))
        if depth < 0:
            return False
    return depth == 0


def may_be_typed(map_type: MapType | None, member: str, given: Measured) -> bool:
    """Whether the kernel takes this type of the "key" or "value" of a map of a type (None: not known)."""
    if map_type is None or not map_type.in_place:
        return False
    if member == "value":
        return True
    match map_type.shape:
        case Shape.ARRAY | Shape.STORAGE:
            return given.is_integer
        case Shape.TRIE | Shape.CGROUP_STORAGE:
            return given.type is not None and given.type.is_record and not given.type.is_union
    return True


def used_type(unit: Unit, variable: Node, member: str, size: int) -> Measured | None:
    """The one type of all that a program hands to a map as "key" or "value", and of what it takes a value for, if it
    has this size (in bytes), a name, and is declared before the map; None without. Of a header's map nobody knows here
    what others hand to it."""
    if variable.path != unit.path:
        return None
    calls = (call for call in unit.map_calls if call.map.bare.decl == variable.decl)
    types = (one for call in calls for one in _types(call, member))
    found = {type_.canonical.spelling.removeprefix("const "): (type_, name) for type_, name in types}
    if len(found) != 1:
        return None
    ((type_, name),) = found.values()
    if type_.size != size or type_.is_pointer or not _NAMED.fullmatch(name) or _is_later(unit, variable, name):
        return None
    return Measured(name, size, type_)


def _types(call: MapCall, member: str) -> Iterator[tuple[Type, bytes]]:
    """What a call says of the type of a map's "key" or "value", and how it is spelt."""
    given = call.key if member == "key" else call.value
    if given is not None:
        target = given.address_of
        yield _pointee(given.uncast.type) if target is None else (target.type, _spelt(target.type.spelling))
    outer = call.call.outer_uncast
    if member == "value" and call.op == "lookup" and outer is not None and (made := outer.assignment) is not None:
        found = made[0].type
        if found.is_pointer and not found.is_void_pointer:
            yield _pointee(found)


def _pointee(pointer: Type) -> tuple[Type, bytes]:
    written = pointer.spelling
    return pointer.pointee, _spelt(written[:-1] if written.endswith("*") else pointer.pointee.spelling)


def _spelt(type_: str) -> bytes:
    return type_.strip().removeprefix("const ").encode()


def _is_later(unit: Unit, variable: Node, name: bytes) -> bool:
    """Whether a type may be declared behind a variable."""
    keyword, _, tag = name.rpartition(b" ")
    declares = rb"\b%s\s+%s\s*\{" % (keyword, tag) if keyword else rb"\btypedef\b[^;]*\b%s\s*;" % tag
    first = re.search(declares, unit.sources[variable.path].code)
    return first is not None and first.start() > variable.start
