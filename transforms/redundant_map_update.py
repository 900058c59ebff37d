"""Drop a map update that writes a looked-up value back onto itself.

What it does: takes out `bpf_map_update_elem(&map, &key, v, flags)` (BCC: `map.update(&key, v)`) where `v` is what a
lookup of the same key in the same map returned.

Why: the pointer that lookup returns *is* the entry. What is written through it is in the map already, so the update is
a second hash walk and copy for nothing. In a hash it does harm too: it puts a new element in the old one's place, so
that changes which other CPUs made to the old one meanwhile are lost, and `v` no longer points at the entry. Up to
Linux 4.14 such an update did not even load ("R3 type=map_value expected=fp").

Safe when the map is a hash or an array (per-CPU or not) and nothing in the file deletes from it. In between only user
space could have deleted the entry, which the update would have put back.
Suggested when the entry can be gone for another reason: an LRU map evicts, the file deletes elsewhere, the map is
pinned or shared, its type is not known; also where an #if leaves out part of the function, where the file was not
wholly understood, and in a header that user space includes too.
Advice where lookup and update have keys that look alike, and the entry was changed in between: it is perhaps a typing
error; and where the statement cannot be taken out without losing a comment or because a macro's body has it.

Left alone: insertion of a missing entry, another map or key, a key that may have changed, a pointer that may not be
the entry any more or was not checked for NULL, a copy that is written back (readers may rely on its being atomic),
BPF_NOEXIST and other flags, a result that is used, any other change of the map in between (also in functions that are
called), a write through the pointer after the update, LPM tries (lookup can return a shorter prefix' entry), values
with timers, locks or kernel pointers (an update resets them), functions with a computed goto or a loop macro.

Limits: the map must be named (`&map`), not reached through a pointer; lookup and update must be in one function.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ebpffix.edits import delete_statement, has_comment, in_block
from ebpffix.flow import Effect, Flow, Step, Use, same_expression
from ebpffix.frontend import MapCall, Node, Unit
from ebpffix.frontend.node import pointee
from ebpffix.maps import OTHER, UNKNOWN, Map, MapEffects, deletes, describe, map_decl
from ebpffix.transform import BCC, LIBBPF, Edit, Fix, Safety, Transform

TRANSFORM = Transform(
    name="redundant-map-update",
    pattern=2,
    dialects=(BCC, LIBBPF),
    triggers=(rb"\bbpf_map_update_elem\s*\(", rb"\.\s*update\s*\("),
    kernel=">=4.18",
    summary="map update of a value that lookup already returned by reference",
)

_LOOKUPS = ("lookup", "lookup_or_init", "lookup_or_try_init")
_READ_ONLY = frozenset((*_LOOKUPS, "update", "insert", "delete"))
_CONDITIONAL = re.compile(rb"^[ \t]*#[ \t]*(?:if|elif|else)", re.MULTILINE)
_OWNED = re.compile(r"bpf_(?:timer|wq|task_work|(?:res_)?spin_lock|list_head|list_node|rb_root|rb_node|refcount)\Z")


def find(unit: Unit) -> Iterator[Fix]:
    effects = MapEffects(unit)
    flows: dict[int, Flow] = {}
    for update in unit.map_calls:
        function = update.call.function
        if update.op == "update" and function is not None and _can_go(update):
            flow = flows.setdefault(id(function), flows.get(id(function)) or Flow(function))
            found = _Update.at(unit, update, flow, effects)
            if found is not None:
                yield from found.fixes()


def _can_go(update: MapCall) -> bool:
    """Whether the call does no more than to write over what is there: a plain update whose result is not used."""
    if update.call.statement.uncast is not update.call:
        return False
    flags = update.flags.uncast if update.flags is not None else None
    if flags is None or (flags.kind == "DECL_REF_EXPR" and flags.name in ("BPF_ANY", "BPF_EXIST")):
        return True
    return flags.kind == "INTEGER_LITERAL" and flags.text in (b"0", b"2")


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
        if flow.opaque or step is None or map_ is None or value is None or value.kind != "DECL_REF_EXPR":
            return None
        lookups: dict[Step, MapCall] = {}
        definitions = flow.definitions(step, value.decl)
        checks = flow.non_null(value.decl)
        for definition in definitions:
            given = _given(definition, value.decl)
            lookup = effects.call(given) if given is not None else None
            checked = flow.always_through(definition, step, checks, definitions)
            if given is not None and given.kind == "INTEGER_LITERAL" and checked:
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
        if key is None or self.map.type == OTHER or any(k is None for k in keys):
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
        """Whether the entry or the pointer would be other without the update: the pointer is used to write later, was
        handed on, or the value has parts that an update resets."""
        flow, mentions = self.flow, self.flow.uses(self.value.decl)
        writes = [u for u in mentions if u.through and u.may_write and u.call is not self.update.call]
        ends = {s for u in flow.changes(self.value.decl) if (s := flow.step(u.node)) is not None}
        later = flow.reachable(self.step, ends) | {self.step}
        kept = [u for u in writes if u.effect is Effect.ESCAPE]
        since = set().union(*(flow.reachable(lookup, ends) for lookup in self.lookups))
        return bool(flow.within(writes, later) or flow.within(kept, since)) or _owns(self.unit, self.value.type)

    def _untouched(self, lookup: Step) -> bool:
        """Whether neither the map's entries nor the key change on the way from a lookup to the update."""
        region = self._region(lookup)
        if self.step in region:
            return False
        ours = (self.lookups[lookup].call, self.update.call)
        around = region | {lookup, self.step}
        if any(s.node is not None and self.effects.changes(s.node, self.map.decl, besides=ours) for s in around):
            return False
        assert self.update.key is not None
        return not self._key_changes(self.update.key.uncast, around)

    def _key_changes(self, key: Node, around: set[Step]) -> bool:
        names = [n for n in key.find("DECL_REF_EXPR") if n.declaration is not None]
        indirect = sum(_is_indirect(n) for n in key.walk()) + (key.kind == "DECL_REF_EXPR" and _is_pointer_name(key))
        if indirect > 1:
            return True
        for name in names:
            target = name.declaration
            if target is None or target.kind == "ENUM_CONSTANT_DECL":
                continue
            if target.kind not in ("VAR_DECL", "PARM_DECL") or not _is_own(target):
                return True
            changes = [u for u in self.flow.changes(name.decl) if not self._only_read(u)]
            if any(u.effect is Effect.ESCAPE or self.flow.step(u.node) in around for u in changes):
                return True
        return bool(indirect) and self._memory_changes(pointee(key.type), around)

    def _memory_changes(self, type_: Any, around: set[Step]) -> bool:
        """Whether a key behind a pointer may be written. A write to the entry itself counts only where it has the
        key's type, for a key that lies in the entry is none that could be found by itself."""
        kind = type_.get_canonical().spelling
        for step in around:
            for node in step.node.find("DECL_REF_EXPR") if step.node is not None else ():
                for use in (u for u in self.flow.uses(node.decl) if u.node is node):
                    if not use.may_write or self._only_read(use):
                        continue
                    own = node.decl == self.value.decl and use.through and use.effect is Effect.WRITE
                    if own and use.target.type.get_canonical().spelling != kind:
                        continue
                    if use.through or any(u.effect is Effect.ESCAPE for u in self.flow.changes(node.decl)):
                        return True
        return False

    def _only_read(self, use: Use) -> bool:
        """Whether a use hands an address to a map operation, which reads keys and values."""
        call = self.effects.call(use.call) if use.call is not None else None
        return call is not None and call.op in _READ_ONLY

    def _looks_mistyped(self, one: Node, other: Node) -> bool:
        a, b = one.uncast, other.uncast
        names = [n.children[0].bare for n in (a, b) if n.kind == "UNARY_OPERATOR" and n.operator == "&"]
        if len(names) != 2 or any(n.kind != "DECL_REF_EXPR" for n in names):
            return False
        same_type = names[0].type.get_canonical().spelling == names[1].type.get_canonical().spelling
        region = set().union(*(self._region(lookup) for lookup in self.lookups))
        writes = [u for u in self.flow.uses(self.value.decl) if u.through and u.effect is Effect.WRITE]
        return same_type and _alike(names[0].name, names[1].name) and bool(self.flow.within(writes, region))

    # -- the finding

    def _redundant(self) -> Fix:
        call, name = self.update.call, self.value.name
        message = f"`{_text(call)}` writes back the entry that lookup returned; writes through `{name}` are in the map"
        if not self.map.array:
            message += " already, and the update could only put back what user space deleted meanwhile"
        edit = _removal(self.unit, call.statement)
        if edit is None:
            reason = "a comment or a macro's body is in the way: take the update out by hand"
            return Fix(call, message, Safety.ADVICE, reason=reason)
        reason = self._doubt()
        return Fix(call, message, Safety.SUGGESTED if reason else Safety.SAFE, [edit], reason)

    def _doubt(self) -> str:
        name, unit, call = self.map.name, self.unit, self.update.call
        if call.path in unit.shared_with_user_space:
            return "the file is a header that user space includes too"
        if unit.partial:
            return "the file was not wholly understood: a change of the map or the key may have gone unseen"
        body = self.flow.function.body
        if body is not None and _CONDITIONAL.search(unit.source_of(body).uncommented, body.start, body.end):
            return "an #if in the function leaves out code that may need the update"
        if self.map.type == UNKNOWN:
            return f"the type of `{name}` is not known here: in an LPM trie lookup may return another key's entry"
        if self.map.lru:
            return f"`{name}` is an LRU map: the update puts back an entry that was evicted after the lookup"
        if not self.map.array and self.map.shared:
            return f"`{name}` is pinned or shared: the update puts back an entry that another program deleted"
        if not self.map.array and deletes(unit, self.map.decl):
            return f"the file deletes from `{name}` too: the update puts back an entry deleted after the lookup"
        return ""


