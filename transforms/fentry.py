"""Attach to functions of the kernel by fentry and fexit.

What it says: a kprobe that reads arguments could be an fentry program, a kretprobe an fexit program; and both are on a
function of the kernel, which may be gone with its next release: a tracepoint or an LSM hook, where there is one, stays.

Why: fentry and fexit get the arguments with their types, which can be read directly, cost a tenth of a kprobe, and
fexit has the arguments and the return value at once: what an entry probe keeps in a map for the return probe is not
needed.

Since: Linux 5.5 on x86-64 (6.0 on arm64) and its BTF, libbpf 0.0.6. `SEC("fentry/tcp_sendmsg") int BPF_PROG(f, struct
sock *sk)` for `SEC("kprobe/tcp_sendmsg") int BPF_KPROBE(f, struct sock *sk)`; a skeleton attaches both, a loader that
calls bpf_program__attach_kprobe calls bpf_program__attach_trace.

Advice, always, one line a file: whether the function is in BTF and can be traced is only known on the kernel. Functions
that are inlined or notrace cannot, nor those whose arguments do not fit into registers.

Left alone: system calls by their wrappers (`ksyscall`, `__x64_sys_…`), whose arguments stand in registers of registers;
offsets into a function (`f+0x10`), several functions at once (`.multi`); target kernels before 5.5.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ebpffix.analysis.programs import By, Kind, Program, Role, programs
from ebpffix.fix import LIBBPF, Fix, Safety
from ebpffix.frontend import Unit
from ebpffix.transform import Transform

TRANSFORM = Transform(
    name="fentry",
    pattern=0,
    group="modernise",
    dialects=(LIBBPF,),
    triggers=(rb"SEC(?<!\wSEC)\s*\(",),
    summary="kprobe where the kernel can be entered with types",
    kernel="from 5.5 on",
    neighbours=(".c", ".cc", ".cpp", ".go", ".rs"),
    shape='`SEC("kprobe/f")`, `SEC("kretprobe/f")`',
    advice="`fentry`, `fexit`; a tracepoint or LSM hook, where there is one",
)

_SINCE = (5, 5)
_SECTION = re.compile(r"\??k(?:ret)?probe/(?!(?:__\w+_)?sys_)\w+\Z")
_ATTACH = re.compile(rb"bpf_program__attach_kprobe\s*\(|\.AttachK(?:ret)?[pP]robe\s*\(|\blink\.K(?:ret)?probe\s*\(")


def find(unit: Unit) -> Iterator[Fix]:
    if unit.target_kernel < _SINCE:
        return
    probes = [p for p in programs(unit) if p.kind is Kind.FUNCTION and _SECTION.match(p.section) and p.by is By.SECTION]
    both = {p.target for p in probes if p.role is Role.RETURN} & {p.target for p in probes if p.role is Role.ENTRY}
    user = unit.place_beside(_ATTACH, *TRANSFORM.neighbours) if probes else ""
    for probe in probes:
        if probe.role is Role.RETURN or probe.target not in both:
            yield _told(probe, probe.target in both, user)


def _told(probe: Program, has_both: bool, user: str) -> Fix:
    kind = "fexit" if probe.role is Role.RETURN else "fentry"
    gets = "has arguments and return value at once" if kind == "fexit" else "gets the arguments with their types"
    saves = ", so that nothing has to be kept by the entry probe" if has_both else ""
    attached = f"; {user} attaches it" if user else ""
    return Fix(
        probe.function,
        f"a probe of `{probe.target}`: `{kind}` {gets}{saves}{attached}",
        Safety.ADVICE,
        reason="whether the function can be traced so is only known on the kernel; a tracepoint or LSM hook is stabler",
    )
