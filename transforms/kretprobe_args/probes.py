"""The return probes of a program (kretprobe, uretprobe), and the entry probes of the same functions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from ebpffix.analysis.programs import By, Kind, Program, Role, context, programs
from ebpffix.fix import BCC
from ebpffix.frontend import Macro, Node, Unit
from ebpffix.kernel.program_types import is_go
from ebpffix.sources.attaching import Attachment

from .opening import body_of

_WRAPPER = re.compile(r"\A(?:__\w+?_)?(?:sys|compat_sys)_")


@dataclass(frozen=True)
class Probe:
    """A return probe; `attached` is what the host says of it, None where that is nothing, or nothing certain."""

    program: Program
    attached: Attachment | None = None


def return_probes(unit: Unit) -> Iterator[Probe]:
    """The return probes of the files of the run, those of Go binaries aside."""
    for program in programs(unit):
        is_probe = program.kind in (Kind.FUNCTION, Kind.USER, Kind.SYSTEM_CALL)
        if not is_probe or (program.kind is Kind.USER and is_go(program.target)):
            continue
        if program.by is By.HOST:
            yield from _of_host(unit, program)
        elif program.role is Role.RETURN:
            yield Probe(program)


def _of_host(unit: Unit, program: Program) -> Iterator[Probe]:
    """A program that user space attaches: as it says, else as the program looks."""
    said = unit.user_space.attachments_of(program.name)
    if {one.role for one in said} == {Role.RETURN.value}:
        targets = {one.target for one in said}
        target = targets.pop() if len(targets) == 1 else ""
        kinds = {Kind.USER if one.is_user else Kind.FUNCTION for one in said}
        kind = kinds.pop() if len(kinds) == 1 else program.kind
        yield Probe(replace(program, role=Role.RETURN, kind=kind, target=program.target or target), said[0])
    elif said and {one.role for one in said} == {Role.ENTRY.value}:
        return
    elif unit.dialect == BCC:
        # It reads the return value, so it is a return probe.
        if "pt_regs" in context(program.function) and asks_for_result(unit, program) is not None:
            yield Probe(program)
    elif program.role is Role.RETURN:
        yield Probe(program)


def asks_for_result(unit: Unit, program: Program) -> Macro | None:
    """Where a program first reads what the probed function returned; None where it does not."""
    body = body_of(program.function)
    found = unit.macros("PT_REGS_RC", path=body.path)
    return next((macro for macro in found if body.start < macro.start < body.end), None)


def is_syscall(program: Program) -> bool:
    """Whether the probed function is a system call, or its wrapper, whose arguments lie elsewhere."""
    return program.kind is Kind.SYSTEM_CALL or _WRAPPER.match(program.target) is not None


def entry_of(unit: Unit, probe: Probe) -> Node | None:
    """The entry probe of the same function, if the program has exactly one."""
    program = probe.program
    if program.by is By.HOST:
        section = f"kprobe/{program.target}" if program.kind is Kind.FUNCTION else ""
        found = _attached_by_host(unit, program.target)
    else:
        section, found = entry_section(program), []
    if unit.dialect == BCC:
        found += [f for f in unit.functions if f.name == f"kprobe__{program.target}"]
    else:
        found += [p.function for p in programs(unit) if p.section == section != ""]
    return found[0] if len(found) == 1 else None


def _attached_by_host(unit: Unit, target: str) -> list[Node]:
    """The programs that the host attaches to the entry of a function, and to nothing else."""
    found = []
    for program in programs(unit) if target else ():
        said = unit.user_space.attachments_of(program.name)
        if said and all((one.role, one.target) == (Role.ENTRY.value, target) for one in said):
            found.append(program.function)
    return found


def entry_section(program: Program) -> str:
    return program.section.replace("ret", "", 1)
