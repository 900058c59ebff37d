"""What a program is attached to, and with that what its context and its arguments hold."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from ebpffix.fix import BCC
from ebpffix.frontend import Node, Unit

# Files that may say how a program is attached, or write its maps.
HOSTS = (".py", ".go", ".c", ".cc", ".cpp", ".h", ".hpp", ".rs", ".lua")


class Setting(Enum):
    """What a program is attached to."""

    FUNCTION = "a kernel function"
    SYSTEM_CALL = "a system call"  # its arguments are what user space passed
    USER = "a function of user space"
    SYSTEM_CALL_EVENT = "a tracepoint of system calls"
    EVENT = "a tracepoint"
    RAW = "a raw tracepoint"
    TYPED = "a place whose types the verifier knows"
    OTHER = "something else"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Program:
    """A program, and its target: the kernel function or the tracepoint, "" where it is not known."""

    function: Node
    setting: Setting
    target: str = ""


_SECTION = re.compile(r"\??([\w.+]+)(?:/(.*))?\Z", re.DOTALL)
_HEADS = (
    (re.compile(r"k(?:ret)?syscall"), Setting.SYSTEM_CALL),
    (re.compile(r"u(?:ret)?probe|usdt"), Setting.USER),
    (re.compile(r"k(?:ret)?probe"), Setting.FUNCTION),
    (re.compile(r"raw_tp\Z|raw_tracepoint\Z"), Setting.RAW),
    (re.compile(r"(?:tp|tracepoint)\Z"), Setting.EVENT),
    (
        re.compile(r"tp_btf|raw_tp\.w|raw_tracepoint\.w|fentry|fexit|fmod_ret|lsm|iter|fsession|struct_ops"),
        Setting.TYPED,
    ),
)
_BCC_HEADS = {
    b"TRACEPOINT_PROBE": Setting.EVENT,
    b"RAW_TRACEPOINT_PROBE": Setting.RAW,
    b"KFUNC_PROBE": Setting.TYPED,
    b"KRETFUNC_PROBE": Setting.TYPED,
    b"KMOD_RET": Setting.TYPED,
    b"LSM_PROBE": Setting.TYPED,
    b"BPF_ITER": Setting.TYPED,
}
_MACRO = re.compile(rb"\b(\w+)\s*\(([^(){};]*)\)\s*\Z")
_NAME = re.compile(r"k(?:ret)?probe__(\w+)\Z")
_CONTEXT = re.compile(
    r"pt_regs|user_pt_regs|bpf_user_pt_regs_t|__sk_buff|xdp_md|sk_msg_md|sk_reuseport_md|bpf_perf_event_data"
    r"|bpf_raw_tracepoint_args|bpf_sock_ops|bpf_sock_addr|bpf_sock|bpf_sysctl|bpf_sockopt|bpf_sk_lookup"
    r"|bpf_cgroup_dev_ctx|bpf_nf_ctx|trace_event_raw_\w+|syscall_trace_\w+|tracepoint__\w+|bpf_iter__\w+"
)
_ATTACH = re.compile(
    rb"(attach_[ku](?:ret)?probe|attach_tracepoint|attach_raw_tracepoint|enable_probe)\s*\(((?:[^()]|\((?:[^()]|\([^()]*\))*\))*)\)"
)


class Programs:
    """The programs of a unit."""

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self._known: dict[int, Program | None] = {}

    def of(self, function: Node) -> Program | None:
        """The program that a function is; None for one that is none."""
        if function.decl not in self._known:
            self._known[function.decl] = self._find(function)
        return self._known[function.decl]

    def _find(self, function: Node) -> Program | None:
        if self.unit.dialect == BCC:
            return self._bcc(function)
        section = self.unit.program_section(function).decode("latin-1")
        match = _SECTION.match(section)
        if not section or match is None:
            return None
        setting = next((s for pattern, s in _HEADS if pattern.match(match[1])), Setting.OTHER)
        target = (match[2] or "").rpartition("/")[2].partition("+")[0]
        if setting is Setting.EVENT and re.match(r"(?:raw_)?syscalls/", match[2] or ""):
            setting = Setting.SYSTEM_CALL_EVENT
        if setting is Setting.FUNCTION and self.unit.user_space.may_attach(function.name.removeprefix("____")):
            setting = Setting.UNKNOWN
        if setting is Setting.OTHER and context(function) in ("pt_regs", "user_pt_regs"):
            setting, target = Setting.UNKNOWN, ""
        return Program(function, setting, target)

    def _bcc(self, function: Node) -> Program | None:
        body = function.body
        if body is None:
            return None
        head = self.unit.source_of(body).code
        macro = _MACRO.search(head, max(0, body.start - 500), body.start)
        if macro and macro[1] in _BCC_HEADS:
            setting, words = _BCC_HEADS[macro[1]], macro[2].decode("latin-1").replace(" ", "").split(",")
            if setting is Setting.EVENT and words[0] in ("syscalls", "raw_syscalls"):
                setting = Setting.SYSTEM_CALL_EVENT
            return Program(function, setting, words[-1] if setting is not Setting.TYPED else words[0])
        record = context(function)
        if function.is_static or not record:
            return None
        if function.name.startswith("syscall__"):
            return Program(function, Setting.SYSTEM_CALL)
        if named := _NAME.match(function.name):
            return Program(function, Setting.FUNCTION, named[1])
        if record.startswith("tracepoint__"):
            calls = "syscalls__" in record
            return Program(function, Setting.SYSTEM_CALL_EVENT if calls else Setting.EVENT, record.rpartition("__")[2])
        if record == "bpf_raw_tracepoint_args":
            return Program(function, Setting.RAW, self._attached(function)[1])
        if record not in ("pt_regs", "user_pt_regs"):
            return Program(function, Setting.OTHER)
        return Program(function, *self._attached(function))

    def _attached(self, function: Node) -> tuple[Setting, str]:
        """How the host says that a program of BCC is attached, where it does."""
        name, found = function.name.encode(), set[tuple[Setting, str]]()
        for text in self.unit.neighbours(*HOSTS):
            if name not in text:
                continue
            for match in _ATTACH.finditer(text):
                if not re.search(rb"[\"'`]%s[\"'`]" % name, match[2]):
                    continue
                if match[1].startswith((b"attach_u", b"enable")):
                    found.add((Setting.USER, ""))
                    continue
                event = re.search(rb"event\s*=\s*b?[\"'](\w+)[\"']|\(?\s*b?[\"'](\w+)[\"']", match[2])
                target = (event[1] or event[2]).decode() if event else ""
                target = "" if target == function.name else target
                found.add((Setting.FUNCTION if match[1].startswith(b"attach_k") else Setting.RAW, target))
        if len(found) == 1:
            return found.pop()
        settings = {setting for setting, _ in found}
        return (settings.pop() if len(settings) == 1 else Setting.UNKNOWN), ""


def context(function: Node) -> str:
    """The structure that a function's first parameter points at, if it is the context of some program; else ""."""
    first = next(iter(function.parameters), None)
    record = first.type.pointee.name if first is not None and first.type.is_pointer else ""
    return record if _CONTEXT.fullmatch(record) else ""
