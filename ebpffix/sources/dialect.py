"""Is a file eBPF C, and in which dialect.

C that is not eBPF is never taken: user space that includes libbpf, kernel modules, the kernel itself. The evidence is
in the code, with comments and literals blanked; a name alone is enough only for `.bpf.c`.
"""

from __future__ import annotations

import re

from ebpffix.fix import BCC, LIBBPF
from ebpffix.sources.includes import parse_includes
from ebpffix.sources.source import DIRECTIVE, Source

# A place that may name a section of an object file; the name is a literal right behind it. These begin with a literal
# and look behind afterwards: much faster than the other way round.
_SECTIONS = (
    re.compile(rb"SEC(?<!\wSEC)[ \t]*\("),
    re.compile(rb"section(?:(?<=[_(,]section)|(?<=, section))(?:__)?[ \t]*\("),  # of an attribute, not of a #pragma
)
# The sections that libbpf, tc and ip load, as they begin; "?" is "not unless asked for". Without `version`, `prog`,
# `action`, …, which firmware has too: programs that use those have a license or maps beside them.
_BPF_SECTION = re.compile(
    rb'[ \t]*"\??(?:license|\.?maps|(?:\.)?struct_ops|\.kconfig|\.ksyms|k(?:ret)?probe|u(?:ret)?probe'
    rb"|k(?:ret)?syscall"
    rb"|usdt|tracepoint|tp|tp_btf|raw_tp|raw_tracepoint|fentry|fexit|fmod_ret|fsession|freplace|lsm|lsm_cgroup|iter"
    rb"|syscall|xdp|xdp_\w+|tcx|tc|classifier|cls|socket|sk_\w+|sockops|sockmap|cgroup|cgroup_\w+|perf_event"
    rb"|flow_dissector|netfilter|netkit|lwt_\w+|lirc_mode2)"
    rb'(?:[^A-Za-z"\n][^"\n]*)?"'
)
# Sections by macros of their own (Cilium's).
_SECTION_MACRO = re.compile(rb"^(?:__section_entry\b|BPF_LICENSE[ \t]*\()", re.MULTILINE)
_SECTION_MACRO_HINTS = (b"__section_entry", b"BPF_LICENSE")

# Macros of BCC, used as the first thing in a line.
_BCC_MACROS = b"""
    BPF_TABLE BPF_F_TABLE BPF_HASH BPF_ARRAY BPF_PERCPU_HASH BPF_PERCPU_ARRAY BPF_LRU_HASH BPF_LRU_PERCPU_HASH
    BPF_HISTOGRAM BPF_PERF_OUTPUT BPF_PERF_ARRAY BPF_RINGBUF_OUTPUT BPF_STACK_TRACE BPF_PROG_ARRAY BPF_LPM_TRIE
    BPF_CGROUP_ARRAY BPF_DEVMAP BPF_CPUMAP BPF_XSKMAP BPF_SOCKMAP BPF_SOCKHASH BPF_HASH_OF_MAPS BPF_ARRAY_OF_MAPS
    BPF_SK_STORAGE BPF_INODE_STORAGE BPF_TASK_STORAGE BPF_CGRP_STORAGE BPF_QUEUE BPF_STACK
    TRACEPOINT_PROBE KFUNC_PROBE KRETFUNC_PROBE KMOD_RET LSM_PROBE
""".split()
_BCC_MACRO = re.compile(
    rb"^[ \t]*(?:RAW_|MODULE_)?(?:%s)(?:_BUILDID)?(?:_PUBLIC|_PINNED\d?|_SHARED)?[ \t]*\(" % b"|".join(_BCC_MACROS),
    re.MULTILINE,
)
# Functions that BCC attaches by their names, and what only its rewriter or its headers give a meaning to.
_BCC_CODE = re.compile(
    rb"\bk(?:ret)?probe__\w+\s*\(\s*(?:struct\s+pt_regs\b|void\s*\*\s*ctx\b)|\b(?:raw_)?tracepoint__\w+\s*\(\s*struct\b"
    rb"|\bcursor_advance\s*\(|\bbpf_usdt_readarg(?:_p)?\s*\("
    rb"|\w\.(?:perf_submit|perf_submit_skb|ringbuf_output|ringbuf_reserve|lookup_or_init|lookup_or_try_init)\s*\("
)
# A probe that a host attaches by hand: BCC calls its argument ctx, where kernel code has regs.
_BCC_PROBE = re.compile(rb"^\w[\w \t*]*\(\s*struct\s+pt_regs\s*\*\s*ctx\b", re.MULTILINE)
# A plain probe: a function of a program's context that prints. Alone this is weak.
_BCC_PLAIN = re.compile(rb"^\w[\w \t*]*\(\s*(?:void|struct\s+\w+)\s*\*\s*(?:ctx|skb|regs|args)\b", re.MULTILINE)
_BCC_PRINT = re.compile(rb"^[ \t]+bpf_trace_printk[ \t]*\(", re.MULTILINE)
# No eBPF program has these: user space, kernel modules and the kernel do.
_NOT_BPF = re.compile(
    rb"\bmain\s*\(|^[ \t]*(?:MODULE_(?:LICENSE|AUTHOR|DESCRIPTION)|module_init|EXPORT_SYMBOL\w*|BPF_CALL_\d"
    rb"|SYSCALL_DEFINE\d|(?:core|subsys|device|late|fs)_initcall|NOKPROBE_SYMBOL)\s*\(",
    re.MULTILINE,
)
_NOT_BPF_HINTS = b"main MODULE_ module_init EXPORT_ BPF_CALL_ SYSCALL_ _initcall NOKPROBE_".split()

