"""Define what a program uses of a kernel struct that no public header has.

What it does: where the members of a struct such as `struct task_group` are used, and the program has no definition of
it, a stub with the members that are used is put behind the includes.

Why: some structs stand in the kernel's own sources only (kernel/sched/sched.h, fs/mount.h), so BCC, which compiles with
the kernel's public headers, says "incomplete definition of type 'struct task_group'". A stub is the cure, but one with
a wrong offset loads all the same and silently reads the wrong bytes.

Safe for BCC when each member that is used stands at offset 0 in every kernel since 4.0, as `css` of `struct task_group`
does. Safe for libbpf without a vmlinux.h: a stub with `preserve_access_index`, whose offsets the loader finds (CO-RE).
It keeps the kernel's name, without a flavour (`___x`), because a chain in BPF_CORE_READ cannot lead through a struct of
another name.
Suggested for BCC where other members are used: each is padded to the offset that the BTF at hand has (`--btf`, else the
running kernel's), and an assertion says so. Another kernel needs another padding. Suggested for libbpf where the
project's vmlinux.h lacks the struct, as it does for a module's: another vmlinux.h may have it.
Advice without BTF; where BTF does not have the members, or a member's type is in no header that is known; where the
vmlinux.h is not the project's own; and where a stub that is there already has a member elsewhere than BTF.

BTF is looked for in the file, and if it is called `vmlinux` in the modules' beside it, as in /sys/kernel/btf.

Left alone: programs whose vmlinux.h has these structs; programs that define the struct (in an #if or a header of the
project too) or include one of the kernel's own sources; pointers that are only handed on; structs that the kernel
headers on this machine do define (a note says so).

Limits: knows a struct for private if neither 6.1 nor 6.12 defines it in a public header. Of some thousands it must be
named in the program, and BTF must have the members; only the best known are also seen through a member that points at
them.
"""

from __future__ import annotations

import functools
import platform
import re
from collections.abc import Iterator
from pathlib import Path

from ebpffix.editing.definitions import insert_definition
from ebpffix.editing.settle import Made, settle
from ebpffix.fix import BCC, LIBBPF, Edit, Fix, Safety
from ebpffix.frontend import Type, Unit
from ebpffix.kernel import headers as kernel_headers
from ebpffix.kernel.btf import Btf, BtfError, load, of_module
from ebpffix.kernel.btf_c import stub
from ebpffix.transform import Transform

from .private_structs import LEADS, PRIVATE, Private, names
from .private_uses import Uses, find_uses, is_written

TRANSFORM = Transform(
    name="missing-kernel-struct",
    pattern=7,
    dialects=(BCC, LIBBPF),
    triggers=(
        rb"(?:->|,)\s*(?:%s)\b" % "|".join(LEADS).encode(),
        rb"^struct\s+\w+\s*;",  # of a module: declared, since vmlinux.h does not
    ),
    from_errors=True,
    structs=names,
    summary="struct that no public kernel header defines",
    imperative="define the structs that no public kernel header has",
    shape="a struct that no public kernel header defines",
    safe="a stub whose used members lie at offset 0; a CO-RE stub from BTF",
    suggested="a padded stub for BCC",
    advice="no BTF",
)


def find(unit: Unit) -> Iterator[Fix]:
    if _includes_sources(unit):
        return
    for name, uses in find_uses(unit).items():
        own = _own_definition(unit, name)
        if own is not None:
            yield from _check(unit, name, uses, own)
        elif is_written(unit, name):
            continue  # an #if leaves the definition out
        elif unit.dialect == LIBBPF:
            yield from _co_re(unit, name, uses)
        elif header := kernel_headers.definer(name):
            unit.notes.append(f"`struct {name}` is left alone: {header} defines it")
        else:
            yield from _stub_for_bcc(unit, name, uses)


_SOURCES = re.compile(
    rb'^[ \t]*#[ \t]*include[ \t]*[<"]'
    rb'((?:\.\./)*(?:arch|block|drivers|fs|ipc|kernel|mm|net|security|virt)/[^>"\n]+)[>"]',
    re.MULTILINE,
)


def _includes_sources(unit: Unit) -> bool:
    """Whether the program includes a header out of the kernel's sources, which only who has these can read."""
    return any(
        not (path.parent / m[1].decode("latin-1")).exists() and (m[1][:3] == b"../" or m[1][:4] != b"net/")
        for path, source in unit.sources.items()
        for m in _SOURCES.finditer(source.uncommented)
    )


# -- definitions that are there


def _own_definition(unit: Unit, name: str) -> Type | None:
    """The program's own definition of a struct, None without one."""
    structs = (node for node in unit.find("STRUCT_DECL") if node.name == name)
    return next((node.type for node in structs if node.is_definition), None)


