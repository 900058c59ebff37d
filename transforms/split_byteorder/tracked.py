"""Which pointers BCC's own rewriter knows, and which loads the verifier refuses because it does not.

    root(unit, access) -> Root | None   what is known of the pointer that `p->m`, `*p` or `p[i]` goes through

BCC rewrites `p->m` into a probe read where it tracks `p`, see `ebpffix.analysis.provenance`. Beyond what is said there
it rewrites nothing
- in a header, nor in a static function that stands behind a call of it: its body is not known yet at the call;
- in an element of an array that a macro names (`s6_addr32[1]`);
- in functions of the kernel's headers, such as `ip_hdr(skb)`, which read kernel memory in their own bodies.

What it does not track is a plain number for the verifier: an integer argument, what was loaded out of a map, out of
kernel memory or out of the context of a probe. A load through it is refused whatever the program does with it first, so
that each way by which a pointer got its value counts, and one that cannot be followed leaves the answer open.

Measured with BCC 0.26 and the verifier of kernel 6.18 on small kprobes and tracepoints: a plain access is accepted
where the pointer is tracked, and refused ("invalid mem access 'scalar'") where it is not. The fixtures of
split-byteorder are such programs, each with the verdict in its first line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum

from ebpffix.analysis.provenance import Origin, origin, pointer
from ebpffix.editing.chain import ACCESS
from ebpffix.frontend import Node, Unit

# Functions of the kernel's headers that only cast their argument; others read memory.
_CASTS = frozenset(("inet_sk", "inet_csk", "tcp_sk", "udp_sk", "inet_reqsk", "inet_twsk"))
# Contexts whose fields hold addresses of kernel memory; a system call's are of user space.
_PROBED = re.compile(r"pt_regs\Z|bpf_raw_tracepoint_args\Z|tracepoint__(?!syscalls__|raw_syscalls__)")
_DEPTH = 8  # steps of following; deeper is not known


class Root(Enum):
    """What is known of the pointer that an access goes through."""

    TRACKED = "BCC rewrites a plain access"
    KERNEL = "kernel memory that BCC leaves to the program"
    HEADER = "the result of a function of the kernel's headers"


def root(unit: Unit, access: Node) -> Root | None:
    """What is known of the pointer that an access goes through; None where reading through it is right as it is, where
    its origin is not known, and for what goes through no pointer."""
    through = pointer(access)
    known = _known(unit, through) if through is not None else None
    return Root.KERNEL if known is Root.TRACKED and _is_element_by_macro(unit, access) else known


def _is_element_by_macro(unit: Unit, access: Node) -> bool:
    return access.kind == "ARRAY_SUBSCRIPT_EXPR" and any(
        access.start < m.start and m.end <= access.end for m in unit.macros(path=access.path)
    )


def _known(unit: Unit, through: Node, depth: int = _DEPTH) -> Root | None:
    found = origin(unit, through)
    if found is Origin.UNKNOWN:
        return _refused(unit, through, depth)
    if not found.is_kernel:
        return None
    tracked = found is Origin.KERNEL_TRACKED and through.path == unit.path and not _is_behind_its_calls(unit, through)
    return Root.TRACKED if tracked else Root.KERNEL


def _is_behind_its_calls(unit: Unit, node: Node) -> bool:
    """Whether a node stands in a static function that is defined behind a call of it."""
    function = node.function
    if function is None or not function.is_static:
        return False
    return any(c.path == function.path and c.start < function.start for c in unit.calls_of(function.name))


def _refused(unit: Unit, through: Node, depth: int) -> Root | None:
    """KERNEL or HEADER for a pointer that is a plain number for the verifier on every way."""
    node = through.uncast
    found = origin(unit, node)
    if found is not Origin.UNKNOWN or depth == 0:
        return Root.KERNEL if found.is_kernel else None
    if node.kind == "CALL_EXPR":
        return _returned(unit, node, depth)
    if node.kind == "DECL_REF_EXPR":
        return _variable(unit, node, depth)
    if node.kind == "CONDITIONAL_OPERATOR":
        return _all(_refused(unit, c, depth - 1) for c in node.children[1:])
    if node.kind == "BINARY_OPERATOR" and node.operator in ("+", "-"):
        return _refused(unit, node.children[0], depth - 1)
    inner = pointer(node) if node.kind in ACCESS else None
    if inner is None:
        return None
    where, record = origin(unit, inner), inner.type.pointee.name
    if where is Origin.MAP_VALUE or (where is Origin.CTX and _PROBED.match(record)):
        return Root.KERNEL
    return _refused(unit, inner, depth - 1)


def _returned(unit: Unit, call: Node, depth: int) -> Root | None:
    target = call.declaration
    function = next((f for f in unit.functions if f.decl == call.decl), None)
    if function is not None:
        returns = [r.children[0] for r in function.find("RETURN_STMT") if r.children]
        return _all(_refused(unit, value, depth - 1) for value in returns if not _is_zero(value))
    if target is None or target.kind != "FUNCTION_DECL" or not call.arguments:
        return None
    given = _known(unit, call.arguments[0], depth - 1)
    if given is None or call.name in _CASTS:
        return Root.KERNEL if given else None
    return Root.HEADER if call.type.is_pointer else None


def _variable(unit: Unit, node: Node, depth: int) -> Root | None:
    target, function = node.declaration, node.function
    if target is None or function is None or not node.is_local:
        return None
    values = []
    for other in function.find("VAR_DECL", "BINARY_OPERATOR", "UNARY_OPERATOR"):
        if other.kind == "VAR_DECL" and other.decl == node.decl and b"=" in other.text and other.children:
            values.append(other.children[-1])
        elif other.kind == "BINARY_OPERATOR" and other.operator == "=" and other.children[0].bare.decl == node.decl:
            values.append(other.children[1])
        elif other.kind == "UNARY_OPERATOR" and other.operator == "&" and other.children[0].bare.decl == node.decl:
            return None
    found = [_refused(unit, value, depth - 1) for value in values if not _is_zero(value)]
    if target.kind == "PARM_DECL":
        found.append(_parameter(unit, node, function, depth))
    return _all(found)


def _parameter(unit: Unit, node: Node, function: Node, depth: int) -> Root | None:
    parameters = [p.decl for p in function.parameters]
    index = parameters.index(node.decl)
    if function.is_static:
        calls = [c for c in unit.calls_of(function.name) if len(c.arguments) > index]
        return _all(_refused(unit, c.arguments[index], depth - 1) for c in calls)
    # Whatever a kprobe has behind its context is an integer for the verifier.
    return Root.KERNEL if index > 0 and _is_probe(function) else None


def _is_probe(function: Node) -> bool:
    first = next(iter(function.parameters), None)
    return first is not None and first.type.pointee.name == "pt_regs"


def _all(found: Iterable[Root | None]) -> Root | None:
    kinds = list(found)
    if not kinds or None in kinds:
        return None
    return Root.HEADER if Root.HEADER in kinds else Root.KERNEL


def _is_zero(node: Node) -> bool:
    return node.uncast.integer == 0