# One of these stands in every file that the expressions of BCC can match, and in little else.
_BCC_HINTS = (
    *_BCC_MACROS,
    *b"probe__ tracepoint__ cursor_advance bpf_usdt_readarg".split(),
    *b".perf_submit .ringbuf_ .lookup_or_ bpf_trace_printk pt_regs".split(),
)


def dialect_of(source: Source) -> str | None:
    """The dialect of an eBPF program, None for C that is not eBPF. The file's name counts, and its code."""
    by_name = source.path.name.endswith(".bpf.c")
    hints_at_bcc = any(hint in source.data for hint in _BCC_HINTS)
    # A section outweighs all that looks like BCC: many projects have macros of these names.
    if (by_name and not hints_at_bcc) or _has_section(source):
        return LIBBPF
    if hints_at_bcc and _is_bcc(source):
        return BCC
    return LIBBPF if by_name else _wrapped(source)


def _has_section(source: Source) -> bool:
    # Most C has no such place at all; only then are its comments and literals worth finding.
    return _names_section(source, source.data) and _names_section(source, source.code)


def _names_section(source: Source, places: bytes) -> bool:
    found = (place.end() for section in _SECTIONS for place in section.finditer(places))
    if any(_BPF_SECTION.match(source.data, end) for end in found):
        return True
    return any(hint in places for hint in _SECTION_MACRO_HINTS) and _SECTION_MACRO.search(places) is not None


def _is_bcc(source: Source) -> bool:
    code = source.code
    if any(hint in code for hint in _NOT_BPF_HINTS) and _NOT_BPF.search(code):
        return False
    if _BCC_MACRO.search(code) or _BCC_CODE.search(code) or _BCC_PROBE.search(code):
        return True
    return _BCC_PRINT.search(code) is not None and _BCC_PLAIN.search(code) is not None


def _wrapped(source: Source) -> str | None:
    """A file of directives alone (`#define MODE …`, `#include "program.h"`) is what it includes from its own folder."""
    if len(source.data) > 8192 or b"include" not in source.data or b"\n}" in source.data:
        return None
    if DIRECTIVE.sub(b"", source.code).strip():
        return None
    for include in parse_includes(source):
        path = source.path.parent / include.name
        if not include.angled and path.suffix == ".h":
            try:
                dialect = dialect_of(Source.read(path))
            except OSError:
                continue
            if dialect:
                return dialect
    return None
