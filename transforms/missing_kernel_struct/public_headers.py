"""Structs that a public kernel header defines which a BCC program does not include.

public_headers.txt says of the best known structs which of the usual headers lead to them; for others the kernel headers
on this machine do. All branches of their #ifs are followed: more is taken for defined than is, so that what is missing
is missing. Where neither knows a header that the program includes, nothing is said.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

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


@dataclass(frozen=True)
class _Facts:
    """The structs that are `known` behind some includes, and `header(name)`: the one to include for a struct, or ""."""

    known: frozenset[str]
    header: Callable[[str], str]


def missing_headers(unit: Unit) -> Iterator[Missing]:
    """The headers that a program lacks, in the order of the uses."""
    included = [*_BY_BCC, *(name for name in _written(unit) if not name.startswith(_OF_BCC))]
    facts = _by_table(included) or _by_headers(included)
    if facts is None:  # a header that is not here may have any
        return
    uses = [use for use in unit.find("MEMBER_REF_EXPR") if use.arrow]
    named: set[str] = set()
    for use in sorted(uses, key=lambda use: (use.path, use.children[0].end)):  # of a chain the first link first
        name = _kernel_struct(use)
        header = facts.header(name) if name and name not in facts.known else ""
        if header and header not in named:
            named.add(header)
            yield Missing(use, name, use.name, header)


def is_for_the_kernel(unit: Unit) -> bool:
    """Whether a libbpf program includes headers that only the kernel has, so that it is compiled with those."""
    kernel = _table()[2]
    return any(name in kernel or name.startswith("uapi/") for name in _written(unit))


def _written(unit: Unit) -> list[str]:
    """The headers that a program includes, its own aside."""
    own = {path.name for path in unit.sources}
    names = [include.name for source in unit.sources.values() for include in parse_includes(source)]
    return [name for name in names if name.rpartition("/")[2] not in own]


def _kernel_struct(use: Node) -> str:
    """The struct of the kernel that an access looks into; "" for one of the program's own."""
    record = use.children[0].type.pointee
    file = record.declared_in
    return record.name if record.is_record and file is not None and file.name == "vmlinux.h" else ""


def _by_table(included: Sequence[str]) -> _Facts | None:
    defined, behind, _ = _table()
    if any(name not in behind for name in included):
        return None
    return _Facts(frozenset[str]().union(*(behind[name] for name in included)), lambda name: defined.get(name, ""))


def _by_headers(included: Sequence[str]) -> _Facts | None:
    known = headers.structs_behind(tuple(included))
    return None if known is None else _Facts(known, _header_here)


def _header_here(name: str) -> str:
    header = headers.definer(name)
    return headers.name_of(header) if header is not None else ""


@functools.cache
def _table() -> tuple[dict[str, str], dict[str, frozenset[str]], frozenset[str]]:
    """The header that defines each struct, the structs that each header leads to, the headers of the kernel alone."""
    defined: dict[str, str] = {}
    behind: dict[str, frozenset[str]] = {}
    kernel: set[str] = set()
    for line in Path(__file__).with_suffix(".txt").read_text().splitlines():
        kind, name, *words = line.split()
        if kind == "struct":
            defined[name] = words[0]
        elif kind.endswith("header"):
            behind[name] = frozenset(words)
            kernel |= {name} if kind.startswith("kernel") else set()
    return defined, behind, frozenset(kernel)
