"""Whether a condition of a return probe asks what the probed function returned."""

from __future__ import annotations

from ebpffix.analysis.accesses import trace
from ebpffix.analysis.programs import Kind, Program
from ebpffix.analysis.values import values
from ebpffix.frontend import Node

# Members of the contexts of return probes that hold it: of pt_regs on x86 and s390, and of sys_exit.
_MEMBERS = frozenset(("ax", "rax", "ret", "retval"))


def depends_on_result(
    node: Node, through: tuple[Node, ...], program: Program, _seen: frozenset[int] = frozenset()
) -> bool:
    """Whether an expression in a function that a return program comes to by the calls `through` takes its value from
    the probed function's result."""
    source = node.unit.sources.get(node.path)
    if source is not None and b"PT_REGS_RC" in source.code[node.start : node.end]:
        return True
    for inner in node.walk():
        if inner.kind == "MEMBER_REF_EXPR" and inner.name in _MEMBERS and inner.children:
            base, _ = trace(inner.children[0], through)
            context = program.context
            if context is not None and base.decl == context.decl:
                return True
        elif inner.kind == "DECL_REF_EXPR" and inner.is_local and inner.decl not in _seen:
            given, above = trace(inner, through)
            seen = _seen | {inner.decl}
            if len(above) < len(through):
                if depends_on_result(given, above, program, seen):
                    return True
            elif _is_result(inner, program) or any(
                depends_on_result(value, through, program, seen)
                for value in (values(inner.function, inner.decl) if inner.function is not None else ())
            ):
                return True
    return False


def _is_result(name: Node, program: Program) -> bool:
    """Whether a name is the parameter by which a program gets the result: any behind the context of BPF_KRETPROBE and
    its like, the last one of a program whose types the verifier knows."""
    parameters = [p.decl for p in program.function.parameters[1:]]
    if program.kind is Kind.TYPED:
        parameters = parameters[-1:]
    return program.macro is not None and name.decl in parameters
