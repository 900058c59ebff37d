"""Stubs: definitions of a struct with the members that a program uses, made from BTF, and where they go."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ebpffix.editing.definitions import insert_definition
from ebpffix.editing.settle import Made, NoEdit
from ebpffix.fix import Edit
from ebpffix.frontend import Macro, Unit
from ebpffix.kernel.btf import Btf, BtfError, Kind
from ebpffix.kernel.btf_c import stub

from .btf_at_hand import btf_with, release
from .private_structs import PRIVATE, Private, names
from .private_uses import Uses, is_written


class Stranger(Exception):
    """What is used is not the kernel's struct: it only has the name of one that few programs need."""


def at_offset_zero(unit: Unit, name: str, uses: Uses) -> Made | None:
    """A stub with the one member that every kernel has at offset 0, where a program uses only that."""
    known = PRIVATE.get(name, Private())
    tops = {path.split(".")[0] for path in uses.paths}
    if not known.first or tops != {re.split(r"\W", known.first)[-1]} or uses.whole:
        return None
    text = f"struct {name} {{\n\t{known.first};\n}};\n"
    edits = [_insert(unit, uses, text, name, known.header), *_offsets_by_hand(unit, uses)]
    return Made(edits, "; a stub has it at offset 0, as every kernel has")


def padded(unit: Unit, name: str, uses: Uses) -> Made:
    """A stub for BCC with each member at its offset. NoEdit where there is none, Stranger where none is meant."""
    text, kernel = _from_btf(unit, name, uses, core=False)
    header = PRIVATE.get(name, Private()).header
    doubt = f"the offsets are those of kernel {kernel}; another kernel may have others"
    edits = [_insert(unit, uses, text, name, header), *_offsets_by_hand(unit, uses)]
    return Made(edits, "; a stub pads it to its offset", doubt)


def relocated(unit: Unit, name: str, uses: Uses, vmlinux: Path | None) -> Made:
    """A stub for CO-RE, whose offsets the loader finds. NoEdit where there is none, Stranger where none is meant."""
    if uses.whole or any(use.offset for use in uses.of):
        raise NoEdit("it is used as a whole or for an offset, which the loader cannot adjust")
    text, kernel = _from_btf(unit, name, uses, core=True)
    if vmlinux is not None and _made_here(vmlinux):
        raise NoEdit(f"kernel {kernel} has it, but the program gets a vmlinux.h that is not known here")
    edit = _insert(unit, uses, text, name)
    unit.notes.append(f"the stub of `struct {name}` is made from the BTF of kernel {kernel}")
    doubt = ""
    if vmlinux is not None:
        doubt = "another vmlinux.h may define it, and then the two clash"
    elif name.encode() not in names():
        doubt = "a header that is not here may define it, and then the two clash"
    return Made([edit], f"; the loader finds `{uses.paths[0]}` in a stub by CO-RE", doubt)


_VMLINUX = re.compile(rb'^[ \t]*#[ \t]*include[ \t]*[<"](?:[^>"\n]*/)?vmlinux\w*\.h[>"]', re.MULTILINE)


def vmlinux_of(unit: Unit) -> Path | None:
    """The vmlinux.h that the program includes; an empty path where it is not known which it is."""
    if not any(_VMLINUX.search(source.uncommented) for source in unit.sources.values()):
        return None
    for node in unit.find("PARM_DECL", "VAR_DECL", "DECL_REF_EXPR"):
        file = node.type.pointee.declared_in
        if file is not None and re.fullmatch(r"vmlinux\w*\.h", file.name):
            return file
    return Path()


def _made_here(vmlinux: Path) -> bool:
    """Whether ebpffix made the header, since the project brings none: on other machines it is another."""
    try:
        with vmlinux.open("rb") as file:
            return b"by ebpffix" in file.readline()
    except OSError:
        return True


def _from_btf(unit: Unit, name: str, uses: Uses, *, core: bool) -> tuple[str, str]:
    """The text of a stub, and the kernel that it is from. NoEdit where BTF cannot give one."""
    btf = btf_with(unit, name)
    if btf is None:
        raise NoEdit("there is no BTF that has its offsets; give one with --btf")
    kernel = release(unit, btf)
    if name not in PRIVATE and not any(r.find(path) for r in btf.structs(name) for path in uses.paths):
        raise Stranger
    header = PRIVATE.get(name, Private()).header

    def complete(needed: str) -> bool:
        tag = needed.rsplit(" ")[-1]
        if core:
            return is_written(unit, tag)
        return tag.encode() not in names() and (bool(header) or tag in _EVERYWHERE)

    try:
        paths = [*uses.paths, *(_led_back(btf, name, uses) if core else ())]
        made = stub(btf, name, list(dict.fromkeys(paths)), core=core, release=kernel, complete=complete)
    except (BtfError, ValueError) as error:
        raise NoEdit(str(error)) from error
    for need in made.needs:
        if not complete(need):
            private = core or need.rsplit(" ")[-1].encode() in names()
            lack = "which no public header has either" if private else "whose header is not known here"
            raise NoEdit(f"a member that is used contains `{need}`, {lack}")
    return made.text, kernel


def _led_back(btf: Btf, name: str, uses: Uses) -> Iterator[str]:
    """The members that chains use which lead back to the struct: `tgid` of `task->real_parent->tgid`. Another struct
    that a chain leads to is only declared by then, and gets a stub of its own."""
    for use in uses.of:
        here, path = btf.struct(name), use.path
        for link in use.further:
            member = here.find(path) if here is not None else None
            pointer = btf.resolve(member.type) if member is not None else 0
            target = btf.resolve(btf.target(pointer)) if btf.kind(pointer) is Kind.PTR else 0
            here = btf.struct_of(target) if btf.kind(target) in (Kind.STRUCT, Kind.UNION) else None
            path = link.partition("[")[0]
            if here is not None and here.name == name and here.find(path):
                yield path


# What every BCC program has, by linux/types.h.
_EVERYWHERE = frozenset("list_head hlist_head hlist_node callback_head atomic_t atomic64_t".split())


def _insert(unit: Unit, uses: Uses, text: str, name: str, header: bytes = b"") -> Edit:
    """Put a stub before the first use of a struct, with the header that its members need."""
    at = uses.of[0].at
    guard = b""
    if at.path != unit.path:  # another header may come to have the same stub, and a program may include both
        guard = b"EBPFFIX_" + name.upper().encode()
    return insert_definition(unit, at, text.encode(), header, guard)


def _offsets_by_hand(unit: Unit, uses: Uses) -> list[Edit]:
    """Each `container_of(pointer, struct mount, mnt)` as the arithmetic that it is: BCC rewrites reads through a
    pointer that it knows, and leaves the macro in pieces."""
    edits = []
    for use in uses.of:
        if isinstance(use.at, Macro) and use.at.name == "container_of":
            code = unit.sources[use.at.path].data
            pointer, type_, member = (code[start:end] for start, end in use.at.args)
            plain = pointer if re.fullmatch(rb"\w+", pointer) else b"(" + pointer + b")"
            text = b"(%s *)((char *)%s - __builtin_offsetof(%s, %s))" % (type_, plain, type_, member)
            if re.compile(rb"\s*(?:->|[.\[(])").match(code, use.at.end):
                text = b"(" + text + b")"
            if not unit.editable(use.at.path, use.at.start, use.at.end):
                raise NoEdit("a macro's body holds the container_of(), which BCC cannot compile")
            edits.append(Edit(use.at.path, use.at.start, use.at.end, text))
    return edits
