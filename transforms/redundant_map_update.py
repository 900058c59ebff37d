"""Drop a map update that writes a looked-up value back onto itself.

What it does: takes out `bpf_map_update_elem(&map, &key, v, flags)` (BCC: `map.update(&key, v)`) where `v` is what a
lookup of the same key in the same map returned.

Why: the pointer that lookup returns *is* the entry. What is written through it is in the map already, so the update is
a second hash walk and copy for nothing. In a hash it does harm too: it puts a new element in the old one's place, so
that changes which other CPUs made to the old one meanwhile are lost, and `v` no longer points at the entry. Up to
Linux 4.14 such an update did not even load ("R3 type=map_value expected=fp"), and where the value holds a timer or a
lock it still does not ("bpf_timer cannot be accessed directly by load/store").

Safe when the map is a hash or an array (per-CPU or not) and nothing in the file deletes from it. In between only user
space could have deleted the entry, which the update would have put back.
Suggested when the entry can be gone for another reason: an LRU map evicts, the file deletes elsewhere, the map is
pinned or shared, its type is not known; also where an #if leaves out part of the function, where the file was not
wholly understood, and in a header that user space includes too.
Advice where lookup and update have keys that look alike, and the entry was changed in between: it is perhaps a typing
error; where the pointer was looked up under another key first, whose entry the update was perhaps meant to make; and
where the statement cannot be taken out without losing a comment or because a macro's body has it.

Left alone: insertion of a missing entry, another map or key, a key that may have changed, a pointer that may not be
the entry any more or was not checked for NULL, a copy that is written back (readers may rely on its being atomic),
BPF_NOEXIST and other flags, a result that is used, any other change of the map in between (also in functions that are
called), a write through the pointer after the update, LPM tries (lookup can return a shorter prefix' entry), functions
with a computed goto or a loop macro.

Limits: the map must be named (`&map`), not reached through a pointer; lookup and update must be in one function.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ebpffix.analysis.flow import Effect, Flow, Step, Use, same_expression
from ebpffix.analysis.maps import Map, MapEffects, deletes, describe, map_decl
from ebpffix.editing.settle import Made, NoEdit, first_of, settle
from ebpffix.editing.statements import delete_statement, has_comment, in_block
from ebpffix.fix import BCC, LIBBPF, Edit, Fix, Safety
from ebpffix.frontend import MapCall, Node, Unit
from ebpffix.transform import Cure, Transform

TRANSFORM = Transform(
    name="redundant-map-update",
    pattern=2,
    dialects=(BCC, LIBBPF),
    triggers=(rb"bpf_map_update_elem\s*\(", rb"\.\s*update\s*\("),
    kernel=">=4.18",
    summary="map update of a value that lookup already returned by reference",
    imperative="do not write back what a lookup returned",
    shape="a value that lookup returned is written back onto itself",
    safe="hash or array, nothing deletes from the map",
    suggested="LRU maps; the file deletes from the map",
    advice="look-alike key",
    cures=(Cure("wrong-pointer", r"(?s)call bpf_map_update_elem.*R3 type=map_value"),),
)

_ANY, _EXIST = 0, 2  # flags of an update
_LOOKUPS = ("lookup", "lookup_or_init", "lookup_or_try_init")
_READ_ONLY = frozenset((*_LOOKUPS, "update", "insert", "delete"))
_CONDITIONAL = re.compile(rb"^[ \t]*#[ \t]*(?:if|elif|else)", re.MULTILINE)


def find(unit: Unit) -> Iterator[Fix]:
    effects = MapEffects(unit)
    flows: dict[int, Flow] = {}
    for update in unit.map_calls:
        function = update.call.function
        if update.op == "update" and function is not None and _can_go(update):
            flow = flows.get(id(function)) or flows.setdefault(id(function), Flow(function))
            found = _Update.at(unit, update, flow, effects)
            if found is not None:
                yield from found.fixes()


def _can_go(update: MapCall) -> bool:
    """Whether the call may be one to take out: a plain update, from a variable, whose result is not used."""
    value = update.value.uncast if update.value is not None else None
    if value is None or value.kind != "DECL_REF_EXPR" or update.call.statement.uncast is not update.call:
        return False
    return update.flags is None or update.flags.uncast.integer in (_ANY, _EXIST)


@dataclass(frozen=True)
class _Update:
    """An update of a map with a pointer variable, and the lookups that can have given the pointer its value."""

    unit: Unit
    flow: Flow
    effects: MapEffects
    update: MapCall
    map: Map
    step: Step
    value: Node
    lookups: dict[Step, MapCall]

    @classmethod
    def at(cls, unit: Unit, update: MapCall, flow: Flow, effects: MapEffects) -> _Update | None:
        step, map_ = flow.step(update.call), describe(unit, update.map)
        value = update.value.uncast if update.value is not None else None
        if flow.opaque or step is None or map_ is None or value is None:
            return None
        lookups: dict[Step, MapCall] = {}
        definitions = flow.definitions(step, value.decl)
        checks = flow.non_null(value.decl)
        for definition in definitions:
            given = flow.given(definition, value.decl)
            lookup = effects.call(given) if given is not None else None
            checked = flow.always_through(definition, step, checks, definitions)
            if given is not None and given.integer == 0 and checked:
                continue  # `v = NULL;` never comes here
            if lookup is None or lookup.op not in _LOOKUPS or map_decl(lookup.map) != map_.decl:
                return None
            # BCC's lookup_or_init leaves the program itself where there is no entry.
            if not checked and lookup.op != "lookup_or_init":
                return None
            lookups[definition] = lookup
        return cls(unit, flow, effects, update, map_, step, value, lookups) if lookups else None

    def fixes(self) -> Iterator[Fix]:
        key = self.update.key
        keys = [lookup.key for lookup in self.lookups.values()]
        if key is None or not self.map.keeps_keys or any(k is None for k in keys):
            return
        if all(k is not None and same_expression(k, key) for k in keys):
            if not self._keeps_something() and all(self._untouched(step) for step in self.lookups):
                yield self._redundant()
        elif len(keys) == 1 and keys[0] is not None and self._looks_mistyped(keys[0], key):
            yield Fix(
                at=self.update.call,
                message=f"`{self.value.name}` is the entry of `{_text(keys[0])}` and was changed there, but the update "
                f"stores it under `{_text(key)}`; is one of the keys a typing error?",
                safety=Safety.ADVICE,
                reason="with two keys the update is not redundant: it copies one entry to another",
            )

    # -- conditions

    def _region(self, lookup: Step) -> set[Step]:
        return self.flow.between(lookup, self.step, tuple(self.lookups))

    def _keeps_something(self) -> bool:
        """Whether the entry could be other without the update: the pointer is used to write later, or was handed on."""
        flow, mentions = self.flow, self.flow.uses(self.value.decl)
        writes = [u for u in mentions if u.through and u.may_write and u.call is not self.update.call]
        ends = {s for u in flow.changes(self.value.decl) if (s := flow.step(u.node)) is not None}
        later = flow.reachable(self.step, ends) | {self.step}
        kept = [u for u in writes if u.effect is Effect.ESCAPE]
        since = set().union(*(flow.reachable(lookup, ends) for lookup in self.lookups))
        return bool(flow.within(writes, later) or flow.within(kept, since))

    def _untouched(self, lookup: Step) -> bool:
        """Whether neither the map's entries nor the key change on the way from a lookup to the update."""
        region = self._region(lookup)
        if self.step in region:
            return False
        ours = (self.lookups[lookup].call, self.update.call)
        around = region | {lookup, self.step}
        if any(s.node is not None and self.effects.changes(s.node, self.map.decl, besides=ours) for s in around):
            return False
        key = self.update.key
        return key is not None and not self.flow.may_change(key, around, self._only_read, apart=self.value.decl)

    def _only_read(self, use: Use) -> bool:
        """Whether a use hands an address to a map operation, which reads keys and values."""
        call = self.effects.call(use.call) if use.call is not None else None
        return call is not None and call.op in _READ_ONLY

    def _looks_mistyped(self, one: Node, other: Node) -> bool:
        a, b = one.uncast, other.uncast
        names = [n.children[0].bare for n in (a, b) if n.kind == "UNARY_OPERATOR" and n.operator == "&"]
        if len(names) != 2 or any(n.kind != "DECL_REF_EXPR" for n in names):
            return False
        same_type = names[0].type.canonical.spelling == names[1].type.canonical.spelling
        region = set().union(*(self._region(lookup) for lookup in self.lookups))
        writes = [u for u in self.flow.uses(self.value.decl) if u.through and u.effect is Effect.WRITE]
        return same_type and _alike(names[0].name, names[1].name) and bool(self.flow.within(writes, region))

    # -- the finding

    def _redundant(self) -> Fix:
        call, name = self.update.call, self.value.name
        message = f"`{_text(call)}` writes back the entry that lookup returned; writes through `{name}` are in the map"
        if not self.map.array:
            message += " already, and the update could only put back what user space deleted meanwhile"
        return settle(call, message, self._without)

    def _without(self) -> Made:
        edit = _removal(self.unit, self.update.call.statement)
        if other := self._missed_key():
            name = self.value.name
            raise NoEdit(f"`{name}` was looked up under `{_text(other)}` first: is the entry meant to be stored there?")
        return Made([edit], doubt=self._doubt())

    def _missed_key(self) -> Node | None:
        """Another key under which the pointer was looked up before, in the same map: a fallback whose result the
        update was perhaps meant to store under the key that was missed."""
        for change in self.flow.changes(self.value.decl):
            step = self.flow.step(change.node)
            given = self.flow.given(step, self.value.decl) if step is not None else None
            lookup = self.effects.call(given) if given is not None else None
            if lookup is None or lookup.op not in _LOOKUPS or map_decl(lookup.map) != self.map.decl:
                continue
            key, ours = lookup.key, self.update.key
            if key is not None and ours is not None and not same_expression(key, ours):
                return key
        return None

    def _doubt(self) -> str:
        name, unit = self.map.name, self.unit
        if unit.partial:
            return "the file was not wholly understood: a change of the map or the key may have gone unseen"
        body = self.flow.function.body
        if body is not None and _CONDITIONAL.search(unit.source_of(body).uncommented, body.start, body.end):
            return "an #if in the function leaves out code that may need the update"
        if self.map.type is None:
            return f"the type of `{name}` is not known here: in an LPM trie lookup may return another key's entry"
        if self.map.lru:
            return f"`{name}` is an LRU map: the update puts back an entry that was evicted after the lookup"
        if not self.map.array and self.map.shared:
            return f"`{name}` is pinned or shared: the update puts back an entry that another program deleted"
        if not self.map.array and deletes(unit, self.map.decl):
            return f"the file deletes from `{name}` too: the update puts back an entry deleted after the lookup"
        return ""


