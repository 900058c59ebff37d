"""Entry probes that ask for the result, which is not there yet."""

from __future__ import annotations

from collections.abc import Iterator

from ebpffix.analysis.programs import By, programs
from ebpffix.fix import BCC, Fix, Safety
from ebpffix.frontend import Unit
from ebpffix.kernel.program_types import Role

from .probes import asks_for_result


def results_on_entry(unit: Unit) -> Iterator[Fix]:
    """Advice on each program of BCC that reads PT_REGS_RC, and that the host only attaches to entries."""
    for program in programs(unit) if unit.dialect == BCC else ():
        said = unit.user_space.attachments_of(program.name) if program.by is By.HOST else []
        asked = asks_for_result(unit, program)
        if said and asked is not None and all(one.role == Role.ENTRY.value for one in said):
            message = f"PT_REGS_RC is read where {said[0].target or 'a function'} is entered: nothing is returned yet"
            reason = f"`{said[0].call}` in {said[0].file} attaches `{program.name}` to the entry: ask in a return probe"
            yield Fix(asked, message, Safety.ADVICE, reason=reason)
