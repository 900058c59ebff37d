"""Say whose memory a probe read reads: that of the kernel, or of user space.

What it does: `bpf_probe_read` and `bpf_probe_read_str` become `bpf_probe_read_kernel(_str)` or
`bpf_probe_read_user(_str)`, by where the address comes from.

Why: the old helpers try an address whichever side it is on. They do not exist on architectures whose kernel and user
addresses overlap, XDP and other network programs refuse them and take `_kernel`, and a user address where a kernel one
is meant goes unnoticed. The new ones came with Linux 5.5; libbpf from 0.2 on puts the old ones back in when it loads a
program into an older kernel.

Safe where each link of the pointer's way is certain and the target kernel is 5.5 or newer: through variables, members,
all callers of a function and all writers of a map, back to the program's own memory (`_kernel`), the current task, what
a probed kernel function gets by its prototype, what a system call or a probe in user space gets.
Suggested where a link is only likely, which the reason names: a structure that only the kernel has behind a pointer of
unknown origin, a `void *` in the kernel, a map that user space or another program writes too; where the target kernel
is older than 5.5, or an `#if` around the call asks for the kernel's version; in a header that user space includes too.
Advice where a caller or a writer cannot be judged, where the ways differ, and for a macro of the project that calls the
old helper. `-v` and the JSON report show the way.

Left alone: a call whose other branch (`if`/`else`, `?:`) calls a new helper already: a test for old kernels; code that
no program reaches.

Limits: a type is no origin: a `char *`, `void *` or `struct sockaddr *` argument of a kernel function whose prototype
is not known may point at either, so it is advice.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ebpffix.analysis.provenance import HOSTS, is_reached, prove
from ebpffix.fix import BCC, LIBBPF, Edit, Fix, Safety
from ebpffix.frontend import Node, Unit
from ebpffix.transform import Cure, Transform

TRANSFORM = Transform(
    name="probe-read-space",
    pattern=6,
    dialects=(BCC, LIBBPF),
    triggers=(rb"bpf_probe_read(?:_str)?\b",),
    neighbours=HOSTS,
    user_space=True,
    summary="probe read that does not say whether the address is of the kernel or of user space",
    imperative="say which memory a probe read is of",
    shape="`bpf_probe_read` does not say whose memory it reads",
    safe="the space is certain and the target kernel ≥ 5.5",
    suggested="likely",
    advice="the source does not tell",
    cures=(Cure("helper-not-allowed", r"bpf_probe_read(?:_str)?#"),),
)

_OLD = ("bpf_probe_read", "bpf_probe_read_str")
_NEW = re.compile(r"bpf_probe_read_(?:kernel|user)")
_SINCE = (5, 5)
_BRANCH = re.compile(rb"^[ \t]*#[ \t]*(if|ifn?def|elif|else|endif)\b((?:\\\r?\n|[^\n])*)", re.MULTILINE)
_VERSION = re.compile(rb"\b(?:LINUX_VERSION_CODE|KERNEL_VERSION)\b")


def find(unit: Unit) -> Iterator[Fix]:
    macros: set[str] = set()
    for call in unit.calls:
        if call.name not in _OLD or len(call.arguments) < 3 or _is_fallback(call):
            continue
        if not is_reached(unit, call.function):
            continue
        callee, name = call.callee, call.name.encode()
        if callee is not None and callee.text == name and unit.editable(callee.path, callee.start, callee.end):
            yield _fix(unit, call, callee)
            continue
        at = callee or call
        macro = next(iter(unit.macros_around(at.path, at.start, at.end)), None)
        if macro is not None and macro.name not in macros and _is_own(unit, macro.name):
            macros.add(macro.name)
            message = f"`{macro.name}` calls `{call.name}`, which does not say whose memory it reads"
            yield Fix(macro, message, Safety.ADVICE, reason="the macro's definition serves other places too")


def _fix(unit: Unit, call: Node, callee: Node) -> Fix:
    proof = prove(unit, call.arguments[2])
    space = proof.reader
    if not space:
        message = f"`{call.name}` does not say whose memory it reads: name it, `_kernel` or `_user`"
        return Fix(callee, message, Safety.ADVICE, reason=proof.unknown, origin=proof.chains)
    better = call.name.replace("bpf_probe_read", "bpf_probe_read_" + space)
    reason = "" if proof.is_certain else f"it is not certain: {proof.doubt}"
    if _is_for_some_kernels(unit, callee):
        reason = f"`{better}` came with Linux 5.5, and an `#if` around it asks for the kernel's version"
    if unit.target_kernel < _SINCE:
        reason = f"`{better}` came with Linux 5.5, and the target kernel is older"
    message = f"`{call.name}` does not say whose memory it reads: `{better}`"
    edit = Edit(callee.path, callee.start, callee.end, better.encode())
    return Fix(callee, message, Safety.SUGGESTED if reason else Safety.SAFE, [edit], reason, proof.chains)


def _is_fallback(call: Node) -> bool:
    """Whether the other branch of a condition calls a new helper."""
    node = call
    for outer in call.ancestors:
        if outer.kind in ("IF_STMT", "CONDITIONAL_OPERATOR"):
            others = [c for c in outer.children[1:] if c is not node]
            if node is not outer.children[0] and any(
                _NEW.match(n.name) for other in others for n in other.find("CALL_EXPR")
            ):
                return True
        node = outer
    return False


def _is_for_some_kernels(unit: Unit, at: Node) -> bool:
    """Whether a place is compiled, or not, by the kernel's version."""
    source = unit.sources[at.path]
    around: list[bool] = []
    for match in _BRANCH.finditer(source.uncommented, 0, at.start):
        asks = _VERSION.search(match[2]) is not None
        if match[1].startswith(b"if"):
            around.append(asks)
        elif around and match[1] == b"endif":
            around.pop()
        elif around:
            around[-1] = around[-1] or asks
    return any(around)


def _is_own(unit: Unit, macro: str) -> bool:
    """Whether a file of the run defines a macro."""
    text = rb"^[ \t]*#[ \t]*define[ \t]+" + re.escape(macro.encode()) + rb"\b"
    return any(re.search(text, source.uncommented, re.MULTILINE) for source in unit.sources.values())
