"""Types, members and offsets out of BTF, and C text made of them.

Reads raw BTF (`/sys/kernel/btf/vmlinux`), split BTF on top of a base (`/sys/kernel/btf/<module>`) and the `.BTF`
section of ELF files, all of either byte order. A type is named by its id, an int; id 0 is void. Opening a file makes
one pass over the type section to learn where each type begins; everything else is decoded when asked for. Sizes are
bytes, offsets of members and widths of bitfields are bits, as BTF has them. The format is the kernel's
Documentation/bpf/btf.rst.

Names and ids come from the file unchecked until they are used, so every query may raise BtfError.
"""

from __future__ import annotations

import enum
import stat
import struct
import sys
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, NamedTuple, TextIO

_MAGIC = 0xEB9F
_HEADER_SIZE = 24
_MAX_FILE = 1 << 28  # bytes of BTF; the kernel's own has 6 MB, and /dev/zero has no end
_MAX_DEPTH = 64  # of types inside types; the kernel itself stops at 32


class Kind(enum.IntEnum):
    """The kinds of BTF types; 0 is void, which stands in no file."""

    VOID, INT, PTR, ARRAY, STRUCT, UNION, ENUM, FWD, TYPEDEF, VOLATILE, CONST = range(11)
    RESTRICT, FUNC, FUNC_PROTO, VAR, DATASEC, FLOAT, DECL_TAG, TYPE_TAG, ENUM64 = range(11, 20)


# Plain ints: comparing with an enum's members costs four times as much, and the header asks a million times.
_INT, _PTR, _ARRAY, _STRUCT, _UNION, _ENUM, _FWD, _TYPEDEF = range(1, 9)
_VOLATILE, _CONST, _RESTRICT, _FUNC, _FUNC_PROTO = range(9, 14)
_FLOAT, _TYPE_TAG, _ENUM64 = 16, 18, 19

# Words (of four bytes) that follow a type's first three: once, and for each of its vlen entries.
_TAIL = {_INT: (1, 0), _ARRAY: (3, 0), _STRUCT: (0, 3), _UNION: (0, 3), _ENUM: (0, 2), _FUNC_PROTO: (0, 2)}
_TAIL |= {Kind.VAR: (1, 0), Kind.DATASEC: (0, 3), Kind.DECL_TAG: (1, 0), _ENUM64: (0, 3)}
_WORDS = [1 << 40] + [3 + _TAIL.get(kind, (0, 0))[0] for kind in range(1, 20)]  # void in a file is beyond any end
_WORDS_PER_ENTRY = [_TAIL.get(kind, (0, 0))[1] for kind in range(20)]

_LONG_INTS = ("long unsigned int", "unsigned long", "long int", "long")
_RECORDS = (_STRUCT, _UNION)
_ENUMS = (_ENUM, _ENUM64)
_MODIFIERS = (_VOLATILE, _CONST, _RESTRICT, _TYPE_TAG)
_ALIASES = (_TYPEDEF, *_MODIFIERS)


class BtfError(Exception):
    """BTF that cannot be used: one line that says which file, what is wrong with it, and what to do."""


class Member(NamedTuple):
    """A member of a struct or union; `name` is "" where it is anonymous."""

    name: str
    type: int  # id
    offset: int  # bits from the beginning of the struct
    bits: int  # width of a bitfield, 0 for a plain member


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


@dataclass(frozen=True)
class Struct:
    """A struct or union. `size` is bytes; `name` is "" where it is anonymous."""

    btf: Btf
    id: int
    name: str
    is_union: bool
    size: int

    @cached_property
    def members(self) -> list[Member]:
        """All members in the order of the file, anonymous ones and bitfields too."""
        return self.btf.members(self.id)

    def find(self, path: str) -> Member | None:
        """The member that `path` names, as C would: `css.cgroup`, with anonymous structs and unions seen through.

        The answer has `path` as its name and an offset in bits from the beginning of this struct. None where there is
        no such member, also where the path would have to follow a pointer.
        """
        here, offset = self.id, 0
        found = None
        for name in path.split("."):
            found = self.btf.member(here, name)
            if found is None:
                return None
            offset += found.offset
            here = self.btf.resolve(found.type)
        return found and Member(path, found.type, offset, found.bits)


