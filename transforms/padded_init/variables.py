"""Local variables: how each gets its value, and which of its bytes are not written when it goes to a helper."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass

from ebpffix.analysis.flow import Flow
from ebpffix.editing.settle import NoEdit
from ebpffix.fix import Edit
from ebpffix.frontend import Node, Unit

from . import initialiser, layout, placing
from .compilers import clearing, clears
from .escapes import Event, Object, events
from .unwritten import Unwritten, unwritten

_OLD_BITFIELDS = "compilers and kernels of 2020 refused bitfields in an initialiser, today's take them"
# Where the bytes of an object are kept or handed out: lesson 3 is about these, not about a checksum over a header.
_KEPT = re.compile(r"map_|storage|output|submit|^(?:lookup|update|insert|delete|increment|push)")


@dataclass(frozen=True)
class Begin:
    """Where a variable gets its value as a whole: in its declaration, or (`at` is not it) by `x = (struct t){ … }`;
    `items` is the list, None for a declaration without a value. `fault` is the first escape with bytes that were not
    written, None where `kept` names a helper that gets bitfields which fill their unit. `doubt` says why it may be that
    the compiler writes them."""

    unit: Unit
    object: Object
    at: Node
    items: Node | None
    events: tuple[Event, ...]
    fault: Unwritten | None
    kept: str = ""
    doubt: str = ""

    def edits(self) -> list[Edit]:
        """The object cleared first, then set. NoEdit where that is not possible."""
        declaration = self.object.variable
        line = clearing(self.object.name.encode(), self.object.type)
        if self.items is None:
            return placing.cleared(self.unit, declaration, self.events, line)
        made = _assignments(self.unit, self.items, self.object)
        if any(node.decl == declaration.decl for node in self.items.find("DECL_REF_EXPR")):
            raise NoEdit("the initialiser refers to the object itself")
        in_place = self.at is declaration
        if not in_place and _aliased(declaration) and not initialiser.is_constant(self.items):
            raise NoEdit("the initialiser may read the object through a pointer to it")
        source, opening = self.unit.source_of(self.items), self.items.start
        lines = [line, *initialiser.lines(self.unit, self.items, opening, made.made, source.indent(self.at.start))]
        if in_place:
            return placing.moved(self.unit, declaration, opening, lines)
        return placing.replaced(self.unit, self.at, lines)


def begins(unit: Unit, declaration: Node) -> Iterator[Begin]:
    """The places where a variable gets a value that leaves bytes unwritten which then go to a helper."""
    function, object_ = declaration.function, Object(declaration, declaration.type)
    if function is None or not unit.layout_known(declaration.type):
        return
    done = events(unit, function, object_)
    if not any(event.to for event in done):
        return
    flow = Flow(function)
    value = declaration.initialiser
    items = list_of(value)
    if value is None:
        if not _has_value(unit, declaration):
            yield from _without_value(unit, object_, flow, done)
    elif items is not None and not initialiser.is_zero(items):
        yield from _with_list(unit, object_, flow, declaration, items, done)
    for event in done:
        assigned = list_of(event.at.children[1]) if event.at.operator == "=" and len(event.at.children) == 2 else None
        if assigned is not None and event.bits == layout.all_bits(declaration.type) and not event.to:
            yield from _with_list(unit, object_, flow, event.at, assigned, done)


def list_of(value: Node | None) -> Node | None:
    """The list of an initialiser or of a compound literal."""
    if value is None:
        return None
    value = value.bare
    if value.kind == "COMPOUND_LITERAL_EXPR":
        return next((c for c in value.children if c.kind == "INIT_LIST_EXPR"), None)
    return value if value.kind == "INIT_LIST_EXPR" else None


def _has_value(unit: Unit, declaration: Node) -> bool:
    """Whether a value is written for a declaration, which clang lost where it did not understand it."""
    source = unit.sources.get(declaration.path)
    if source is None:
        return True
    text = source.code[declaration.start : declaration.statement.end]
    own = re.search(rb"\b%s\b([^,;=]*)(=)?" % re.escape(declaration.name.encode()), text)
    return own is None or own[2] is not None


def _without_value(unit: Unit, object_: Object, flow: Flow, done: list[Event]) -> Iterator[Begin]:
    start = flow.step(object_.variable)
    found = unwritten(object_, done, flow, start, 0) if start is not None else []
    if (fault := _first(found)) is not None:
        yield Begin(unit, object_, object_.variable, None, tuple(done), fault)


def _with_list(unit: Unit, object_: Object, flow: Flow, at: Node, items: Node, done: list[Event]) -> Iterator[Begin]:
    start, type_ = flow.step(at), object_.type
    if start is None or items.path not in unit.sources:
        return
    try:
        bits = _assignments(unit, items, object_).bits
    except NoEdit:
        bits = layout.zeroed_bits(type_) | layout.data_bits(type_)
    fault = _first(unwritten(object_, done, flow, start, bits))
    begin = functools.partial(Begin, unit, object_, at, items, tuple(done))
    if fault is not None:
        yield begin(fault, doubt=clears(items, type_, declared=at is object_.variable))
    elif layout.has_bitfields(type_) and not layout.all_bits(type_) & ~bits:
        kept = next((event for event in done if _KEPT.search(event.to)), None)
        if kept is not None:
            yield begin(None, kept=kept.to, doubt=_OLD_BITFIELDS)


def _first(found: list[Unwritten]) -> Unwritten | None:
    """The first escape with bytes that no path writes: of a variable one that some path leaves out says too little."""
    return next((fault for fault in found if fault.event.to and fault.never), None)


def _assignments(unit: Unit, items: Node, object_: Object) -> initialiser.Assignments:
    if unit.source_of(items).code[items.start : items.start + 1] != b"{":
        raise NoEdit("a macro holds the initialiser")
    return initialiser.assignments(unit, items, items.start, object_.name.encode(), object_.type)


def _aliased(declaration: Node) -> bool:
    """Whether the object's address is kept anywhere, other than for the time of a call."""
    mentions = declaration.function.find("DECL_REF_EXPR") if declaration.function else ()
    for mention in mentions:
        address = mention.parent
        if mention.decl == declaration.decl and address is not None and address.operator == "&":
            outer = address.outer_uncast
            if outer is not None and outer.kind != "CALL_EXPR":
                return True
    return False
