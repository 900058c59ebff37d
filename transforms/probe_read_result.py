"""Keep the error of a probe read: its result is signed."""

from __future__ import annotations

from collections.abc import Iterator

from ebpffix.frontend import Unit
from ebpffix.transform import BCC, LIBBPF, Fix, Transform

TRANSFORM = Transform(
    name="probe-read-result",
    pattern=6,
    dialects=(BCC, LIBBPF),
    triggers=(rb"=\s*bpf_(?:probe|core)_read",),
    summary="result of a probe read in an unsigned variable, where an error looks like a length",
)


def find(unit: Unit) -> Iterator[Fix]:
    yield from ()
