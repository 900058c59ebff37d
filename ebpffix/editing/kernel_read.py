"""Kernel memory that a program reads directly, read by a probe read: the ways to write it, the shortest first.

    KernelRead(unit, node, refused, names).made   (what becomes of it in words, the edits); NoEdit where there is no way

The access joins a BPF_CORE_READ that it begins, becomes a BPF_CORE_READ_INTO of the explicit read that it is the source
of, one BPF_CORE_READ in its place, or explicit reads into locals in front of the statement.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ebpffix.editing.chain import Chain, arguments, by_locals, chain
from ebpffix.editing.hoist import can_move, takes_braces
from ebpffix.editing.settle import NoEdit, first_of
from ebpffix.editing.statements import add_include, after, before, has_comment
from ebpffix.fix import BCC, LIBBPF, Edit
from ebpffix.frontend import Macro, Node, Unit

# Macros over __builtin_preserve_access_index, which does not nest, and the argument that begins their chain.
_CHAINS = {"BPF_CORE_READ": 0, "BPF_PROBE_READ": 0, "BPF_CORE_READ_INTO": 1, "BPF_CORE_READ_STR_INTO": 1,
           "BPF_PROBE_READ_INTO": 1, "BPF_PROBE_READ_STR_INTO": 1}  # fmt: skip
CORE = re.compile(r"BPF_CORE_|BPF_PROBE_READ|bpf_core_read|PT_REGS_\w*_CORE|__builtin_preserve")
_READER = re.compile(r"bpf_(?:probe|core)_read(?:_kernel)?(_str)?\Z")


@dataclass(frozen=True)
class KernelRead:
    """An access `node` of kernel memory, the last of a chain."""

    unit: Unit
    node: Node
    refused: Callable[[Node], bool]  # whether the verifier refuses an access
    names: set[bytes]  # of the locals put in so far

    @cached_property
    def chain(self) -> Chain:
        return chain(self.unit, self.node, self.refused)

    @property
    def path(self) -> Path:
        return self.node.path

    @cached_property
    def around(self) -> list[Macro]:
        """The macros that hold the access, outermost first."""
        return self.unit.macros_around(self.path, self.node.start, self.node.end)

    @property
    def made(self) -> tuple[str, list[Edit]]:
        """What becomes of it, in words, and the edits, the header that they need among them. NoEdit if nothing can."""
        how, edits = first_of(self._in_chain, self._into, self._wrapped, self._by_locals)
        return how, with_header(self.unit, edits)

    @property
    def _prefix(self) -> bytes:
        """BPF_CORE_READ would relocate a structure of the program's own in the root too, which the kernel does not
        know; BPF_PROBE_READ leaves that to the attribute that vmlinux.h gives its structures."""
        core = _has_core(self.unit) and not self._begins_in_own_structure
        return b"BPF_CORE_READ" if core else b"BPF_PROBE_READ"

    @cached_property
    def _begins_in_own_structure(self) -> bool:
        files = {str(path) for path in self.unit.sources}
        members = (n for n in self.chain.root.find("MEMBER_REF_EXPR") if n.declaration is not None)
        return any(str(m.declaration.path) in files for m in members if m.declaration is not None)

    @property
    def _plain(self) -> bool:
        """Whether one BPF_CORE_READ can follow the chain: members only, and no other of its kind in the root."""
        if self.unit.dialect == BCC or not self.chain.is_plain:
            return False
        root = self.chain.root
        inside = (m for m in self.unit.macros(path=root.path) if root.start <= m.start < root.end)
        return self._whole_read() is not None or not any(CORE.match(m.name) for m in inside)

    def _whole_read(self) -> Macro | None:
        """The `BPF_CORE_READ(…)` that is the root as a whole."""
        bare = self.chain.root.bare
        found = self.unit.macros(*(n for n, at in _CHAINS.items() if at == 0), path=bare.path)
        return next((m for m in found if (m.start, m.end) == (bare.start, bare.end)), None)

    @property
    def _first(self) -> bytes:
        """What BPF_CORE_READ begins with: the root, or all that stands in the BPF_CORE_READ that it is."""
        read, data = self._whole_read(), self.unit.sources[self.path].data
        return data[read.args[0][0] : read.args[-1][1]] if read else self.chain.root.bare.text

    def _in_chain(self) -> tuple[str, list[Edit]]:
        """`BPF_CORE_READ(task->mm, owner)`: the links join the chain that the access begins."""
        inner = self.around[-1] if self.around else None
        if inner is None or inner.name not in _CHAINS or not self._plain or self._whole_read():
            raise NoEdit("it begins no chain")
        if self._begins_in_own_structure and inner.name.startswith("BPF_CORE"):
            raise NoEdit("it begins no chain")
        position = _CHAINS[inner.name]
        if len(inner.args) <= position or inner.args[position] != (self.node.start, self.node.end):
            raise NoEdit("it begins no chain")
        how = f"as links of its own `{inner.name}` follows them"
        return how, [Edit(self.path, self.node.start, self.node.end, arguments(self._first, self.chain.links))]

    def _into(self) -> tuple[str, list[Edit]]:
        """`bpf_probe_read_kernel(&x, sizeof(x), &task->mm->owner)` as BPF_CORE_READ_INTO, arrays of text likewise."""
        whole = self.node
        while whole.outer is not None and whole.outer.kind in ("MEMBER_REF_EXPR", "ARRAY_SUBSCRIPT_EXPR"):
            whole = whole.outer
        if whole is self.node:
            raise NoEdit("it is not all that an explicit read reads")
        whole_chain = chain(self.unit, whole, self.refused)
        address = whole
        if whole.outer is not None and whole.outer.kind == "UNARY_OPERATOR" and whole.outer.operator == "&":
            address = whole.outer
        call = _reader(self.unit, address)
        if call is None or len(call.args) != 3 or not self._plain or not whole_chain.is_plain:
            raise NoEdit("it is not all that an explicit read reads")
        match, is_array = _READER.match(call.name), whole.type.is_array
        if match is None or (not is_array and (match[1] or address is whole)):
            raise NoEdit("it is not all that an explicit read reads")
        data = self.unit.sources[self.path].data
        target = _target(data[slice(*call.args[0])], data[slice(*call.args[1])])
        if has_comment(self.unit, self.path, call.start, call.end):
            raise NoEdit("it is not all that an explicit read reads")
        name = self._prefix + (b"_STR_INTO" if match[1] else b"_INTO")
        text = name + b"(" + target + b", " + arguments(self._first, whole_chain.links) + b")"
        return f"`{name.decode()}` reads every link", [Edit(self.path, call.start, call.end, text)]

    def _wrapped(self) -> tuple[str, list[Edit]]:
        """The chain as one BPF_CORE_READ in its place; not within another, for these do not nest."""
        edits: list[Edit] = []
        nesting = [m for m in self.around if CORE.match(m.name)]
        if [m.name for m in nesting] in (["bpf_core_read"], ["bpf_core_read_str"]):
            name = nesting[0].name.replace("core_read", "probe_read_kernel")
            edits = [Edit(self.path, nesting[0].start, nesting[0].start + len(nesting[0].name), name.encode())]
        elif nesting or _preserved(self.node):
            raise NoEdit("one macro cannot follow its links")
        if not self._plain:
            raise NoEdit("one macro cannot follow its links")
        if not is_bitfield(self.node):
            text = self._prefix + b"(" + arguments(self._first, self.chain.links) + b")"
            return f"`{self._prefix.decode()}` reads every link", [*edits, self.unit.edit(self.node, text)]
        if edits or len(self.chain.links) > 1 or self._whole_read() or self._prefix != b"BPF_CORE_READ":
            raise NoEdit("one macro cannot follow its links")
        text = b"BPF_CORE_READ_BITFIELD_PROBED(" + arguments(self._first, self.chain.links) + b")"
        return "`BPF_CORE_READ_BITFIELD_PROBED` reads the bit-field", [self.unit.edit(self.node, text)]

    def _by_locals(self) -> tuple[str, list[Edit]]:
        """Explicit reads into locals in front of the statement."""
        statement, bitfield = self._statement(), is_bitfield(self.node)
        if statement is None or not can_move(self.node, statement):
            raise NoEdit("there is no place for the locals in front of it")
        whole, links = self._whole_read(), self.chain.links
        first = self.unit.text(whole) if whole else self.chain.root.bare.text
        if self.chain.root.bare.kind in ("CSTYLE_CAST_EXPR", "BINARY_OPERATOR") and links[0].is_member:
            first = first if self.unit.dialect == LIBBPF else b"(" + first + b")"
        if bitfield:
            if self._prefix != b"BPF_CORE_READ" or self.unit.dialect == BCC or not (links[1:] or whole):
                raise NoEdit("there is no place for the locals in front of it")
            links = links[:-1]
        core = self._prefix if self.unit.dialect == LIBBPF else None
        chain_ = Chain(self.unit, self.chain.root, links)
        lines, value = by_locals(chain_, first, b"bpf_probe_read_kernel", core, self.names)
        if bitfield:
            value = b"BPF_CORE_READ_BITFIELD_PROBED(" + arguments(value, self.chain.links[-1:]) + b")"
        return self._placed(statement, lines, value)

    def _placed(self, statement: Node, lines: list[bytes], value: bytes) -> tuple[str, list[Edit]]:
        edits = first_of(
            lambda: self._in_declaration(statement, lines, value),
            lambda: [*before(self.unit, statement, lines), self.unit.edit(self.node, value)],
        )
        return "read it into a local by a probe read", edits

    def _in_declaration(self, statement: Node, lines: list[bytes], value: bytes) -> list[Edit]:
        """`T x = p->m;` as `T x;` and a read into x itself, where a read into `value` ends the lines."""
        if statement.kind != "DECL_STMT" or len(statement.children) != 1 or not lines[-1].startswith(b"bpf_"):
            raise NoEdit("it is not all that a declaration sets its variable to")
        target = statement.children[0]
        source = self.unit.sources[self.path]
        written = re.compile(rb"[^;{}=]*?\b" + target.name.encode() + rb"(\s*=\s*)\Z").match(
            source.code[: self.node.start], statement.start
        )
        same = target.type.size == self.node.type.size
        ends = re.compile(rb"\s*;").match(source.code, self.node.end)
        if not written or not ends or not same or target.type.is_const or target.kind != "VAR_DECL":
            raise NoEdit("it is not all that a declaration sets its variable to")
        if has_comment(self.unit, self.path, written.start(1), self.node.end):
            raise NoEdit("it is not all that a declaration sets its variable to")
        name = target.name.encode()
        own = re.sub(rb"\(&" + value + rb", sizeof\(" + value + rb"\)", b"(&%s, sizeof(%s)" % (name, name), lines[-1])
        added = before(self.unit, statement, lines[:-2]) if lines[:-2] else []
        behind = after(self.unit, statement, [own])
        self.names.discard(value)
        return [*added, Edit(self.path, written.start(1), self.node.end, b""), *behind]

    def _statement(self) -> Node | None:
        """The statement in front of which others can be put, with all macros that hold the access."""
        statement = self.node.statement
        start = self.around[0].start if self.around else statement.start
        while statement.parent is not None and statement.start > start:
            statement = statement.parent.statement
        return statement if takes_braces(statement) else None


def is_bitfield(node: Node) -> bool:
    return node.field is not None and node.field.is_bitfield


def _preserved(node: Node) -> bool:
    return any(a.kind == "CALL_EXPR" and a.name.startswith("__builtin_preserve") for a in node.ancestors)


def _has_core(unit: Unit) -> bool:
    """Whether the program is made for CO-RE: it includes vmlinux.h, or marks structures itself."""
    text = b"".join(source.uncommented for source in unit.sources.values())
    return re.search(rb'vmlinux\w*\.h[">]|preserve_access_index|\bBPF_CORE_READ', text) is not None


@dataclass(frozen=True)
class _Call:
    name: str
    start: int
    end: int
    args: tuple[tuple[int, int], ...]


def _reader(unit: Unit, address: Node) -> _Call | None:
    """The probe read whose source is this address as a whole, casts aside."""
    for macro in reversed(unit.macros_around(address.path, address.start, address.end)):
        if macro.name in ("bpf_core_read", "bpf_core_read_str"):
            return (
                _Call(macro.name, macro.start, macro.end, macro.args) if _is_last(unit, macro.args, address) else None
            )
    node = address.outer
    while node is not None and node.kind == "CSTYLE_CAST_EXPR":
        node = node.outer
    if (
        node is None
        or node.kind != "CALL_EXPR"
        or not _READER.match(node.name)
        or not unit.editable(node.path, node.start, node.end)
    ):
        return None
    args = tuple((a.start, a.end) for a in node.arguments)
    return _Call(node.name, node.start, node.end, args) if _is_last(unit, args, address) else None


def _is_last(unit: Unit, args: tuple[tuple[int, int], ...], address: Node) -> bool:
    start, end = args[-1] if args else (0, 0)
    lead = unit.sources[address.path].code[start : address.start]
    return end == address.end and re.fullmatch(rb"(?:\([\w\s]+\*+\s*\)\s*)?", lead) is not None


def _target(destination: bytes, size: bytes) -> bytes:
    """What BPF_CORE_READ_INTO fills where a read fills `destination` of `sizeof(…)` bytes. NoEdit if it would not
    fit."""
    plain, measured = b"".join(destination.split()), b"".join(size.split())
    name = re.fullmatch(rb"sizeof\((.+)\)", measured)
    if name is None:
        raise NoEdit("the size is not that of what it fills")
    if plain == b"&" + name[1]:
        return destination
    if name[1] == plain:
        return b"&" + destination  # an array
    if name[1] == b"*" + plain:
        return destination
    raise NoEdit("the size is not that of what it fills")


def with_header(unit: Unit, edits: list[Edit]) -> list[Edit]:
    """The edits, with the include of bpf_core_read.h where they use its macros and the program lacks it."""
    used = any(re.search(rb"BPF_(?:CORE|PROBE)_READ|_CORE", e.text) for e in edits)
    if not used or b"bpf_core_read.h" in b"".join(s.uncommented for s in unit.sources.values()):
        return edits
    return [*add_include(unit, unit.path, b"bpf/bpf_core_read.h"), *edits]
