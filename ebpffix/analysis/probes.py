"""Which functions of a program run where a probed function is entered and returns, and what is kept per thread.

Roles come from the section (libbpf), from the name or macro (BCC), and for functions that programs call from their
callers. BCC programs whose names say nothing are attached by a host that is not seen here: one that asks for the return
value, or is called "…return" or "…exit", is taken for a return probe, all others for entry probes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from functools import cached_property

from ebpffix.fix import BCC
from ebpffix.frontend import Node, Unit
from ebpffix.kernel.helpers import THREAD_ID


class Role(Enum):
    ENTRY = "entry"
    RETURN = "return"
    OTHER = "other"


_RETURN = re.compile(
    rb"\??(?:k|u)ret(?:probe|syscall)|\??fexit\b|\??(?:raw_)?(?:tp|tracepoint|tp_btf)(?:\.w)?/(?:syscalls/)?sys_exit"
)
_ENTRY = re.compile(
    rb"\??(?:k|u)(?:probe|syscall)|\??fentry\b|\??(?:raw_)?(?:tp|tracepoint|tp_btf)(?:\.w)?/(?:syscalls/)?sys_enter"
)
_BCC_MACRO = re.compile(rb"\b([A-Z_]*(?:PROBE|MOD_RET|BPF_ITER))\s*\(([^(){};]*)\)\s*\Z")
_BCC_RETURN_NAME = re.compile(r"kretprobe__|(?:.*_)?(?:return|ret|exit|done|end)(?:_.*|\d*)\Z")


class Probes:
    """The programs of a unit by role, and the functions that they call."""

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self.functions = {function.decl: function for function in unit.functions}

    @cached_property
    def callers(self) -> dict[int, list[Node]]:
        """The calls of each function of the run, by its `Node.decl`."""
        found: dict[int, list[Node]] = {}
        for call in self.unit.calls:
            callee = call.callee
            if callee is not None and callee.kind == "DECL_REF_EXPR" and callee.decl in self.functions:
                found.setdefault(callee.decl, []).append(call)
        return found

    def roles(self, function: Node | None, _above: frozenset[int] = frozenset()) -> set[Role]:
        """The roles in which a function runs; OTHER for one that nothing seen here calls."""
        if function is None:
            return {Role.OTHER}
        own = self._own_role(function)
        if own is not None:
            return {own}
        calls = self.callers.get(function.decl, []) if function.decl not in _above else []
        found: set[Role] = set()
        for call in calls:
            found |= self.roles(call.function, _above | {function.decl})
        return found or ({Role.OTHER} if function.decl not in _above else set())

    def programs(self, function: Node, _above: frozenset[int] = frozenset()) -> set[int]:
        """The functions (by `Node.decl`) that nothing here calls and that come to a function, itself among them."""
        if function.decl in _above:
            return set()
        above = [c.function for c in self.callers.get(function.decl, []) if c.function is not None]
        found = {function.decl} if not above else set()
        return found.union(*(self.programs(caller, _above | {function.decl}) for caller in above))

    def _own_role(self, function: Node) -> Role | None:
        """The role of a program; None for a function that is none."""
        if self.unit.dialect == BCC:
            return self._bcc_role(function)
        section = self.unit.program_section(function)
        if not section:
            return None
        return Role.RETURN if _RETURN.match(section) else Role.ENTRY if _ENTRY.match(section) else Role.OTHER

    def _bcc_role(self, function: Node) -> Role | None:
        body = function.body
        if body is None or function.decl in self.callers:
            return None
        source = self.unit.source_of(body)
        if macro := _BCC_MACRO.search(source.code, max(0, body.start - 500), body.start):
            name, arguments = macro[1], macro[2]
            if b"KRETFUNC" in name or b"sys_exit" in arguments:
                return Role.RETURN
            return Role.ENTRY if b"KFUNC" in name or b"sys_enter" in arguments else Role.OTHER
        context = next((p.type.canonical.spelling for p in function.parameters), "")
        if "sys_exit" in context:
            return Role.RETURN
        if "sys_enter" in context:
            return Role.ENTRY
        if "pt_regs" not in context:
            return Role.OTHER
        returns = _BCC_RETURN_NAME.match(function.name) or b"PT_REGS_RC" in source.code[body.start : body.end]
        return Role.RETURN if returns else Role.ENTRY

    # -- keys

    def is_thread(self, key: Node | None, *, process: bool = True) -> bool:
        """Whether a key (`&tid`) is an integer out of bpf_get_current_pid_tgid(); with `process=False` one that says
        more than the process."""
        variable = key.address_of if key is not None else None
        if variable is None or variable.kind != "DECL_REF_EXPR" or variable.type.is_record:
            return False
        return self._of_thread(variable, process, set())

    def _of_thread(self, node: Node, process: bool, seen: set[int]) -> bool:
        node = node.uncast
        if node.kind == "CALL_EXPR":
            callee = node.callee
            function = self.functions.get(callee.decl) if callee is not None else None
            if function is None or function.decl in seen:
                return node.name == THREAD_ID
            seen.add(function.decl)
            returns = function.find("RETURN_STMT")
            return any(self._of_thread(c, process, seen) for r in returns for c in r.children)
        if node.kind == "DECL_REF_EXPR":
            return self._variable(node, process, seen)
        if node.kind == "BINARY_OPERATOR" and node.operator == ">>" and not process:
            return False
        if node.kind in ("BINARY_OPERATOR", "UNARY_OPERATOR", "StmtExpr", "COMPOUND_STMT"):
            return any(self._of_thread(c, process, seen) for c in node.children)
        return False

    def _variable(self, name: Node, process: bool, seen: set[int]) -> bool:
        function = name.function
        if function is None or name.decl in seen or not name.decl:
            return False
        seen.add(name.decl)
        if any(self._of_thread(value, process, seen) for value in _values(function, name.decl)):
            return True
        parameters = [p.decl for p in function.parameters]
        if name.decl not in parameters:
            return False
        index = parameters.index(name.decl)
        given = [c.arguments[index] for c in self.callers.get(function.decl, []) if len(c.arguments) > index]
        return bool(given) and all(self._of_thread(value, process, set(seen)) for value in given)


def _values(function: Node, variable: int) -> Iterator[Node]:
    """What a variable of a function is set to."""
    for node in function.find("VAR_DECL", "BINARY_OPERATOR"):
        if node.kind == "VAR_DECL":
            if node.decl == variable and node.children:
                yield node.children[-1]
        elif node.operator == "=" and node.children[0].bare.decl == variable:
            yield node.children[1]
