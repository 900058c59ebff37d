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

from enum import Enum

from ebpffix.analysis.provenance import Kind, pointer, prove
from ebpffix.frontend import Node, Unit


class Root(Enum):
    """What is known of the pointer that an access goes through."""

    TRACKED = "BCC rewrites a plain access"
    KERNEL = "kernel memory that BCC leaves to the program"
    HEADER = "the result of a function of the kernel's headers"


def root(unit: Unit, access: Node) -> Root | None:
    """What is known of the pointer that an access goes through; None where reading through it is right as it is, where
    its origin is not known, and for what goes through no pointer."""
    through = pointer(access)
    proof = prove(unit, through) if through is not None else None
    if through is None or proof is None or not proof.is_number:
        return None
    if any(link.kind is Kind.HEADER for way in proof.ways for link in way.chain):
        return Root.HEADER
    # BCC tracks these by version, and an explicit read is right in each.
    doubtful = any(
        link.kind in (Kind.EVENT, Kind.LIKELY_EVENT) or (link.kind is Kind.IN_MAP and "member" in link.what)
        for way in proof.ways
        for link in way.chain
    )
    if doubtful:
        return Root.KERNEL
    in_place = through.path == unit.path and not _is_behind_its_calls(unit, through)
    return Root.TRACKED if proof.is_tracked and in_place and not _is_element_by_macro(unit, access) else Root.KERNEL


def _is_element_by_macro(unit: Unit, access: Node) -> bool:
    return access.kind == "ARRAY_SUBSCRIPT_EXPR" and any(
        access.start < m.start and m.end <= access.end for m in unit.macros(path=access.path)
    )


def _is_behind_its_calls(unit: Unit, node: Node) -> bool:
    """Whether a node stands in a static function that is defined behind a call of it."""
    function = node.function
    if function is None or not function.is_static:
        return False
    return any(c.path == function.path and c.start < function.start for c in unit.calls_of(function.name))
