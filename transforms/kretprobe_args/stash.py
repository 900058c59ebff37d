"""What an entry probe hands to the return probe of the same call: a map keyed by the thread, and the text around it.

A `Stash` writes the C of one entry/return pair, in the dialect and style of the file: the map (and a struct where there
are several arguments), the entry probe or what an entry probe that is there needs, and the lines that begin the return
probe: look up, leave if there is nothing, copy out, delete.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from ebpffix.analysis.flow import Flow
from ebpffix.analysis.maps import map_decl
from ebpffix.editing.c import declared
from ebpffix.editing.statements import before, indent_step, numbered, statement_end
from ebpffix.fix import BCC, Edit
from ebpffix.frontend import MapCall, Node, Unit
from ebpffix.kernel.helpers import THREAD_ID
from ebpffix.sources.source import Source

_IDENTIFIER = re.compile(rb"[A-Za-z_]\w*")
_DIRECTIVE = re.compile(rb"^[ \t]*#(?:\\\r?\n|[^\n])*\n?", re.MULTILINE)
_REST_OF_LINE = re.compile(rb"[ \t]*(?:\r?\n|\Z)")
_BLANK_LINE = re.compile(rb"[ \t]*\r?\n")


@dataclass(frozen=True)
class Argument:
    """An argument of the probed function: `index` counts from 1, `name` and `type` are those of the entry probe's
    parameter, `declaration` is how the return probe declares it (`struct sock *sk`)."""

    index: int
    name: bytes
    type: bytes
    declaration: bytes


def body_of(function: Node) -> Node:
    """The body of a function definition."""
    assert function.body is not None
    return function.body


@dataclass
class Stash:
    """One pair: `target` is the probed function, `function` its return probe, `arguments` those that it needs.

    `signature` are all arguments of the entry probe as (type, name), up to the last one needed. `section` is that of
    the entry probe in libbpf's dialect, and `macro` its BPF_KPROBE or BPF_UPROBE.
    """

    unit: Unit
    function: Node
    target: bytes
    program: bytes
    arguments: Sequence[Argument]
    signature: Sequence[tuple[bytes, bytes]]
    taken: set[bytes]
    section: bytes = b""
    macro: bytes = b"BPF_KPROBE"
    map: bytes = field(init=False)
    record: bytes = field(init=False)
    entry: bytes = field(init=False)

    def __post_init__(self) -> None:
        used = self.taken | set(_IDENTIFIER.findall(self.source.code))
        base = re.sub(rb"\W+", b"_", self.target).strip(b"_")
        self.map = fresh(base + b"_stash", used)
        self.record = fresh(base + b"_args", used)
        self.entry = b"kprobe__" + self.target if self._is_bcc else fresh(_entry_name(self.program), used)
        self.taken.update((self.map, self.record, self.entry))

    @property
    def source(self) -> Source:
        return self.unit.source_of(self.body)

    @property
    def body(self) -> Node:
        return body_of(self.function)

    @property
    def _is_bcc(self) -> bool:
        return self.unit.dialect == BCC

    @property
    def _value(self) -> bytes:
        return self.arguments[0].type if len(self.arguments) == 1 else b"struct " + self.record

    @property
    def _u64(self) -> bytes:
        known = self._is_bcc or re.search(
            rb"\bu64\b|vmlinux", b"".join(s.uncommented for s in self.unit.sources.values())
        )
        return b"u64" if known else b"__u64"

    def _names(self, function: Node | None, *names: bytes) -> list[bytes]:
        """Names for variables in a function that nothing in it, in the signature, or in a macro has."""
        used = {name for _, name in self.signature} | {a.name for a in self.arguments}
        for directive in _DIRECTIVE.findall(self.source.uncommented):
            used.update(_IDENTIFIER.findall(directive))
        if function is not None and function.body is not None:
            used.update(_IDENTIFIER.findall(self.source.code[head(self.unit, function) : function.body.end]))
        return [fresh(name, used) for name in names]

    # -- map and entry probe

    def definitions(self) -> list[bytes]:
        """The lines that define the map, and before it the struct of its values."""
        step = indent_step(self.source)
        lines = []
        if len(self.arguments) > 1:
            members = [step + declared(a.type, a.name) + b";" for a in self.arguments]
            lines += [b"struct %s {" % self.record, *members, b"};", b""]
        if self._is_bcc:
            return [*lines, b"BPF_HASH(%s, u64, %s, 10240);" % (self.map, self._value), b""]
        lines += [
            b"struct {",
            step + b"__uint(type, BPF_MAP_TYPE_HASH);",
            step + b"__uint(max_entries, 10240);",
            step + b"__type(key, %s);" % self._u64,
            step + b"__type(value, %s);" % self._value,
            b'} %s SEC(".maps");' % self.map,
        ]
        return [*lines, b""]

    def entry_probe(self) -> list[bytes]:
        """The lines of an entry probe of its own."""
        step = indent_step(self.source)
        parameters = [declared(type_, name) for type_, name in self.signature]
        if self._is_bcc:
            opening = b"int %s(%s)" % (self.entry, b", ".join([b"struct pt_regs *ctx", *parameters]))
            lines = []
        else:
            opening = b"int %s(%s)" % (self.macro, b", ".join([self.entry, *parameters]))
            lines = [b'SEC("%s")' % self.section]
        before_brace = self.source.data[: self.body.start]
        own_line = not before_brace[self.source.line_start(self.body.start) :].strip()
        lines += [opening, b"{"] if own_line else [opening + b" {"]
        key, record = self._names(None, b"id", b"args")
        store = self._store(key, record, {a.index: a.name for a in self.arguments})
        return [*lines, *(step + line if line else line for line in [*store, b"return 0;"]), b"}", b""]

    def _store(self, key: bytes, record: bytes, values: dict[int, bytes], key_exists: bool = False) -> list[bytes]:
        """The statements that put the arguments, given as C, into the map."""
        lines = [] if key_exists else [b"%s %s = %s();" % (self._u64, key, THREAD_ID.encode())]
        value = values[self.arguments[0].index]
        if len(self.arguments) > 1:
            lines += [b"struct %s %s;" % (self.record, record), b""]
            lines += [b"__builtin_memset(&%s, 0, sizeof(%s));" % (record, record)]
            lines += [b"%s.%s = %s;" % (record, a.name, values[a.index]) for a in self.arguments]
            value = record
        else:
            lines += [b""]
        if self._is_bcc:
            return [*lines, b"%s.update(&%s, &%s);" % (self.map, key, value)]
        return [*lines, b"bpf_map_update_elem(&%s, &%s, &%s, BPF_ANY);" % (self.map, key, value)]

    def store_in(self, entry: Node) -> list[Edit]:
        """What makes an entry probe that is there already fill the map, at its beginning."""
        parameters = entry.parameters
        lines, values = [], {}
        own = self._names(entry, b"id", b"args")
        for argument in self.arguments:
            given = parameters[argument.index] if argument.index < len(parameters) else None
            if given is not None and _plain(given.type.spelling.encode()) == _plain(argument.type):
                values[argument.index] = given.name.encode()
                continue
            (name,) = self._names(entry, argument.name + b"_arg")
            values[argument.index] = name
            register = b"PT_REGS_PARM%d(%s)" % (argument.index, parameters[0].name.encode())
            value = given.name.encode() if given is not None else register
            lines.append(b"%s = (%s)%s;" % (declared(argument.type, name), argument.type, value))
        key, behind = leading(self.unit, entry)
        store = self._store(key or own[0], own[1], values, key is not None)
        return open_body(self.unit, entry, [*lines, *store], behind)

    # -- return probe

    def take_out(
        self, missing: bytes, extra: Sequence[bytes], deleted: Sequence[Edit], edited: Sequence[Edit]
    ) -> list[Edit]:
        """The beginning of the return probe, behind declarations that do not need it; `missing` leaves it, `extra` are
        statements before, `deleted` and `edited` the edits made in the function."""
        places = [e.start for e in (*deleted, *edited) if e.path == self.body.path]
        key, behind = leading(self.unit, self.function, min((p for p in places if p > self.body.start), default=None))
        step = indent_step(self.source)
        identity, saved = self._names(self.function, b"id", b"saved")
        lines = [*extra] if key else [*extra, b"%s %s = %s();" % (self._u64, identity, THREAD_ID.encode())]
        pointer = declared(self._value + (b"*" if self._value.endswith(b"*") else b" *"), saved)
        call = b"%s.lookup(&%s)" if self._is_bcc else b"bpf_map_lookup_elem(&%s, &%s)"
        delete = b"%s.delete(&%s);" if self._is_bcc else b"bpf_map_delete_elem(&%s, &%s);"
        place = self.map, key or identity
        lines.append(b"%s = %s;" % (pointer, call % place))
        others = self._other_deletes(key)
        leave = [b"if (!%s) {" % saved, *(step + line for line in [*others, missing]), b"}"]
        lines += leave if others else [b"if (!%s)" % saved, step + missing]
        for argument in self.arguments:
            value = b"*" + saved if len(self.arguments) == 1 else saved + b"->" + argument.name
            lines.append(b"%s = %s;" % (argument.declaration, value))
        lines.append(delete % place)
        return open_body(self.unit, self.function, lines, behind, deleted)

    def _other_deletes(self, key: bytes | None) -> list[bytes]:
        """The statements by which the return probe deletes the call's entries of other maps: leaving early, it has to
        delete them too."""
        calls = [c for c in self.unit.map_calls if c.op == "delete" and c.call.function is self.function and c.key]
        ours = [c for c in calls if c.key is not None and key is not None and c.key.text == b"&" + key]
        return list(dict.fromkeys(c.call.text + b";" for c in ours if b"\n" not in c.call.text))


@dataclass(frozen=True)
class Existing:
    """A pair's own map of structs that can hold one argument more: the update in the entry probe, the struct's
    definition, and the pointer that the lookup in the return probe gives."""

    unit: Unit
    entry: Node
    update: MapCall
    record: Node
    pointer: bytes

    @classmethod
    def of(cls, unit: Unit, entry: Node, function: Node, places: Sequence[int]) -> Existing | None:
        """The one of an entry and a return probe; None if it does not hold its entry at all `places` of the return
        probe, or if anything else updates the map."""
        updates = [c for c in unit.map_calls if c.op == "update" and c.call.function is entry]
        decl = map_decl(updates[0].map) if len(updates) == 1 else 0
        calls = [c for c in unit.map_calls if decl and map_decl(c.map) == decl]
        lookups = [c for c in calls if c.op == "lookup" and c.call.function is function]
        record = _stored_record(unit, updates[0]) if decl else None
        if record is None or len(lookups) != 1 or sum(c.op not in ("lookup", "delete") for c in calls) != 1:
            return None
        pointer = _held_at(function, lookups[0].call, [c.call for c in calls if c.op == "delete"], places)
        return cls(unit, entry, updates[0], record, pointer) if pointer else None

    def store(self, argument: Argument) -> tuple[bytes, list[Edit]]:
        """The name of the argument's member, and the edits of struct and entry probe."""
        source, closing = self.unit.source_of(self.record), self.record.end - 1
        name = fresh(argument.name, {c.name.encode() for c in self.record.children})
        member = declared(argument.type, name) + b";"
        line = source.line_start(closing)
        if source.data[line:closing].strip():
            edit = Edit(self.record.path, closing, closing, member + b" ")
        else:
            text = source.indent(closing) + indent_step(source) + member + source.newline
            edit = Edit(self.record.path, line, line, text)
        value = self.update.value
        assert value is not None
        target = value.uncast.children[0].bare.text
        parameters = self.entry.parameters
        given = parameters[argument.index].name.encode() if argument.index < len(parameters) else b""
        if not given or _assigned(self.entry, parameters[argument.index].decl):
            given = b"(%s)PT_REGS_PARM%d(%s)" % (argument.type, argument.index, parameters[0].name.encode())
        stored = before(self.unit, self.update.call.statement, [b"%s.%s = %s;" % (target, name, given)])
        return name, [edit, *stored]


