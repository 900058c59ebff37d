"""A program is written as if the kernel passed it arguments; it passes one, the context.

In a kprobe or uprobe the arguments are in the registers that the context holds: `BPF_KPROBE(name, args…)` declares
them, `BPF_KRETPROBE(name, ret)` the result. A tracing program gets them by `BPF_PROG(name, args…)`, a tracepoint of a
system call by the members `args[n]` of its context.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ebpffix.editing.statements import add_include
from ebpffix.fix import Edit, Span
from ebpffix.frontend import Node
from ebpffix.repair.model import Candidate, Effect, Refusal, Strategy

STRATEGY = Strategy(
    "entry-signature", r"R[2-5] !read_ok", "Declares the arguments of a program as its type passes them", 10
)
_MACROS = (
    (r"k(?:ret)?probe|u(?:ret)?probe|ksyscall", "BPF_KPROBE"),
    (r"tp_btf|fentry|fexit|fmod_ret|lsm", "BPF_PROG"),
)
_SYSCALL = re.compile(r"tp/syscalls/sys_enter_|tracepoint/syscalls/sys_enter_")
_HEAD = re.compile(rb"(\w+)\s*\([^()]*\)(?=\s*\Z)")


def propose(refusal: Refusal) -> Iterator[Candidate]:
    """The signature rewritten, for the type of the section."""
    unit = refusal.unit
    function = next((f for f in unit.functions if f.name == refusal.program), None)
    body = function.body if function is not None else None
    if function is None or body is None or not unit.program_section(function):
        return
    source = unit.source_of(function)
    match = _HEAD.search(source.uncommented, function.start, body.start)
    parameters = [p for p in function.children if p.kind == "PARM_DECL"]
    if match is None or len(parameters) < 2 or not unit.editable(function.path, match.start(), match.end()):
        return
    section = unit.program_section(function).decode(errors="replace")
    if _SYSCALL.match(section):
        yield from _members(refusal, function, parameters)
        return
    macro = next((macro for pattern, macro in _MACROS if re.match(pattern, section)), "")
    if not macro:
        return
    # What stands first is the context only where it has that type.
    first = parameters[0].type.canonical.spelling
    is_context = "pt_regs" in first or (macro == "BPF_PROG" and first in ("void *", "unsigned long long *"))
    given = [p.text for p in (parameters[1:] if is_context else parameters)]
    if section.startswith(("kretprobe", "uretprobe")):
        macro, given = "BPF_KRETPROBE", given[:1]
    text = macro.encode() + b"(" + b", ".join([match[1], *given]) + b")"
    edits = [Edit(function.path, match.start(), match.end(), text)]
    include = add_include(unit, function.path, b"bpf/bpf_tracing.h")
    says = f"the arguments come out of the context, by {macro}()"
    at = Span(function.path, match.start(), match.end())
    yield Candidate((*edits, *include), Effect.EXACT, says, at)


def _members(refusal: Refusal, function: Node, parameters: list[Node]) -> Iterator[Candidate]:
    """The parameters behind the context of a system call's tracepoint become locals."""
    unit, body = refusal.unit, function.body
    assert body is not None
    source = unit.source_of(function)
    inner = source.indent(body.children[0].start) if body.children else b"\t"
    context = parameters[0].name.encode()
    has_type = "trace_event_raw_sys_enter" in parameters[0].type.spelling
    lines = []
    for number, each in enumerate(parameters[1:]):
        kind = each.text[: len(each.text) - len(each.name)].rstrip()
        lines.append(each.text + b" = (" + kind + b")" + context + b"->args[%d];" % number)
    newline = source.newline
    text = newline + newline.join(inner + line for line in lines)
    head = Edit(function.path, parameters[0].end, parameters[-1].end, b"")
    edits = [head, Edit(function.path, body.start + 1, body.start + 1, text)]
    if not has_type:
        edits.append(
            Edit(function.path, parameters[0].start, parameters[0].end, b"struct trace_event_raw_sys_enter *" + context)
        )
    says = "the arguments of the system call are read from the context"
    yield Candidate(tuple(edits), Effect.EXACT, says, Span(function.path, function.start, body.start))
