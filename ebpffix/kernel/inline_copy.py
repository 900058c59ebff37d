"""What clang's BPF back end makes of memory builtins: stores in place, or an error.

A copy or fill of constant size becomes a store for each 8 bytes and one for each bit of the rest (7 bytes: 4, 2 and 1),
128 of them at most; more is "A call to built-in function 'memcpy' is not supported", for there is nobody to call. Tried
with clang 14 and 19 on memset, memcpy and memmove of every size up to 130, around 512 and from 1000 to 1040. Two things
differ: a memcpy whose two sides are aligned to 8 bytes takes all up to 1024, and a memmove of pointers that may overlap
keeps all that it reads on the stack, which ends at 72 bytes where they are not aligned.
"""

from __future__ import annotations

MOST_STORES = 128
LARGEST = 8 * MOST_STORES  # bytes; what is larger never compiles


def stores(size: int) -> int:
    """The stores that a copy or fill of `size` bytes takes."""
    return size // 8 + (size % 8).bit_count()


def is_inline(size: int) -> bool:
    """Whether a copy or fill of `size` bytes is written out, whatever its alignment."""
    return stores(size) <= MOST_STORES
