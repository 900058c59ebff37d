"""The maps in which entry probes leave something for the return probes of the same thread, and who deletes it again.

thread_maps(unit, probes) -> Iterator[ThreadMap]        the plain hashes of the program that are used so
is_state(stash) -> bool                                 whether entries are set up once, to be kept
deleters_of(probes, stash) -> set[int]                  the functions that delete from one, by `Node.decl`
callers_delete(probes, function, deleters) -> bool      whether a function above deletes the entry
deletes_in(node, stash, deleters) -> bool               whether a step of a function does
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ebpffix.analysis.maps import describe, map_decl
from ebpffix.analysis.probes import Probes, Role
from ebpffix.frontend import MapCall, Node, Unit
from ebpffix.kernel.map_types import HASH

_STORES = frozenset(("update", "insert"))
_NOEXIST = 1


@dataclass(frozen=True)
class ThreadMap:
    """A hash that entry probes fill per thread, and return probes read: all that is done with it."""

    name: str
    stores: list[MapCall]
    lookups: list[MapCall]
    deletes: list[MapCall]


def thread_maps(unit: Unit, probes: Probes) -> Iterator[ThreadMap]:
    """The plain hashes that only entry probes fill, only return probes read, both by the thread, and that are neither
    shared nor handed to a function."""
    by_map: dict[int, list[MapCall]] = {}
    for call in unit.map_calls:
        by_map.setdefault(map_decl(call.map), []).append(call)
    by_map.pop(0, None)
    for decl, calls in by_map.items():
        stores = [c for c in calls if c.op in _STORES]
        lookups = [c for c in calls if c.op == "lookup"]
        deletes = [c for c in calls if c.op == "delete"]
        if not stores or not lookups or len(stores) + len(lookups) + len(deletes) < len(calls):
            continue
        known = describe(unit, calls[0].map)
        if known is None or known.type != HASH or known.shared or _handed_on(unit, decl, calls):
            continue
        if not all(probes.roles(c.call.function) == {Role.ENTRY} and probes.is_thread(c.key) for c in stores):
            continue
        if not all(probes.roles(c.call.function) == {Role.RETURN} and probes.is_thread(c.key) for c in lookups):
            continue
        if not any(Role.OTHER in probes.roles(c.call.function) for c in deletes):
            yield ThreadMap(known.name, stores, lookups, deletes)


def _handed_on(unit: Unit, decl: int, calls: list[MapCall]) -> bool:
    """Whether a map is named elsewhere than in these calls: then more is done with it than can be seen."""
    places = {(c.map.path, c.map.start) for c in calls}
    return any(
        node.decl == decl and (node.path, node.start) not in places
        for function in unit.functions
        for node in function.find("DECL_REF_EXPR")
    )


def deleters_of(probes: Probes, stash: ThreadMap) -> set[int]:
    """The functions that delete from the map, themselves or by what they call."""
    found: set[int] = set()
    todo = [c.call.function for c in stash.deletes]
    while todo:
        function = todo.pop()
        if function is not None and function.decl not in found:
            found.add(function.decl)
            todo += [call.function for call in probes.callers.get(function.decl, [])]
    return found


def callers_delete(probes: Probes, function: Node, deleters: set[int]) -> bool:
    """Whether a function above this one deletes from the map in another way than by calling this one."""
    calls = probes.callers.get(function.decl, [])
    return any(
        call.function is not None
        and (
            (call.function.decl in deleters and function.decl not in deleters)
            or _calls_another(call.function, function, deleters)
            or callers_delete(probes, call.function, deleters)
        )
        for call in calls
    )


def _calls_another(caller: Node, function: Node, deleters: set[int]) -> bool:
    for call in caller.find("CALL_EXPR"):
        callee = call.callee
        if callee is not None and callee.decl in deleters and callee.decl != function.decl:
            return True
        if "delete" in call.name or (callee is not None and callee.name == "delete"):
            return True
    return False


def deletes_in(node: Node, stash: ThreadMap, deleters: set[int]) -> bool:
    """Whether an expression or statement deletes from the map, itself or by a function that it calls."""
    calls = {(c.call.path, c.call.start) for c in stash.deletes}
    for call in node.find("CALL_EXPR"):
        callee = call.callee
        if (call.path, call.start) in calls or (callee is not None and callee.decl in deleters):
            return True
    return False


def is_state(stash: ThreadMap) -> bool:
    """Whether entries are set up once, to be kept."""
    return any(c.flags is not None and c.flags.uncast.integer == _NOEXIST for c in stash.stores) or any(
        c.op == "insert" for c in stash.stores
    )
