"""What programs are attached to, with what the host says of it: a section can be overruled by the loader, and a program
of BCC may say nothing by its name."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ebpffix.analysis.programs import By, Kind, Program, context, program_of
from ebpffix.fix import BCC
from ebpffix.frontend import Node, Unit

# Files that may say how a program is attached, or write its maps.
HOSTS = (".py", ".go", ".c", ".cc", ".cpp", ".h", ".hpp", ".rs", ".lua")

_SYSTEM_CALL_HEADS = frozenset(("BPF_KSYSCALL", "BPF_KPROBE_SYSCALL"))
# Macros of libbpf that give a program's parameters the arguments of what it is attached to.
_HEADS = _SYSTEM_CALL_HEADS | frozenset(
    "BPF_PROG BPF_PROG2 BPF_KPROBE BPF_KRETPROBE BPF_UPROBE BPF_URETPROBE BPF_USDT".split()
)
_REGISTERS = ("pt_regs", "user_pt_regs")
_ATTACH = re.compile(
    rb"(attach_[ku](?:ret)?probe|attach_tracepoint|attach_raw_tracepoint|enable_probe)\s*"
    rb"\(((?:[^()]|\((?:[^()]|\([^()]*\))*\))*)\)"
)
_EVENT = re.compile(rb"event\s*=\s*b?[\"'](\w+)[\"']|\(?\s*b?[\"'](\w+)[\"']")


@dataclass(frozen=True)
class Attached:
    """A program, what it is attached to (UNKNOWN: a probe of the kernel or of user space, not known which), and the
    function or event by name, "" where that is not known."""

    function: Node
    kind: Kind
    target: str = ""
    is_attached_by_user: bool = False  # user space attaches it to a function of its own, whatever the section says
    head: str = ""  # the macro that is its head, where nobody knows what that makes of its parameters


def attached(unit: Unit, function: Node) -> Attached | None:
    """What the program that a function is, is attached to; None for a function that is no program."""
    program = program_of(unit, function)
    if program is None:
        return None
    record, kind = context(function), program.kind
    if unit.dialect == BCC and program.by is By.HOST and record in _REGISTERS and kind is Kind.FUNCTION:
        return _by_host(unit, function)
    if kind is Kind.FUNCTION and program.macro is not None and program.macro.means in _SYSTEM_CALL_HEADS:
        kind = Kind.SYSTEM_CALL  # its parameters, though the section names the function that gets the registers
    if kind is Kind.EVENT and program.where.startswith(("syscalls", "raw_syscalls")):
        kind = Kind.SYSTEM_CALL_EVENT
    if kind is Kind.FUNCTION and unit.user_space.may_attach(program.name):
        return Attached(function, Kind.UNKNOWN, is_attached_by_user=True)
    if kind is Kind.OTHER and record in _REGISTERS:
        return Attached(function, Kind.UNKNOWN)
    return Attached(function, kind, program.target.partition("+")[0], head=_strange_head(unit, program))


def _strange_head(unit: Unit, program: Program) -> str:
    """The project's own macro that is a program's head; "" for one of libbpf's or BCC's, and without one."""
    if program.macro is None or unit.dialect == BCC:
        return ""
    return "" if program.macro.means in _HEADS else program.macro.name


def _by_host(unit: Unit, function: Node) -> Attached:
    """How the host says that a program of BCC is attached, where it does."""
    name, found = function.name.encode(), set[tuple[Kind, str]]()
    for text in unit.neighbours(*HOSTS):
        for match in _ATTACH.finditer(text) if name in text else ():
            if not re.search(rb"[\"'`]%s[\"'`]" % name, match[2]):
                continue
            if match[1].startswith((b"attach_u", b"enable")):
                found.add((Kind.USER, ""))
                continue
            event = _EVENT.search(match[2])
            target = (event[1] or event[2]).decode() if event else ""
            kind = Kind.FUNCTION if match[1].startswith(b"attach_k") else Kind.RAW
            found.add((kind, "" if target == function.name else target))
    kinds = {kind for kind, _ in found}
    if len(kinds) != 1:
        return Attached(function, Kind.UNKNOWN, is_attached_by_user=Kind.USER in kinds)
    return Attached(function, kinds.pop(), found.pop()[1] if len(found) == 1 else "")
