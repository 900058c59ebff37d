"""What the name of a section, of a BCC function, or of a macro says of a program: the one place that says so.

    of_section("kretprobe/tcp_sendmsg")   Attach(Kind.FUNCTION, Role.RETURN, "tcp_sendmsg", …)
    of_bcc_name("kretprobe__tcp_sendmsg")
    of_bcc_macro("KRETFUNC_PROBE", ["tcp_sendmsg", "…"])

Each is None for a name that says nothing. Source: libbpf's section_defs, BCC's frontends and src/python/bcc.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """What a program is attached to, and with that what its context and its arguments hold."""

    FUNCTION = "a kernel function"
    SYSTEM_CALL = "a system call"  # its arguments are what user space passed
    USER = "a function of user space"
    EVENT = "a tracepoint"
    SYSTEM_CALL_EVENT = "a tracepoint of system calls"
    RAW = "a raw tracepoint"
    TYPED = "a place whose types the verifier knows"
    OTHER = "something else"
    UNKNOWN = "unknown"


class Role(Enum):
    """When a program runs, seen from what it is attached to."""

    ENTRY = "entry"
    RETURN = "return"
    OTHER = "other"


@dataclass(frozen=True)
class Attach:
    """`target` is the name of the function or event, "" where the name does not say it, and `where` all that stands
    there (`/bin/bash:readline`, `syscalls/sys_enter_open`). `certain` says whether the loader attaches the program by
    this alone; else user space has to."""

    kind: Kind
    role: Role
    target: str
    where: str
    certain: bool


# The first word of a section, without `.s`, `.multi`, `.session` and the like.
_SECTIONS = {
    "kprobe": (Kind.FUNCTION, Role.ENTRY),
    "kretprobe": (Kind.FUNCTION, Role.RETURN),
    "ksyscall": (Kind.SYSTEM_CALL, Role.ENTRY),
    "kretsyscall": (Kind.SYSTEM_CALL, Role.RETURN),
    "uprobe": (Kind.USER, Role.ENTRY),
    "uretprobe": (Kind.USER, Role.RETURN),
    "usdt": (Kind.USER, Role.OTHER),
    **dict.fromkeys(("tp", "tracepoint"), (Kind.EVENT, Role.OTHER)),
    **dict.fromkeys(("raw_tp", "raw_tracepoint"), (Kind.RAW, Role.OTHER)),
    "fentry": (Kind.TYPED, Role.ENTRY),
    "fexit": (Kind.TYPED, Role.RETURN),
    **dict.fromkeys("tp_btf fmod_ret fsession lsm lsm_cgroup iter struct_ops".split(), (Kind.TYPED, Role.OTHER)),
}
_SECTION = re.compile(r"(\?)?(\w+)([^/]*)(?:/(.*))?\Z", re.DOTALL)
# What a function's name begins with for BCC to attach it.
BCC_NAMES = {
    "kprobe__": (Kind.FUNCTION, Role.ENTRY),
    "kretprobe__": (Kind.FUNCTION, Role.RETURN),
    "tracepoint__": (Kind.EVENT, Role.OTHER),
    "raw_tracepoint__": (Kind.RAW, Role.OTHER),
    "kfunc__": (Kind.TYPED, Role.ENTRY),
    "kretfunc__": (Kind.TYPED, Role.RETURN),
    **dict.fromkeys(("kmod_ret__", "lsm__", "bpf_iter__"), (Kind.TYPED, Role.OTHER)),
}
# Names that have the tracepoint's category or the module before the target.
_IN_A_GROUP = ("tracepoint__", "kfunc__", "kretfunc__")
# A system call's function by BCC's name for it: the host attaches it, for the kernel's own name differs.
SYSTEM_CALL_PREFIX = "syscall__"
_BCC_MACROS = {
    "TRACEPOINT_PROBE": "tracepoint__",
    "RAW_TRACEPOINT_PROBE": "raw_tracepoint__",
    **dict.fromkeys(("KFUNC_PROBE", "MODULE_KFUNC_PROBE"), "kfunc__"),
    **dict.fromkeys(("KRETFUNC_PROBE", "MODULE_KRETFUNC_PROBE"), "kretfunc__"),
    "KMOD_RET": "kmod_ret__",
    "LSM_PROBE": "lsm__",
    "BPF_ITER": "bpf_iter__",
}
_EVENT_ROLES = (("sys_enter", Role.ENTRY), ("sys_exit", Role.RETURN))


def of_section(section: str) -> Attach | None:
    """What a libbpf program's section says; Kind.OTHER for one of network programs and the like, None for none."""
    match = _SECTION.match(section)
    if match is None:
        return None
    optional, word, suffix, where = match[1], match[2], match[3], match[4] or ""
    kind, role = _SECTIONS.get(word, (Kind.OTHER, Role.OTHER))
    if word in ("raw_tp", "raw_tracepoint") and suffix.startswith(".w"):
        kind = Kind.TYPED
    kind, role = _event(kind, role, word, where)
    symbol = where.rpartition(":")[2] if kind is Kind.USER else where.rpartition("/")[2]
    has_place = bool(symbol) and (kind is not Kind.USER or ":" in where)
    certain = has_place and not optional and not suffix.startswith((".multi", ".session"))
    return Attach(kind, role, symbol.partition("+")[0], where, certain)


