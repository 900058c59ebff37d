"""Which maps an expression may stand for, and what the values of a map hold: what all its writers stored."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ebpffix.analysis.maps import describe, map_decl
from ebpffix.analysis.provenance.origin import Kind, Link, Origin, Space, Ways, join, unknown
from ebpffix.analysis.provenance.shape import is_null, short
from ebpffix.analysis.provenance.stores import Path, Store
from ebpffix.fix import BCC
from ebpffix.frontend import MapCall, Node, Type
from ebpffix.kernel.helpers import Role
from ebpffix.sources.user_space import squeezed

if TYPE_CHECKING:
    from ebpffix.analysis.provenance.tracer import Tracer


_KEPT = re.compile(rb"\b__(?:percpu_)?(?:kptr\w*|uptr)\b|btf_type_tag\(\"(?:percpu_)?(?:kptr\w*|uptr)\"\)")


class Maps:
    """The maps of one unit."""

    def __init__(self, tracer: Tracer) -> None:
        self.tracer, self.unit, self.stores = tracer, tracer.unit, tracer.stores

    def name(self, decl: int) -> str:
        return next((d.name for d in self.unit.declarations if d.decl == decl), "?")

    def named(self, node: Node | None, depth: int) -> frozenset[int] | None:
        """The maps (by `Node.decl`) that an expression may stand for; None where they cannot be told."""
        if node is None or depth == 0:
            return None
        node = node.uncast
        if node.kind == "UNARY_OPERATOR" and node.operator == "&":
            node = node.children[0].bare
        if node.kind == "CONDITIONAL_OPERATOR":
            return _union(self.named(c, depth - 1) for c in node.children[1:])
        target = node.declaration if node.kind == "DECL_REF_EXPR" else None
        if target is None:
            return None
        if not node.is_local:
            return frozenset((node.decl,)) if not target.type.is_pointer else None
        function = self.stores.homes.get(node.decl)
        if function is None:
            return None
        found: list[frozenset[int] | None] = [
            self.named(s.value, depth - 1) if s.value is not None and not s.path else None
            for s in self.stores.to_variable(node.decl, function)
        ]
        if target.kind == "PARM_DECL":
            index = function.parameter_index(node.decl)
            calls = self.stores.callers.get(function.decl, [])
            if index is None or not calls or len(calls) != len(self.unit.mentions(function)):
                return None
            found += [self.named(c.arguments[index], depth - 1) if len(c.arguments) > index else None for c in calls]
        return _union(found)

    def content(self, where: Origin, path: Path, type_: Type, depth: int, at: Node) -> Ways:
        """What a map's values hold: what all writers stored. The verifier knows it no more, unless it is marked."""
        if at.kind == "MEMBER_REF_EXPR" and _is_kept_by_kernel(at):
            return (Origin(Space.KERNEL, (Link(Kind.KEPT, short(at)),), trusted=True),)
        found = self.tracer.settled(
            ("map", where.object, path), lambda: self._written(where.object, path, type_, depth)
        )
        name = self.name(where.object)
        what = f"map `{name}`" + "".join(f", member `{f.name}`" for f in path[-1:])
        if self.unit.user_space.may_write(name):
            found = tuple(way.after(Kind.USER_SPACE_WRITES, name) for way in found)
        if squeezed(name) in self.unit.user_space.programs and self._is_shared(where.object):
            found = tuple(way.after(Kind.OTHERS_WRITE, name) for way in found)
        followed = self.unit.dialect == BCC
        return tuple(
            Origin(w.space, w.chain, False, w.tracked and followed, w.object).after(Kind.IN_MAP, what) for w in found
        )

    def _written(self, decl: int, path: Path, type_: Type, depth: int) -> Ways:
        stores: list[Store] = []
        for call in self.unit.map_calls:
            maps = self.named(call.map, depth)
            if maps is not None and decl not in maps:
                continue
            stores += self._map_stores(call, known=maps is not None)
        stores += self._callback_stores(decl, depth)
        found = [self.tracer.memory.brought(store, path, type_, depth) for store in stores]
        if self._is_handed_on(decl):
            found.append(unknown(f"map `{self.name(decl)}` is reached in other ways too"))
        if not any(found):
            return unknown(f"nothing here fills map `{self.name(decl)}`")
        return join(found)

    def _map_stores(self, call: MapCall, *, known: bool) -> list[Store]:
        """The stores to a map's values that one operation makes, or that are made through what it returns."""
        result: list[Store] = []
        at = call.does.where(Role.VALUE)
        if at is not None and at < len(call.call.arguments) and not is_null(call.call.arguments[at]):
            result.append(Store((), call.call, source=call.call.arguments[at], reader="map update"))
        if call.does.returns.is_map_value:
            result += self.stores.from_result(call.call)
        if not known and result:
            result.append(Store((), call.call, why="a map that cannot be told is written"))
        return result

    def _callback_stores(self, decl: int, depth: int) -> list[Store]:
        found: list[Store] = []
        for call in self.unit.calls_of("bpf_for_each_map_elem"):
            maps = self.named(call.arguments[0], depth) if call.arguments else None
            if maps is not None and decl not in maps:
                continue
            function = self.stores.functions.get(call.arguments[1].uncast.decl) if len(call.arguments) > 1 else None
            parameters = function.parameters if function is not None else []
            if function is not None and len(parameters) > 2:
                found += self.stores.through(parameters[2].decl, function)
        return found

    def _is_shared(self, decl: int) -> bool:
        """Whether other programs may reach a map: it stands in a header, or is pinned or exported."""
        declared = next((d for d in self.unit.declarations if d.decl == decl), None)
        if declared is None or declared.path != self.unit.path or declared.is_extern:
            return True
        named = next((c.map for c in self.unit.map_calls if map_decl(c.map) == decl), None)
        known = describe(self.unit, named) if named is not None else None
        return known is not None and known.shared

    def _is_handed_on(self, decl: int) -> bool:
        """Whether a map stands in the initialiser of another one, or is named in a way that is no map operation."""
        others = (d for d in self.unit.declarations if d.kind == "VAR_DECL" and d.decl != decl)
        return any(n.decl == decl for other in others for n in other.find("DECL_REF_EXPR"))


def _union(found: Iterable[frozenset[int] | None]) -> frozenset[int] | None:
    kinds = list(found)
    if not kinds or any(k is None for k in kinds):
        return None
    return frozenset().union(*(k for k in kinds if k is not None))


def _is_kept_by_kernel(node: Node) -> bool:
    """Whether a member is marked as a pointer that the kernel looks after: `__kptr`, `__percpu_kptr`, …"""
    target = node.declaration if node.kind == "MEMBER_REF_EXPR" else None
    return target is not None and _KEPT.search(target.text) is not None
