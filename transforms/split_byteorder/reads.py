"""The reads of kernel memory that stand in a macro, where BCC rewrites none.

reads(unit) -> Iterator[Read]    each once, in the functions that a program reaches
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ebpffix.analysis.provenance import Proof, is_evaluated, is_load, is_reached, is_written, pointer, prove
from ebpffix.editing.chain import ACCESS
from ebpffix.fix import Span
from ebpffix.frontend import Macro, Node, Unit

from .tracked import Root, root


@dataclass(frozen=True)
class Read:
    """A read of `node` through the pointer `through`, in the macros `around` (outermost first); `hiding` is the first
    of them whose body, not its argument, holds it."""

    unit: Unit
    function: Node
    node: Node
    through: Node
    known: Root
    around: tuple[Macro, ...]
    hiding: Macro | None

    @property
    def path(self) -> Path:
        return self.node.path

    @property
    def start(self) -> int:
        return self.node.start

    @property
    def end(self) -> int:
        """The end of the access, with a member that is named by a macro (`sk->sk_dport`)."""
        return next((m.end for m in self.unit.macros(path=self.path) if m.start == self.node.end), self.node.end)

    @property
    def span(self) -> Span:
        return Span(self.path, self.start, self.end)

    @property
    def text(self) -> bytes:
        return self.unit.text(self.span)

    @property
    def macro(self) -> Macro:
        """The innermost."""
        return self.around[-1]

    @cached_property
    def proof(self) -> Proof:
        return prove(self.unit, self.through)


def reads(unit: Unit) -> Iterator[Read]:
    for function in unit.functions:
        found = list(_of(unit, function)) if is_reached(unit, function) else []
        # Of an access in an access only the outer counts, and of one that a macro writes twice the first.
        for at, read in enumerate(found):
            if not any(_holds(before, read) for before in found[:at]):
                yield read


def _of(unit: Unit, function: Node) -> Iterator[Read]:
    for node in function.find(*ACCESS):
        around = unit.macros_around(node.path, node.start, node.end)
        through = pointer(node) if around and node.path in unit.sources else None
        if through is None or not _is_load(node, around):
            continue
        hiding = _hiding(node, around)
        if hiding is not None and hiding.name == "READ_ONCE":
            continue  # its argument is what counts
        known = root(unit, node)
        if known is not None:
            yield Read(unit, function, node, through, known, tuple(around), hiding)


def _holds(outer: Read, inner: Read) -> bool:
    within = outer.start <= inner.start and inner.node.end <= outer.node.end
    return within and (outer.hiding is None) == (inner.hiding is None)


def _hiding(node: Node, around: list[Macro]) -> Macro | None:
    """The macro whose body holds an access; None for one that stands in arguments only."""
    for macro in around:
        if not any(a <= node.start and node.end <= b for a, b in macro.args):
            return macro
    return around[-1] if node.start == node.end else None


def _is_load(node: Node, around: list[Macro]) -> bool:
    """Whether the program reads a number or a pointer there, and does not write it; READ_ONCE reads by an address."""
    if node.type.is_record or is_written(node):
        return False
    outer = node.outer
    if around[-1].name == "READ_ONCE" and outer is not None and outer.operator == "&":
        return is_evaluated(node)
    return is_load(node)
