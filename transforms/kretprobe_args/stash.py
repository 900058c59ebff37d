"""What an entry probe hands to the return probe of the same call: a map keyed by the thread, in the dialect and
style of the file.

    Stash.definitions() -> lines            the map, and a struct for its values where there are several arguments
    Stash.entry_probe() -> lines            an entry probe of its own
    Stash.store_in(entry) -> list[Edit]     what an entry probe that is there already needs
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from ebpffix.editing.c import declared
from ebpffix.editing.statements import indent_step, numbered
from ebpffix.fix import Edit
from ebpffix.frontend import Node
from ebpffix.kernel.helpers import THREAD_ID
from ebpffix.sources.source import Source

from .arguments import Argument, Pair, converted, entry_signature
from .opening import DIRECTIVE, body_of, head, leading, open_body
from .probes import entry_section

_IDENTIFIER = re.compile(rb"[A-Za-z_]\w*")


@dataclass(frozen=True)
class Names:
    """What a pair adds to the file: a map, perhaps the struct of its values, perhaps an entry probe."""

    map: bytes
    record: bytes
    entry: bytes

    @classmethod
    def of(cls, pair: Pair, taken: Collection[bytes]) -> Names:
        """Names that neither the file nor `taken` has; that of the entry probe is what BCC attaches it by."""
        target, body = pair.program.target.encode("latin-1"), body_of(pair.program.function)
        used = {*taken, *_IDENTIFIER.findall(pair.unit.source_of(body).code)}
        base = re.sub(rb"\W+", b"_", target).strip(b"_")
        map_, record = numbered(base + b"_stash", used), numbered(base + b"_args", used)
        entry = numbered(_entry_name(pair.program.name.encode()), used | {map_, record})
        return cls(map_, record, b"kprobe__" + target if pair.is_bcc else entry)

    @property
    def all(self) -> frozenset[bytes]:
        return frozenset((self.map, self.record, self.entry))


def _entry_name(program: bytes) -> bytes:
    """A name for the entry probe of a return probe: `accept_entry` for `accept_exit`, `do_ret`, `handle_return`."""
    swapped = re.sub(rb"(?i)(?:\A|(?<=_))(?:exit|ret|return|kretprobe|uretprobe)(?=_|\Z)", b"entry", program, count=1)
    return swapped if swapped != program else program + b"_entry"


@dataclass(frozen=True)
class Stash:
    """The map of one pair, and the arguments that go through it."""

    pair: Pair
    names: Names
    arguments: tuple[Argument, ...]

    @property
    def source(self) -> Source:
        return self.pair.unit.source_of(body_of(self.pair.program.function))

    @property
    def value(self) -> bytes:
        """The type of its values."""
        return self.arguments[0].type if len(self.arguments) == 1 else b"struct " + self.names.record

    @property
    def u64(self) -> bytes:
        """The type of its keys, as the file can call it."""
        texts = b"".join(s.uncommented for s in self.pair.unit.sources.values())
        return b"u64" if self.pair.is_bcc or re.search(rb"\bu64\b|vmlinux", texts) else b"__u64"

    def free(self, function: Node | None, *wanted: bytes) -> list[bytes]:
        """Names for variables in a function that nothing in it, in the entry probe's head, or in a macro has."""
        used = {name for _, name in entry_signature(self.pair, self.arguments)} | {a.name for a in self.arguments}
        for directive in DIRECTIVE.findall(self.source.uncommented):
            used.update(_IDENTIFIER.findall(directive))
        if function is not None:
            used.update(_IDENTIFIER.findall(self.source.code[head(self.pair.unit, function) : body_of(function).end]))
        return [numbered(name, used) for name in wanted]

    def definitions(self) -> list[bytes]:
        """The lines that define the map, and before it the struct of its values."""
        step = indent_step(self.source)
        lines = []
        if len(self.arguments) > 1:
            members = [step + declared(a.type, a.name) + b";" for a in self.arguments]
            lines += [b"struct %s {" % self.names.record, *members, b"};", b""]
        if self.pair.is_bcc:
            return [*lines, b"BPF_HASH(%s, u64, %s, 10240);" % (self.names.map, self.value), b""]
        lines += [
            b"struct {",
            step + b"__uint(type, BPF_MAP_TYPE_HASH);",
            step + b"__uint(max_entries, 10240);",
            step + b"__type(key, %s);" % self.u64,
            step + b"__type(value, %s);" % self.value,
            b'} %s SEC(".maps");' % self.names.map,
        ]
        return [*lines, b""]

    def entry_probe(self) -> list[bytes]:
        """The lines of an entry probe of its own."""
        step, program = indent_step(self.source), self.pair.program
        parameters = [declared(type_, name) for type_, name in entry_signature(self.pair, self.arguments)]
        if self.pair.is_bcc:
            opening = b"int %s(%s)" % (self.names.entry, b", ".join([b"struct pt_regs *ctx", *parameters]))
            lines = []
        else:
            macro = b"BPF_UPROBE" if program.macro is not None and "URETPROBE" in program.macro.name else b"BPF_KPROBE"
            opening = b"int %s(%s)" % (macro, b", ".join([self.names.entry, *parameters]))
            lines = [b'SEC("%s")' % entry_section(program).encode("latin-1")]
        brace = body_of(program.function).start
        own_line = not self.source.data[self.source.line_start(brace) : brace].strip()
        lines += [opening, b"{"] if own_line else [opening + b" {"]
        key, record = self.free(None, b"id", b"args")
        stored = self._stored(key, record, {a.index: a.name for a in self.arguments})
        body = [self._key(key), *stored, b"return 0;"]
        return [*lines, *(step + line if line else line for line in body), b"}", b""]

    def store_in(self, entry: Node) -> list[Edit]:
        """What makes an entry probe that is there already fill the map, at its beginning."""
        lines, values = list[bytes](), dict[int, bytes]()
        context, *parameters = entry.parameters
        for one in self.arguments:
            given = parameters[one.index - 1] if one.index <= len(parameters) else None
            own = given.name.encode() if given is not None else b""
            value = converted(own, given.type.spelling.encode(), one.type) if given is not None else b""
            if own and value == own:
                values[one.index] = own
                continue
            (name,) = self.free(entry, one.name + b"_arg")
            register = b"(%s)PT_REGS_PARM%d(%s)" % (one.type, one.index, context.name.encode())
            lines.append(b"%s = %s;" % (declared(one.type, name), value or register))
            values[one.index] = name
        key, behind = leading(self.pair.unit, entry)
        identity, record = self.free(entry, b"id", b"args")
        lines += [] if key else [self._key(identity)]
        stored = self._stored(key or identity, record, values)
        return open_body(self.pair.unit, entry, [*lines, *stored], behind)

    def _key(self, name: bytes) -> bytes:
        return b"%s %s = %s();" % (self.u64, name, THREAD_ID.encode())

    def _stored(self, key: bytes, record: bytes, values: Mapping[int, bytes]) -> list[bytes]:
        """The statements that put the arguments, given as C, into the map."""
        value, lines = values[self.arguments[0].index], [b""]
        if len(self.arguments) > 1:
            lines = [b"struct %s %s;" % (self.names.record, record), b""]
            lines += [b"__builtin_memset(&%s, 0, sizeof(%s));" % (record, record)]
            lines += [b"%s.%s = %s;" % (record, a.name, values[a.index]) for a in self.arguments]
            value = record
        if self.pair.is_bcc:
            return [*lines, b"%s.update(&%s, &%s);" % (self.names.map, key, value)]
        return [*lines, b"bpf_map_update_elem(&%s, &%s, &%s, BPF_ANY);" % (self.names.map, key, value)]
