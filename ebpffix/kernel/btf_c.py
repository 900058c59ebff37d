"""C text made of BTF: declarations and prototypes, a whole vmlinux.h, and stubs with a few members of one struct.

BTF comes unchecked, so everything here may raise BtfError; and C is written for the BPF target.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TextIO

from ebpffix.kernel.btf import (
    ARRAY,
    CONST,
    ENUM,
    ENUM64,
    ENUMS,
    FLOAT,
    FUNC,
    FUNC_PROTO,
    FWD,
    INT,
    MAX_DEPTH,
    MODIFIERS,
    PTR,
    RECORDS,
    RESTRICT,
    STRUCT,
    TYPE_TAG,
    TYPEDEF,
    UNION,
    VOLATILE,
    Btf,
    Kind,
    Member,
    Struct,
)

_TABS = "\t" * (MAX_DEPTH + 2)
_KEYWORDS = frozenset(
    "asm auto break case char const continue default do double else enum extern float for goto if inline int long "
    "register restrict return short signed sizeof static struct switch typedef typeof union unsigned void volatile "
    "while _Alignas _Alignof _Atomic _Bool _Complex _Generic _Imaginary _Noreturn _Static_assert _Thread_local".split()
)
_C_INTS = {  # as the compilers name them: the usual spelling, and the bytes that it has for the BPF target
    "char": ("char", 1), "signed char": ("signed char", 1), "unsigned char": ("unsigned char", 1),
    "short int": ("short", 2), "short": ("short", 2), "int": ("int", 4), "unsigned int": ("unsigned int", 4),
    "short unsigned int": ("unsigned short", 2), "unsigned short": ("unsigned short", 2),
    "long int": ("long", 8), "long": ("long", 8), "long long int": ("long long", 8), "long long": ("long long", 8),
    "long unsigned int": ("unsigned long", 8), "unsigned long": ("unsigned long", 8),
    "long long unsigned int": ("unsigned long long", 8), "unsigned long long": ("unsigned long long", 8),
}  # fmt: skip
_INTS_BY_SIZE = {1: "char", 2: "short", 4: "int", 8: "long long", 16: "__int128"}
_QUALIFIERS = {CONST: "const ", VOLATILE: "volatile ", RESTRICT: "restrict "}
_TAGS = {STRUCT: "struct", UNION: "union", ENUM: "enum", ENUM64: "enum", FWD: "struct"}
_PACKED = " __attribute__((packed))"


class Param(NamedTuple):
    """A parameter of a function; the C type is "..." where any number of arguments may follow."""

    name: str
    type: int  # id
    c_type: str


class Prototype(NamedTuple):
    """A function of the kernel with the C types of its parameters and of its result."""

    name: str
    params: tuple[Param, ...]
    returns: str


class _Declarator(NamedTuple):
    """A declaration without its name: qualifiers, the type at its base, and what stands around the name."""

    qualifiers: str
    base: int  # id
    before: str
    after: str
    by_value: bool  # no pointer or function between the name and the base


class _Writer:
    """C text of types. `fuel` bounds it in characters: nested anonymous types can make a small file into endless C."""

    def __init__(self, btf: Btf) -> None:
        self.btf = btf
        self._fuel = 64 * btf.word_count + (1 << 20)
        self._declarators: dict[int, _Declarator] = {}
        self._shapes: dict[int, tuple[int, bool] | None] = {}
        self._aligns: dict[int, int] = {}
        self._bases: dict[int, str] = {}
        self._records: dict[int, Struct] = {}
        self._pads = 0
        self._identifiers: dict[str, str] = {}

    # What _HeaderWriter and _StubWriter do differently.

    def tag(self, type_id: int) -> str:
        """The name of a struct, union, enum or typedef."""
        return self.identifier(self.btf.name(type_id))

    def enumerator(self, name: str) -> str:
        return self.identifier(name)

    def sees_through(self, typedef: int) -> bool:
        """Whether to write the typedef's target in its place, as for one without a name, which no C makes."""
        return not self.btf.name(typedef)

    def identifier(self, name: str) -> str:
        """`name` as C takes it: kernels with Rust in them, and broken files, have names that are no identifiers."""
        known = self._identifiers.get(name)
        if known is None:
            known = name
            if name and not (name.isascii() and name.isidentifier()):
                known = re.sub(r"[^0-9A-Za-z_]", "_", name)
                known = "_" + known if known[0].isdigit() else known
            if known in _KEYWORDS:
                known += "_"
            self._identifiers[name] = known
        return known

    def spend(self, text: str) -> str:
        self._fuel -= len(text)
        if self._fuel < 0:
            raise self.btf.bad("its types would make far more text than the file has, by nesting")
        return text

    # Declarations

    def declare(self, type_id: int, name: str, depth: int = 0) -> str:
        """The C declaration of `name`; `depth` is how deep its types nest, and the indent of a body in tabs."""
        d = self.declarator(type_id, depth)
        text = f"{d.qualifiers}{self.base(d.base, depth, d.by_value)} {d.before}{name}{d.after}"
        return self.spend(text if name else text.rstrip())

    def declarator(self, type_id: int, depth: int) -> _Declarator:
        known = self._declarators.get(type_id)
        if known is None:
            known = self._declarators[type_id] = self._make_declarator(type_id, depth)
        return known

    def _make_declarator(self, type_id: int, depth: int) -> _Declarator:
        btf, before, after, pending = self.btf, "", "", ""
        here, by_value = type_id, True
        for _ in range(MAX_DEPTH):
            kind = btf.plain_kind(here)
            if kind in _QUALIFIERS:
                if _QUALIFIERS[kind] not in pending:
                    pending = _QUALIFIERS[kind] + pending
            elif kind == PTR:
                before, pending, by_value = f"*{pending}{before}", "", False
            elif kind == ARRAY:
                if before.startswith("*"):
                    before, after = "(" + before, after + ")"
                after += f"[{btf.array_length(here)}]"  # [0] for a flexible one: C has [] in fewer places
            elif kind == FUNC_PROTO:
                if before.startswith("*"):
                    before, after = "(" + before, after + ")"
                after += f"({self._parameters(here, depth + 1)})"
                pending, by_value = "", False
            elif kind not in (TYPE_TAG, FUNC) and not (kind == TYPEDEF and self.sees_through(here)):
                return _Declarator(pending.replace("restrict ", ""), here, before, after, by_value)
            here = btf.target(here)
        raise btf.bad(f"type {type_id} contains itself, or is nested more than {MAX_DEPTH} deep")

    def _parameters(self, prototype: int, depth: int) -> str:
        if depth > MAX_DEPTH:
            raise self.btf.bad(f"type {prototype} contains itself, or is nested more than {MAX_DEPTH} deep")
        found = self.btf.parameters(prototype)
        texts = [self.declare(t, self.identifier(n), depth) if t or n else "..." for n, t in found]
        return self.spend(", ".join(texts) or "void")

    def base(self, type_id: int, depth: int, by_value: bool) -> str:
        """What begins a declaration: `unsigned long`, `struct sock`, or the whole body of an anonymous type."""
        text = self._bases.get(type_id)
        if text is None:
            kind = self.btf.plain_kind(type_id)
            if kind in _TAGS and not self.btf.name(type_id):
                return self.enum(type_id, depth) if kind in ENUMS else self.record(type_id, depth)
            text = self._bases[type_id] = self._named_base(type_id, kind)
        return text

    def _named_base(self, type_id: int, kind: int) -> str:
        if kind in _TAGS:
            return f"{self.keyword(type_id)} {self.tag(type_id)}"
        if kind == TYPEDEF:
            return self.tag(type_id)
        if kind == INT:
            return self._int(type_id)
        if kind == FLOAT:
            size = self.btf.size_of(type_id)
            return {4: "float", 8: "double"}.get(size) or f"__btf_float{size}"
        if kind == Kind.VOID:
            return "void"
        raise self.btf.bad(f"type {type_id} cannot be the type of anything")

    def keyword(self, type_id: int) -> str:
        """struct, union or enum, also for what is only declared."""
        btf = self.btf
        kind = btf.plain_kind(type_id)
        return "union" if kind == FWD and btf.flag(type_id) else _TAGS[kind]

    def _int(self, type_id: int) -> str:
        size, encoding = self.btf.size_of(type_id), self.btf.encoding(type_id)
        if encoding & 4 and size == 1:
            return "_Bool"
        spelling, usual_size = _C_INTS.get(self.btf.name(type_id), ("", 0))
        if size == usual_size:
            return spelling
        if size not in _INTS_BY_SIZE:
            raise self.btf.bad(f"type {type_id} is an integer of {size} bytes")
        return ("signed " if encoding & 1 else "unsigned ") + _INTS_BY_SIZE[size]

    def enum(self, type_id: int, depth: int, name: str = "") -> str:
        """`enum { … }`, with the attribute that gives it its size where the values do not."""
        values = self.btf.enumerators(type_id)
        size = self.btf.size_of(type_id)
        if not values:
            return f"enum {name}" if name else {1: "char", 2: "short", 8: "long long"}.get(size, "int")
        indent = _TABS[: depth + 1]
        lines = [f"{indent}{self.enumerator(n)} = {_constant(v)},\n" for n, v in values]
        low, high = min(v for _, v in values), max(v for _, v in values)
        narrow = high < 1 << 31 if low < 0 else high < 1 << 32
        mode = {1: "QI", 2: "HI", 4: "SI", 8: "DI"}.get(size)
        natural = 4 if narrow and low >= -1 << 31 else 8
        attribute = f" __attribute__((mode({mode})))" if mode and size != natural else ""
        return self.spend(f"enum {name}{' ' if name else ''}{{\n{''.join(lines)}{indent[1:]}}}{attribute}")

    # Layout

    def struct_of(self, type_id: int) -> Struct:
        record = self._records.get(type_id)
        if record is None:
            record = self._records[type_id] = self.btf.struct_of(type_id)
        return record

    def align_of(self, type_id: int, depth: int) -> int:
        """Bytes to which C as written here aligns the type; may be less than in the kernel, where padding makes up."""
        align = self._aligns.get(type_id)
        if align is None:
            align = self._aligns[type_id] = self._find_align(type_id, depth)
        return align

    def _find_align(self, type_id: int, depth: int) -> int:
        btf = self.btf
        for _ in range(MAX_DEPTH):
            type_id = btf.resolve(type_id)
            kind = btf.plain_kind(type_id)
            if kind in RECORDS:
                return self.shape(type_id, depth + 1)[0]
            if kind != ARRAY:
                size = btf.size_of(type_id)
                return min(size & -size, 16) or 1
            type_id = btf.target(type_id)
        raise btf.bad(f"type {type_id} contains itself, or is nested more than {MAX_DEPTH} deep")

    def shape(self, type_id: int, depth: int) -> tuple[int, bool]:
        """The alignment (bytes) of a struct or union, and whether it needs to be packed."""
        if (type_id in self._shapes and self._shapes[type_id] is None) or depth > MAX_DEPTH:
            raise self.btf.bad(f"type {type_id} contains itself, or is nested more than {MAX_DEPTH} deep")
        shape = self._shapes.get(type_id)
        if shape is None:
            self._shapes[type_id] = None
            record = self.struct_of(type_id)
            align, packed, end = self.fit(record.members, depth)
            packed = packed or record.size % align != 0
            if packed:
                align = 1
            if record.is_union and _round_up(end, align * 8) < record.size * 8:
                align = max(align, _aligned(end, record.size))
            shape = self._shapes[type_id] = align, packed
        return shape

    def fit(self, members: Sequence[Member], depth: int) -> tuple[int, bool, int]:
        """The alignment (bytes) that members want, whether one stands off it, and where the last ends (bits)."""
        align, packed, end = 1, False, 0
        for m in members:
            wanted = self.align_of(m.type, depth)
            bits = self.btf.size_of(m.type) * 8
            if m.bits:
                if m.bits > bits:
                    raise self.btf.bad(f"{m.name!r} is a bitfield wider than its type")
                packed = packed or m.offset % bits + m.bits > bits
            else:
                packed = packed or m.offset % (wanted * 8) != 0
            align = max(align, wanted)
            end = max(end, m.offset + (m.bits or bits))
        return align, packed, end

    def record(self, type_id: int, depth: int, name: str = "") -> str:
        """`struct name { … }` with the padding and the attributes that give each member its place."""
        if depth >= MAX_DEPTH:
            raise self.btf.bad(f"type {type_id} contains itself, or is nested more than {MAX_DEPTH} deep")
        record = self.struct_of(type_id)
        align, packed = self.shape(type_id, depth)
        if record.is_union:
            lines, attribute = self._union_lines(record, align, depth + 1)
        else:
            lines, attribute = self.struct_lines(record.members, record.size, align, packed, depth + 1), ""
        if packed:
            attribute = _PACKED
        head = f"{'union' if record.is_union else 'struct'} {name}{' ' if name else ''}"
        return self.spend(f"{head}{{\n{''.join(lines)}{_TABS[:depth]}}}{attribute}")

    def _union_lines(self, record: Struct, align: int, depth: int) -> tuple[list[str], str]:
        lines, natural, end = [], 1, 0
        for m in record.members:
            if m.offset:
                raise self.btf.bad(f"union type {record.id} has a member that does not begin where it begins")
            lines.append(self.line(m, depth))
            natural = max(natural, self.align_of(m.type, depth))
            end = max(end, m.bits or self.btf.size_of(m.type) * 8)
        if end > record.size * 8:
            raise self.btf.bad(f"union type {record.id} has a member larger than itself")
        if _round_up(end, align * 8) < record.size * 8:
            lines.append(self.pad_array(record.size, depth))
        return lines, f" __attribute__((aligned({align})))" if align > natural else ""

    def struct_lines(self, members: Sequence[Member], size: int, align: int, packed: bool, depth: int) -> list[str]:
        """The members of a struct of `size` bytes, each on its line, with padding where C would place one elsewhere."""
        btf, at, lines = self.btf, 0, []
        unit = 8 if packed else align * 8
        for m in members:
            if m.offset < at:
                raise btf.bad(f"two members of one struct overlap: {m.name!r} begins inside another")
            width = btf.size_of(m.type) * 8
            if m.bits:
                place = at if packed or at % width + m.bits <= width else _round_up(at, width)
            else:
                place = _round_up(at, 8 if packed else self.align_of(m.type, depth) * 8)
            if place != m.offset:
                lines += self.padding(at, m.offset, depth)
            at = m.offset + (m.bits or width)
            lines.append(self.line(m, depth))
        if _round_up(at, unit) < size * 8:
            lines += self.padding(at, size * 8, depth)
        if at > size * 8:
            raise btf.bad(f"a struct of {size} bytes has members that reach beyond it")
        return lines

    def padding(self, start: int, end: int, depth: int, most: int = 64) -> list[str]:
        """Lines that fill the bits from `start` to `end`; a gap of more than `most` bytes becomes an array."""
        tabs, lines = _TABS[:depth], []
        if start % 8 and start < end:
            bits = min(8 - start % 8, end - start)
            lines.append(f"{tabs}unsigned char: {bits};\n")
            start += bits
        whole = (end - start) // 8
        if whole > most:
            lines.append(self.pad_array(whole, depth))
            start += whole * 8
        while start < end:
            for bits, unit in ((64, "long"), (32, "int"), (16, "short"), (8, "char")):
                if start % bits == 0 and end - start >= bits:
                    lines.append(f"{tabs}{unit}: {bits};\n")
                    start += bits
                    break
            else:
                lines.append(f"{tabs}unsigned char: {end - start};\n")
                start = end
        return lines

    def pad_array(self, size: int, depth: int) -> str:
        """A member of `size` bytes; numbered, since anonymous structs share the names of what surrounds them."""
        self._pads += 1
        return f"{_TABS[:depth]}unsigned char __ebpffix_pad{self._pads}[{size}];\n"

    def line(self, member: Member, depth: int) -> str:
        text = self.declare(member.type, self.identifier(member.name), depth)
        return f"{_TABS[:depth]}{text}: {member.bits};\n" if member.bits else f"{_TABS[:depth]}{text};\n"