def _event(kind: Kind, role: Role, word: str, where: str) -> tuple[Kind, Role]:
    """The kind and role of a tracepoint, which its name says more of."""
    if kind is Kind.EVENT and where.startswith(("syscalls/", "raw_syscalls/")):
        kind = Kind.SYSTEM_CALL_EVENT
    if word in ("tp", "tracepoint", "raw_tp", "raw_tracepoint", "tp_btf"):
        name = where.removeprefix("syscalls/").removeprefix("raw_syscalls/")
        role = next((r for prefix, r in _EVENT_ROLES if name.startswith(prefix)), role)
    return kind, role


# import/path.Func, import/path.(*Type).Method, main.main.func1; a C compiler's clones look like a package's functions.
_GO = re.compile(r"(?:[\w.~-]+/)*[A-Za-z_][\w-]*\.(?:\(\*?\w+(?:\[\.\.\.\])?\)\.)?[A-Za-z_]\w*(?:\.\w+)*(?:\+\w+)?\Z")
_CLONE = re.compile(r"\.(?:isra|part|cold|constprop|llvm|lto_priv|localalias|clone|str|rodata)\b|@")


def is_go(symbol: str) -> bool:
    """Whether a function of user space is one of Go by its name."""
    return _GO.match(symbol) is not None and _CLONE.search(symbol) is None


def of_bcc_name(name: str) -> Attach | None:
    """What the name of a function says to BCC, which attaches it by that."""
    prefix = next((p for p in BCC_NAMES if name.startswith(p)), None)
    if prefix is None:
        called = name.removeprefix(SYSTEM_CALL_PREFIX)
        return Attach(Kind.SYSTEM_CALL, Role.ENTRY, called, "", False) if called != name else None
    rest = name.removeprefix(prefix)
    return _of_bcc(prefix, rest.split("__", 1) if prefix in _IN_A_GROUP else [rest])


def of_bcc_macro(name: str, words: Sequence[str]) -> Attach | None:
    """What a macro of BCC with these words between its parentheses makes."""
    prefix = _BCC_MACROS.get(name)
    if prefix is None or not words:
        return None
    count = 2 if prefix == "tracepoint__" or name.startswith("MODULE_") else 1
    return _of_bcc(prefix, [word.strip() for word in words[:count]])


def _of_bcc(prefix: str, words: Sequence[str]) -> Attach:
    kind, role = BCC_NAMES[prefix]
    where = "/".join(words)
    kind, role = _event(kind, role, prefix.removesuffix("__"), where)
    return Attach(kind, role, words[-1], where, True)
