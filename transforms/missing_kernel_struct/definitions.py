"""Definitions that a program has of its own for a kernel struct, compared with BTF."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ebpffix.fix import Fix, Safety
from ebpffix.frontend import Type, Unit

from .btf_at_hand import btf_with, release
from .private_structs import PRIVATE
from .private_uses import Uses


def own_definition(unit: Unit, name: str) -> Type | None:
    """The program's own definition of a struct, None without one."""
    structs = (node for node in unit.find("STRUCT_DECL") if node.name == name)
    return next((node.type for node in structs if node.is_definition), None)


def compared(unit: Unit, name: str, uses: Uses, own: Type) -> Iterator[Fix]:
    """Compare the program's own definition with BTF."""
    if any(b"preserve_access_index" in source.code for source in unit.sources.values()):
        return
    if name not in PRIVATE and not _is_the_kernels(unit, name):
        return
    btf = btf_with(unit, name)
    if btf is None or len(records := btf.structs(name)) != 1:
        return
    for path in uses.paths:
        here, there = _offset(own, path), records[0].find(path)
        if here is not None and there is not None and here != there.offset:
            yield Fix(
                at=next(use.at for use in uses.of if use.path == path),
                message=f"`{path}` is at {_place(here)} of the program's own `struct {name}`, but at "
                f"{_place(there.offset)} in kernel {release(unit, btf)}: the program reads other bytes there",
                safety=Safety.ADVICE,
                reason="it may be right for another kernel; pad the struct for the kernels that it is to run on",
            )
            return


def _is_the_kernels(unit: Unit, name: str) -> bool:
    """Whether the program only points at the struct: one that it makes itself, or keeps in a map, is its own."""
    by_value = re.compile(rb"\bstruct\s+%s\b(?!\s*(?:\*|;|\{|__attribute__))" % name.encode())
    return not any(by_value.search(source.code) for source in unit.sources.values())


def _offset(record: Type, path: str) -> int | None:
    """The offset in bits of `css.cgroup` in a struct; None where it has no such member."""
    offset, here = 0, record
    for name in path.split("."):
        member = here.member(name)
        if member is None or member.offset is None:
            return None
        offset, here = offset + member.offset, member.type
    return offset


def _place(bits: int) -> str:
    return f"byte {bits // 8}" + (f", bit {bits % 8}," if bits % 8 else "")
