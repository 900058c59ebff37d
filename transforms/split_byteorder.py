"""Read a kernel field before a macro converts it."""

from __future__ import annotations

from collections.abc import Iterator

from ebpffix.frontend import Unit
from ebpffix.transform import BCC, Fix, Transform

TRANSFORM = Transform(
    name="split-byteorder",
    pattern=1,
    dialects=(BCC,),
    triggers=(rb"->",),
    summary="kernel memory read inside a macro's argument, where BCC's rewriter does not see it",
)


def find(unit: Unit) -> Iterator[Fix]:
    yield from ()
