"""An update of a map with a pointer that lookup gave, and whether it writes back what is there already.

It does where, on each way from a lookup to the update, the key is the same, the entry is there, nothing changes the map
or the key in between, and nothing is written through the pointer afterwards: in a hash that would be lost today.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from ebpffix.analysis.flow import Effect, Step, Use
from ebpffix.analysis.maps import Map, described, map_decl
from ebpffix.analysis.provenance import LOOKUPS, Entries, Leg, Name, Way, maps
from ebpffix.frontend import MapCall, Node, Unit

from .changes import Changes

_ANY, _EXIST = 0, 2  # flags of an update
_ONLY_READ = frozenset((*LOOKUPS, "update", "insert", "delete"))


@dataclass(frozen=True)
class WriteBack:
    """An update with an entry, the ways by which the entry comes to it, and the maps that it may be of."""

    unit: Unit
    entries: Entries
    update: MapCall
    key: Node
    pointer: Node
    ways: tuple[Way, ...]
    maps: tuple[Map, ...]

    @classmethod
    def of(cls, unit: Unit, entries: Entries, update: MapCall) -> WriteBack | None:
        """The one that a map operation is; None if it is another, or that cannot be told."""
        pointer = update.value.uncast if update.value is not None else None
        if pointer is None or update.key is None or not _is_plain(update, pointer):
            return None
        ways, known = entries.of(update.call, pointer), _maps(unit, update)
        if not ways or not known or not all(way.checked and _is_same_map(way, update) for way in ways):
            return None
        return cls(unit, entries, update, update.key, pointer, tuple(ways), tuple(known))

    @property
    def has_same_key(self) -> bool:
        """Whether lookup and update name the same key, on all ways."""
        return all(_names(way, way.lookup.key, self.key) is not None for way in self.ways)

    @property
    def is_handed_on(self) -> bool:
        """Whether the lookup is in another function than the update, so that its callers decide."""
        return any(len(way.legs) > 1 for way in self.ways)

    def is_redundant(self, changes: Changes) -> bool:
        """Whether it writes what is there already; asked where both have the same key."""
        decls = frozenset(one.decl for one in self.maps)
        for way in self.ways:
            keys = _names(way, way.lookup.key, self.key) or []
            owners = _names(way, _owner(way.lookup), _owner(self.update)) or []
            for leg, key, owner in zip(way.legs, keys, owners, strict=True):
                if not _is_quiet(leg, decls, changes) or _is_used_later(leg):
                    return False
                if self._may_have_another_key(leg, key) or _is_set(leg, owner.node):
                    return False
        return True

    def _may_have_another_key(self, leg: Leg, name: Name) -> bool:
        """Whether the key may be another one where the leg ends than where it began."""

        def only_reads(use: Use) -> bool:
            operation = self.entries.operation(use.call) if use.call is not None else None
            return _is_end(use, leg) or use.call in leg.calls or _reads(operation)

        if name.itself:
            return name.node.bare.kind != "DECL_REF_EXPR" or _is_set(leg, name.node)
        return leg.flow.may_change(name.node, _around(leg), only_reads, apart=leg.pointer)


def _reads(operation: MapCall | None) -> bool:
    """Whether a call is a map operation, which reads its key and value."""
    return operation is not None and operation.op in _ONLY_READ


def _is_plain(update: MapCall, pointer: Node) -> bool:
    """Whether the call may be one to take out: a plain update, from a variable, whose result is not used."""
    if update.op != "update" or pointer.kind != "DECL_REF_EXPR" or update.call.statement.uncast is not update.call:
        return False
    return update.flags is None or update.flags.uncast.integer in (_ANY, _EXIST)


def _maps(unit: Unit, update: MapCall) -> list[Map]:
    """The maps that an update may be of; none if they cannot be told, or lookup may give another key's entry."""
    target = update.map.declaration if map_decl(update.map) else None
    declared = {d.decl: d for d in (*unit.declarations, *([target] if target is not None else []))}
    decls = maps(unit, update.map) or frozenset()
    known = [described(unit, declared[decl]) for decl in sorted(decls) if decl in declared]
    return known if len(known) == len(decls) and all(one.keeps_keys for one in known) else []


def _is_same_map(way: Way, update: MapCall) -> bool:
    return _names(way, _owner(way.lookup), _owner(update)) is not None


def _owner(operation: MapCall) -> Node:
    """What an operation is given for its map."""
    return operation.map if operation.call.method else operation.call.arguments[0]


def _names(way: Way, lookup: Node | None, update: Node) -> list[Name] | None:
    """What both are given, if it is the same, as each leg of a way has it; None if it is not, or cannot be told."""
    first = way.looked_up(lookup) if lookup is not None else None
    last = way.given(update)
    if first is None or last is None or not first[-1].is_same(last[-1]):
        return None
    return [*first, *last[-2::-1]]


def _is_quiet(leg: Leg, decls: frozenset[int], changes: Changes) -> bool:
    """Whether nothing may change the maps' entries on a leg, and it does not come to its end again without a new
    start."""
    if leg.end in leg.between:
        return False
    around: Collection[Step] = leg.between | {leg.start, leg.end}
    return not any(s.node is not None and changes.may_happen(s.node, decls, leg.calls) for s in around)


def _around(leg: Leg) -> set[Step]:
    """The steps in which what a leg's ends are given must stay as it is. Where a function returns the entry, what it
    was given itself must too."""
    steps = leg.between | {leg.start, leg.end}
    return steps | leg.flow.between(leg.flow.entry, leg.start) if leg.hands_back else steps


def _is_set(leg: Leg, node: Node) -> bool:
    """Whether a local variable may have another value where the leg ends than where it began."""
    name = node.uncast
    changes = leg.flow.changes(name.decl) if name.kind == "DECL_REF_EXPR" and name.is_local else []
    return any(u.effect is not Effect.WRITE for u in changes) or bool(leg.flow.within(changes, _around(leg)))


def _is_used_later(leg: Leg) -> bool:
    """Whether the entry could be other without the update: the pointer is used to write later, or was handed on."""
    flow, mentions = leg.flow, leg.flow.uses(leg.pointer)
    writes = [u for u in mentions if u.through and u.may_write and not _is_end(u, leg)]
    ends = {s for u in flow.changes(leg.pointer) if (s := flow.step(u.node)) is not None}
    later = flow.reachable(leg.end, ends) | {leg.end}
    kept = [u for u in writes if u.effect is Effect.ESCAPE]
    return bool(flow.within(writes, later) or flow.within(kept, flow.reachable(leg.start, ends)))


def _is_end(use: Use, leg: Leg) -> bool:
    """Whether a use is at the end of a leg, in what hands the entry on."""
    return use.call is leg.used or any(n is leg.used for n in use.node.ancestors if n.kind == "RETURN_STMT")