def _removal(unit: Unit, statement: Node) -> Edit:
    """Take the update out, and with it an if or else that has nothing else to do and whose condition does nothing."""
    if unit.macros_around(statement.path, statement.start, statement.end):
        raise NoEdit("a macro holds it: take the update out by hand")
    owner = statement
    while (parent := owner.parent) is not None:
        if parent.kind == "COMPOUND_STMT":
            is_idle = len(parent.children) == 1 and parent.parent is not None and parent.parent.kind == "IF_STMT"
        else:
            is_idle = parent.kind == "IF_STMT" and len(parent.children) == 2 and not _acts(parent.children[0])
        if not is_idle:
            break
        owner = parent
    if owner is not statement and not has_comment(unit, owner.path, owner.start, owner.end):
        return first_of(lambda: _cut(unit, owner), lambda: _cut(unit, statement))
    return _cut(unit, statement)


def _cut(unit: Unit, statement: Node) -> Edit:
    if in_block(statement):
        return delete_statement(unit, statement)
    return first_of(lambda: _without_else(unit, statement), lambda: _emptied(unit, statement))


def _emptied(unit: Unit, statement: Node) -> Edit:
    """Leave the semicolon: an empty statement as what an if with an else does, or behind a label that no statement
    follows to which it could belong."""
    start, end = statement.start, statement.end
    label = statement.parent
    if label is not None and label.kind == "LABEL_STMT" and label.parent is not None:
        following = next((n for n in label.parent.children if n.start >= end), None)
        data = unit.source_of(statement).data
        if following is not None and following.kind != "DECL_STMT" and data[end : following.start].strip() == b";":
            end = following.start
    if statement.kind != "CALL_EXPR" or has_comment(unit, statement.path, start, end):
        raise NoEdit("it is all that stands behind a label or a condition: take the update out by hand")
    if not unit.editable(statement.path, start, end):
        raise NoEdit("a macro's body is in the way: take the update out by hand")
    return Edit(statement.path, start, end, b"")


