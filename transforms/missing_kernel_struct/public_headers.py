"""Structs that a public kernel header defines which a BCC program does not include.

The kernel headers on this machine say what the program's includes lead to. All branches of their #ifs are followed:
more is taken for defined than is, so that what is missing is missing. Without headers nothing can be said.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ebpffix.frontend import Node, Unit
from ebpffix.kernel import headers
from ebpffix.sources.includes import parse_includes

# What BCC puts before every program, and what all headers rest on.
_BY_BCC = (
    "linux/kconfig.h", "linux/types.h", "linux/version.h", "linux/log2.h", "asm/page.h",
    "uapi/linux/bpf.h", "uapi/linux/if_packet.h", "uapi/linux/ptrace.h",
)  # fmt: skip
_OF_BCC = "bcc/"


@dataclass(frozen=True)
class Missing:
    """The first use of a member of a struct, and the header to include for it."""

    at: Node
    struct: str
    member: str
    header: str


def missing_headers(unit: Unit) -> Iterator[Missing]:
    """The headers that a program lacks, in the order of the uses."""
    written = [i.name for s in unit.sources.values() for i in parse_includes(s) if not i.name.startswith(_OF_BCC)]
    own = {path.name for path in unit.sources}
    included = [*_BY_BCC, *(name for name in written if name.rpartition("/")[2] not in own)]
    known = headers.structs_behind(tuple(included))
    if known is None:  # a header that is not here may have any
        return
    uses = [use for use in unit.find("MEMBER_REF_EXPR") if use.arrow]
    named: set[str] = set()
    for use in sorted(uses, key=lambda use: (use.path, use.children[0].end)):  # of a chain the first link first
        name = _kernel_struct(use)
        header = headers.definer(name) if name and name not in known else None
        included_as = headers.name_of(header) if header is not None else ""
        if included_as and included_as not in named:
            named.add(included_as)
            yield Missing(use, name, use.name, included_as)


def _kernel_struct(use: Node) -> str:
    """The struct of the kernel that an access looks into; "" for one of the program's own."""
    record = use.children[0].type.pointee
    file = record.declared_in
    return record.name if record.is_record and file is not None and file.name == "vmlinux.h" else ""
