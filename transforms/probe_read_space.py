"""Say whose memory a probe read reads."""

from __future__ import annotations

from collections.abc import Iterator

from ebpffix.frontend import Unit
from ebpffix.transform import BCC, LIBBPF, Fix, Transform

TRANSFORM = Transform(
    name="probe-read-space",
    pattern=6,
    dialects=(BCC, LIBBPF),
    triggers=(rb"\bbpf_probe_read(?:_str)?\b",),
    summary="probe read that does not say whether the address is of the kernel or of user space",
)


def find(unit: Unit) -> Iterator[Fix]:
    yield from ()