class Btf:
    """The types of one file, those of its base included. Made by `load`."""

    def __init__(self, path: Path, data: bytes, base: Btf | None = None, pointer_size: int | None = None) -> None:
        self.path = path
        types, strings = self._sections(data)
        if base is None:
            if strings[:1] != b"\0":
                raise self.bad("its strings do not begin with an empty one: split BTF, which needs a base")
            self._words, self._starts, self._strings = array("I", bytes(12)), array("I", [0]), strings
            self._kinds = bytearray(1)
        else:  # one flat table of ids and strings: what split BTF numbers goes on where the base ends
            self._words, self._starts, self._strings = base._words[:], base._starts[:], base._strings + strings
            self._kinds = base._kinds[:]
        self.first_id = len(self._starts)  # of the types that stand in this file, not in its base
        self._scan(types)
        self._pointer_size = pointer_size
        self._sizes: dict[int, int] = {}
        self._resolved: dict[int, int] = {}
        self._names: dict[int, str] = {0: ""}

    def bad(self, what: str) -> BtfError:
        """The error that says what is wrong with this file."""
        return BtfError(f"{self.path}: bad BTF: {what}; give another file, such as /sys/kernel/btf/vmlinux")

    # -- the file

    def _sections(self, data: bytes) -> tuple[array[int], bytes]:
        """The words of the type section, in this machine's byte order, and the string section."""
        if len(data) < _HEADER_SIZE:
            raise self.bad(f"{len(data)} bytes are too few for its header")
        order = {_MAGIC.to_bytes(2, "little"): "little", _MAGIC.to_bytes(2, "big"): "big"}.get(data[:2])
        if order is None:
            raise self.bad("it is neither BTF nor an ELF file")
        header = struct.unpack_from("<HBBIIIII" if order == "little" else ">HBBIIIII", data)
        _, version, _, header_size, type_start, type_size, string_start, string_size = header
        if version != 1:
            raise self.bad(f"version {version} is unknown, 1 is wanted")
        type_start, string_start = type_start + header_size, string_start + header_size
        if header_size < _HEADER_SIZE or max(type_start + type_size, string_start + string_size) > len(data):
            raise self.bad(f"its sections reach beyond its {len(data)} bytes (truncated?)")
        if type_size % 4 or type_start % 4:
            raise self.bad("its type section is not a whole number of words")
        words = array("I", data[type_start : type_start + type_size])
        if order != sys.byteorder:
            words.byteswap()
        strings = data[string_start : string_start + string_size]
        if strings[-1:] not in (b"", b"\0"):
            raise self.bad("its last string has no end")
        return words, strings

    def _scan(self, types: array[int]) -> None:
        """Append `types` to the table and note where each begins."""
        words, starts, kinds = self._words, self._starts, self._kinds
        at = len(words)
        words += types
        end = len(words)
        fixed, each, add = _WORDS, _WORDS_PER_ENTRY, starts.append
        try:
            while at < end:
                add(at)
                info = words[at + 1]
                kind = info >> 24 & 31
                kinds.append(kind)
                at += fixed[kind] + each[kind] * (info & 0xFFFF) if each[kind] else fixed[kind]
        except IndexError:
            at += end + 1
        if at != end:
            raise self.bad(f"type {len(starts) - 1} is truncated or of an unknown kind")

    @cached_property
    def pointer_size(self) -> int:
        """Bytes of a pointer: as the ELF file says, else as wide as `long`, else 8."""
        if self._pointer_size is not None:
            return self._pointer_size
        for type_id, kind in enumerate(self._kinds):
            if kind == _INT and self.name(type_id) in _LONG_INTS and self.size_of(type_id) in (4, 8):
                return self.size_of(type_id)
        return 8

    # -- types by id

    def __len__(self) -> int:
        """The number of types, void included: ids go from 0 to len - 1."""
        return len(self._starts)

    def _at(self, type_id: int) -> int:
        """The index of the type's first word."""
        if not 0 <= type_id < len(self._starts):
            raise self.bad(f"type {type_id} is wanted, the last is {len(self._starts) - 1}")
        return self._starts[type_id]

    def _string(self, offset: int) -> str:
        name = self._names.get(offset)
        if name is None:
            end = self._strings.find(b"\0", offset)
            if end < 0:
                raise self.bad(f"a name begins at byte {offset} of {len(self._strings)} bytes of strings")
            name = self._names[offset] = self._strings[offset:end].decode("ascii", "replace")
        return name

    def kind(self, type_id: int) -> Kind:
        """What the type is."""
        return Kind(self._kind(type_id))

    def _kind(self, type_id: int) -> int:
        try:
            return self._kinds[type_id]
        except IndexError:
            return self._at(type_id)  # which says what is wrong

    def name(self, type_id: int) -> str:
        """The name as the file has it, "" where it has none; need not be an identifier of C."""
        return self._string(self._words[self._at(type_id)])

    def target(self, type_id: int) -> int:
        """What a pointer, typedef, modifier or tag refers to, the element of an array, the result of a prototype."""
        at = self._at(type_id)
        return self._words[at + 3 if self._words[at + 1] >> 24 & 31 == _ARRAY else at + 2]

    def array_length(self, type_id: int) -> int:
        """The number of elements of an array; 0 for a flexible one."""
        return self._words[self._at(type_id) + 5]

    def resolve(self, type_id: int) -> int:
        """The type behind typedefs, `const`, `volatile`, `restrict` and type tags."""
        found = self._resolved.get(type_id)
        if found is not None:
            return found
        found = type_id
        for _ in range(_MAX_DEPTH):
            if self._kind(found) not in _ALIASES:
                self._resolved[type_id] = found
                return found
            found = self.target(found)
        raise self.bad(f"type {type_id} is a name for itself, or nested more than {_MAX_DEPTH} deep")

    def size_of(self, type_id: int) -> int:
        """Bytes of a type. BtfError for one that has no size: void, functions, a struct that is only declared."""
        size = self._sizes.get(type_id)
        if size is None:
            size = self._sizes[type_id] = self._measure(type_id)
        return size

    def _measure(self, type_id: int) -> int:
        count, element = 1, type_id
        for _ in range(_MAX_DEPTH):
            element = self.resolve(element)
            kind = self._kind(element)
            if kind == _ARRAY:
                count *= self.array_length(element)
                element = self.target(element)
            elif kind == _PTR:
                return count * self.pointer_size
            elif kind in (_INT, _STRUCT, _UNION, _ENUM, _FLOAT, _ENUM64, Kind.DATASEC):
                return count * self._words[self._starts[element] + 2]
            elif kind == Kind.VAR:
                element = self.target(element)
            else:
                raise self.bad(f"type {type_id} has no size, being incomplete")
        raise self.bad(f"type {type_id} contains itself, or is nested more than {_MAX_DEPTH} deep")

    def members(self, type_id: int) -> list[Member]:
        """The members of a struct or union, in the order of the file."""
        at = self._at(type_id)
        info = self._words[at + 1]
        if info >> 24 & 31 not in _RECORDS:
            return []
        entries = self._words[at + 3 : at + 3 + 3 * (info & 0xFFFF)]
        triples = zip(entries[::3], entries[1::3], entries[2::3], strict=True)
        string, names = self._string, self._names
        if info >> 31:
            return [Member(names.get(n) or string(n), t, o & 0xFFFFFF, o >> 24) for n, t, o in triples]
        found = [Member(names.get(n) or string(n), t, o, 0) for n, t, o in triples]
        return [self._old_bitfield(m) for m in found] if self._odd_ints else found

    @cached_property
    def _odd_ints(self) -> dict[int, tuple[int, int]]:
        """Integers that fill only part of their bytes: id to (first bit, bits). Compilers of 2018 made bitfields so."""
        odd = {}
        for type_id, kind in enumerate(self._kinds):
            if kind == _INT:
                at = self._starts[type_id]
                size, encoding = self._words[at + 2], self._words[at + 3]
                if encoding >> 16 & 0xFF or encoding & 0xFF != size * 8:
                    odd[type_id] = (encoding >> 16 & 0xFF, encoding & 0xFF)
        return odd

    def _old_bitfield(self, member: Member) -> Member:
        first, bits = self._odd_ints.get(self.resolve(member.type), (0, 0))
        return member._replace(offset=member.offset + first, bits=bits)

    def member(self, type_id: int, name: str) -> Member | None:
        """The member `name` of a struct or union, seen through anonymous members; its offset counts from the outer."""
        seen: set[int] = set()
        todo = [(type_id, 0)]
        while todo:
            here, base = todo.pop()
            if here in seen:
                continue
            seen.add(here)
            for found in self.members(here):
                if found.name == name and name:
                    return found._replace(offset=base + found.offset)
                if not found.name:
                    todo.append((self.resolve(found.type), base + found.offset))
        return None

    def enumerators(self, type_id: int) -> list[tuple[str, int]]:
        """The names and values of an enum, in the order of the file."""
        at = self._at(type_id)
        info = self._words[at + 1]
        kind, signed, count = info >> 24 & 31, info >> 31, info & 0xFFFF
        if kind == _ENUM:
            entries = self._words[at + 3 : at + 3 + 2 * count]
            values: Sequence[int] = entries[1::2]
            names, bits = entries[::2], 32
        elif kind == _ENUM64:
            entries = self._words[at + 3 : at + 3 + 3 * count]
            values = [low | high << 32 for low, high in zip(entries[1::3], entries[2::3], strict=True)]
            names, bits = entries[::3], 64
        else:
            return []
        wrap = 1 << bits if signed else 0
        return [(self._string(n), v - wrap if v >> (bits - 1) else v) for n, v in zip(names, values, strict=True)]

    def parameters(self, type_id: int) -> list[tuple[str, int]]:
        """The names and types of a prototype's parameters; ("", 0) at the end means any number more."""
        at = self._at(type_id)
        info = self._words[at + 1]
        if info >> 24 & 31 != _FUNC_PROTO:
            return []
        entries = self._words[at + 3 : at + 3 + 2 * (info & 0xFFFF)]
        return [(self._string(n), t) for n, t in zip(entries[::2], entries[1::2], strict=True)]

    # -- types by name

    @cached_property
    def _by_name(self) -> dict[int, list[int]]:
        """The offset of a name to the types that have it."""
        table: dict[int, list[int]] = {}
        words = self._words
        for type_id, at in enumerate(self._starts):
            table.setdefault(words[at], []).append(type_id)
        return table

    def _named(self, name: str) -> Iterator[int]:
        """The types called `name`, in the order of their ids for each copy of the name."""
        wanted = name.encode() + b"\0"
        at = self._strings.find(wanted) if name else -1
        while at >= 0:  # a name may be the tail of a longer one, so each place counts that BTF points at
            yield from self._by_name.get(at, ())
            at = self._strings.find(wanted, at + 1)

    def struct(self, name: str) -> Struct | None:
        """The struct or union `name` (without the keyword), the first where there are several."""
        ids = [type_id for type_id in self._named(name) if self._kind(type_id) in _RECORDS]
        return self.struct_of(min(ids)) if ids else None

    def struct_of(self, type_id: int) -> Struct:
        """The struct or union with this id. BtfError where it is something else."""
        at = self._at(type_id)
        kind = self._words[at + 1] >> 24 & 31
        if kind not in _RECORDS:
            raise self.bad(f"type {type_id} is no struct or union")
        return Struct(self, type_id, self._string(self._words[at]), kind == _UNION, self._words[at + 2])

    def func(self, name: str) -> Prototype | None:
        """The kernel function `name`: its parameters and result as C."""
        for type_id in self._named(name):
            if self._kind(type_id) == _FUNC:
                return self._prototype(name, self.target(type_id))
        return None

    def _prototype(self, name: str, type_id: int) -> Prototype:
        if self._kind(type_id) != _FUNC_PROTO:
            raise self.bad(f"the function {name} has no prototype")
        writer = _Writer(self)
        params = [Param(n, t, writer.declare(t, "") if t or n else "...") for n, t in self.parameters(type_id)]
        return Prototype(name, tuple(params), writer.declare(self.target(type_id), ""))

    def declare(self, type_id: int, name: str) -> str:
        """The C declaration of `name`: `int (*f)(struct sock *, long)`, `char comm[16]`; the bare type for name ""."""
        return _Writer(self).declare(type_id, name)


