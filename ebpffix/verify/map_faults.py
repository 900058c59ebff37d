"""What is wrong with a map that no kernel makes, told from its definition.

The rules are those that `BPF_MAP_CREATE` checks before it asks for memory or looks at the machine, in every kernel
since the type exists. What only some kernels or machines refuse (size, memory, a type that is missing) is not here.
"""

from __future__ import annotations

from typing import NamedTuple

# enum bpf_map_type
_HASHES = {1: "hash", 5: "per-CPU hash", 9: "LRU hash", 10: "LRU per-CPU hash", 13: "hash of maps"}
_ARRAYS = {2: "array", 6: "per-CPU array"}
_OF_DESCRIPTORS = {3: "program array", 4: "perf event array", 8: "cgroup array", 12: "array of maps"}
_REDIRECTS = {14: "device map", 15: "socket map", 16: "CPU map", 17: "XSK map", 25: "device hash"}
_QUEUES = {22: "queue", 23: "stack", 30: "Bloom filter"}
_RINGS = {27: "ring buffer", 31: "user ring buffer"}
_STORAGES = {24: "socket storage", 28: "inode storage", 29: "task storage", 32: "cgroup storage"}
_LPM, _STACKS, _SOCKHASH = 11, 7, 18
_NAMES = {
    **_HASHES, **_ARRAYS, **_OF_DESCRIPTORS, **_REDIRECTS, **_QUEUES, **_RINGS, **_STORAGES,
    _LPM: "LPM trie", _STACKS: "stack trace map", _SOCKHASH: "socket hash",
}  # fmt: skip
_KEYED = {*_HASHES, _LPM, _SOCKHASH}
_INDEXED = {*_ARRAYS, *_OF_DESCRIPTORS, *_REDIRECTS, _STACKS}
_NO_PREALLOC = 1


class Map(NamedTuple):
    """A map as it was to be made; sizes are bytes, of a ring buffer `entries` too."""

    type: int
    key: int
    value: int
    entries: int
    flags: int


def fault(made: Map, page: int) -> str:
    """Why no kernel makes the map, "" if its definition does not tell; `page` is the machine's, in bytes."""
    name = _NAMES.get(made.type)
    wrong = _fault(made, page) if name else ""
    return f"{'an' if name[0] in 'aiLX' else 'a'} {name} {wrong}" if name and wrong else ""


def _fault(made: Map, page: int) -> str:
    kind, key, value, entries, flags = made
    if kind in _RINGS:
        if not entries:
            return "needs max_entries, its size in bytes; it is 0 unless user space sets it before it loads"
        if entries % page or entries & (entries - 1):
            return f"needs a max_entries that is {page} times a power of two, not {entries}"
        return "has neither keys nor values" if key or value else ""
    if kind in _STORAGES:
        if entries:
            return f"must not have max_entries ({entries})"
        return "" if flags & _NO_PREALLOC else "needs map_flags with BPF_F_NO_PREALLOC"
    if not entries:
        return "needs max_entries; it is 0 unless user space sets it before it loads"
    if kind in _QUEUES and key:
        return "has no keys"
    if kind in _KEYED and not key:
        return "needs a key; its size is 0"
    if kind in _INDEXED and key != 4:
        return f"needs a key of 4 bytes, not {key}"
    if not value:
        return "needs a value; its size is 0"
    if kind in _OF_DESCRIPTORS and value != 4:
        return f"needs a value of 4 bytes, not {value}"
    if kind == _STACKS and value % 8:
        return f"needs a value of whole addresses (8 bytes each), not of {value} bytes"
    if kind == _LPM and not flags & _NO_PREALLOC:
        return "needs map_flags with BPF_F_NO_PREALLOC"
    if kind == _LPM and key < 5:
        return f"needs a key of 4 bytes for the prefix' length and what it is of, not {key} bytes"
    return ""
