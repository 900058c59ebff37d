"""What is wrong with a map that no kernel makes, told from its definition.

The rules are those that `BPF_MAP_CREATE` checks before it asks for memory or looks at the machine, in every kernel
since the type exists. What only some kernels or machines refuse (size, memory, a type that is missing) is not here.
"""

from __future__ import annotations

from typing import NamedTuple

from ebpffix.kernel.map_types import BY_NUMBER, MapType, Shape

_NO_PREALLOC = 1
# What kernels check of these differs, or is not known here.
_UNCHECKED = (Shape.CGROUP_STORAGE, Shape.STRUCT, Shape.ARENA)


class Map(NamedTuple):
    """A map as it was to be made; sizes are bytes, of a ring buffer `entries` too."""

    type: int
    key: int
    value: int
    entries: int
    flags: int


def described(made: Map) -> str:
    """A map in words: "hash, keys of 4 and values of 8 bytes, 1024 entries, flags 0x1"."""
    kind = BY_NUMBER.get(made.type)
    parts = [kind.words if kind is not None else f"type {made.type}"]
    if made.key or made.value:
        parts.append(f"keys of {made.key} and values of {made.value} bytes")
    parts.append(f"{made.entries} entries")
    return ", ".join(parts + [f"flags {made.flags:#x}"] * bool(made.flags))


def fault(made: Map, page: int) -> str:
    """Why no kernel makes the map, "" if its definition does not tell; `page` is the machine's, in bytes."""
    kind = BY_NUMBER.get(made.type)
    wrong = _fault(kind, made, page) if kind is not None and kind.shape not in _UNCHECKED else ""
    return f"{'an' if kind.words[0] in 'aiLX' else 'a'} {kind.words} {wrong}" if kind is not None and wrong else ""


def _fault(kind: MapType, made: Map, page: int) -> str:
    _, key, value, entries, flags = made
    if kind.shape is Shape.RING:
        if not entries:
            return "needs max_entries, its size in bytes; it is 0 unless user space sets it before it loads"
        if entries % page or entries & (entries - 1):
            return f"needs a max_entries that is {page} times a power of two, not {entries}"
        return "has neither keys nor values" if key or value else ""
    if kind.shape is Shape.STORAGE:
        if entries:
            return f"must not have max_entries ({entries})"
        return "" if flags & _NO_PREALLOC else "needs map_flags with BPF_F_NO_PREALLOC"
    if not entries:
        return "needs max_entries; it is 0 unless user space sets it before it loads"
    if kind.shape is Shape.QUEUE and key:
        return "has no keys"
    if kind.key is None and not key:
        return "needs a key; its size is 0"
    if kind.key == 4 and key != 4:
        return f"needs a key of 4 bytes, not {key}"
    if not value:
        return "needs a value; its size is 0"
    if kind.shape is Shape.DESCRIPTORS and value != 4:
        return f"needs a value of 4 bytes, not {value}"
    if kind.shape is Shape.STACKS and value % 8:
        return f"needs a value of whole addresses (8 bytes each), not of {value} bytes"
    if kind.shape is Shape.TRIE and not flags & _NO_PREALLOC:
        return "needs map_flags with BPF_F_NO_PREALLOC"
    if kind.shape is Shape.TRIE and key < 5:
        return f"needs a key of 4 bytes for the prefix' length and what it is of, not {key} bytes"
    return ""
