"""Read kernel memory by probe reads, not directly."""

from __future__ import annotations

from collections.abc import Iterator

from ebpffix.frontend import Unit
from ebpffix.transform import BCC, LIBBPF, Fix, Transform

TRANSFORM = Transform(
    name="unsafe-deref",
    pattern=6,
    dialects=(BCC, LIBBPF),
    triggers=(rb"->",),
    summary="kernel memory read directly, which the verifier refuses",
)


def find(unit: Unit) -> Iterator[Fix]:
    yield from ()
