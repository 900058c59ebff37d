"""Which functions of a program run where a probed function is entered and returns, and what is kept per thread.

Roles are those of `programs`, and for functions that programs call those of their callers.
"""

from __future__ import annotations

from functools import cached_property

from ebpffix.analysis.programs import Role, program_of
from ebpffix.analysis.values import callers, parts, returned, values
from ebpffix.frontend import Node, Unit
from ebpffix.kernel.helpers import THREAD_ID

__all__ = ["Probes", "Role"]


class Probes:
    """The programs of a unit by role, and the functions that they call."""

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self.functions = {function.decl: function for function in unit.functions}

    @cached_property
    def callers(self) -> dict[int, list[Node]]:
        """The calls of each function of the run, by its `Node.decl`."""
        return callers(self.unit, self.functions)

    def roles(self, function: Node | None, _above: frozenset[int] = frozenset()) -> set[Role]:
        """The roles in which a function runs; OTHER for one that nothing seen here calls."""
        if function is None:
            return {Role.OTHER}
        program = program_of(self.unit, function)
        if program is not None:
            return {program.role}
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

    # -- keys

    def is_thread(self, key: Node | None, *, process: bool = True) -> bool:
        """Whether a key (`&tid`) is an integer out of bpf_get_current_pid_tgid(); with `process=False` one that says
        more than the process."""
        variable = key.address_of if key is not None else None
        if variable is None or variable.kind != "DECL_REF_EXPR" or variable.type.is_record:
            return False
        return self._of_thread(variable, process, set())

    def is_thread_id(self, value: Node) -> bool:
        """Whether an expression's value is an integer out of bpf_get_current_pid_tgid()."""
        return self._of_thread(value, True, set())

    def holds_thread(self, key: Node | None) -> bool:
        """Whether a key is an integer out of bpf_get_current_pid_tgid(), or a structure with such a member."""
        variable = key.address_of if key is not None else None
        if variable is None or variable.kind != "DECL_REF_EXPR" or not variable.type.is_record:
            return self.is_thread(key)
        function = variable.function
        given = parts(function, variable.decl) if function is not None else iter(())
        return any(self._of_thread(value, True, set()) for value in given)

    def _of_thread(self, node: Node, process: bool, seen: set[int]) -> bool:
        node = node.uncast
        if node.kind == "CALL_EXPR":
            callee = node.callee
            function = self.functions.get(callee.decl) if callee is not None else None
            if function is None or function.decl in seen:
                return node.name == THREAD_ID
            seen.add(function.decl)
            return any(self._of_thread(value, process, seen) for value in returned(function))
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
        if any(self._of_thread(value, process, seen) for value in values(function, name.decl)):
            return True
        parameters = [p.decl for p in function.parameters]
        if name.decl not in parameters:
            return False
        index = parameters.index(name.decl)
        given = [c.arguments[index] for c in self.callers.get(function.decl, []) if len(c.arguments) > index]
        return bool(given) and all(self._of_thread(value, process, set(seen)) for value in given)
