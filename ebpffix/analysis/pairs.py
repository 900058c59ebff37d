"""What an entry program stores and the return program of the same call looks up: the maps that are used so, and how.

    stashes(unit, probes) -> list[Stash]

Entry and return are kprobe and kretprobe, uprobe and uretprobe, fentry and fexit, the tracepoints sys_enter and
sys_exit. Saving, looking up and deleting may stand in functions that the programs share, with map and key as
parameters.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ebpffix.analysis.accesses import Access, accesses, running
from ebpffix.analysis.maps import Map, describe
from ebpffix.analysis.probes import Probes, Role
from ebpffix.frontend import Unit

_STORES = frozenset(("update", "insert"))
_NOEXIST = 1


@dataclass(frozen=True)
class Stash:
    """A hash that entry programs fill, by an id of the thread or the process, and return programs look up: all that is
    done with it."""

    map: Map
    stores: list[Access]
    lookups: list[Access]
    deletes: list[Access]

    @property
    def name(self) -> str:
        return self.map.name

    @property
    def all(self) -> list[Access]:
        return [*self.stores, *self.lookups, *self.deletes]

    @property
    def is_set_up_once(self) -> bool:
        """Whether entries are made once, to be kept."""
        flags = [a.call.flags for a in self.stores]
        return any(f is not None and f.uncast.integer == _NOEXIST for f in flags) or any(
            a.call.op == "insert" for a in self.stores
        )

    def stores_at(self, target: str) -> bool:
        """Whether it is filled where a function or event `target` is entered: the one of which a return is told."""
        targets = [target_of(a) for a in self.stores]
        return not target or "" in targets or target in targets


def target_of(access: Access) -> str:
    """What the program of an access is attached to, without the `sys_enter_` or `sys_exit_` of tracepoints; "" where
    that is not known."""
    target = access.program.target if access.program is not None else ""
    return target.removeprefix("sys_enter").removeprefix("sys_exit").removeprefix("_")


def stashes(unit: Unit, probes: Probes) -> list[Stash]:
    """The hashes that only entry programs fill and only return programs look up, whose keys come from the thread's id,
    and that are neither shared with other programs nor handed to what cannot be followed."""
    found: list[Stash] | None = unit.memo.get("stashes")
    if found is None:
        found = unit.memo["stashes"] = list(_stashes(unit, probes))
    return found


def _stashes(unit: Unit, probes: Probes) -> Iterator[Stash]:
    by_map: dict[int, list[Access]] = {}
    for access in accesses(unit):
        by_map.setdefault(access.decl, []).append(access)
    by_map.pop(0, None)
    for decl, done in by_map.items():
        stores = [a for a in done if a.call.op in _STORES]
        lookups = [a for a in done if a.call.op == "lookup"]
        deletes = [a for a in done if a.call.op == "delete"]
        if not stores or not lookups or len(stores) + len(lookups) + len(deletes) < len(done):
            continue
        known = describe(unit, done[0].map)
        if known is None or known.type is None or not known.type.is_hash or known.shared:
            continue
        if not all(a.role is Role.ENTRY and probes.holds_thread(a.key) for a in stores):
            continue
        if not all(a.role is Role.RETURN and probes.holds_thread(a.key) for a in lookups):
            continue
        if all(a.role is not Role.OTHER for a in deletes) and not _handed_on(unit, decl, done):
            yield Stash(known, stores, lookups, deletes)


def _handed_on(unit: Unit, decl: int, done: list[Access]) -> bool:
    """Whether a map is named in a function that runs and elsewhere than for these operations: then more is done with it
    than can be seen."""
    places = {(a.map.path, a.map.start) for a in done}
    run = running(unit)
    return any(
        node.decl == decl and (node.path, node.start) not in places
        for function in unit.functions
        if function.decl in run
        for node in function.find("DECL_REF_EXPR")
    )
