"""Types, members and offsets out of BTF; `btf_c` makes C text of them.

Reads raw BTF (`/sys/kernel/btf/vmlinux`), split BTF on top of a base (`/sys/kernel/btf/<module>`) and the `.BTF`
section of ELF files, all of either byte order. A type is named by its id, an int; id 0 is void. Opening a file makes
one pass over the type section to learn where each type begins; everything else is decoded when asked for. Sizes are
bytes, offsets of members and widths of bitfields are bits, as BTF has them. The format is the kernel's
Documentation/bpf/btf.rst.

Names and ids come from the file unchecked until they are used, so every query may raise BtfError.
"""

from __future__ import annotations

import enum
import mmap
import stat
import struct
import sys
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, NamedTuple

from ebpffix.kernel.elf import Elf, NotElf

_MAGIC = 0xEB9F
_HEADER_SIZE = 24
_MAX_FILE = 1 << 28  # bytes of BTF; the kernel's own has 6 MB, and /dev/zero has no end
MAX_DEPTH = 64  # of types inside types; the kernel itself stops at 32


class Kind(enum.IntEnum):
    """The kinds of BTF types; 0 is void, which stands in no file."""

    VOID, INT, PTR, ARRAY, STRUCT, UNION, ENUM, FWD, TYPEDEF, VOLATILE, CONST = range(11)
    RESTRICT, FUNC, FUNC_PROTO, VAR, DATASEC, FLOAT, DECL_TAG, TYPE_TAG, ENUM64 = range(11, 20)


# Plain ints: comparing with an enum's members costs four times as much, and the header asks a million times.
INT, PTR, ARRAY, STRUCT, UNION, ENUM, FWD, TYPEDEF = range(1, 9)
VOLATILE, CONST, RESTRICT, FUNC, FUNC_PROTO = range(9, 14)
FLOAT, TYPE_TAG, ENUM64 = 16, 18, 19

# Words (of four bytes) that follow a type's first three: once, and for each of its vlen entries.
_TAIL = {INT: (1, 0), ARRAY: (3, 0), STRUCT: (0, 3), UNION: (0, 3), ENUM: (0, 2), FUNC_PROTO: (0, 2)}
_TAIL |= {Kind.VAR: (1, 0), Kind.DATASEC: (0, 3), Kind.DECL_TAG: (1, 0), ENUM64: (0, 3)}
_WORDS = [1 << 40] + [3 + _TAIL.get(kind, (0, 0))[0] for kind in range(1, 20)]  # void in a file is beyond any end
_WORDS_PER_ENTRY = [_TAIL.get(kind, (0, 0))[1] for kind in range(20)]

_LONG_INTS = ("long unsigned int", "unsigned long", "long int", "long")
RECORDS = (STRUCT, UNION)
ENUMS = (ENUM, ENUM64)
MODIFIERS = (VOLATILE, CONST, RESTRICT, TYPE_TAG)
ALIASES = (TYPEDEF, *MODIFIERS)


class BtfError(Exception):
    """BTF that cannot be used: one line that says which file, what is wrong with it, and what to do."""


class SplitBtf(BtfError):
    """BTF that is only what a module adds to the kernel's own."""


