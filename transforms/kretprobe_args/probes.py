"""The return probes of a program (kretprobe, uretprobe), and the entry probes of the same functions."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ebpffix.analysis.programs import By, Kind, Program, Role, context, programs
from ebpffix.fix import BCC
from ebpffix.frontend import Node, Unit
from ebpffix.kernel.program_types import is_go

from .opening import body_of

_WRAPPER = re.compile(r"\A(?:__\w+?_)?(?:sys|compat_sys)_")


def return_probes(unit: Unit) -> Iterator[Program]:
    """The return probes of the files of the run, those of Go binaries aside."""
    for program in programs(unit):
        is_probe = program.kind in (Kind.FUNCTION, Kind.USER, Kind.SYSTEM_CALL)
        if unit.dialect == BCC and program.by is By.HOST:
            # Attached by the host program: it reads the return value, so it is a return probe.
            is_return = "pt_regs" in context(program.function) and _asks_for_result(unit, program)
        else:
            is_return = program.role is Role.RETURN
        if is_probe and is_return and not (program.kind is Kind.USER and is_go(program.target)):
            yield program


def _asks_for_result(unit: Unit, program: Program) -> bool:
    body = body_of(program.function)
    return any(body.start < m.start < body.end for m in unit.macros("PT_REGS_RC", path=body.path))


def is_syscall(program: Program) -> bool:
    """Whether the probed function is a system call, or its wrapper, whose arguments lie elsewhere."""
    return program.kind is Kind.SYSTEM_CALL or _WRAPPER.match(program.target) is not None


def entry_of(unit: Unit, program: Program) -> Node | None:
    """The entry probe of the same function, if the program has exactly one."""
    if unit.dialect == BCC:
        found = [f for f in unit.functions if f.name == f"kprobe__{program.target}"]
    else:
        section = entry_section(program)
        found = [p.function for p in programs(unit) if p.section == section]
    return found[0] if len(found) == 1 else None


def entry_section(program: Program) -> str:
    return program.section.replace("ret", "", 1)
