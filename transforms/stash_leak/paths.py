"""The paths of return probes on which an entry stays.

    leaks(unit, stash) -> Iterator[Leak]

The function that holds the entry (which looks it up, or gets it from the function that does) must delete it on every
path from there, unless its callers do. And no function above may leave, for what the probed function returned, before
it comes to the delete.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ebpffix.analysis.accesses import Access
from ebpffix.analysis.flow import Edge, Effect, Flow, Step, Use
from ebpffix.analysis.pairs import Stash, target_of
from ebpffix.analysis.values import returned, taker
from ebpffix.frontend import Node, Unit

from .result import depends_on_result

Places = set[tuple[Path, int]]


@dataclass(frozen=True)
class Leak:
    """A function that return probes run, and the last steps of its paths on which the entry stays, in source order.

    `given` is the call that gives the entry or leads to the lookup, and `step` its step; `lookup` is the lookup, and
    `variable` the pointer that gets the entry (0 for none), in the function that holds it. `leaving` follows the
    lookup, `skipping` never comes there.
    """

    unit: Unit
    stash: Stash
    flow: Flow
    lookup: Access
    given: Node
    step: Step
    variable: int
    deletes: set[Step]
    absent: list[Edge]
    leaving: list[Step] = field(default_factory=list)
    skipping: list[Step] = field(default_factory=list)

    @property
    def function(self) -> Node:
        return self.flow.function

    @property
    def uses(self) -> list[Use]:
        """Where the entry is used, tests for NULL aside."""
        mentions = self.flow.uses(self.variable) if self.variable else []
        return [u for u in mentions if u.through and not (u.effect is Effect.READ and u.target is u.node)]


def leaks(unit: Unit, stash: Stash) -> Iterator[Leak]:
    """The functions with paths on which an entry stays, each once."""
    if stash.is_set_up_once and not stash.deletes:
        return
    holders: dict[tuple[Path, int], list[tuple[Access, int]]] = {}
    for lookup in stash.lookups:
        at = _holder(lookup)
        holders.setdefault(_place(lookup.chain[at][1]), []).append((lookup, at))
    deleting = _leading(stash.deletes)
    told: set[int] = set()
    for ways in holders.values():
        function = ways[0][0].chain[ways[0][1]][0]
        alone = sum(other[0][0].chain[other[0][1]][0] is function for other in holders.values()) == 1
        held = _held(unit, stash, ways, deleting) if alone else None
        if held is None:
            continue
        for leak in (held, *_above(unit, stash, ways, deleting)):
            if (leak.leaving or leak.skipping) and leak.function.decl not in told:
                told.add(leak.function.decl)
                yield leak


def _holder(lookup: Access) -> int:
    """Which function of the chain to a lookup holds the entry: that with the lookup, or one that it is returned to."""
    at = len(lookup.chain) - 1
    while at and _returns(*lookup.chain[at]):
        at -= 1
    return at


def _returns(function: Node, call: Node) -> bool:
    """Whether a function returns what a call in it gives."""
    if not function.type.result.is_pointer:
        return False
    target = taker(call)
    decl = target.decl if target is not None else -1
    return any(
        v.uncast is call or (v.uncast.kind == "DECL_REF_EXPR" and v.uncast.decl == decl) for v in returned(function)
    )


def _held(unit: Unit, stash: Stash, ways: Sequence[tuple[Access, int]], deleting: Places) -> Leak | None:
    """What the function that holds the entry leaves; None if it is not its task, or cannot be told."""
    lookup, at = ways[0]
    function, call = lookup.chain[at]
    target = taker(call)
    variable = target.decl if target is not None and target.kind in ("VAR_DECL", "DECL_REF_EXPR") else 0
    leak = _leak(unit, stash, lookup, at, variable, deleting)
    if leak is None or not variable or not _only_from(leak.flow, variable, leak.step) or _left_out(unit, function):
        return None
    if not stash.deletes:
        if not leak.uses or _adds_up(leak):
            return None
    elif not leak.deletes:
        if _callers_delete(ways, deleting) or not _is_other_probe(stash, ways):
            return _with(leak, [], _skipping(leak, lookup, at, deleting)) if _callers_delete(ways, deleting) else None
    elif _callers_delete(ways, deleting):
        return leak
    if not leak.uses:
        return _with(leak, [], _skipping(leak, lookup, at, deleting))
    return _with(leak, _leaving(leak), _skipping(leak, lookup, at, deleting))


def _above(unit: Unit, stash: Stash, ways: Iterable[tuple[Access, int]], deleting: Places) -> Iterator[Leak]:
    """What the functions above leave that never come to the one that deletes."""
    for lookup, holder in ways:
        for at in range(holder) if stash.deletes else ():
            leak = _leak(unit, stash, lookup, at, 0, deleting)
            if leak is not None and leak.deletes:
                yield _with(leak, [], _skipping(leak, lookup, at, deleting))


def _leak(unit: Unit, stash: Stash, lookup: Access, at: int, variable: int, deleting: Places) -> Leak | None:
    function, call = lookup.chain[at]
    flow = Flow(function)
    step = flow.step(call)
    if flow.opaque or step is None:
        return None
    deletes = {s for s in flow.steps if s.node is not None and _comes_to(s.node, deleting)}
    return Leak(unit, stash, flow, lookup, call, step, variable, deletes, _absent(flow, variable))


def _with(leak: Leak, leaving: list[Step], skipping: list[Step]) -> Leak:
    leak.leaving.extend(leaving)
    leak.skipping.extend(skipping)
    return leak


# -- who deletes


def _place(node: Node) -> tuple[Path, int]:
    return node.path, node.start


def _leading(accesses: Iterable[Access]) -> Places:
    """The calls that lead to one of these operations, or are one. By place: a macro's argument shows twice."""
    return {_place(node) for access in accesses for _, node in access.chain}


