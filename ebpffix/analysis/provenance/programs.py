"""What a program is attached to, and with that what its context and its arguments hold."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ebpffix.analysis.programs import context
from ebpffix.fix import BCC
from ebpffix.frontend import Node, Unit
from ebpffix.kernel.program_types import Kind, of_bcc_macro, of_bcc_name, of_section

# Files that may say how a program is attached, or write its maps.
HOSTS = (".py", ".go", ".c", ".cc", ".cpp", ".h", ".hpp", ".rs", ".lua")


@dataclass(frozen=True)
class Program:
    """A program, and its target: the kernel function or the tracepoint, "" where it is not known."""

    function: Node
    setting: Kind
    target: str = ""


_MACRO = re.compile(rb"\b(\w+)\s*\(([^(){};]*)\)\s*\Z")
_ATTACH = re.compile(
    rb"(attach_[ku](?:ret)?probe|attach_tracepoint|attach_raw_tracepoint|enable_probe)\s*\(((?:[^()]|\((?:[^()]|\([^()]*\))*\))*)\)"
)
_UPROBE = re.compile(
    rb"attach_u(?:ret)?probe|attach_usdt|AttachU(?:ret)?[Pp]robe|\.U(?:ret)?probe(?:Multi)?\(|UProbe\b|ProbeAttachType\w*Uprobe"
)
_KPROBE = re.compile(rb"attach_k(?:ret)?probe|AttachK(?:ret)?[Pp]robe|\.K(?:ret)?probe(?:Multi)?\(|KProbe\b|__attach\(")


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
        said = of_section(self.unit.program_section(function).decode("latin-1"))
        if said is None:
            return None
        setting, target = said.kind, said.target
        if setting is Kind.FUNCTION and self._is_user_by_host(function):
            setting = Kind.UNKNOWN
        if setting is Kind.OTHER and context(function) in ("pt_regs", "user_pt_regs"):
            setting, target = Kind.UNKNOWN, ""
        return Program(function, setting, target)

    def _is_user_by_host(self, function: Node) -> bool:
        """Whether a host may attach a program to a function of user space that its section gives to the kernel."""
        name = function.name.removeprefix("____").encode()
        for text in self.unit.neighbours(*HOSTS):
            if _UPROBE.search(text) and re.search(rb"\b%s\b" % name, text) and not _KPROBE.search(text):
                return True
        return False

    def _bcc(self, function: Node) -> Program | None:
        body = function.body
        if body is None:
            return None
        head = self.unit.source_of(body).code
        macro = _MACRO.search(head, max(0, body.start - 500), body.start)
        words = macro[2].decode("latin-1").split(",") if macro else []
        if macro and (made := of_bcc_macro(macro[1].decode(), words)):
            return Program(function, made.kind, made.target)
        record = context(function)
        if function.is_static or not record:
            return None
        if named := of_bcc_name(function.name):
            return Program(function, named.kind, named.target)
        if record.startswith("tracepoint__"):
            calls = "syscalls__" in record
            return Program(function, Kind.SYSTEM_CALL_EVENT if calls else Kind.EVENT, record.rpartition("__")[2])
        if record == "bpf_raw_tracepoint_args":
            return Program(function, Kind.RAW, self._attached(function)[1])
        if record not in ("pt_regs", "user_pt_regs"):
            return Program(function, Kind.OTHER)
        return Program(function, *self._attached(function))

    def _attached(self, function: Node) -> tuple[Kind, str]:
        """How the host says that a program of BCC is attached, where it does."""
        name, found = function.name.encode(), set[tuple[Kind, str]]()
        for text in self.unit.neighbours(*HOSTS):
            if name not in text:
                continue
            for match in _ATTACH.finditer(text):
                if not re.search(rb"[\"'`]%s[\"'`]" % name, match[2]):
                    continue
                if match[1].startswith((b"attach_u", b"enable")):
                    found.add((Kind.USER, ""))
                    continue
                event = re.search(rb"event\s*=\s*b?[\"'](\w+)[\"']|\(?\s*b?[\"'](\w+)[\"']", match[2])
                target = (event[1] or event[2]).decode() if event else ""
                target = "" if target == function.name else target
                found.add((Kind.FUNCTION if match[1].startswith(b"attach_k") else Kind.RAW, target))
        if len(found) == 1:
            return found.pop()
        settings = {setting for setting, _ in found}
        return (settings.pop() if len(settings) == 1 else Kind.UNKNOWN), ""