def load(path: Path, base: Btf | None = None) -> Btf:
    """Read the BTF of `path`: raw, or the `.BTF` section of an ELF file.

    `base` is what split BTF builds upon: for `/sys/kernel/btf/<module>` the kernel's own, `/sys/kernel/btf/vmlinux`.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise BtfError(f"{path}: not a regular file; give raw BTF or an ELF file with BTF")
        with path.open("rb") as file:
            if file.read(4) == b"\x7fELF":
                data, pointer_size = _elf_section(path, file)
            else:
                file.seek(0)
                data, pointer_size = file.read(_MAX_FILE + 1), None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise BtfError(f"{path}: cannot be read: {reason}; give raw BTF or an ELF file with BTF") from error
    if len(data) > _MAX_FILE:
        raise BtfError(f"{path}: more than {_MAX_FILE >> 20} MB of BTF; give the kernel's own, /sys/kernel/btf/vmlinux")
    return Btf(path, data, base, pointer_size)


def _elf_section(path: Path, file: BinaryIO) -> tuple[bytes, int]:
    """The bytes of an ELF file's `.BTF` section, and the bytes of a pointer by the file's class."""

    def part(offset: int, size: int) -> bytes:
        if size > _MAX_FILE or offset >= 1 << 63:
            raise BtfError(f"{path}: bad ELF file: it claims a table of {size} bytes; build it again")
        file.seek(offset)
        data = file.read(size)
        if len(data) < size:
            raise BtfError(f"{path}: bad ELF file: truncated; build it again")
        return data

    ident = part(0, 16)
    if ident[4] not in (1, 2) or ident[5] not in (1, 2):
        raise BtfError(f"{path}: bad ELF file: its class or byte order is unknown; build it again")
    wide, order = ident[4] == 2, "<" if ident[5] == 1 else ">"
    header = struct.unpack(order + ("HHIQQQIHHHHHH" if wide else "HHIIIIIHHHHHH"), part(16, 48 if wide else 36))
    table, entry_size, count, names_at = header[5], header[10], header[11], header[12]
    section = struct.Struct(order + ("IIQQQQIIQQ" if wide else "10I"))
    if table and entry_size != section.size:
        raise BtfError(f"{path}: bad ELF file: section headers of {entry_size} bytes; build it again")
    if table:  # numbers too large for the header stand in the first section
        first = section.unpack(part(table, section.size))
        count, names_at = count or first[5], first[6] if names_at == 0xFFFF else names_at
    sections = list(section.iter_unpack(part(table, count * section.size))) if table else []
    names = part(*sections[names_at][4:6]) if names_at < len(sections) else b""
    for name, kind, _, _, offset, size, *_ in sections:
        if names[name : name + 5] == b".BTF\0" and kind != 8:  # 8: without bytes, as in files split for debugging
            return part(offset, size), 8 if wide else 4
    raise BtfError(f"{path}: no .BTF section; compile with `clang -g -target bpf`, or give /sys/kernel/btf/vmlinux")


# -- C text

_TABS = "\t" * (_MAX_DEPTH + 2)
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
_QUALIFIERS = {_CONST: "const ", _VOLATILE: "volatile ", _RESTRICT: "restrict "}
_TAGS = {_STRUCT: "struct", _UNION: "union", _ENUM: "enum", _ENUM64: "enum", _FWD: "struct"}
_PACKED = " __attribute__((packed))"


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
        self._fuel = 64 * len(btf._words) + (1 << 20)
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
        for _ in range(_MAX_DEPTH):
            kind = btf._kind(here)
            if kind in _QUALIFIERS:
                if _QUALIFIERS[kind] not in pending:
                    pending = _QUALIFIERS[kind] + pending
            elif kind == _PTR:
                before, pending, by_value = f"*{pending}{before}", "", False
            elif kind == _ARRAY:
                if before.startswith("*"):
                    before, after = "(" + before, after + ")"
                after += f"[{btf.array_length(here)}]"  # [0] for a flexible one: C has [] in fewer places
            elif kind == _FUNC_PROTO:
                if before.startswith("*"):
                    before, after = "(" + before, after + ")"
                after += f"({self._parameters(here, depth + 1)})"
                pending, by_value = "", False
            elif kind not in (_TYPE_TAG, _FUNC) and not (kind == _TYPEDEF and self.sees_through(here)):
                return _Declarator(pending.replace("restrict ", ""), here, before, after, by_value)
            here = btf.target(here)
        raise btf.bad(f"type {type_id} contains itself, or is nested more than {_MAX_DEPTH} deep")

    def _parameters(self, prototype: int, depth: int) -> str:
        if depth > _MAX_DEPTH:
            raise self.btf.bad(f"type {prototype} contains itself, or is nested more than {_MAX_DEPTH} deep")
        found = self.btf.parameters(prototype)
        texts = [self.declare(t, self.identifier(n), depth) if t or n else "..." for n, t in found]
        return self.spend(", ".join(texts) or "void")

    def base(self, type_id: int, depth: int, by_value: bool) -> str:
        """What begins a declaration: `unsigned long`, `struct sock`, or the whole body of an anonymous type."""
        text = self._bases.get(type_id)
        if text is None:
            kind = self.btf._kind(type_id)
            if kind in _TAGS and not self.btf.name(type_id):
                return self.enum(type_id, depth) if kind in _ENUMS else self.record(type_id, depth)
            text = self._bases[type_id] = self._named_base(type_id, kind)
        return text

    def _named_base(self, type_id: int, kind: int) -> str:
        if kind in _TAGS:
            return f"{self.keyword(type_id)} {self.tag(type_id)}"
        if kind == _TYPEDEF:
            return self.tag(type_id)
        if kind == _INT:
            return self._int(type_id)
        if kind == _FLOAT:
            size = self.btf.size_of(type_id)
            return {4: "float", 8: "double"}.get(size) or f"__btf_float{size}"
        if kind == Kind.VOID:
            return "void"
        raise self.btf.bad(f"type {type_id} cannot be the type of anything")

    def keyword(self, type_id: int) -> str:
        """struct, union or enum, also for what is only declared."""
        btf = self.btf
        at = btf._at(type_id)
        kind = btf._words[at + 1] >> 24 & 31
        return "union" if kind == _FWD and btf._words[at + 1] >> 31 else _TAGS[kind]

    def _int(self, type_id: int) -> str:
        size, encoding = self.btf.size_of(type_id), self.btf._words[self.btf._at(type_id) + 3] >> 24
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
        for _ in range(_MAX_DEPTH):
            type_id = btf.resolve(type_id)
            kind = btf._kind(type_id)
            if kind in _RECORDS:
                return self.shape(type_id, depth + 1)[0]
            if kind != _ARRAY:
                size = btf.size_of(type_id)
                return min(size & -size, 16) or 1
            type_id = btf.target(type_id)
        raise btf.bad(f"type {type_id} contains itself, or is nested more than {_MAX_DEPTH} deep")

    def shape(self, type_id: int, depth: int) -> tuple[int, bool]:
        """The alignment (bytes) of a struct or union, and whether it needs to be packed."""
        if (type_id in self._shapes and self._shapes[type_id] is None) or depth > _MAX_DEPTH:
            raise self.btf.bad(f"type {type_id} contains itself, or is nested more than {_MAX_DEPTH} deep")
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
        if depth >= _MAX_DEPTH:
            raise self.btf.bad(f"type {type_id} contains itself, or is nested more than {_MAX_DEPTH} deep")
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
        for type_id, kind in enumerate(self.btf._kinds):
            if (kind not in _TAGS and kind != _TYPEDEF) or not self.btf.name(type_id):
                continue
            if kind == _FWD:
                declared.append(type_id)
                continue
            name = self.identifier(self.btf.name(type_id))
            if name:
                unique = _unique(name, self._taken if kind == _TYPEDEF else tags)
                self._tags[type_id] = unique
                if kind != _TYPEDEF:
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
        for type_id, kind in enumerate(btf._kinds):
            if kind in _TAGS or kind == _TYPEDEF:
                if type_id in self._tags:
                    self.need(type_id, True, 0)
                elif kind in _ENUMS:
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
        btf, kind = self.btf, self.btf._kind(type_id)
        if depth > 4 * _MAX_DEPTH or (type_id in self._open and (complete or kind == _TYPEDEF)):
            raise btf.bad(f"type {type_id} contains itself, or is nested too deeply")
        depth += 1
        if kind in _RECORDS and btf.name(type_id):
            if complete:
                self._open.add(type_id)
                self._need_members(type_id, depth)
                self._open.discard(type_id)
                self._declared.add(f"{_TAGS[kind]} {self._tags[type_id]}")
                self.define(type_id, self.record(type_id, 0, self._tags[type_id]))
        elif kind == _TYPEDEF:
            if not self.sees_through(type_id):
                self._typedef(type_id, depth)
            if complete or self.sees_through(type_id):
                self.need(btf.target(type_id), complete, depth)
        elif kind in _ENUMS:
            if btf.name(type_id) and type_id not in self._done:
                self.define(type_id, self.enum(type_id, 0, self._tags[type_id]))
        elif kind == _FWD:
            if btf.name(type_id):
                self._forward(type_id)
        elif kind == _FLOAT:
            self._odd_float(type_id)
        else:
            self._met.add(key)
            self._need_parts(type_id, kind, complete, depth)
        self._met.add(key)

    def _need_parts(self, type_id: int, kind: int, complete: bool, depth: int) -> None:
        btf = self.btf
        if kind in _RECORDS:
            self._need_members(type_id, depth)
        elif kind == _FUNC_PROTO:
            for t in (btf.target(type_id), *(t for _, t in btf.parameters(type_id))):
                self.need(t, False, depth)
                base = self.declarator(t, 0).base
                if btf._kind(base) in _RECORDS and btf.name(base):
                    self._forward(base)
        elif kind in (_PTR, _ARRAY, *_MODIFIERS):
            self.need(btf.target(type_id), kind == _ARRAY or (kind != _PTR and complete), depth)

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
        kind = self.btf._kind(target)
        nameless = (kind in _RECORDS or kind in _ENUMS) and not self.btf.name(target)
        return not nameless or super().sees_through(typedef)

    def base(self, type_id: int, depth: int, by_value: bool) -> str:
        text = super().base(type_id, depth, by_value)
        kind = self.btf._kind(type_id)
        if kind == _TYPEDEF or (by_value and kind in _TAGS and self.btf.name(type_id)):
            self.needs[text] = None
        elif self._lists and (kind in _RECORDS or kind == _FWD):
            self.mentioned[text] = None
        return text

    def _parameters(self, prototype: int, depth: int) -> str:
        self._lists += 1
        text = super()._parameters(prototype, depth)
        self._lists -= 1
        return text


def stub(btf: Btf, struct_name: str, member_paths: Sequence[str], *, flavour: bool, release: str) -> Stub:
    """A definition of `struct struct_name` with only the members that `member_paths` name (`css.cgroup`, `pid`).

    flavour=True: `struct NAME___ebpffix` for CO-RE, where the loader finds the offsets; of a nested struct, too, only
    what is used. flavour=False: for BCC, where each member is padded to the offset that it has in `btf`, and
    `_Static_assert` says so to the compiler. `release` is the kernel that `btf` is from, for the comment.

    ValueError, with a reason for people, where the struct or a member is not there, or cannot be put in its place.
    """
    record = btf.struct(struct_name)
    if record is None:
        raise ValueError(f"the kernel {release} has no struct {struct_name}")
    found = {}
    for path in member_paths:
        member = record.find(path)
        if member is None:
            raise ValueError(f"struct {struct_name} of kernel {release} has no member {path}")
        found[path] = member
    comment = f"/* Only the members that are used here, from the BTF of kernel {release.replace('*/', '')}."
    writer = _StubWriter(btf)
    keyword = f"{'union' if record.is_union else 'struct'} {struct_name}"
    if flavour:
        lines = _used_lines(writer, record, list(found), 1)
        comment += " */"
        end = " __attribute__((preserve_access_index))"
        asserts = ""
        keyword += "___ebpffix"
    else:
        tops = {path.split(".")[0]: None for path in found}
        members = [m for m in (btf.member(record.id, name) for name in tops) if m]
        lines, end = _placed_lines(writer, record, sorted(members, key=lambda m: m.offset))
        comment += "\n * The padding puts each where that kernel has it: another kernel needs another. */"
        asserts = "".join(
            f"_Static_assert(__builtin_offsetof({keyword}, {path}) == {m.offset // 8}, "
            f'"{path} of {keyword} is elsewhere");\n'
            for path, m in found.items()
            if not m.bits
        )
    declared = "".join(f"{name};\n" for name in writer.mentioned)
    text = f"{comment}\n{declared}{keyword} {{\n{''.join(lines)}}}{end};\n{asserts}"
    return Stub(text, tuple(writer.needs))


def _used_lines(writer: _StubWriter, record: Struct, paths: Sequence[str], depth: int) -> list[str]:
    """The members of `record` that paths begin with; those that are only looked into are cut down to what is used."""
    inner: dict[str, list[str]] = {}
    for path in paths:
        name, _, rest = path.partition(".")
        inner.setdefault(name, []).append(rest)
    lines = []
    for name, rests in inner.items():
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


def _placed_lines(writer: _StubWriter, record: Struct, members: Sequence[Member]) -> tuple[list[str], str]:
    """Some members of `record`, sorted by offset, each in its place; and the attribute that the whole needs."""
    for m in members:
        bits = record.btf.size_of(m.type) * 8
        if m.bits and m.offset % bits + m.bits > bits:
            raise ValueError(f"{m.name} is a bitfield across a border of {bits // 8} bytes: no padding can place it")
    align, packed, _ = writer.fit(members, 0)
    attribute = _PACKED if packed or record.size % align else ""
    ends = [m.offset + (m.bits or record.btf.size_of(m.type) * 8) for m in members]
    if not record.is_union and all(m.offset >= end for m, end in zip(members[1:], ends, strict=False)):
        return _pad_each(writer, members, record.size, 1), attribute
    if record.is_union:
        return _overlay(writer, members, record.size, attribute, 1), attribute
    return ["\tunion {\n", *_overlay(writer, members, record.size, attribute, 2), f"\t}}{attribute};\n"], attribute


def _overlay(writer: _StubWriter, members: Sequence[Member], size: int, attribute: str, depth: int) -> list[str]:
    """The members of a union in which each member stands behind padding of its own, so that they may overlap."""
    tabs, lines = _TABS[:depth], []
    for m in members:
        lines += [f"{tabs}struct {{\n", *_pad_each(writer, [m], 0, depth + 1), f"{tabs}}}{attribute};\n"]
    return [*lines, writer.pad_array(size, depth)]


def _pad_each(writer: _StubWriter, members: Sequence[Member], size: int, depth: int) -> list[str]:
    """Members with explicit padding up to each, and from the last up to `size` bytes."""
    lines, at = [], 0
    for m in members:
        lines += writer.padding(at, m.offset, depth, most=0)
        lines.append(writer.line(m, depth))
        at = m.offset + (m.bits or writer.btf.size_of(m.type) * 8)
    return lines + writer.padding(at, size * 8, depth, most=0)
