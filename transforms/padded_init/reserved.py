"""Memory that a ring buffer reserved: who holds it, what was not written when it is submitted, where it is cleared.

The memory is followed from the call that reserves it, also out of helper functions that return it, to where it is
submitted. It is cleared behind the test for NULL, in the innermost function that has one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ebpffix.analysis.flow import Flow
from ebpffix.analysis.values import taker
from ebpffix.editing import statements as edits
from ebpffix.editing.settle import NoEdit
from ebpffix.fix import Edit
from ebpffix.frontend import Node, Unit
from ebpffix.kernel.helpers import Returns

from . import layout
from .compilers import clearing
from .escapes import Object, constant, events
from .unwritten import Unwritten, unwritten

_DEPTH = 3
_LEAVES = ("RETURN_STMT", "GOTO_STMT", "BREAK_STMT", "CONTINUE_STMT")


@dataclass(frozen=True)
class Holder:
    """A variable that gets the memory, by the declaration or assignment `begun`. `faults` are the escapes in its
    function with bytes that were not written, `onward` those who get it from there, by a return. `early`: members are
    set before it is returned."""

    object: Object
    begun: Node
    faults: tuple[Unwritten, ...]
    onward: tuple[Holder, ...]
    early: bool

    @property
    def all_faults(self) -> Iterator[tuple[Object, Unwritten]]:
        yield from ((self.object, fault) for fault in self.faults)
        for holder in self.onward:
            yield from holder.all_faults


def reservations(unit: Unit) -> Iterator[tuple[Node, list[Holder]]]:
    """The calls that reserve memory, each with those who hold it first."""
    for call in unit.calls:
        does = call.helper
        if does is not None and does.returns is Returns.RESERVED_OR_NULL:
            number = 0 if call.method else 1
            size = constant(call.arguments[number]) if number < len(call.arguments) else None
            yield call, list(_holders(unit, call, size, 0, _DEPTH))


def _holders(unit: Unit, call: Node, size: int | None, written: int, depth: int) -> Iterator[Holder]:
    """Those who get what a call returns, with the bits that are written by then."""
    variable, function = taker(call), call.function
    if function is None or not depth:
        return
    outer = call.outer_uncast
    if outer is not None and outer.kind == "RETURN_STMT":
        for caller in _callers(unit, function):
            yield from _holders(unit, caller, size, written, depth - 1)
    elif variable is not None and variable.kind in ("VAR_DECL", "DECL_REF_EXPR") and variable.is_local:
        type_ = variable.type.pointee
        if variable.type.is_pointer and type_.is_record and type_.size and unit.layout_known(type_):
            yield _holder(unit, function, Object(variable, type_, pointer=True), size, written, depth)


def _callers(unit: Unit, function: Node) -> Iterator[Node]:
    for mention in unit.mentions(function):
        if (call := mention.outer) is not None and call.kind == "CALL_EXPR" and call.callee is mention:
            yield call


def _holder(unit: Unit, function: Node, object_: Object, size: int | None, written: int, depth: int) -> Holder:
    begun = object_.variable if object_.variable.kind == "VAR_DECL" else object_.variable.outer
    assert begun is not None
    flow = Flow(function)
    start = flow.step(begun)
    beyond = layout.all_bits(object_.type) & ~layout.span(0, 8 * (object_.type.size if size is None else size))
    done = events(unit, function, object_)
    found = unwritten(object_, done, flow, start, written | beyond) if start is not None else []
    given = [fault for fault in found if fault.event.returned]
    onward: tuple[Holder, ...] = ()
    known = written
    if given:
        never = 0
        for fault in given:
            never |= fault.never
        known = layout.all_bits(object_.type) & ~never
        onward = tuple(h for c in _callers(unit, function) for h in _holders(unit, c, size, known, depth - 1))
    faults = tuple(fault for fault in found if fault.event.to)
    return Holder(object_, begun, faults, onward, known & ~beyond != written & ~beyond)


def cleared(unit: Unit, holder: Holder) -> list[Edit]:
    """The edits that clear the memory before anything is written. NoEdit where there is no place for that."""
    try:
        return _behind_the_test(unit, holder)
    except NoEdit:
        needy = [one for one in holder.onward if any(one.all_faults)]
        if holder.faults or holder.early or not needy:
            raise
        return [edit for one in needy for edit in cleared(unit, one)]


def _behind_the_test(unit: Unit, holder: Holder) -> list[Edit]:
    statement, variable = holder.begun.statement, holder.object.variable
    line = clearing(holder.object.name.encode(), holder.object.type, pointer=True)
    test = statement if statement.kind == "IF_STMT" else _next_mention(statement, variable.decl)
    holds = _holds(test.children[0], variable.decl) if test is not None and test.kind == "IF_STMT" else None
    if test is None or holds is None:
        raise NoEdit(f"no test of `{holder.object.name}` for NULL follows where it could be cleared behind")
    branch = test.children[1]
    if holds:
        first = next(iter(branch.children), None) if branch.kind == "COMPOUND_STMT" else branch
        if first is None:
            raise NoEdit("the branch behind the test for NULL is empty")
        return edits.before(unit, first, [line])
    last = branch.children[-1] if branch.kind == "COMPOUND_STMT" and branch.children else branch
    if last.kind not in _LEAVES or len(test.children) > 2:
        raise NoEdit("the program goes on where the memory is NULL")
    return edits.after(unit, test, [line])


def _next_mention(statement: Node, variable: int) -> Node | None:
    """The first statement behind one in its block that mentions a variable."""
    block = statement.parent.children if statement.parent is not None else []
    behind = block[block.index(statement) + 1 :] if statement in block else []
    return next((s for s in behind if any(n.decl == variable for n in s.find("DECL_REF_EXPR"))), None)


def _holds(condition: Node, variable: int) -> bool | None:
    """True where a condition that holds says that a pointer is not NULL, False where one that does not hold says so."""
    node = condition.uncast
    if node.kind == "CALL_EXPR" and node.name == "__builtin_expect":
        return _holds(node.arguments[0], variable)
    if node.operator == "!":
        inner = _holds(node.children[0], variable)
        return None if inner is None else not inner
    if node.operator in ("&&", "||"):
        sides = [_holds(side, variable) for side in node.children]
        wanted = node.operator == "&&"
        return wanted if wanted in sides else None
    if node.operator in ("==", "!=") and any(side.uncast.integer == 0 for side in node.children):
        return node.operator == "!=" if any(_is(side.uncast, variable) for side in node.children) else None
    return True if _is(node, variable) else None


def _is(node: Node, variable: int) -> bool:
    target = node.assignment[0] if node.operator == "=" and node.assignment else node
    return target.kind == "DECL_REF_EXPR" and target.decl == variable