def _assigned(function: Node, decl: int) -> bool:
    return any(u.may_write and not u.through for u in Flow(function).uses(decl))


def _stored_record(unit: Unit, update: MapCall) -> Node | None:
    """The definition of the struct that an update stores from a local variable, where it can be edited."""
    value = update.value.uncast if update.value is not None else None
    variable = value.children[0].bare if value is not None and value.operator == "&" else None
    target = variable.declaration if variable is not None and variable.kind == "DECL_REF_EXPR" else None
    if target is None or target.kind != "VAR_DECL":
        return None
    name = target.type.name
    found = [d for d in unit.declarations if d.kind == "STRUCT_DECL" and d.name == name and d.text.endswith(b"}")]
    if len(found) != 1 or found[0].path != unit.path or not unit.editable(unit.path, found[0].start, found[0].end):
        return None
    return found[0]


def _held_at(function: Node, lookup: Node, deletes: Sequence[Node], places: Sequence[int]) -> bytes:
    """The pointer variable that holds what `lookup` gave, checked and not deleted, at all places; b"" if none does."""
    flow = Flow(function)
    given = flow.step(lookup)
    node = given.node.bare if given is not None and given.node is not None else None
    if flow.opaque or given is None or node is None:
        return b""
    variable = node if node.kind == "VAR_DECL" else node.children[0].bare if node.operator == "=" else None
    if variable is None or flow.given(given, variable.decl) is not lookup:
        return b""
    gone = {flow.step(d) for d in deletes}
    for place in places:
        around = [n for n in body_of(function).walk() if n.start <= place < n.end]
        step = next((s for s in map(flow.step, reversed(around)) if s is not None), None)
        if step is None or flow.definitions(step, variable.decl) != {given} or gone & flow.between(given, step):
            return b""
        if not flow.always_through(given, step, flow.non_null(variable.decl)):
            return b""
    return variable.name.encode()