def _comes_to(node: Node, places: Places) -> bool:
    return any(_place(inner) in places for inner in node.find("CALL_EXPR", "DECL_REF_EXPR"))


def _callers_delete(ways: Sequence[tuple[Access, int]], deleting: Places) -> bool:
    """Whether a function above deletes the entry in another way than by calling the one that holds it."""
    return any(
        _place(inner) in deleting and _place(inner) != _place(call)
        for lookup, at in ways
        for function, call in lookup.chain[:at]
        for inner in function.find("CALL_EXPR")
    )


def _is_other_probe(stash: Stash, ways: Sequence[tuple[Access, int]]) -> bool:
    """Whether what these return probes are attached to has an entry probe that stores, and no return probe that
    deletes: what others delete is their own."""
    targets = {target_of(lookup) for lookup, _ in ways}
    stored, deleted = {target_of(a) for a in stash.stores}, {target_of(a) for a in stash.deletes}
    return "" not in targets and bool(targets & stored) and not targets & deleted and "" not in deleted


def _adds_up(leak: Leak) -> bool:
    """Whether the return probe keeps state in the entry from call to call: it adds to it, or writes what it never reads
    afterwards."""
    writes = [u for u in leak.uses if u.effect is Effect.WRITE]
    flow = leak.flow
    for write in writes:
        step, outer = flow.step(write.node), write.target.outer
        if step is None or outer is None or outer.operator != "=" or _reads_itself(outer, write):
            return True
        later = flow.reachable(step)
        if not any(u.effect is not Effect.WRITE and flow.step(u.node) in later for u in leak.uses):
            return True
    return any(u.call is not None and u.call.name.startswith(("__sync_", "__atomic_")) for u in leak.uses)


def _reads_itself(assignment: Node, write: Use) -> bool:
    return any(n is not write.node and n.decl == write.node.decl for n in assignment.find("DECL_REF_EXPR"))


def _left_out(unit: Unit, function: Node) -> bool:
    """Whether an #if leaves a delete out of the function."""
    body = function.body
    if body is None:
        return True
    matches = re.compile(rb"delete").finditer(unit.source_of(body).code, body.start, body.end)
    return any(unit.inactive(body.path, match.start()) for match in matches)


# -- paths


def _leaving(leak: Leak) -> list[Step]:
    """The last steps of the paths on which the entry is there and stays."""
    flow = leak.flow
    reached = flow.reachable(leak.step, leak.deletes, leak.absent) | {leak.step}
    shut = set(map(id, leak.absent))
    return [
        step
        for step in flow.steps
        if step in reached - leak.deletes and any(edge.to is flow.exit and id(edge) not in shut for edge in step.next)
    ]


def _skipping(leak: Leak, lookup: Access, at: int, deleting: Places) -> list[Step]:
    """The last steps of the paths that, because of what the probed function returned, come neither to the lookup nor to
    a delete."""
    flow, gates = leak.flow, leak.deletes | {leak.step}
    through, program = lookup.through[:at], lookup.program
    before = flow.reachable(flow.entry, gates) - gates
    found: set[Step] = set()
    for step in before:
        ways = {edge: {edge.to, *flow.reachable(edge.to, gates)} for edge in step.next}
        past = [edge for edge, steps in ways.items() if edge.to not in gates and not steps & gates]
        if past and len(past) < len(ways) and program is not None:
            condition = past[0].condition
            if condition is not None and depends_on_result(condition, through, program):
                found |= {s for edge in past for s in ways[edge] if any(e.to is flow.exit for e in s.next)}
    return [step for step in flow.steps if step in found]


def _only_from(flow: Flow, variable: int, step: Step) -> bool:
    """Whether a pointer has no other value than from a step, NULL aside."""
    for change in flow.changes(variable):
        if change.effect is not Effect.WRITE:
            return False
        other = flow.step(change.node)
        if other is step or (change.node.kind == "VAR_DECL" and change.node.initialiser is None):
            continue
        given = flow.given(other, variable) if other is not None else None
        if given is None or given.integer != 0:
            return False
    return True


def _absent(flow: Flow, variable: int) -> list[Edge]:
    """The edges that are taken only where the pointer is NULL: the other sides of those where it is not."""
    there = {id(edge) for edge in flow.non_null(variable)} if variable else set()
    found = []
    for step in flow.steps:
        for edge in step.next:
            if id(edge) not in there and edge.condition is not None:
                found += [edge for e in step.next if id(e) in there and e.condition is edge.condition]
    return found