def _given(step: Step, variable: int) -> Node | None:
    """What a step that does nothing else gives a pointer variable: a call, or the literal 0. None for all else."""
    node = step.node.bare if step.node is not None else None
    if node is not None and node.kind == "BINARY_OPERATOR" and node.operator in ("==", "!="):
        node = next((c.bare for c in node.children if c.bare.kind == "BINARY_OPERATOR"), None)
    if node is None:
        return None
    if node.kind == "VAR_DECL" and node.decl == variable and node.children:
        return _value(node.children[-1])
    if node.kind == "BINARY_OPERATOR" and node.operator == "=" and node.children[0].bare.decl == variable:
        return _value(node.children[1])
    return None


def _value(node: Node) -> Node | None:
    return node.uncast if node.uncast.kind in ("CALL_EXPR", "INTEGER_LITERAL") else None


def _is_indirect(node: Node) -> bool:
    """Whether an expression reads memory behind a pointer."""
    if node.kind == "ARRAY_SUBSCRIPT_EXPR":
        return not node.children[0].bare.type.get_canonical().kind.name.endswith("ARRAY")
    return node.arrow or (node.kind == "UNARY_OPERATOR" and node.operator == "*")


def _is_pointer_name(node: Node) -> bool:
    return bool(node.type.get_canonical().kind.name == "POINTER")