def _acts(condition: Node) -> bool:
    return any(node.kind == "CALL_EXPR" or node.operator in _EFFECTS for node in condition.walk())


_EFFECTS = frozenset("= += -= *= /= %= &= |= ^= <<= >>= ++ -- ++post --post".split())


def _without_else(unit: Unit, branch: Node) -> Edit:
    """Cut ` else …` off an if whose else branch is `branch`."""
    owner = branch.parent
    if owner is None or owner.kind != "IF_STMT" or len(owner.children) != 3 or branch is not owner.children[2]:
        raise NoEdit("it is all that stands behind a label or a condition: take the update out by hand")
    source = unit.source_of(branch)
    end = branch.end
    if branch.kind != "COMPOUND_STMT":
        match = re.compile(rb"\s*;").match(source.code, end)
        end = match.end() if match else end
    start = source.code.rfind(b"else", owner.start, branch.start)
    begin = len(source.data[:start].rstrip())
    if start < 0 or has_comment(unit, branch.path, begin, end) or not unit.editable(branch.path, begin, end):
        raise NoEdit("a comment or a macro's body is in the way: take the update out by hand")
    return Edit(branch.path, begin, end, b"")


def _alike(one: str, other: str) -> bool:
    """Whether one name is the other with a letter or two more, less or different."""
    a, b = sorted((one, other), key=len)
    if b.startswith(a) and len(b) - len(a) <= 2:
        return True
    if len(a) == len(b):
        return sum(x != y for x, y in zip(a, b, strict=True)) <= 1 + (len(a) > 5)
    return len(b) - len(a) == 1 and any(b[:i] + b[i + 1 :] == a for i in range(len(b)))


def _text(node: Node) -> str:
    return " ".join(node.text.decode("utf-8", "replace").split())