def fresh(wanted: bytes, used: set[bytes]) -> bytes:
    """`wanted`, or with a number behind it, so that it is not in `used`; added there."""
    name = numbered(wanted, used)
    used.add(name)
    return name


def _entry_name(program: bytes) -> bytes:
    """A name for the entry probe of a return probe: `accept_entry` for `accept_exit`, `do_ret`, `handle_return`."""
    swapped = re.sub(rb"(?i)(?:\A|(?<=_))(?:exit|ret|return|kretprobe|uretprobe)(?=_|\Z)", b"entry", program, count=1)
    return swapped if swapped != program else program + b"_entry"


def _plain(type_: bytes) -> bytes:
    return b"".join(type_.replace(b"const ", b"").split())


def head(unit: Unit, function: Node) -> int:
    """The offset of the line where a function's definition begins, with SEC() and the comment right above it."""
    body = body_of(function)
    source = unit.source_of(body)
    code, end = source.code, body.start
    start = max(code.rfind(b"}", 0, end), code.rfind(b";", 0, end)) + 1
    for directive in _DIRECTIVE.finditer(source.uncommented, start, end):
        start = directive.end()
    first = re.compile(rb"\s*").match(code, start)
    position = first.end() if first else start
    for begin, stop in reversed([c for c in source.comments if start <= c[0] and c[1] <= position]):
        gap = source.data[stop:position]
        own_line = not source.data[source.line_start(begin) : begin].strip()
        if gap.strip() or gap.count(b"\n") > 1 or not own_line:
            break
        position = begin
    return source.line_start(position)