def _check(unit: Unit, name: str, uses: Uses, own: Type) -> Iterator[Fix]:
    """Compare the program's own definition with BTF."""
    if any(b"preserve_access_index" in source.code for source in unit.sources.values()):
        return
    if name not in PRIVATE and not _is_the_kernels(unit, name):
        return
    btf = _btf(unit, name)
    if btf is None or len(records := btf.structs(name)) != 1:
        return
    for path in uses.paths:
        here, there = _offset(own, path), records[0].find(path)
        if here is not None and there is not None and here != there.offset:
            yield Fix(
                at=next(use.at for use in uses.of if use.path == path),
                message=f"`{path}` is at {_place(here)} of the program's own `struct {name}`, but at "
                f"{_place(there.offset)} in kernel {_release(unit, btf)}: the program reads other bytes there",
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


# -- stubs


def _stub_for_bcc(unit: Unit, name: str, uses: Uses) -> Iterator[Fix]:
    at, known = uses.of[0].at, PRIVATE.get(name, Private())
    what = f"`struct {name}` is in no public kernel header, so BCC cannot compile the use of `{uses.paths[0]}`"
    tops = {path.split(".")[0] for path in uses.paths}
    if known.first and tops == {re.split(r"\W", known.first)[-1]} and not uses.whole:
        stub_text = f"struct {name} {{\n\t{known.first};\n}};\n"
        how = "; a stub has it at offset 0, as every kernel has"
        yield settle(at, what, lambda: Made([_insert(unit, uses, stub_text, name, known.header)], how))
        return
    try:
        text, release = _from_btf(unit, name, uses, core=False)
    except _Stranger:
        return
    except ValueError as error:
        yield Fix(at, f"{what}; define it with the offsets of the kernel in use", Safety.ADVICE, reason=str(error))
        return
    doubt = f"the offsets are those of kernel {release}; another kernel may have others"
    how = "; a stub pads it to its offset"
    yield settle(at, what, lambda: Made([_insert(unit, uses, text, name, known.header)], how, doubt))


def _co_re(unit: Unit, name: str, uses: Uses) -> Iterator[Fix]:
    at = uses.of[0].at
    vmlinux = _vmlinux(unit)
    if vmlinux is None:
        if name.encode() not in names():
            return  # a header that is not here may define it
        what, cure = f"`struct {name}` is in no public kernel header, and the program has no vmlinux.h", "include one"
    else:
        what, cure = f"`struct {name}` is not in vmlinux.h", "take one from a kernel that has it"
    try:
        if uses.whole or any(use.offset for use in uses.of):
            raise ValueError("it is used as a whole or for an offset, which the loader cannot adjust")
        text, release = _from_btf(unit, name, uses, core=True)
        if vmlinux is not None and _made_here(vmlinux):
            raise ValueError(f"kernel {release} has it, but the program gets a vmlinux.h that is not known here")
    except _Stranger:
        return
    except ValueError as error:
        yield Fix(at, f"{what}; {cure}", Safety.ADVICE, reason=str(error))
        return
    how = f"; the loader finds `{uses.paths[0]}` in a stub by CO-RE"
    doubt = "another vmlinux.h may define it, and then the two clash" if vmlinux is not None else ""

    def made() -> Made:
        edit = _insert(unit, uses, text, name)
        unit.notes.append(f"the stub of `struct {name}` is made from the BTF of kernel {release}")
        return Made([edit], how, doubt)

    yield settle(at, what, made, f"; {cure}")


_VMLINUX = re.compile(rb'^[ \t]*#[ \t]*include[ \t]*[<"](?:[^>"\n]*/)?vmlinux\w*\.h[>"]', re.MULTILINE)


def _vmlinux(unit: Unit) -> Path | None:
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


class _Stranger(Exception):
    """What is used is not the kernel's struct: it only has the name of one that few programs need."""


def _from_btf(unit: Unit, name: str, uses: Uses, *, core: bool) -> tuple[str, str]:
    """The text of a stub, and the kernel that it is from. ValueError, with the reason, where BTF cannot give one."""
    btf = _btf(unit, name)
    if btf is None:
        raise ValueError("there is no BTF that has its offsets; give one with --btf")
    release = _release(unit, btf)
    if name not in PRIVATE and not any(r.find(path) for r in btf.structs(name) for path in uses.paths):
        raise _Stranger
    header = PRIVATE.get(name, Private()).header

    def complete(needed: str) -> bool:
        tag = needed.rsplit(" ")[-1]
        if core:
            return is_written(unit, tag)
        return tag.encode() not in names() and (bool(header) or tag in _EVERYWHERE)

    try:
        made = stub(btf, name, uses.paths, core=core, release=release, complete=complete)
    except BtfError as error:
        raise ValueError(str(error)) from error
    for need in made.needs:
        if not complete(need):
            private = core or need.rsplit(" ")[-1].encode() in names()
            lack = "which no public header has either" if private else "whose header is not known here"
            raise ValueError(f"a member that is used contains `{need}`, {lack}")
    return made.text, release


# What every BCC program has, by linux/types.h.
_EVERYWHERE = frozenset("list_head hlist_head hlist_node callback_head atomic_t atomic64_t".split())


def _insert(unit: Unit, uses: Uses, text: str, name: str, header: bytes = b"") -> Edit:
    """Put a stub before the first use of a struct, with the header that its members need."""
    at = uses.of[0].at
    guard = b""
    if at.path != unit.path:  # another header may come to have the same stub, and a program may include both
        guard = b"EBPFFIX_" + name.upper().encode()
    return insert_definition(unit, at, text.encode(), header, guard)


def _release(unit: Unit, btf: Btf) -> str:
    """What to call the kernel that BTF is from: its release if it runs here, else the file's name; and the module."""
    assert unit.btf_path
    if btf.path == _RUNNING:
        return platform.release()
    if btf.path.parent == _RUNNING.parent:
        return f"{platform.release()}, module {btf.path.name}"
    module = "" if btf.path == unit.btf_path else f", module {btf.path.name}"
    return unit.btf_path.name + module


_RUNNING = Path("/sys/kernel/btf/vmlinux")


def _btf(unit: Unit, name: str) -> Btf | None:
    """The BTF that has a struct: the one at hand, else that of a module beside it; the one at hand where none has."""
    try:
        kernel = _load(unit.btf_path) if unit.btf_path else None
    except BtfError as error:
        unit.notes.append(str(error))
        return None
    if kernel is None or kernel.struct(name):
        return kernel
    return _of_module(kernel, name) or kernel


@functools.lru_cache(maxsize=1)
def _load(path: Path) -> Btf:
    return load(path)


@functools.lru_cache(maxsize=32)
def _of_module(kernel: Btf, name: str) -> Btf | None:
    return of_module(kernel, name)
