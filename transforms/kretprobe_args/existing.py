"""A pair's own map of structs, which takes one argument more: a member, set in the entry probe, read in the return
probe.

    extended(pair, groups) -> Made      NoEdit where the pair has no such map, or not everywhere at hand
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ebpffix.analysis.flow import Flow
from ebpffix.analysis.maps import map_decl
from ebpffix.editing.c import declared
from ebpffix.editing.settle import Made, NoEdit
from ebpffix.editing.statements import before, indent_step, numbered
from ebpffix.fix import Edit
from ebpffix.frontend import MapCall, Node, Unit

from .arguments import Argument, Group, Pair, argument, converted, in_place
from .opening import body_of

_NONE = NoEdit("the pair has no map of structs that could hold the argument too")


@dataclass(frozen=True)
class _Existing:
    """The update in the entry probe, the struct's definition, and the pointer that the lookup in the return probe
    gives."""

    unit: Unit
    entry: Node
    update: MapCall
    record: Node
    pointer: bytes


def extended(pair: Pair, groups: Sequence[Group]) -> Made:
    existing = _of(pair)
    edits: list[Edit] = []
    for group in groups:
        wanted = argument(pair, group)
        name, stored = _store(existing, wanted)
        edits += [*stored, *in_place(pair, group, wanted.type, existing.pointer + b"->" + name)]
    record, entry = existing.record.name, existing.entry.name.removeprefix("____")
    how = f": the entry probe `{entry}` stores it in `struct {record}` with the rest"
    return Made(_joined(edits), how, f"user space may know `struct {record}`, which grows")


def _of(pair: Pair) -> _Existing:
    """The map; NoEdit if it does not hold its entry at all reads, or if anything else updates it."""
    unit, function = pair.unit, pair.program.function
    if pair.entry is None or any(r.parameter or r.function is not function for r in pair.reads):
        raise _NONE
    updates = [c for c in unit.map_calls if c.op == "update" and c.call.function is pair.entry]
    decl = map_decl(updates[0].map) if len(updates) == 1 else 0
    calls = [c for c in unit.map_calls if decl and map_decl(c.map) == decl]
    lookups = [c for c in calls if c.op == "lookup" and c.call.function is function]
    record = _stored_record(unit, updates[0]) if decl else None
    if record is None or len(lookups) != 1 or sum(c.op not in ("lookup", "delete") for c in calls) != 1:
        raise _NONE
    deletes = [c.call for c in calls if c.op == "delete"]
    pointer = _held_at(function, lookups[0].call, deletes, [r.start for r in pair.reads])
    if not pointer or record.path in unit.shared_with_user_space:
        raise _NONE
    return _Existing(unit, pair.entry, updates[0], record, pointer)


def _stored_record(unit: Unit, update: MapCall) -> Node | None:
    """The definition of the struct that an update stores from a local variable, where it can be edited."""
    variable = update.value.address_of if update.value is not None else None
    target = variable.declaration if variable is not None and variable.kind == "DECL_REF_EXPR" else None
    if target is None or target.kind != "VAR_DECL":
        return None
    name = target.type.name
    found = [d for d in unit.declarations if d.kind == "STRUCT_DECL" and d.name == name and d.text.endswith(b"}")]
    if len(found) != 1 or found[0].path != unit.path or not unit.editable(unit.path, found[0].start, found[0].end):
        return None
    return found[0]


def _held_at(function: Node, lookup: Node, deletes: Iterable[Node], places: Iterable[int]) -> bytes:
    """The pointer variable that holds what `lookup` gave, checked and not deleted, at all places; b"" if none does."""
    flow = Flow(function)
    given = flow.step(lookup)
    assigned = given.node.bare.assignment if given is not None and given.node is not None else None
    if flow.opaque or given is None or assigned is None or flow.given(given, assigned[0].decl) is not lookup:
        return b""
    variable, gone = assigned[0], {flow.step(d) for d in deletes}
    for place in places:
        around = [n for n in body_of(function).walk() if n.start <= place < n.end]
        step = next((s for s in map(flow.step, reversed(around)) if s is not None), None)
        if step is None or flow.definitions(step, variable.decl) != {given} or gone & flow.between(given, step):
            return b""
        if not flow.always_through(given, step, flow.non_null(variable.decl)):
            return b""
    return variable.name.encode()


def _store(existing: _Existing, wanted: Argument) -> tuple[bytes, list[Edit]]:
    """The name of the argument's member, and the edits of struct and entry probe."""
    record, update, entry = existing.record, existing.update, existing.entry
    source, closing = existing.unit.source_of(record), record.end - 1
    name = numbered(wanted.name, {c.name.encode() for c in record.children})
    member = declared(wanted.type, name) + b";"
    line = source.line_start(closing)
    if source.data[line:closing].strip():
        edit = Edit(record.path, closing, closing, member + b" ")
    else:
        text = source.indent(closing) + indent_step(source) + member + source.newline
        edit = Edit(record.path, line, line, text)
    target = update.value.address_of if update.value is not None else None
    assert target is not None
    given = entry.parameters[wanted.index] if wanted.index < len(entry.parameters) else None
    if given is None or _is_assigned(entry, given.decl):
        context = entry.parameters[0].name.encode()
        value = b"(%s)PT_REGS_PARM%d(%s)" % (wanted.type, wanted.index, context)
    else:
        value = converted(given.name.encode(), given.type.spelling.encode(), wanted.type)
    return name, [edit, *before(existing.unit, update.call.statement, [b"%s.%s = %s;" % (target.text, name, value)])]


def _is_assigned(function: Node, decl: int) -> bool:
    return any(u.may_write and not u.through for u in Flow(function).uses(decl))


def _joined(edits: Iterable[Edit]) -> list[Edit]:
    """The edits, with insertions at one place made one, in their order."""
    texts: dict[tuple[Path, int, int], bytes] = {}
    for edit in edits:
        key = edit.path, edit.start, edit.end
        texts[key] = texts.get(key, b"") + edit.text
    return [Edit(*key, text) for key, text in texts.items()]
