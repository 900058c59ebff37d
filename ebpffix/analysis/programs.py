"""The programs of a unit: what each is attached to, when it runs, and who attaches it.

    programs(unit) -> list[Program]                    in order
    program_of(unit, function) -> Program | None       None for a function that is none
    leading_to(unit, function) -> list[Program]        the programs that come to it

A program of libbpf has a section. In BCC it has a name or a macro that says so, or else it is a function that nothing
here calls, whose first parameter is a program's context: a host attaches it that is not seen here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from ebpffix.fix import BCC
from ebpffix.frontend import Macro, Node, Unit
from ebpffix.kernel.program_types import Attach, Kind, Role, of_bcc_macro, of_bcc_name, of_section

__all__ = ["By", "Kind", "Program", "Role", "context", "leading_to", "program_of", "programs"]


class By(Enum):
    """Who attaches a program."""

    SECTION = "the section"
    NAME = "its name"  # BCC's `kprobe__f`, or a macro that makes such a name
    HOST = "user space"


@dataclass(frozen=True)
class Program:
    """`target` is the function or event that it is attached to, "" where the file does not say; `where` all that the
    section or name says of the place. `section` is as written, "" in BCC; `macro` the BPF_KPROBE, BPF_PROG or
    TRACEPOINT_PROBE that is its head, if it has one."""

    function: Node
    kind: Kind
    role: Role
    target: str
    where: str
    by: By
    section: str
    macro: Macro | None

    @property
    def name(self) -> str:
        """The program's name, which BPF_KPROBE's inner function has with a prefix."""
        return self.function.name.removeprefix("____")

    @property
    def context(self) -> Node | None:
        """Its first parameter."""
        return next(iter(self.function.parameters), None)

    @property
    def is_user(self) -> bool:
        """Whether its registers hold what user space put there: system calls and functions of user space."""
        return self.kind in (Kind.USER, Kind.SYSTEM_CALL)


def programs(unit: Unit) -> list[Program]:
    """The programs of the files of the run, in order."""
    return list(_known(unit).values())


def program_of(unit: Unit, function: Node) -> Program | None:
    """The program that a function is; None for one that is none."""
    return _known(unit).get(function.decl)


def leading_to(unit: Unit, function: Node) -> list[Program]:
    """The programs that a function is, or that come to it by calls and callbacks."""
    found, seen, todo = [], set[int](), [function]
    while todo:
        one = todo.pop()
        if one.decl in seen:
            continue
        seen.add(one.decl)
        if (program := program_of(unit, one)) is not None:
            found.append(program)
        todo += [owner for mention in unit.mentions(one) if (owner := mention.function) is not None]
    return found


def _known(unit: Unit) -> dict[int, Program]:
    known: dict[int, Program] | None = unit.memo.get("programs")
    if known is None:
        find = _of_bcc if unit.dialect == BCC else _of_libbpf
        found = {function.decl: find(unit, function) for function in unit.functions}
        known = unit.memo["programs"] = {decl: one for decl, one in found.items() if one is not None}
    return known


def _of_libbpf(unit: Unit, function: Node) -> Program | None:
    section = unit.program_section(function).decode("latin-1")
    said = of_section(section) if section else None
    if said is None:
        return None
    by = By.SECTION if said.certain else By.HOST
    return Program(function, said.kind, said.role, said.target, said.where, by, section, _head(unit, function))


def _head(unit: Unit, function: Node) -> Macro | None:
    """The macro that the head of a function is."""
    body = function.body
    if body is None or body.path not in unit.sources:
        return None
    code = unit.sources[body.path].code
    before = (m for m in reversed(unit.macros(path=body.path)) if m.end <= body.start and m.args)
    return next((m for m in before if not code[m.end : body.start].strip()), None)


def _of_bcc(unit: Unit, function: Node) -> Program | None:
    body = function.body
    if body is None:
        return None
    macro = _head(unit, function)
    code = unit.source_of(body).code
    words = [code[start:end].decode("latin-1") for start, end in macro.args] if macro is not None else []
    said = of_bcc_macro(macro.name, words) if macro is not None else None
    said = said or of_bcc_name(function.name)
    if said is not None:
        by = By.NAME if said.certain else By.HOST
        return Program(function, said.kind, _role(unit, function, said), said.target, said.where, by, "", macro)
    record = context(function)
    if not record or function.is_static or unit.mentions(function):
        return None
    kind = _CONTEXT_KINDS.get(record, Kind.OTHER)
    return Program(function, kind, _role(unit, function, None), "", "", By.HOST, "", macro)


# What a BCC program is attached to by its context, where its name does not say; a uprobe's is that of a kprobe.
_CONTEXT_KINDS = {"pt_regs": Kind.FUNCTION, "user_pt_regs": Kind.FUNCTION, "bpf_raw_tracepoint_args": Kind.RAW}
_RETURN_NAME = re.compile(r"(?:.*_)?(?:return|ret|exit|done|end)(?:_.*|\d*)\Z")


def _role(unit: Unit, function: Node, said: Attach | None) -> Role:
    """When a program of BCC runs. One that a host attaches is taken for a return probe where it asks for the return
    value, or is called "…return" or "…exit", else for an entry probe."""
    if said is not None and said.certain:
        return said.role
    record, body = context(function), function.body
    if "sys_exit" in record or "sys_enter" in record:
        return Role.RETURN if "sys_exit" in record else Role.ENTRY
    if "pt_regs" not in record or body is None:
        return Role.OTHER
    asks = b"PT_REGS_RC" in unit.source_of(body).code[body.start : body.end]
    return Role.RETURN if asks or _RETURN_NAME.match(function.name) else Role.ENTRY


_CONTEXT = re.compile(
    r"pt_regs|user_pt_regs|__sk_buff|xdp_md|sk_msg_md|sk_reuseport_md|bpf_perf_event_data|bpf_raw_tracepoint_args"
    r"|bpf_sock_ops|bpf_sock_addr|bpf_sock|bpf_sysctl|bpf_sockopt|bpf_sk_lookup|bpf_cgroup_dev_ctx|bpf_nf_ctx"
    r"|trace_event_raw_\w+|syscall_trace_\w+|tracepoint__\w+|bpf_iter__\w+"
)


def context(function: Node) -> str:
    """The structure that a function's first parameter points at, if it is the context of some program; else ""."""
    first = next(iter(function.parameters), None)
    record = first.type.pointee.name if first is not None and first.type.is_pointer else ""
    return record if _CONTEXT.fullmatch(record) else ""
