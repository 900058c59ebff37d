"""The ways to take a read out of a macro's argument; each raises NoEdit where it is not right.

unwrapped(read)         `READ_ONCE(sk->f)` without READ_ONCE
split(read)             `u16 sport = sk->f; sport = ntohs(sport);`
hoisted(read, named)    `u16 dport = sk->f;` in front of the statement
function(read)          `bpf_ntohs(sk->f)`, which is a function in BCC
local_names(reads)      what the locals are called that `hoisted` puts in, by the access that they hold
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping

from ebpffix.editing.hoist import Place, place, statement_of
from ebpffix.editing.settle import Made, NoEdit
from ebpffix.editing.statements import after, before, local_name
from ebpffix.fix import Edit
from ebpffix.frontend import Node

from .new_local import declared, field_name
from .reads import Read
from .tracked import Root

# Conversions that are macros in BCC, and the function that does the same there.
_FUNCTIONS = {
    b"ntohs": b"bpf_ntohs", b"be16_to_cpu": b"bpf_ntohs", b"__be16_to_cpu": b"bpf_ntohs",
    b"ntohl": b"bpf_ntohl", b"be32_to_cpu": b"bpf_ntohl", b"__be32_to_cpu": b"bpf_ntohl",
    b"be64_to_cpu": b"bpf_ntohll", b"__be64_to_cpu": b"bpf_ntohll",
    b"htons": b"bpf_htons", b"cpu_to_be16": b"bpf_htons", b"__cpu_to_be16": b"bpf_htons",
    b"htonl": b"bpf_htonl", b"cpu_to_be32": b"bpf_htonl", b"__cpu_to_be32": b"bpf_htonl",
    b"cpu_to_be64": b"bpf_htonll", b"__cpu_to_be64": b"bpf_htonll",
}  # fmt: skip


def unwrapped(read: Read) -> Made:
    """The probe read that BCC makes reads once."""
    macro = read.macro
    if macro.name != "READ_ONCE" or read.known is not Root.TRACKED or len(read.around) > 1:
        raise NoEdit("its macro does more than read it once")
    edits = [Edit(read.path, macro.start, read.start, b""), Edit(read.path, read.end, macro.end, b"")]
    return Made(edits, "leave the macro out, a probe read reads once")


def split(read: Read) -> Made:
    """Where the conversion is all that a local is set to."""
    macro, source = read.macro, read.unit.sources[read.path]
    if len(read.around) > 1 or macro.name.encode() not in _FUNCTIONS or not _is_all_of_it(read):
        raise NoEdit("it is not all that a conversion converts")
    target, statement = _set_to(read)
    if not _fits(target, read):
        raise NoEdit("no local is set to it that could hold it")
    name = target.name.encode()
    opening, closing = source.data[macro.start : read.start], source.data[read.end : macro.end]
    convert = name + b" = " + opening + name + closing + b";"
    lines = [convert]
    if read.known is Root.TRACKED:
        edit = Edit(read.path, macro.start, macro.end, read.text)
    elif target.kind == "VAR_DECL":
        blank = source.code[: macro.start].rfind(name, statement.start) + len(name)
        edit = Edit(read.path, blank, macro.end, b"")
        lines = [_probe_read(read, name) + b";", convert]
    else:
        edit = Edit(read.path, statement.start, macro.end, _probe_read(read, name))
    return Made([edit, *after(read.unit, statement, lines)], "read the field first, then convert it")


def _is_all_of_it(read: Read) -> bool:
    """Whether the macro's argument is the access and nothing else, comments aside."""
    code, (start, end) = read.unit.sources[read.path].code, read.macro.args[0]
    return not code[start : read.start].strip() and not code[read.end : end].strip()


def _set_to(read: Read) -> tuple[Node, Node]:
    """The local variable that is set to the macro's value and to nothing else, and the statement that does it."""
    macro, code = read.macro, read.unit.sources[read.path].code
    for outer in read.node.ancestors:
        declares = outer.kind == "DECL_STMT" and len(outer.children) == 1
        assigns = outer.operator == "=" and outer.is_statement
        if not declares and not assigns:
            continue
        target = outer.children[0].bare
        setting = re.compile(rb"[\w\s]*\b" + target.name.encode() + rb"\s*=\s*\Z")
        written = setting.match(code[outer.start : macro.start])
        ends = re.compile(rb"\s*;").match(code, macro.end)
        if written and ends and (declares or target.is_local):
            return target, outer
        break
    raise NoEdit("no local is set to it")


def _fits(target: Node, read: Read) -> bool:
    """Whether a variable can hold the field before it is converted."""
    type_, field = target.type, read.node.type
    if type_.is_const or type_.kind in ("BOOL", "POINTER", "FLOAT", "DOUBLE"):
        return False
    return type_.size == field.size or (read.known is Root.TRACKED and type_.size > field.size)


def hoisted(read: Read, named: Mapping[Node, bytes]) -> Made:
    statement, where = _moved_to(read)
    name, type_ = named[read.node], declared(read.node)
    lines = [type_ + name + b" = " + read.text + b";"]
    if read.known is Root.KERNEL:
        lines = [type_ + name + b";", _probe_read(read, name) + b";"]
    once = read.macro if read.macro.name == "READ_ONCE" else read.span
    edits = [*before(read.unit, statement, lines), Edit(read.path, once.start, once.end, name)]
    how = "read it into" if read.known is Root.TRACKED else "read it by `bpf_probe_read_kernel` into"
    doubt = "the field is then read also where the condition before it does not hold"
    return Made(edits, f"{how} `{name.decode()}` first", doubt if where is Place.GUARDED else "")


def _moved_to(read: Read) -> tuple[Node, Place]:
    """The statement that the read may stand in front of, and when its value is asked for in it."""
    statement = statement_of(read.node, read.around[0])
    where = place(read.node, statement)
    if where is Place.FIXED or (where is Place.GUARDED and _has_function(read)):
        raise NoEdit("its value is only right in its place")
    declared(read.node)  # NoEdit for a type that has no simple name
    return statement, where


def local_names(reads: Collection[Read]) -> dict[Node, bytes]:
    """The same field twice in a statement is read once. Names of reads that are mended in another way are not used."""
    names: dict[tuple[Node, Node, bytes], bytes] = {}
    found: dict[Node, bytes] = {}
    for read in reads:
        if not (_works(unwrapped, read) or _works(split, read)) and _works(_moved_to, read):
            key = read.function, _moved_to(read)[0], b"".join(read.text.split())
            given = {name for (function, _, _), name in names.items() if function is read.function}
            found[read.node] = names.setdefault(key, local_name(read.unit, read.function, field_name(read.node), given))
    return found


def _works(way: Callable[[Read], object], read: Read) -> bool:
    try:
        way(read)
    except NoEdit:
        return False
    return True


def function(read: Read) -> Made:
    if not _has_function(read):
        raise NoEdit("no function does the same")
    name = _FUNCTIONS[read.macro.name.encode()]
    edit = Edit(read.path, read.macro.start, read.macro.start + len(read.macro.name), name)
    return Made([edit], f"`{name.decode()}` is a function")


def _has_function(read: Read) -> bool:
    """Whether BCC has a function for the macro, inside of which it rewrites."""
    known = read.macro.name.encode() in _FUNCTIONS
    return known and len(read.around) == 1 and read.known is Root.TRACKED


def _probe_read(read: Read, name: bytes) -> bytes:
    address = read.through.text if read.node.kind == "UNARY_OPERATOR" else b"&" + read.text
    return b"bpf_probe_read_kernel(&" + name + b", sizeof(" + name + b"), " + address + b")"
