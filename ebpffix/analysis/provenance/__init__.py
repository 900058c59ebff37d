"""Where a pointer comes from: whose memory it points at, proven link by link.

    prove(unit, node) -> Proof          of an expression that stands for an address: a pointer, an array, `&x`
    is_reached(unit, function) -> bool  whether a program comes to a function
    prove_place(unit, node) -> Proof    of the memory that an lvalue such as `p->m` lies in
    pointer(node) -> Node | None        the pointer that an access goes through last
    is_load(node) -> bool               whether the program reads the memory there
    maps(unit, node) -> frozenset[int] | None    the maps that an expression may stand for
    entries(unit) -> Entries            which entry of which map a pointer is

A pointer is followed through variables, members, parameters (all callers), results, maps (all writers) and explicit
reads, to where the address was made: the program's own memory, a helper, what the program is given. A type is no
origin: only a structure that the kernel keeps to itself makes it likely that a pointer of unknown origin is the
kernel's. What cannot be followed is a way of its own, never left out.

For BCC "tracked" means that its own rewriter knows the pointer and turns `p->m` into a probe read: parameters of a
kprobe behind the context, registers of the context, bpf_get_current_task(), what is reached from these by members,
and pointers from a map that the file fills with a tracked pointer. A pointer that passed through an integer variable
or an explicit probe read is not tracked.
"""

from __future__ import annotations

from ebpffix.analysis.provenance.access import is_evaluated, is_load, is_written, pointer
from ebpffix.analysis.provenance.attached import HOSTS
from ebpffix.analysis.provenance.entries import LOOKUPS, Entries, Leg, Name, Way
from ebpffix.analysis.provenance.origin import Kind, Link, Origin, Proof, Space, unknown
from ebpffix.analysis.provenance.tracer import DEPTH, Tracer
from ebpffix.frontend import Node, Unit

__all__ = [
    "HOSTS",
    "LOOKUPS",
    "Entries",
    "Kind",
    "Leg",
    "Link",
    "Name",
    "Origin",
    "Proof",
    "Space",
    "Way",
    "entries",
    "is_evaluated",
    "is_load",
    "is_reached",
    "is_written",
    "maps",
    "pointer",
    "prove",
    "prove_place",
]


def prove(unit: Unit, node: Node) -> Proof:
    """Whose memory the address `node` points at."""
    return Proof(_tracer(unit).value(node) or unknown("it is NULL"))


def prove_place(unit: Unit, node: Node) -> Proof:
    """In whose memory an lvalue lies."""
    return Proof(_tracer(unit).place(node) or unknown("it is NULL"))


def is_reached(unit: Unit, function: Node | None) -> bool:
    """Whether a program of the unit is a function or may come to it, by calls or through a pointer."""
    return function is None or _tracer(unit).calls.is_reached(function)


def maps(unit: Unit, node: Node) -> frozenset[int] | None:
    """The maps (by `Node.decl`) that an expression may stand for, seen from all that call its function; None where they
    cannot be told."""
    return _tracer(unit).maps.named(node, DEPTH)


def entries(unit: Unit) -> Entries:
    """Which entry of which map a pointer is, in the functions of a unit."""
    return Entries(_tracer(unit))


def _tracer(unit: Unit) -> Tracer:
    known: Tracer = unit.memo.setdefault("provenance", None) or Tracer(unit)
    unit.memo["provenance"] = known
    return known
