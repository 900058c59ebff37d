"""Ask for the current task as a pointer that the verifier knows.

What it does: `(struct task_struct *)bpf_get_current_task()` becomes `bpf_get_current_task_btf()`.

Why: the old helper gives a number, which has to be cast, and everything behind it is read by probe reads. The new one
gives a `struct task_struct *` whose members may be read directly (`task->tgid`, `task->real_parent->tgid`), and that
helpers for tasks take (bpf_task_storage_get, bpf_task_pt_regs). Probe reads of it work as before; `core-read` turns
them into direct ones.

Since: Linux 5.11 and its BTF. Where the target kernel is older the call stays. User space changes nothing.

Suggested: the address is the same, but the verifier now looks at what is done with it.

Left alone: a result that is kept as a number (a key, a comparison), that goes to another structure than `struct
task_struct` (a flavour such as `struct task_struct___old`), and functions that come from other programs than probes,
tracepoints and the like, for which the helper may not be there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ebpffix.analysis.programs import Kind, leading_to
from ebpffix.analysis.values import taker
from ebpffix.fix import LIBBPF, Edit, Fix, Safety
from ebpffix.frontend import Node, Unit
from ebpffix.transform import Transform

TRANSFORM = Transform(
    name="current-task-btf",
    pattern=0,
    group="modernise",
    dialects=(LIBBPF,),
    triggers=(rb"bpf_get_current_task\s*\(",),
    summary="current task as a number that is cast to a pointer",
    imperative="ask for the current task as a pointer",
    kernel="from 5.11 on",
    shape="`(struct task_struct *)bpf_get_current_task()`",
    suggested="`bpf_get_current_task_btf()`",
)

_SINCE = (5, 11)
_CAST = re.compile(rb"\(\s*(?:struct\s+task_struct|void)\s*\*\s*\)\s*\(?\s*bpf_get_current_task\s*\(\s*\)\s*\)?")
_TRACING = frozenset(set(Kind) - {Kind.OTHER, Kind.UNKNOWN})
_NEW = "bpf_get_current_task_btf()"


def find(unit: Unit) -> Iterator[Fix]:
    if unit.target_kernel < _SINCE:
        return
    for call in unit.calls_of("bpf_get_current_task"):
        cast, function = call.outer, call.function
        if cast is None or function is None or cast.kind != "CSTYLE_CAST_EXPR" or cast.from_macro_body:
            continue
        if not _CAST.fullmatch(cast.text) or not _is_task(cast) or not _may_ask(unit, function):
            continue
        message = f"the current task comes as a number: `{_NEW}` gives a pointer that can be read directly"
        edit = Edit(cast.path, cast.start, cast.end, _NEW.encode())
        yield Fix(call, message, Safety.SUGGESTED, [edit], "the verifier looks at what is done with it from now on")


def _is_task(cast: Node) -> bool:
    """Whether what comes out of a cast is used as a `struct task_struct *`."""
    if not cast.type.is_void_pointer:
        return cast.type.pointee.name == "task_struct"
    target = taker(cast)
    return target is not None and target.type.is_pointer and target.type.pointee.name == "task_struct"


def _may_ask(unit: Unit, function: Node) -> bool:
    """Whether all programs that come to a function have the helper."""
    programs = leading_to(unit, function)
    return bool(programs) and all(
        program.kind in _TRACING and not program.section.lstrip("?").startswith("struct_ops") for program in programs
    )