# Calls whose result may go unused, so that a return right behind them leaves nothing open.
_HARMLESS = re.compile(r"bpf_get_\w+|bpf_ktime_\w+|bpf_map_lookup_elem|lookup|__builtin_\w+")


def leading(unit: Unit, function: Node, limit: int | None = None) -> tuple[bytes | None, Node | None]:
    """Of the declarations that begin a function, up to the offset `limit`, and hold nothing that must be given back:
    a 64-bit variable among them with the thread's id, and the last of them; each None if there is none."""
    key, last = None, None
    for statement in body_of(function).children:
        source, end = unit.source_of(statement), statement_end(unit, statement)
        if statement.kind != "DECL_STMT" or (limit is not None and end > limit):
            break
        calls = list(statement.find("CALL_EXPR"))
        ends_line = _REST_OF_LINE.match(source.uncommented, end)
        if not unit.editable(statement.path, statement.start, end) or not ends_line:
            break
        if not all(_HARMLESS.fullmatch(call.name) for call in calls):
            break
        last = statement
        for variable in statement.children:
            value = variable.children[-1].uncast if variable.kind == "VAR_DECL" and variable.children else None
            is_thread = value is not None and value.kind == "CALL_EXPR" and value.name == THREAD_ID
            if is_thread and variable.type.kind in ("ULONG", "ULONGLONG"):
                key = variable.name.encode()
    return key, last


def open_body(
    unit: Unit, function: Node, lines: Sequence[bytes], behind: Node | None = None, deleted: Sequence[Edit] = ()
) -> list[Edit]:
    """Put lines at the beginning of a function, or behind one of its first declarations.

    A blank line follows unless there is one, where the edits `deleted` take away what stood next.
    """
    body = body_of(function)
    source = unit.source_of(body)
    newline = source.newline
    step = source.indent(body.end - 1) + indent_step(source)
    text = b"".join(newline + (step + line if line else b"") for line in lines)
    at = statement_end(unit, behind) if behind is not None else body.start + 1
    if not _REST_OF_LINE.match(source.uncommented, at):
        blanks = re.compile(rb"[ \t]*").match(source.data, at)
        return [Edit(body.path, at, blanks.end() if blanks else at, text + newline + step)]
    following = source.line_end(at)
    at = following - (2 if source.data[:following].endswith(b"\r\n") else 1)
    while gone := next((e for e in deleted if e.start == following and e.end > following), None):
        following = gone.end
    closes = source.data[following : body.end].lstrip()[:1] == b"}"
    if not closes and not _BLANK_LINE.match(source.data, following):
        text += newline
    return [Edit(body.path, at, at, text)]


def before_function(unit: Unit, function: Node, lines: Sequence[bytes]) -> list[Edit]:
    """Put lines in front of a function's definition."""
    body, at = body_of(function), head(unit, function)
    source = unit.source_of(body)
    indent = source.indent(body.end - 1)
    text = b"".join((indent + line if line else b"") + source.newline for line in lines)
    return [Edit(body.path, at, at, text)]
