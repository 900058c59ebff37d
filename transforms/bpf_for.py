"""Loop with bpf_for.

What it says: a call of bpf_loop, whose body is a function of its own.

Why: `bpf_for(i, 0, n) { … }` is a loop as in C: the body sees the variables around it, `break` and `continue` work, and
nothing has to be packed into a context and out again. The verifier looks at the body once or twice, not once for each
round, as it does with bpf_loop.

Since: Linux 6.4, and libbpf 1.2 for the macro. User space changes nothing.

Advice, always: what the callback shares with its surroundings has to come back out of the context by hand.

Left alone: programs for older kernels, loops that are loops already.
"""

from __future__ import annotations

from collections.abc import Iterator

from ebpffix.fix import LIBBPF, Fix, Safety
from ebpffix.frontend import Unit
from ebpffix.transform import Transform

TRANSFORM = Transform(
    name="bpf-for",
    pattern=0,
    group="modernise",
    dialects=(LIBBPF,),
    triggers=(rb"bpf_loop\s*\(",),
    summary="loop by a callback, where the kernel has loops",
    kernel="from 6.4 on",
    shape="`bpf_loop` with a callback",
    advice="`bpf_for`",
)

_SINCE = (6, 4)


def find(unit: Unit) -> Iterator[Fix]:
    if unit.target_kernel < _SINCE:
        return
    for call in unit.calls_of("bpf_loop"):
        yield Fix(
            call,
            "a loop by a callback: `bpf_for` loops in place, with the variables around it",
            Safety.ADVICE,
            reason="what the callback keeps in its context has to come back out of it by hand",
        )
