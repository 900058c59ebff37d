"""Print with bpf_printk.

What it does: `char fmt[] = "pid %d\\n"; bpf_trace_printk(fmt, sizeof(fmt), pid);` becomes `bpf_printk("pid %d\\n",
pid);`.

Why: the format on the stack takes room of the 512 bytes, and instructions that write it there, each time; that its
length goes with it is left to whoever writes the call. The macro puts the format into read-only data and counts it.

Since: Linux 5.2, which has read-only data for programs; bpf_printk of libbpf 0.0.6. Where the target kernel is older
the call stays. Up to three values as before; more of them take Linux 5.16 (bpf_trace_vprintk).

Suggested: what is printed is the same, but the loader must know read-only data (libbpf, cilium/ebpf and aya do; what
loads objects by itself may not).

Left alone: a format that is used elsewhere too, is written to, or is not in the function; a length that is not that of
the format; calls in macros; programs that define a bpf_printk of their own, which may print nothing; BCC, whose
bpf_trace_printk is another.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ebpffix.editing.settle import Made, NoEdit, settle
from ebpffix.editing.statements import delete_statement
from ebpffix.fix import LIBBPF, Edit, Fix
from ebpffix.frontend import Node, Unit
from ebpffix.transform import Transform

TRANSFORM = Transform(
    name="bpf-printk",
    pattern=0,
    group="modernise",
    dialects=(LIBBPF,),
    triggers=(rb"bpf_trace_printk\s*\(",),
    summary="bpf_trace_printk with a format on the stack",
    imperative="print with bpf_printk",
    kernel="from 5.2 on",
    shape="`bpf_trace_printk(fmt, sizeof(fmt), …)`",
    suggested="`bpf_printk(…)`",
)

_SINCE = (5, 2)
_OWN = re.compile(rb"^[ \t]*#[ \t]*define[ \t]+bpf_printk\b", re.MULTILINE)
_REASON = "the format moves to read-only data, which the loader must know"
_VALUES = 3


def find(unit: Unit) -> Iterator[Fix]:
    if unit.target_kernel < _SINCE or not unit.declared.has("bpf_printk"):
        return
    if any(_OWN.search(source.uncommented) for source in unit.sources.values()):
        return
    formats: dict[int, list[Node]] = {}
    for call in unit.calls_of("bpf_trace_printk"):
        variable = _format(unit, call)
        if variable is not None:
            formats.setdefault(variable.decl, []).append(call)
    for calls in formats.values():
        variable = _format(unit, calls[0])
        if variable is not None and _uses(variable) == 2 * len(calls):
            yield _fix(unit, variable, calls)


def _format(unit: Unit, call: Node) -> Node | None:
    """The declaration of the format of a call that can be written anew; None for any other call."""
    function, arguments = call.function, call.arguments
    if function is None or not 2 <= len(arguments) <= 2 + _VALUES or call.from_macro_body:
        return None
    name, length = arguments[0].uncast, arguments[1].bare
    measured = list(length.find("DECL_REF_EXPR")) if length.kind == "CXX_UNARY_EXPR" else []
    if name.kind != "DECL_REF_EXPR" or [n.decl for n in measured] != [name.decl]:
        return None
    declared = (n for n in function.find("VAR_DECL") if n.decl == name.decl)
    variable = next(declared, None)
    if variable is None or not variable.type.is_array or variable.from_macro_body:
        return None
    value = variable.initialiser
    return variable if value is not None and value.bare.kind == "STRING_LITERAL" else None


def _uses(variable: Node) -> int:
    function = variable.function
    assert function is not None
    return sum(n.decl == variable.decl for n in function.find("DECL_REF_EXPR"))


def _fix(unit: Unit, variable: Node, calls: list[Node]) -> Fix:
    def made() -> Made:
        value, statement = variable.initialiser, variable.statement
        assert value is not None
        if sum(n.kind == "VAR_DECL" for n in statement.walk()) != 1:
            raise NoEdit("the format is declared with other variables")
        edits = [delete_statement(unit, statement)]
        for call in calls:
            callee, first, second = call.callee, *call.arguments[:2]
            assert callee is not None
            edits.append(Edit(call.path, callee.start, callee.end, b"bpf_printk"))
            edits.append(Edit(call.path, first.start, second.end, value.text))
        return Made(edits, ": `bpf_printk` keeps it in read-only data", _REASON)

    return settle(calls[0], f"`bpf_trace_printk` with the format `{variable.name}` on the stack", made)
