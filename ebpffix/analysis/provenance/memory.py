"""What memory holds: a pointer that was read out of a variable, the context, the kernel, or a map's value."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ebpffix.analysis.provenance.attached import HOSTS
from ebpffix.analysis.provenance.given import of_kernel
from ebpffix.analysis.provenance.origin import NOTHING, Kind, Link, Origin, Space, Ways, join, unknown
from ebpffix.analysis.provenance.shape import is_null, last_value, offset_of, short, used_as
from ebpffix.analysis.provenance.stores import HANDED_ON, Path, Store, field, path_of, reads
from ebpffix.frontend import Node, Type
from ebpffix.kernel.helpers import Role

if TYPE_CHECKING:
    from ebpffix.analysis.provenance.tracer import Tracer


class Memory:
    """What the objects of one unit hold."""

    def __init__(self, tracer: Tracer) -> None:
        self.tracer, self.unit, self.stores = tracer, tracer.unit, tracer.stores

    def loaded(self, node: Node, depth: int) -> Ways:
        """Whose memory a pointer may point at that was read out of memory: `p->q`, `*p`, `p[i]`, `v.m`."""
        return self.content(node, (), used_as(node), depth, node)

    def content(self, node: Node, rest: Path, type_: Type, depth: int, access: Node | None = None) -> Ways:
        """What the member `rest` of the object that an expression stands for holds."""
        node = node.uncast
        if depth <= 0:
            return unknown("the chain is too long")
        if node.kind == "COMPOUND_LITERAL_EXPR" and node.children:
            return self.content(node.children[-1], rest, type_, depth - 1)
        if node.kind == "INIT_LIST_EXPR":
            return self._initialised(node, rest, type_, depth - 1)
        if node.kind == "CONDITIONAL_OPERATOR":
            return join(self.content(c, rest, type_, depth - 1) for c in node.children[1:])
        if node.kind == "StmtExpr" and (last := last_value(node)) is not None:
            return self.content(last, rest, type_, depth - 1)
        known = node.kind in ("DECL_REF_EXPR", "MEMBER_REF_EXPR", "ARRAY_SUBSCRIPT_EXPR", "UNARY_OPERATOR")
        if not known and not node.lost_member:
            return unknown(f"`{short(node)}`")
        _, path = path_of(node)
        where = self.tracer.place(node, depth)
        return self.load(where, path + rest, type_, depth - 1, access or node)

    def load(self, places: Ways, path: Path, type_: Type, depth: int, at: Node) -> Ways:
        """What a pointer holds that lies in the member `path` of an object in one of these places."""
        if depth <= 0:
            return unknown("the chain is too long")
        return join(self._load_from(where, path, type_, depth, at) for where in places)

    def _load_from(self, where: Origin, path: Path, type_: Type, depth: int, at: Node) -> Ways:
        space, name = where.space, short(at)
        if space is Space.UNKNOWN:
            return (where.after(Kind.STORED, name),)
        if space is Space.USER:
            return (Origin(Space.USER, (Link(Kind.OUT_OF_USER, name), *where.chain)),)
        if space is Space.KERNEL:
            return self._from_kernel(where, path, type_, name)
        if space is Space.CTX:
            return self._from_context(where, path, type_, at)
        if space in (Space.STACK, Space.GLOBAL) and where.object:
            return self.stored_in(where.object, path, type_, depth)
        if space is Space.MAP_VALUE and where.object:
            return self.tracer.maps.content(where, path, type_, depth, at)
        return unknown(f"what `{name}` holds is not known")

    def _from_kernel(self, where: Origin, path: Path, type_: Type, name: str) -> Ways:
        if path and path[-1].is_user:
            return (Origin(Space.USER, (Link(Kind.MARKED_MEMBER, f"{path[-1].record}.{path[-1].name}"), *where.chain)),)
        if path:
            found = self.tracer.given.member(where, path[-1].record, path[-1].name, path[-1].type, type_)
            known = [w for w in found if w.space is not Space.UNKNOWN]
            return tuple(Origin(w.space, (*w.chain, *where.chain), w.trusted, w.tracked) for w in known) or found
        if type_.is_pointer and of_kernel(self.unit, type_):
            return (where.after(Kind.MEMBER, name),)
        if type_.is_pointer and type_.pointee.kind == "POINTER":
            return (where.after(Kind.LIKELY_MEMBER, name),)
        return unknown(f"what `{name}` holds is not known")

    def _from_context(self, where: Origin, path: Path, type_: Type, at: Node) -> Ways:
        function = self.stores.functions.get(where.object)
        program = self.tracer.attached(function) if function is not None else None
        index = None
        if at.kind == "ARRAY_SUBSCRIPT_EXPR":
            index = at.children[1].constant
        if not path:
            return self.tracer.given.context_field(program, "bpf_raw_tracepoint_args", "", index, type_)
        record, name, offset = path[-1].record, path[-1].name, path[0].offset
        return self.tracer.given.context_field(program, record, name, index, type_, offset=offset)

    # -- what was stored

    def stored_in(self, decl: int, path: Path, type_: Type, depth: int) -> Ways:
        """What a member of a variable holds: what all stores to it wrote."""
        return self.tracer.settled(("stored", decl, path), lambda: self._all_stored(decl, path, type_, depth))

    def _all_stored(self, decl: int, path: Path, type_: Type, depth: int) -> Ways:
        home = self.stores.homes.get(decl)
        if home is not None:
            stores = self.stores.to_variable(decl, home)
            parameter = next((p for p in home.parameters if p.decl == decl), None)
            found = [self.brought(s, path, type_, depth) for s in stores]
            if parameter is not None:
                given = unknown(f"`{parameter.name}` is given as a whole")
                found.append(given if path else self.tracer.calls.parameter(decl, parameter, home, depth))
            return join(found)
        variable = next((d for d in self.unit.declarations if d.decl == decl and d.initialiser is not None), None)
        variable = variable or next((d for d in self.unit.declarations if d.decl == decl), None)
        if variable is None or variable.is_extern:
            return unknown("a variable that another file defines")
        if variable.type.is_const or variable.type.is_volatile:
            return unknown(f"user space may set `{variable.name}` before the program runs")
        stores = [s for f in self.stores.functions.values() for s in self.stores.to_variable(decl, f)]
        found = [self.brought(s, path, type_, depth) for s in stores]
        if variable.initialiser is not None:
            found.append(self.brought(Store((), variable, variable.initialiser), path, type_, depth))
        if not any(found) and (variable.initialiser is None or self._is_named_by_host(variable.name)):
            return unknown(f"nothing here sets `{variable.name}`")
        result = join(found)
        return tuple(w if variable.is_static else w.after(Kind.USER_SPACE_WRITES, variable.name) for w in result)

    def _is_named_by_host(self, name: str) -> bool:
        """Whether a file next to the program that is none itself has this name."""
        wanted = re.compile(rb"\b%s\b" % name.encode())
        return any(wanted.search(text) for text in self.unit.neighbours(*HOSTS))

    def brought(self, store: Store, path: Path, type_: Type, depth: int) -> Ways:
        """What one store brings to the member `path`."""
        common = 0
        while common < min(len(path), len(store.path)) and path[common].decl == store.path[common].decl:
            common += 1
        if common < len(store.path) and common < len(path):
            ours, theirs = path[common], store.path[common]
            if ours.parent == theirs.parent and not ours.in_union:
                return NOTHING
            return unknown(f"`{short(store.at)}` writes another view of it")
        if common < len(store.path):
            return NOTHING  # a part of it
        rest = path[common:]
        if store.why:
            return unknown(store.why)
        if store.user:
            return (Origin(Space.USER, (Link(Kind.USER_PROBE, f"`{short(store.at)}`"),)),)
        if store.source is not None:
            return self._copied(store, rest, type_, depth)
        assert store.value is not None
        if not rest:
            return self._set(store, type_, depth)
        return self.content(store.value, rest, type_, depth - 1)

    def _set(self, store: Store, type_: Type, depth: int) -> Ways:
        assert store.value is not None
        value = store.value
        if value.uncast.kind == "INIT_LIST_EXPR":
            return self._initialised(value.uncast, (), type_, depth)
        found = self.tracer.typed_by(type_, self.tracer.value(value, depth - 1))
        if value.uncast.kind in ("CALL_EXPR", "StmtExpr"):
            return found
        name = store.at.name or short(store.at.children[0]) if store.at.children else store.at.name
        return tuple(way.after(Kind.SET, f"{name} = {short(value)}") for way in found)

    def _copied(self, store: Store, rest: Path, type_: Type, depth: int) -> Ways:
        """What bytes hold that were copied from where a pointer points at."""
        assert store.source is not None
        source, read = store.source, reads(store.reader)
        if read is not None and read.reads_string:
            return unknown(f"`{store.reader}` reads text")
        places = self._read_places(store, depth)
        target = self._spelled_out(source)
        access: Path = ()
        if target.kind == "CALL_EXPR" and target.name in HANDED_ON and target.arguments:
            target = target.arguments[0].uncast
        if target.kind == "UNARY_OPERATOR" and target.operator == "&":
            target = target.children[0].bare
            access = path_of(target)[1]
        elif target.type.is_array:
            access = path_of(target)[1]
        elif target.kind == "BINARY_OPERATOR" and target.operator == "+":
            left, right = target.children
            access = tuple(map(field, offset_of(right) or offset_of(left)))
        found = self.load(places, access + rest, type_, depth - 1, target)
        if read is None:
            return found
        found = join([tuple(way.untrusted for way in found)])
        return tuple(way.after(Kind.READ, store.reader) for way in self.tracer.typed_by(type_, found))

    def _spelled_out(self, node: Node) -> Node:
        """An expression, or where a macro hides it in `({ p = …; p; })` what is set there."""
        node, hidden = node.uncast, False
        while node.kind == "StmtExpr" and (last := last_value(node)) is not None:
            node, hidden = last.uncast, True
        home = self.stores.homes.get(node.decl) if hidden and node.kind == "DECL_REF_EXPR" else None
        stores = (
            [s for s in self.stores.to_variable(node.decl, home) if s.value is not node] if home is not None else []
        )
        if len(stores) == 1 and not stores[0].path and stores[0].value is not None:
            return stores[0].value.uncast
        return node

    def _read_places(self, store: Store, depth: int) -> Ways:
        """Where an explicit read reads: as the helper's name says, where the pointer's way does not tell. A read of the
        other side fails, so that what it brings is no address at all."""
        assert store.source is not None
        found, read = self.tracer.value(store.source, depth - 1), reads(store.reader)
        if read is None:
            return found
        if read.where(Role.USER) is not None:
            return (Origin(Space.USER, (Link(Kind.OUT_OF_USER, short(store.source)),)),)
        # In its first form bpf_core_read was a read of either side.
        if read.where(Role.KERNEL) is not None and not store.reader.startswith("bpf_core_read"):
            kernel = Origin(Space.KERNEL, (Link(Kind.HELPER, store.reader),))
            return join([tuple(kernel if w.space in (Space.UNKNOWN, Space.USER) else w for w in found)])
        return found

    def _initialised(self, node: Node, rest: Path, type_: Type, depth: int) -> Ways:
        """What `{ … }` gives the member `rest`."""
        if not rest:
            if len(node.children) == 1:
                return self.tracer.value(node.children[0], depth)
            return NOTHING if not node.children else unknown(f"`{short(node)}`")
        found: list[Ways] = []
        for child in node.children:
            named = [c for c in child.children if c.kind == "MEMBER_REF"]
            if not named:
                return (
                    NOTHING
                    if is_null(child) and len(node.children) == 1
                    else self._positional(node, rest, type_, depth)
                )
            path = tuple(field(n) for n in named if n.name)
            found.append(self.brought(Store(path, child, child.children[-1]), rest, type_, depth))
        return join(found)

    def _positional(self, node: Node, rest: Path, type_: Type, depth: int) -> Ways:
        number = next((i for i, f in enumerate(node.type.fields) if f.name == rest[0].name), None)
        if number is None or any(c.kind == "MEMBER_REF" for child in node.children for c in child.children):
            return unknown(f"`{short(node)}`")
        if number >= len(node.children):
            return NOTHING
        value = node.children[number]
        return self.tracer.value(value, depth) if len(rest) == 1 else self.content(value, rest[1:], type_, depth)
