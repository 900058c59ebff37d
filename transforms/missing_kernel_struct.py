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
running kernel's), and an assertion says so. Another kernel needs another padding.
Advice without BTF; where BTF does not have the members, or a member's type is in no public header either; and where a
stub that is there already has a member elsewhere than BTF.

Left alone: programs with a vmlinux.h, which has these structs; programs that define the struct (in an #if or a header
of the project too); pointers that are only handed on.

Limits: knows the structs that eBPF programs have been seen to use, not all that are private to the kernel.
"""

from __future__ import annotations

import functools
import platform
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ebpffix.btf import Btf, BtfError, load
from ebpffix.btf_c import stub
from ebpffix.definitions import insert_definition
from ebpffix.frontend import Unit
from ebpffix.frontend.parse import OWN
from ebpffix.private_structs import LEADS, PRIVATE
from ebpffix.private_uses import Uses, find_uses, is_incomplete, is_written
from ebpffix.transform import BCC, LIBBPF, Edit, Fix, Safety, Spanned, Transform

TRANSFORM = Transform(
    name="missing-kernel-struct",
    pattern=7,
    dialects=(BCC, LIBBPF),
    triggers=(
        rb"\bstruct\s+(?:%s)\b" % "|".join(PRIVATE).encode(),
        rb"(?:->|,)\s*(?:%s)\b" % "|".join(LEADS).encode(),
    ),
    from_errors=True,
    summary="struct that no public kernel header defines",
)


def find(unit: Unit) -> Iterator[Fix]:
    if unit.dialect == LIBBPF and not any(is_incomplete(unit, name) or is_written(unit, name) for name in PRIVATE):
        return
    for name, uses in find_uses(unit).items():
        own = _own_definition(unit, name)
        if own is not None:
            yield from _check(unit, name, uses, own)
        elif unit.dialect == BCC:
            yield _stub_for_bcc(unit, name, uses)
        else:
            yield _co_re(unit, name, uses)


# -- definitions that are there


def _own_definition(unit: Unit, name: str) -> Any | None:
    """The cindex.Type of the program's own definition; a type without members if it is left out by an #if."""
    for node in unit.find("STRUCT_DECL"):
        if node.name.removeprefix(OWN) == name and node.cursor.is_definition():
            return node.type
    return unit.tu.cursor.type if is_written(unit, name) else None


def _check(unit: Unit, name: str, uses: Uses, own: Any) -> Iterator[Fix]:
    """Compare the program's own definition with BTF."""
    if any(b"preserve_access_index" in source.code for source in unit.sources.values()):
        return
    btf = _btf(unit)
    record = btf.struct(name) if btf else None
    for path in uses.paths if record else ():
        top = path.split(".")[0]
        here, there = own.get_offset(top), record.find(top) if record else None
        if here >= 0 and there is not None and here != there.offset:
            yield Fix(
                at=next(use.at for use in uses.of if use.path == path),
                message=f"`{top}` is at byte {here // 8} of the program's own `struct {name}`, but at byte "
                f"{there.offset // 8} in kernel {_release(unit)}: the program reads other bytes there",
                safety=Safety.ADVICE,
                reason="it may be right for another kernel; pad the struct for the kernels that it is to run on",
            )
            return


# -- stubs


def _stub_for_bcc(unit: Unit, name: str, uses: Uses) -> Fix:
    at, known = uses.of[0].at, PRIVATE[name]
    what = f"`struct {name}` is in no public kernel header, so BCC cannot compile the use of `{uses.paths[0]}`"
    tops = {path.split(".")[0] for path in uses.paths}
    if known.first and tops == {re.split(r"\W", known.first)[-1]} and not uses.whole:
        edit = _insert(unit, uses, f"struct {name} {{\n\t{known.first};\n}};\n", name, known.header)
        if edit:
            return _fix(unit, at, f"{what}; a stub has it at offset 0, as every kernel has", edit)
        return Fix(at, what, Safety.ADVICE, reason=_NO_PLACE)
    try:
        text = _from_btf(unit, name, uses, core=False)
    except ValueError as error:
        return Fix(at, f"{what}; define it with the offsets of the kernel in use", Safety.ADVICE, reason=str(error))
    edit = _insert(unit, uses, text, name, known.header)
    if edit is None:
        return Fix(at, what, Safety.ADVICE, reason=_NO_PLACE)
    reason = f"the offsets are those of kernel {_release(unit)}; another kernel may have others"
    return Fix(at, f"{what}; a stub pads it to its offset", Safety.SUGGESTED, [edit], reason)


def _co_re(unit: Unit, name: str, uses: Uses) -> Fix:
    at = uses.of[0].at
    what = f"`struct {name}` is in no public kernel header, and the program has no vmlinux.h"
    if uses.whole or any(use.offset for use in uses.of):
        reason = "it is used as a whole or for an offset, which the loader cannot adjust"
        return Fix(at, f"{what}; include one", Safety.ADVICE, reason=reason)
    try:
        text = _from_btf(unit, name, uses, core=True)
    except ValueError as error:
        return Fix(at, f"{what}; include one", Safety.ADVICE, reason=str(error))
    edit = _insert(unit, uses, text, name)
    if edit is None:
        return Fix(at, f"{what}; include one", Safety.ADVICE, reason=_NO_PLACE)
    return _fix(unit, at, f"{what}; the loader finds `{uses.paths[0]}` in a stub by CO-RE", edit)


def _fix(unit: Unit, at: Spanned, message: str, edit: Edit) -> Fix:
    if edit.path in unit.shared_with_user_space:
        return Fix(at, message, Safety.SUGGESTED, [edit], "the header is included by programs of user space too")
    return Fix(at, message, Safety.SAFE, [edit])


_NO_PLACE = "no place outside of #if and before its first use was found for a stub"


def _from_btf(unit: Unit, name: str, uses: Uses, *, core: bool) -> str:
    """The text of a stub. ValueError, with the reason, where BTF cannot give one."""
    btf = _btf(unit)
    if btf is None:
        raise ValueError("there is no BTF that has its offsets; give one with --btf")
    try:
        made = stub(btf, name, uses.paths, core=core, release=_release(unit))
    except BtfError as error:
        raise ValueError(str(error)) from error
    for need in made.needs:
        tag = need.rsplit(" ")[-1]
        if tag in PRIVATE or (core and not is_written(unit, tag)):
            raise ValueError(f"a member that is used contains `{need}`, which no public header has either")
    return made.text


def _insert(unit: Unit, uses: Uses, text: str, name: str, header: bytes = b"") -> Edit | None:
    """Put a stub before the first use of a struct, with the header that its members need."""
    at = uses.of[0].at
    guard = b""
    if at.path != unit.path:  # another header may come to have the same stub, and a program may include both
        guard = b"EBPFFIX_" + name.upper().encode()
    return insert_definition(unit, at, text.encode(), header, guard)


def _release(unit: Unit) -> str:
    """What to call the kernel that the BTF is from: its release if it runs here, else the file's name."""
    if unit.btf_path is None or str(unit.btf_path) == "/sys/kernel/btf/vmlinux":
        return platform.release()
    return unit.btf_path.name


def _btf(unit: Unit) -> Btf | None:
    try:
        return _load(unit.btf_path) if unit.btf_path else None
    except BtfError as error:
        unit.notes.append(str(error))
        return None


@functools.lru_cache(maxsize=1)
def _load(path: Path) -> Btf:
    return load(path)