class Member(NamedTuple):
    """A member of a struct or union; `name` is "" where it is anonymous."""

    name: str
    type: int  # id
    offset: int  # bits from the beginning of the struct
    bits: int  # width of a bitfield, 0 for a plain member


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
                raise SplitBtf(f"{path}: split BTF, as modules have; put the kernel's own next to it, named vmlinux")
            self._words, self._starts, self._strings = array("I", bytes(12)), array("I", [0]), strings
            self.kinds = bytearray(1)  # of each type, by id
        else:  # one flat table of ids and strings: what split BTF numbers goes on where the base ends
            self._words, self._starts, self._strings = base._words[:], base._starts[:], base._strings + strings
            self.kinds = base.kinds[:]
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
        words, starts, kinds = self._words, self._starts, self.kinds
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
        for type_id, kind in enumerate(self.kinds):
            if kind == INT and self.name(type_id) in _LONG_INTS and self.size_of(type_id) in (4, 8):
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

    def string(self, offset: int) -> str:
        """The name that stands at an offset of the strings."""
        name = self._names.get(offset)
        if name is None:
            end = self._strings.find(b"\0", offset)
            if end < 0:
                raise self.bad(f"a name begins at byte {offset} of {len(self._strings)} bytes of strings")
            name = self._names[offset] = self._strings[offset:end].decode("ascii", "replace")
        return name

    def text(self, offset: int) -> str:
        """What stands at an offset of the strings, be it no name: a file, a line of source."""
        end = self._strings.find(b"\0", offset)
        if end < 0:
            raise self.bad(f"a text begins at byte {offset} of {len(self._strings)} bytes of strings")
        return self._strings[offset:end].decode("utf-8", "replace")

    def kind(self, type_id: int) -> Kind:
        """What the type is."""
        return Kind(self.plain_kind(type_id))

    def plain_kind(self, type_id: int) -> int:
        try:
            return self.kinds[type_id]
        except IndexError:
            return self._at(type_id)  # which says what is wrong

    def name(self, type_id: int) -> str:
        """The name as the file has it, "" where it has none; need not be an identifier of C."""
        return self.string(self._words[self._at(type_id)])

    def flag(self, type_id: int) -> bool:
        """The type's flag: of a declaration that it is a union's, of an enum that it is signed."""
        return self._words[self._at(type_id) + 1] >> 31 != 0

    def words(self, type_id: int) -> tuple[int, ...]:
        """All of the type but its name, as numbers of 32 bits: info, size or type, and what follows."""
        at = self._at(type_id)
        end = self._starts[type_id + 1] if type_id + 1 < len(self._starts) else len(self._words)
        return tuple(self._words[at + 1 : end])

    def encoding(self, type_id: int) -> int:
        """How an integer's bits are read: 1 signed, 2 a character, 4 a truth value."""
        return self._words[self._at(type_id) + 3] >> 24

    @property
    def word_count(self) -> int:
        """The words (of four bytes) of all types, those of the base included."""
        return len(self._words)

    def target(self, type_id: int) -> int:
        """What a pointer, typedef, modifier or tag refers to, the element of an array, the result of a prototype."""
        at = self._at(type_id)
        return self._words[at + 3 if self._words[at + 1] >> 24 & 31 == ARRAY else at + 2]

    def array_length(self, type_id: int) -> int:
        """The number of elements of an array; 0 for a flexible one."""
        return self._words[self._at(type_id) + 5]

    def resolve(self, type_id: int) -> int:
        """The type behind typedefs, `const`, `volatile`, `restrict` and type tags."""
        found = self._resolved.get(type_id)
        if found is not None:
            return found
        found = type_id
        for _ in range(MAX_DEPTH):
            if self.plain_kind(found) not in ALIASES:
                self._resolved[type_id] = found
                return found
            found = self.target(found)
        raise self.bad(f"type {type_id} is a name for itself, or nested more than {MAX_DEPTH} deep")

    def size_of(self, type_id: int) -> int:
        """Bytes of a type. BtfError for one that has no size: void, functions, a struct that is only declared."""
        size = self._sizes.get(type_id)
        if size is None:
            size = self._sizes[type_id] = self._measure(type_id)
        return size

    def _measure(self, type_id: int) -> int:
        count, element = 1, type_id
        for _ in range(MAX_DEPTH):
            element = self.resolve(element)
            kind = self.plain_kind(element)
            if kind == ARRAY:
                count *= self.array_length(element)
                element = self.target(element)
            elif kind == PTR:
                return count * self.pointer_size
            elif kind in (INT, STRUCT, UNION, ENUM, FLOAT, ENUM64, Kind.DATASEC):
                return count * self._words[self._starts[element] + 2]
            elif kind == Kind.VAR:
                element = self.target(element)
            else:
                raise self.bad(f"type {type_id} has no size, being incomplete")
        raise self.bad(f"type {type_id} contains itself, or is nested more than {MAX_DEPTH} deep")

    def members(self, type_id: int) -> list[Member]:
        """The members of a struct or union, in the order of the file."""
        at = self._at(type_id)
        info = self._words[at + 1]
        if info >> 24 & 31 not in RECORDS:
            return []
        entries = self._words[at + 3 : at + 3 + 3 * (info & 0xFFFF)]
        triples = zip(entries[::3], entries[1::3], entries[2::3], strict=True)
        string, names = self.string, self._names
        if info >> 31:
            return [Member(names.get(n) or string(n), t, o & 0xFFFFFF, o >> 24) for n, t, o in triples]
        found = [Member(names.get(n) or string(n), t, o, 0) for n, t, o in triples]
        return [self._old_bitfield(m) for m in found] if self._odd_ints else found

    @cached_property
    def _odd_ints(self) -> dict[int, tuple[int, int]]:
        """Integers that fill only part of their bytes: id to (first bit, bits). Compilers of 2018 made bitfields so."""
        odd = {}
        for type_id, kind in enumerate(self.kinds):
            if kind == INT:
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
        if kind == ENUM:
            entries = self._words[at + 3 : at + 3 + 2 * count]
            values: Sequence[int] = entries[1::2]
            names, bits = entries[::2], 32
        elif kind == ENUM64:
            entries = self._words[at + 3 : at + 3 + 3 * count]
            values = [low | high << 32 for low, high in zip(entries[1::3], entries[2::3], strict=True)]
            names, bits = entries[::3], 64
        else:
            return []
        wrap = 1 << bits if signed else 0
        return [(self.string(n), v - wrap if v >> (bits - 1) else v) for n, v in zip(names, values, strict=True)]

    def parameters(self, type_id: int) -> list[tuple[str, int]]:
        """The names and types of a prototype's parameters; ("", 0) at the end means any number more."""
        at = self._at(type_id)
        info = self._words[at + 1]
        if info >> 24 & 31 != FUNC_PROTO:
            return []
        entries = self._words[at + 3 : at + 3 + 2 * (info & 0xFFFF)]
        return [(self.string(n), t) for n, t in zip(entries[::2], entries[1::2], strict=True)]

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
        return next(iter(self.structs(name)), None)

    def structs(self, name: str) -> list[Struct]:
        """All structs and unions called `name`: drivers and modules may have different ones of one name."""
        ids = {type_id for type_id in self._named(name) if self.plain_kind(type_id) in RECORDS}
        return [self.struct_of(type_id) for type_id in sorted(ids)]

    def struct_of(self, type_id: int) -> Struct:
        """The struct or union with this id. BtfError where it is something else."""
        at = self._at(type_id)
        kind = self._words[at + 1] >> 24 & 31
        if kind not in RECORDS:
            raise self.bad(f"type {type_id} is no struct or union")
        return Struct(self, type_id, self.string(self._words[at]), kind == UNION, self._words[at + 2])

    def function(self, name: str) -> int | None:
        """The prototype's id of the kernel function `name`."""
        found = next((type_id for type_id in self._named(name) if self.plain_kind(type_id) == FUNC), None)
        if found is None:
            return None
        prototype = self.target(found)
        if self.plain_kind(prototype) != FUNC_PROTO:
            raise self.bad(f"the function {name} has no prototype")
        return prototype