def _is_own(target: Node) -> bool:
    """Whether nobody else can write a variable: a local one, or one that is const."""
    parent = target.cursor.semantic_parent
    is_local = parent is not None and not parent.kind.is_translation_unit()
    return bool(target.type.is_const_qualified() or (is_local and target.cursor.storage_class.name != "STATIC"))


def _owns(unit: Unit, pointer: Any) -> bool:
    """Whether a value holds what an update takes down or resets: timers, locks, lists, kernel pointers."""
    type_ = pointee(pointer)
    while type_.kind.name.endswith("ARRAY"):
        type_ = type_.element_type.get_canonical()
    type_ = type_.get_canonical()
    if type_.kind.name != "RECORD":
        return False
    record = Node(unit, type_.get_declaration(), None)
    if _OWNED.match(record.name) or re.search(rb"\b__(?:percpu_)?kptr|btf_type_tag", record.text):
        return True
    return any(_owns(unit, f.type) for f in type_.get_fields() if f.type.get_canonical().kind.name != "POINTER")


def _removal(unit: Unit, statement: Node) -> Edit | None:
    """Take the update out, and an if or else with it that has nothing else to do and whose condition does nothing."""
    owner = statement
    while (parent := owner.parent) is not None:
        alone = parent.kind == "COMPOUND_STMT" and len(parent.children) == 1
        if alone and parent.parent is not None and parent.parent.kind == "IF_STMT":
            owner = parent
        elif parent.kind == "IF_STMT" and owner in parent.children[1:]:
            if len(parent.children) == 3:
                break
            if any(n.kind == "CALL_EXPR" or n.operator in _EFFECTS for n in parent.children[0].walk()):
                break
            owner = parent
        else:
            break
    if owner is not statement and not has_comment(unit, owner.path, owner.start, owner.end):
        edit = _without_else(unit, owner) if not in_block(owner) else delete_statement(unit, owner)
        if edit is not None:
            return edit
    return delete_statement(unit, statement)


_EFFECTS = frozenset("= += -= *= /= %= &= |= ^= <<= >>= ++ -- ++post --post".split())


def _without_else(unit: Unit, branch: Node) -> Edit | None:
    """Cut ` else …` off an if whose else branch is `branch`."""
    owner = branch.parent
    if owner is None or owner.kind != "IF_STMT" or len(owner.children) != 3 or branch is not owner.children[2]:
        return None
    source = unit.source_of(branch)
    end = branch.end
    if branch.kind != "COMPOUND_STMT":
        match = re.compile(rb"\s*;").match(source.code, end)
        end = match.end() if match else end
    start = source.code.rfind(b"else", owner.start, branch.start)
    begin = len(source.data[:start].rstrip())
    if start < 0 or has_comment(unit, branch.path, begin, end) or not unit.editable(branch.path, begin, end):
        return None
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
