"""Acme's programs do not print: `bpf_printk` writes into a pipe that all tracers of the machine share.

Suggested: the call is removed; whoever reads the pipe misses it.

Left alone: calls whose result is used.
"""

from __future__ import annotations

from collections.abc import Iterator

from ebpffix.fix import LIBBPF, Edit, Fix, Safety
from ebpffix.frontend import Unit
from ebpffix.transform import Cure, Transform

TRANSFORM = Transform(
    name="acme-no-printk",
    pattern=0,
    dialects=(LIBBPF,),
    triggers=(rb"bpf_trace_printk\s*\(",),
    summary="debug prints in production",
    cures=(Cure("helper-not-allowed", r"bpf_trace_printk"),),
)


def find(unit: Unit) -> Iterator[Fix]:
    for function in unit.functions:
        for call in function.find("CALL_EXPR"):
            if call.name == "bpf_trace_printk" and call.parent and call.parent.kind == "COMPOUND_STMT":
                end = call.end + 1  # with the semicolon
                if unit.sources[call.path].data[call.end : end] == b";":
                    edit = Edit(call.path, call.start, end, b"")
                    yield Fix(call, "a debug print", Safety.SUGGESTED, [edit], "whoever reads the pipe misses it")