def func(btf: Btf, name: str) -> Prototype | None:
    """The kernel function `name`: its parameters and result as C."""
    prototype = btf.function(name)
    if prototype is None:
        return None
    writer = _Writer(btf)
    params = [Param(n, t, writer.declare(t, "") if t or n else "...") for n, t in btf.parameters(prototype)]
    return Prototype(name, tuple(params), writer.declare(btf.target(prototype), ""))


def declare(btf: Btf, type_id: int, name: str) -> str:
    """The C declaration of `name`: `int (*f)(struct sock *, long)`, `char comm[16]`; the bare type for name ""."""
    return _Writer(btf).declare(type_id, name)


def _round_up(value: int, unit: int) -> int:
    return -(-value // unit) * unit


def _aligned(end: int, size: int) -> int:
    """The least alignment (bytes) that makes something of `end` bits `size` bytes long, 1 if none does."""
    align = size & -size
    while align > 1 and _round_up(end, align // 2 * 8) == size * 8:
        align //= 2
    return align if _round_up(end, align * 8) == size * 8 else 1


def _constant(value: int) -> str:
    if value == -1 << 63:
        return "(-9223372036854775807LL - 1)"
    if value >= 1 << 32 or value < -1 << 31:
        return f"{value}{'ULL' if value >> 63 > 0 else 'LL'}"
    return f"{value}U" if value >> 31 > 0 else str(value)


class _HeaderWriter(_Writer):
    """All types of a file as one header: each once, and after what it is made of."""

    def __init__(self, btf: Btf) -> None:
        super().__init__(btf)
        self.parts: list[str] = []
        self._met: set[int] = set()
        self._open: set[int] = set()
        self._done: set[int] = set()
        self._tags: dict[int, str] = {}
        self._taken: dict[str, int] = {}
        self._declared: set[str] = set()
        self._name_all()

    def _name_all(self) -> None:
        """Give every named type its name. Of several with one name the later get `___2`, `___3`: CO-RE ignores that."""
        tags: dict[str, int] = {}
        homes: dict[str, str] = {}  # "struct x": what a mere declaration of it stands for
        declared = []
        for type_id, kind in enumerate(self.btf.kinds):
            if (kind not in _TAGS and kind != TYPEDEF) or not self.btf.name(type_id):
                continue
            if kind == FWD:
                declared.append(type_id)
                continue
            name = self.identifier(self.btf.name(type_id))
            if name:
                unique = _unique(name, self._taken if kind == TYPEDEF else tags)
                self._tags[type_id] = unique
                if kind != TYPEDEF:
                    homes.setdefault(f"{_TAGS[kind]} {name}", unique)
        for type_id in declared:
            name = self.identifier(self.btf.name(type_id))
            key = f"{self.keyword(type_id)} {name}"
            if key not in homes:
                homes[key] = _unique(name, tags)
            self._tags[type_id] = homes[key]

    def tag(self, type_id: int) -> str:
        return self._tags[type_id]

    def enumerator(self, name: str) -> str:
        return _unique(self.identifier(name), self._taken)

    def sees_through(self, typedef: int) -> bool:
        return self.btf.name(typedef) in _BUILTIN_TYPEDEFS or super().sees_through(typedef)

    def enum(self, type_id: int, depth: int, name: str = "") -> str:
        """An anonymous one that has been written before: an integer, since its constants exist already."""
        if not name and type_id in self._done:
            return {1: "char", 2: "short", 8: "long long"}.get(self.btf.size_of(type_id), "int")
        self._done.add(type_id)
        return super().enum(type_id, depth, name)

    def write(self) -> str:
        btf = self.btf
        nameless = []
        for type_id, kind in enumerate(btf.kinds):
            if kind in _TAGS or kind == TYPEDEF:
                if type_id in self._tags:
                    self.need(type_id, True, 0)
                elif kind in ENUMS:
                    nameless.append(type_id)
        for type_id in nameless:
            if type_id not in self._done and btf.enumerators(type_id):
                self.define(type_id, self.enum(type_id, 0))
        return "".join(self.parts)

    def define(self, type_id: int, text: str) -> None:
        if text == "typedef _Bool bool" or "\n\tfalse = " in text:  # words of the language from C23 on
            self.parts.append(f"#if !defined(__STDC_VERSION__) || __STDC_VERSION__ < 202311L\n{text};\n#endif\n\n")
        else:
            self.parts.append(f"{text};\n\n")

    def need(self, type_id: int, complete: bool, depth: int) -> None:
        """Write what must stand before the type can be used: as a whole if `complete`, else behind a pointer."""
        key = type_id * 2 + complete
        if key in self._met:
            return
        btf, kind = self.btf, self.btf.plain_kind(type_id)
        if depth > 4 * MAX_DEPTH or (type_id in self._open and (complete or kind == TYPEDEF)):
            raise btf.bad(f"type {type_id} contains itself, or is nested too deeply")
        depth += 1
        if kind in RECORDS and btf.name(type_id):
            if complete:
                self._open.add(type_id)
                self._need_members(type_id, depth)
                self._open.discard(type_id)
                self._declared.add(f"{_TAGS[kind]} {self._tags[type_id]}")
                self.define(type_id, self.record(type_id, 0, self._tags[type_id]))
        elif kind == TYPEDEF:
            if not self.sees_through(type_id):
                self._typedef(type_id, depth)
            if complete or self.sees_through(type_id):
                self.need(btf.target(type_id), complete, depth)
        elif kind in ENUMS:
            if btf.name(type_id) and type_id not in self._done:
                self.define(type_id, self.enum(type_id, 0, self._tags[type_id]))
        elif kind == FWD:
            if btf.name(type_id):
                self._forward(type_id)
        elif kind == FLOAT:
            self._odd_float(type_id)
        else:
            self._met.add(key)
            self._need_parts(type_id, kind, complete, depth)
        self._met.add(key)

    def _need_parts(self, type_id: int, kind: int, complete: bool, depth: int) -> None:
        btf = self.btf
        if kind in RECORDS:
            self._need_members(type_id, depth)
        elif kind == FUNC_PROTO:
            for t in (btf.target(type_id), *(t for _, t in btf.parameters(type_id))):
                self.need(t, False, depth)
                base = self.declarator(t, 0).base
                if btf.plain_kind(base) in RECORDS and btf.name(base):
                    self._forward(base)
        elif kind in (PTR, ARRAY, *MODIFIERS):
            self.need(btf.target(type_id), kind == ARRAY or (kind != PTR and complete), depth)

    def _need_members(self, type_id: int, depth: int) -> None:
        for t in {m.type: None for m in self.struct_of(type_id).members}:
            if t * 2 + 1 not in self._met:
                self.need(t, True, depth)

    def _typedef(self, type_id: int, depth: int) -> None:
        if type_id in self._done:
            return
        self._open.add(type_id)
        target = self.btf.target(type_id)
        self.need(target, False, depth)
        self._open.discard(type_id)
        self._done.add(type_id)
        self.define(type_id, f"typedef {self.declare(target, self._tags[type_id])}")

    def _odd_float(self, type_id: int) -> None:
        """What BPF has no float for, such as the 16 bytes of x86's `long double`: as many bytes, as well aligned."""
        size, name = self.btf.size_of(type_id), self.base(type_id, 0, True)
        if name.startswith("__btf") and name not in self._declared:
            self._declared.add(name)
            attribute = f"__attribute__((aligned({min(size & -size, 16) or 1})))"
            self.parts.append(f"typedef struct {{\n\tunsigned char bytes[{size}];\n}} {attribute} {name};\n\n")

    def _forward(self, type_id: int) -> None:
        """Declare a struct or union: one first named inside a parameter list would be known only there."""
        text = f"{self.keyword(type_id)} {self._tags[type_id]}"
        if text not in self._declared:
            self._declared.add(text)
            self.parts.append(f"{text};\n\n")


# Known to clang before the first line, but not always as in the kernel: for BPF a va_list is a mere pointer.
_BUILTIN_TYPEDEFS = frozenset(("__builtin_va_list", "__builtin_ms_va_list", "__int128_t", "__uint128_t"))


def _unique(name: str, taken: dict[str, int]) -> str:
    """`name`, or with the first free `___N` behind it; `taken` counts the uses of each."""
    count = taken.get(name, 0) + 1
    unique = name if count == 1 else f"{name}___{count}"
    while count > 1 and unique in taken:
        count += 1
        unique = f"{name}___{count}"
    taken[name] = count
    if count > 1:
        taken[unique] = 1
    return unique


def write_header(btf: Btf, out: TextIO) -> None:
    """Write a vmlinux.h: all types of `btf` in C, for the BPF target.

    Nothing is written where BtfError is raised. Type tags (`__user`, `__rcu`) are left out: old compilers warn of them.
    """
    types = _HeaderWriter(btf).write()
    out.write(_HEADER_TOP)
    out.write(types)
    out.write(_HEADER_END)


_HEADER_TOP = """\
/* The kernel's types, made from its BTF by ebpffix. For the BPF target; do not edit. */
#ifndef __VMLINUX_H__
#define __VMLINUX_H__
/* Tells the bundled headers that the kernel's types are all here: a project's own, trimmed one has the guard above. */
#define EBPFFIX_VMLINUX

/* Have clang record each access to a member, so that the loader can adjust it to the kernel that runs. */
#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute push (__attribute__((preserve_access_index)), apply_to = record)
#endif

"""
_HEADER_END = """\
#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute pop
#endif

#endif
"""


# -- stubs


@dataclass(frozen=True)
class Stub:
    """C text that defines part of a kernel struct, and the types that must be complete where it is inserted.

    `needs` has them as C writes them: `struct cgroup_subsys_state`, `enum pid_type`, or a typedef's bare name.
    """

    text: str
    needs: tuple[str, ...]


class _StubWriter(_Writer):
    """Writes members for a file with other headers: typedefs of plain types are spelled out, the rest is noted."""

    def __init__(self, btf: Btf) -> None:
        super().__init__(btf)
        self.needs: dict[str, None] = {}
        self.mentioned: dict[str, None] = {}  # structs in parameter lists, which would else be known only there
        self._lists = 0

    def sees_through(self, typedef: int) -> bool:
        target = self.btf.resolve(typedef)
        kind = self.btf.plain_kind(target)
        nameless = (kind in RECORDS or kind in ENUMS) and not self.btf.name(target)
        return not nameless or super().sees_through(typedef)

    def base(self, type_id: int, depth: int, by_value: bool) -> str:
        text = super().base(type_id, depth, by_value)
        kind = self.btf.plain_kind(type_id)
        if kind == TYPEDEF or (by_value and kind in _TAGS and self.btf.name(type_id)):
            self.needs[text] = None
        elif self._lists and (kind in RECORDS or kind == FWD):
            self.mentioned[text] = None
        return text

    def _parameters(self, prototype: int, depth: int) -> str:
        self._lists += 1
        text = super()._parameters(prototype, depth)
        self._lists -= 1
        return text


def stub(
    btf: Btf,
    struct_name: str,
    member_paths: Sequence[str],
    *,
    core: bool,
    release: str,
    complete: Callable[[str], bool] = lambda needed: True,
) -> Stub:
    """A definition of `struct struct_name` with only the members that `member_paths` name (`css.cgroup`, `pid`).

    core=True: for CO-RE, where the loader finds the offsets; of a nested struct, too, only what is used. core=False:
    for BCC, where each member is padded to the offset that it has in `btf`, and `_Static_assert` says so to the
    compiler; of a nested struct only what is used if it has no name or `complete("struct css")` says that its
    definition is not at hand. `release` is the kernel that `btf` is from, for the comment and the assertions.

    ValueError, with a reason for people, where the struct or a member is not there, cannot be put in its place, or
    where several structs of that name differ in it.
    """
    record, found = _members(btf, struct_name, member_paths, release)
    writer = _StubWriter(btf)
    keyword = f"{'union' if record.is_union else 'struct'} {struct_name}"
    if core:
        lines = _used_lines(writer, record, list(found), 1)
        comment = "/* Only the members that are used here; the loader finds where they are. */"
        end = " __attribute__((preserve_access_index))"
        asserts = ""
    else:
        lines, end = _placed_lines(writer, record, list(found), 1, complete)
        comment = (
            f"/* Only the members that are used here, from the BTF of kernel {release}.\n"
            " * The padding puts each where that kernel has it: another kernel needs another. */"
        )
        asserts = "".join(
            f"_Static_assert(__builtin_offsetof({keyword}, {path}) == {m.offset // 8}, "
            f'"{path} of {keyword} is elsewhere than in kernel {release}");\n'
            for path, m in found.items()
            if not m.bits
        )
    declared = "".join(f"{name};\n" for name in writer.mentioned)
    text = f"{comment}\n{declared}{keyword} {{\n{''.join(lines)}}}{end};\n{asserts}"
    return Stub(text, tuple(writer.needs))


def _members(btf: Btf, struct_name: str, paths: Sequence[str], release: str) -> tuple[Struct, dict[str, Member]]:
    """The struct of that name that has all these members, and where they are."""
    records = btf.structs(struct_name)
    if not records:
        raise ValueError(f"the kernel {release} has no struct {struct_name}")
    having = []
    for record in records:
        found = {path: record.find(path) for path in paths}
        having += [(record, {p: m for p, m in found.items() if m})] if all(found.values()) else []
    if not having:
        absent = next((path for path in paths if not records[0].find(path)), paths[0])
        raise ValueError(f"struct {struct_name} of kernel {release} has no member {absent}")
    if len({(r.size, *((m.offset, m.bits) for m in members.values())) for r, members in having}) > 1:
        raise ValueError(f"the kernel {release} has several structs {struct_name}, which differ")
    return having[0]


def _by_member(paths: Sequence[str]) -> dict[str, list[str]]:
    """Paths by what they begin with: `{"css": ["cgroup", "id"], "pid": [""]}`."""
    inner: dict[str, list[str]] = {}
    for path in paths:
        name, _, rest = path.partition(".")
        inner.setdefault(name, []).append(rest)
    return inner


def _used_lines(writer: _StubWriter, record: Struct, paths: Sequence[str], depth: int) -> list[str]:
    """The members of `record` that paths begin with; those that are only looked into are cut down to what is used."""
    lines = []
    for name, rests in _by_member(paths).items():
        member = record.btf.member(record.id, name)
        if member is None:
            raise ValueError(f"struct {record.name} has no member {name}")
        if "" in rests:
            lines.append(writer.line(member, depth))
        else:
            part = writer.struct_of(record.btf.resolve(member.type))
            body = "".join(_used_lines(writer, part, rests, depth + 1))
            tabs = _TABS[:depth]
            keyword = "union" if part.is_union else "struct"
            lines.append(f"{tabs}{keyword} {{\n{body}{tabs}}} {writer.identifier(name)};\n")
    return lines


def _placed_lines(
    writer: _StubWriter, record: Struct, paths: Sequence[str], depth: int, complete: Callable[[str], bool]
) -> tuple[list[str], str]:
    """The members of `record` that paths begin with, each in its place; and the attribute that the whole needs."""
    inner = _by_member(paths)
    members = sorted((m for m in (record.btf.member(record.id, n) for n in inner) if m), key=lambda m: m.offset)

    def line(member: Member, depth: int) -> str:
        part = record.btf.resolve(member.type)
        name = record.btf.name(part)
        if "" in inner[member.name] or (name and complete(f"{writer.keyword(part)} {name}")):
            return writer.line(member, depth)
        cut = writer.struct_of(part)
        body, attribute = _placed_lines(writer, cut, inner[member.name], depth + 1, complete)
        keyword = "union" if cut.is_union else "struct"
        tabs = _TABS[:depth]
        return f"{tabs}{keyword} {{\n{''.join(body)}{tabs}}}{attribute} {writer.identifier(member.name)};\n"

    for m in members:
        bits = record.btf.size_of(m.type) * 8
        if m.bits and m.offset % bits + m.bits > bits:
            raise ValueError(f"{m.name} is a bitfield across a border of {bits // 8} bytes: no padding can place it")
    align, packed, _ = writer.fit(members, 0)
    attribute = _PACKED if packed or record.size % align else ""
    ends = [m.offset + (m.bits or record.btf.size_of(m.type) * 8) for m in members]
    if not record.is_union and all(m.offset >= end for m, end in zip(members[1:], ends, strict=False)):
        return _pad_each(writer, members, record.size, depth, line), attribute
    if record.is_union:
        return _overlay(writer, members, record.size, attribute, depth, line), attribute
    tabs = _TABS[:depth]
    overlay = _overlay(writer, members, record.size, attribute, depth + 1, line)
    return [f"{tabs}union {{\n", *overlay, f"{tabs}}}{attribute};\n"], attribute


_Line = Callable[[Member, int], str]


def _overlay(
    writer: _StubWriter, members: Sequence[Member], size: int, attribute: str, depth: int, line: _Line
) -> list[str]:
    """The members of a union in which each member stands behind padding of its own, so that they may overlap."""
    tabs, lines = _TABS[:depth], []
    for m in members:
        lines += [f"{tabs}struct {{\n", *_pad_each(writer, [m], 0, depth + 1, line), f"{tabs}}}{attribute};\n"]
    return [*lines, writer.pad_array(size, depth)]


def _pad_each(writer: _StubWriter, members: Sequence[Member], size: int, depth: int, line: _Line) -> list[str]:
    """Members with explicit padding up to each, and from the last up to `size` bytes."""
    lines, at = [], 0
    for m in members:
        lines += writer.padding(at, m.offset, depth, most=0)
        lines.append(line(m, depth))
        at = m.offset + (m.bits or writer.btf.size_of(m.type) * 8)
    return lines + writer.padding(at, size * 8, depth, most=0)
