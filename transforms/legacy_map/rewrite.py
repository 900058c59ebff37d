"""The new form of a definition, written where the old one stands: its order, its comments and its blanks stay."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from ebpffix.analysis.map_members import Measured, may_be_typed, used_type
from ebpffix.editing.definitions import insert_definition
from ebpffix.editing.settle import NoEdit
from ebpffix.fix import Edit
from ebpffix.frontend import Macro, Unit
from ebpffix.kernel.map_types import Shape

from .definition import Definition, Member

_SECTION = re.compile(rb'"maps(?:/[^"]*)?"')
_BETWEEN = re.compile(rb"\s*,?\s*")
_PIN_GLOBAL = 2  # PIN_GLOBAL_NS of iproute2: by its name, below /sys/fs/bpf/tc/globals
_MACROS = {
    b"__uint": b"#define __uint(name, val) int (*name)[val]",
    b"__type": b"#define __type(name, val) typeof(val) *name",
    b"__array": b"#define __array(name, val) typeof(val) *name[]",
}
_ANNOTATION = "BPF_ANNOTATE_KV_PAIR"


def rewritten(old: Definition, values: bytes = b"", *, tag: bytes = b"", slot: bytes = b"") -> list[Edit]:
    """The edits that make a definition one of the new form. NoEdit where that is not the same map.

    Of maps in maps: `values` is the inner map's type and `slot` what the outer map holds from the start; `tag` is the
    name that the structure of an inner map gets.
    """
    unit, source, path = old.unit, old.source, old.variable.path
    annotation = _annotation(old)
    types = _types(old, annotation)
    edits = [_head(old, tag)]
    for member, end in zip(old.members, _ends(old), strict=True):
        edits += _member(old, member, end, types)
    closing = old.body.end - 1
    if values:
        edits.append(_last(old, b"__array(values, " + values + b");"))
    name = old.name.encode() + b" " + _section(old)
    edits.append(Edit(path, closing + 1, closing + 1, b" " + name + (b" = {" + slot + b"}" if slot else b"")))
    if annotation is not None:
        edits.append(_without(unit, annotation))
    missing = [line for word, line in _MACROS.items() if _lacks(old, word, edits)]
    for line in missing:
        macro = re.split(rb"[ (]", line)[1]
        edits.append(insert_definition(unit, old.variable, b"#ifndef " + macro + b"\n" + line + b"\n#endif\n"))
    return [edit for edit in edits if source.data[edit.start : edit.end] != edit.text]


def _lacks(old: Definition, word: bytes, edits: list[Edit]) -> bool:
    """Whether the edits need a macro that no header of the program has."""
    used = any(re.search(rb"\b%s\(" % word, edit.text) for edit in edits)
    return used and not old.unit.declared.has(word.decode())


def _head(old: Definition, tag: bytes) -> Edit:
    variable, body = old.variable, old.body
    before = old.source.data[: body.start]
    blanks = before[len(before.rstrip()) :] or b" "
    return Edit(variable.path, variable.start, body.start, b"struct" + (b" " + tag if tag else b"") + blanks)


def _section(old: Definition) -> bytes:
    """What names the section `.maps`, in the way of the old definition."""
    written = old.source.data[slice(*old.section)]
    if _SECTION.search(written):
        return _SECTION.sub(b'".maps"', written)
    for macro in ("SEC", "__section"):
        if old.unit.declared.has(macro):
            return macro.encode() + b'(".maps")'
    return b'__attribute__((section(".maps"), used))'


def _ends(old: Definition) -> Iterator[int]:
    """Where each member ends with its comma, if it has one. NoEdit where more than that stands between two."""
    code = old.source.code
    follow = [*(member.start for member in old.members[1:]), old.body.end - 1]
    for member, following in zip(old.members, follow, strict=True):
        if not _BETWEEN.fullmatch(code, member.end, following):
            raise NoEdit("a macro's body holds a part of the definition")
        comma = code.find(b",", member.end, following)
        yield comma + 1 if comma >= 0 else member.end


def _member(old: Definition, member: Member, end: int, types: Mapping[str, bytes]) -> list[Edit]:
    """What becomes of one member; `end` is behind its comma."""
    path, data = old.variable.path, old.source.data
    told = _told(old, member, types)
    if told is None:
        return [_removed(old, member.start, end)]
    lead, value = told
    text = lead + value + b");"
    if end == member.end or not data[member.end : end - 1].strip():
        return [Edit(path, member.start, end, text)]
    return [Edit(path, member.start, member.end, text), Edit(path, end - 1, end, b"")]  # a comment before the comma


def _told(old: Definition, member: Member, types: Mapping[str, bytes]) -> tuple[bytes, bytes] | None:
    """How the new form begins to say a member, and the value; None for one that says nothing there."""
    value = old.source.data[member.value.start : member.end]
    match member.name:
        case "key_size" | "value_size":
            return _size(old, member, value, types)
        case "type" | "max_entries":
            return b"__uint(%s, " % member.name.encode(), value
        case "map_flags" | "numa_node":
            return None if member.is_nothing else (b"__uint(%s, " % member.name.encode(), value)
        case "pinning":
            return _pinning(old)
        case "id" | "inner_id" | "inner_idx":
            return None  # what they are for is told of the maps that they are about
    of_maps = old.map_type is not None and old.map_type.name.endswith("_of_maps")
    if member.is_nothing and not (of_maps and "inner" in member.old):  # 0 is the first map there
        return None
    raise NoEdit(f"`.{member.old}` has no counterpart")


def _size(old: Definition, member: Member, value: bytes, types: Mapping[str, bytes]) -> tuple[bytes, bytes] | None:
    known = old.map_type
    if known is not None and known.shape is Shape.RING and member.is_nothing:
        return None
    if member.name in types:
        return b"__type(%s, " % member.name.removesuffix("_size").encode(), types[member.name]
    return b"__uint(%s, " % member.name.encode(), value


def _types(old: Definition, annotation: Macro | None) -> dict[str, bytes]:
    """The types of a map's key and value, by the members that state their sizes; of both or of none, as the kernel
    wants it."""
    if annotation is not None:
        data = old.unit.sources[annotation.path].data
        return {f"{what}_size": data[slice(*annotation.args[n])] for n, what in enumerate(("key", "value"), 1)}
    found = {}
    for what in ("key", "value"):
        member = old.member(f"{what}_size")
        given = _measured(old, member, what) if member is not None else None
        if member is None or given is None or not may_be_typed(old.map_type, what, given):
            return {}
        found[member.name] = given.text
    return found


def _measured(old: Definition, member: Member, what: str) -> Measured | None:
    size = member.value.constant
    if member.value.text.isdigit() and size:
        return used_type(old.unit, old.variable, what, size)
    return Measured.of(member.value)


def _pinning(old: Definition) -> tuple[bytes, bytes] | None:
    how = old.constant("pinning")
    if how == 0:
        return None
    if how != _PIN_GLOBAL or old.variable.type.member("size_key") is None:
        raise NoEdit("libbpf knows no pinning but that by the map's name")
    name = b"LIBBPF_PIN_BY_NAME"
    return b"__uint(pinning, ", name if old.unit.declared.has(name.decode()) else b"1"


def _removed(old: Definition, start: int, end: int) -> Edit:
    """Take a member out, with its line if nothing else is on it."""
    source, path = old.source, old.variable.path
    line, line_end = source.line_start(start), source.line_end(end)
    if not source.data[line:start].strip() and not source.data[end:line_end].strip() and line > old.body.start:
        return Edit(path, line, line_end, b"")
    blanks = re.compile(rb"[ \t]*").match(source.data, end)
    return Edit(path, start, blanks.end() if blanks else end, b"")


def _last(old: Definition, line: bytes) -> Edit:
    """A line behind the last member, in its indentation."""
    source, last = old.source, old.members[-1]
    end = list(_ends(old))[-1]
    rest = source.line_end(end)
    if not source.data[source.line_start(last.start) : last.start].strip() and rest <= old.body.end - 1:
        return Edit(old.variable.path, rest, rest, source.indent(last.start) + line + source.newline)
    return Edit(old.variable.path, end, end, b" " + line)


def _annotation(old: Definition) -> Macro | None:
    """The BPF_ANNOTATE_KV_PAIR that states the types of a map's key and value."""
    for macro in old.unit.macros(_ANNOTATION):
        data = old.unit.sources[macro.path].data
        if len(macro.args) == 3 and data[slice(*macro.args[0])] == old.name.encode():
            return macro
    return None


def _without(unit: Unit, annotation: Macro) -> Edit:
    """The annotation taken out, with its lines."""
    source = unit.sources[annotation.path]
    semicolon = re.compile(rb"\s*;").match(source.code, annotation.end)
    end = semicolon.end() if semicolon else annotation.end
    line, line_end = source.line_start(annotation.start), source.line_end(end)
    if source.data[line : annotation.start].strip() or source.data[end:line_end].strip():
        return Edit(annotation.path, annotation.start, end, b"")
    blank = source.data[:line].endswith((b"\n\n", b"\r\n\r\n"))
    following = source.line_end(line_end) if line_end < len(source.data) else line_end
    if blank and not source.data[line_end:following].strip():
        line_end = following  # one blank line of the two around it is enough
    return Edit(annotation.path, line, line_end, b"")
