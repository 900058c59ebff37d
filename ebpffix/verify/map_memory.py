"""What the kernel takes for a map as soon as it is made, before a program runs.

Kernel memory is under no limit of a process, so a sum above `MOST` is not tried. Runs in the children, under whatever
Python they have (3.9 or later).
"""

from __future__ import annotations

from ebpffix.kernel.map_types import BY_NUMBER, Shape

MOST = 1 << 30  # bytes, of all maps of a program

_NO_PREALLOC = 1  # BPF_F_NO_PREALLOC
_HEAD = 48  # bytes that an entry of a hash takes beside its own
_BUCKET = 16  # bytes
_HASHES = {n for n, row in BY_NUMBER.items() if row.shape is Shape.HASH}
PER_CPU = {n for n, row in BY_NUMBER.items() if row.per_cpu}


def needed(kind: int, key: int, value: int, entries: int, flags: int, cpus: int) -> int:
    """The bytes of one map, by its type, the sizes of key and value in bytes, the number of entries, and flags."""
    total = 0
    if kind in _HASHES:
        total += _BUCKET << max(entries - 1, 0).bit_length()  # a power of two of them, also without entries
    if flags & _NO_PREALLOC:
        return total
    copies = cpus if kind in PER_CPU else 1
    width = key + value
    return total + entries * copies * ((width + _HEAD if kind in _HASHES else width) or 1)  # a ring counts bytes


def refusal(total: int) -> str:
    """Why maps of so many bytes are not made, "" if they may."""
    return f"its maps take {total >> 20} MB, more than the {MOST >> 20} MB a check may use" if total > MOST else ""
