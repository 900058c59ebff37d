"""Helpers that read arguments and that several return probes, and nothing else, call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ebpffix.analysis.programs import Program
from ebpffix.fix import Fix, Safety
from ebpffix.frontend import Unit

from .reads import helper_calls, register_reads
from .uses import on_purpose


def shared_helpers(unit: Unit, programs: Sequence[Program]) -> Iterator[Fix]:
    """Advice on each, at its first read; `programs` are the return probes."""
    returning = {program.function.decl for program in programs}
    helpers = {helper.decl: helper for program in programs for _, helper in helper_calls(unit, program)}
    for helper in helpers.values():
        mentions = unit.mentions(helper)
        reads = [r for r in register_reads(unit, helper) if not on_purpose(unit, r)]
        if len(mentions) == 1 or not reads:
            continue
        if all(name.function is not None and name.function.decl in returning for name in mentions):
            message = f"`{reads[0].written}`, read in `{helper.name}` when functions return, holds no argument then"
            reason = "several return probes call it: store the arguments in entry probes, and hand them to it"
            yield Fix(reads[0], message, Safety.ADVICE, reason=reason)
