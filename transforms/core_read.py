"""Read directly what the verifier knows the type of.

What it does: `BPF_CORE_READ(task, real_parent, tgid)` becomes `task->real_parent->tgid` where `task` is what the
verifier knows for a structure of the kernel: an argument of an fentry, fexit, fmod_ret, tp_btf or lsm program, or what
bpf_get_current_task_btf() gave.

Why: a probe read is a call for each link, and hides from the verifier what is read. Such a pointer can be read as in C:
a load that fails gives 0, as BPF_CORE_READ does, and members are found by CO-RE as before, for the structures of
vmlinux.h.

Since: Linux 5.5 and its BTF, with fentry; bpf_get_current_task_btf() since 5.11. User space changes nothing. For other
pointers bpf_core_cast of libbpf 1.4 does the same from Linux 6.2 on.

Suggested: where the argument is not of the type that it is declared to be, the verifier refuses the direct read.

Left alone: members that newer verifiers know for NULL sometimes (`mm->exe_file->…`); pointers that were cast, written
to or computed; members that are arrays (a copy is another thing); flavours (`struct sock___old`); the reads of other
macros (`BPF_CORE_READ_INTO`, `bpf_core_read`), and those in macros.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ebpffix.analysis.programs import Kind, program_of
from ebpffix.analysis.values import values
from ebpffix.editing.statements import has_comment
from ebpffix.fix import LIBBPF, Edit, Fix, Safety
from ebpffix.frontend import Macro, Node, Type, Unit
from ebpffix.transform import Transform

TRANSFORM = Transform(
    name="core-read",
    pattern=0,
    group="modernise",
    dialects=(LIBBPF,),
    triggers=(rb"BPF_CORE_READ\s*\(",),
    summary="probe read of what may be read directly",
    imperative="read typed pointers directly",
    kernel="from 5.5 on",
    shape="`BPF_CORE_READ(task, mm, owner)` of a pointer that the verifier knows",
    suggested="`task->mm->owner`",
)

_SINCE = (5, 5)
_TYPED = re.compile(r"\??(?:fentry|fexit|fmod_ret|tp_btf|lsm)\b")
# What newer verifiers know may be NULL, and refuse to follow without a test (BTF_TYPE_SAFE_*_OR_NULL of the kernel).
_MAY_BE_NULL = frozenset(
    """
    mm_struct.exe_file sk_buff.sk request_sock.sk socket.sk vm_area_struct.vm_mm vm_area_struct.vm_file dentry.d_inode
    """.split()
)
_LINK = re.compile(rb"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")


def find(unit: Unit) -> Iterator[Fix]:
    if unit.target_kernel < _SINCE:
        return
    for function in unit.functions:
        body = function.body
        if body is None:
            continue
        known = _known(unit, function)
        for macro in unit.macros("BPF_CORE_READ", path=body.path):
            if body.start <= macro.start < body.end and known:
                yield from _of_read(unit, macro, known)


def _known(unit: Unit, function: Node) -> dict[bytes, Type]:
    """The variables of a function that hold pointers which the verifier knows, by name, with what they point at."""
    program = program_of(unit, function)
    found: list[Node] = []
    if program is not None and program.kind is Kind.TYPED and _TYPED.match(program.section):
        found += [p for p in function.parameters[1:] if not list(values(function, p.decl))]
    for variable in function.find("VAR_DECL"):
        given = [value.uncast for value in values(function, variable.decl)]
        if given and all(v.kind == "CALL_EXPR" and v.name == "bpf_get_current_task_btf" for v in given):
            found.append(variable)
    handed = {n.address_of.decl for n in function.find("UNARY_OPERATOR") if n.address_of is not None}
    found = [v for v in found if v.decl not in handed]  # else somebody may write them
    names = [n.name for n in (*function.find("VAR_DECL"), *function.parameters)]
    return {
        v.name.encode(): v.type.pointee
        for v in found
        if v.type.is_pointer
        and v.type.pointee.is_record
        and "___" not in v.type.pointee.name
        and names.count(v.name) == 1
    }


def _of_read(unit: Unit, macro: Macro, known: dict[bytes, Type]) -> Iterator[Fix]:
    data = unit.sources[macro.path].data
    root, *links = [data[start:end] for start, end in macro.args]
    if root not in known or not links or not all(map(_LINK.fullmatch, links)):
        return
    outer = [m for m in unit.macros_around(macro.path, macro.start, macro.end) if m != macro]
    if outer or not unit.editable(macro.path, macro.start, macro.end) or not _is_plain(known[root], links):
        return
    if has_comment(unit, macro.path, macro.start, macro.end):
        return
    direct = b"->".join((root, *links))
    message = f"`{root.decode()}` is a pointer that the verifier knows: `{direct.decode()}` reads it directly"
    edit = Edit(macro.path, macro.start, macro.end, direct)
    reason = f"`{root.decode()}` must be of the type that it is declared to be"
    yield Fix(macro, message, Safety.SUGGESTED, [edit], reason)


def _is_plain(record: Type, links: list[bytes]) -> bool:
    """Whether members lead from one structure to the next, and the last one is a number or a pointer."""
    type_ = record
    for number, link in enumerate(links):
        for name in link.split(b"."):
            field = type_.member(name.decode())
            if field is None or field.is_bitfield:
                return False
            owner, type_ = type_.name, field.type
        if number + 1 < len(links):
            last = link.split(b".")[-1].decode()
            if not type_.is_pointer or "___" in type_.pointee.name or f"{owner}.{last}" in _MAY_BE_NULL:
                return False
            type_ = type_.pointee
    return not type_.is_array and not type_.is_record