def load(path: Path, base: Btf | None = None) -> Btf:
    """Read the BTF of `path`: raw, or the `.BTF` section of an ELF file.

    `base` is what split BTF builds upon: for `/sys/kernel/btf/<module>` the kernel's own, `/sys/kernel/btf/vmlinux`.
    Unless given it is the file `vmlinux` in the same folder.
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
    try:
        return Btf(path, data, base, pointer_size)
    except SplitBtf:
        beside = path.with_name("vmlinux")
        if beside == path or not beside.is_file():
            raise
        return Btf(path, data, load(beside), pointer_size)


def of_module(kernel: Btf, name: str) -> Btf | None:
    """The BTF of the kernel's module that has `struct name`, out of the folder in which the kernel's own is `vmlinux`.

    None where no module has it, and where several have one that differs: a name alone does not tell which is meant.
    """
    if kernel.path.name != "vmlinux":
        return None
    found, layout = None, None
    for path in sorted(kernel.path.parent.iterdir()):
        try:
            if path == kernel.path or not path.is_file() or name.encode() + b"\0" not in path.read_bytes():
                continue
            module = load(path, kernel)
        except (OSError, BtfError):
            continue
        if record := module.struct(name):
            if found and layout != (record.size, _layout(record)):
                return None
            found = found or module
            layout = (record.size, _layout(record))
    return found


def _layout(record: Struct) -> list[tuple[str, int, int]]:
    return [(m.name, m.offset, m.bits) for m in record.members]


def _elf_section(path: Path, file: BinaryIO) -> tuple[bytes, int]:
    """The bytes of an ELF file's `.BTF` section, and the bytes of a pointer by the file's class."""
    try:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            elf = Elf(data)
            section = elf.section(".BTF")
            if section is not None:
                return elf.body(section), elf.pointer_size
    except NotElf as error:
        raise BtfError(f"{path}: bad ELF file: {error}; build it again") from None
    raise BtfError(f"{path}: no .BTF section; compile with `clang -g -target bpf`, or give /sys/kernel/btf/vmlinux")
