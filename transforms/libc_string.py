"""Being written."""

from collections.abc import Iterator

from ebpffix.frontend import Unit
from ebpffix.transform import BCC, LIBBPF, Fix, Transform

TRANSFORM = Transform("libc-string", 4, (BCC, LIBBPF), (rb"\bmemcpy\b",), "being written")


def find(unit: Unit) -> Iterator[Fix]:
    return iter(())
