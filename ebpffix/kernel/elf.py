"""ELF files: sections, symbols, relocations, and the tables of `.BTF.ext`.

Objects of both classes and byte orders are read, and a kernel's image too: only what is asked for is looked at. Own
code, not pyelftools: of its ten thousand lines these hundred are needed, it knows no BTF, and what it raises over a
broken file is anything. Here that is NotElf. Source: the ELF specification, the kernel's Documentation/bpf/btf.rst.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

SYMTAB, RELA, NOBITS, REL = 2, 4, 8, 9  # Section.type
EXECINSTR = 4  # Section.flags
OBJECT, FUNCTION = 1, 2  # Symbol.kind
_LONGEST = 4096  # bytes of a name; more is none, and each of many would be looked for to the end
_MOST = 1 << 28  # bytes of a table of sections, or of a section, that is still believed


class NotElf(ValueError):
    """What is wrong with the bytes, in a few words."""


@dataclass(frozen=True)
class Section:
    name: str
    type: int
    flags: int
    offset: int
    size: int
    link: int
    info: int

    @property
    def is_code(self) -> bool:
        return bool(self.flags & EXECINSTR)


@dataclass(frozen=True)
class Symbol:
    """`section` is a number; reserved ones stand for no section. `value` and `size` are bytes."""

    name: str
    kind: int
    bind: int
    section: int
    value: int
    size: int


class Elf:
    """An ELF file. All methods raise NotElf where its numbers make no sense."""

    def __init__(self, data: bytes | mmap.mmap) -> None:
        self.data = data
        if data[:4] != b"\x7fELF":
            raise NotElf("not an ELF file")
        if len(data) < 16 or data[4] not in (1, 2) or data[5] not in (1, 2):
            raise NotElf("its class or byte order is unknown")
        self.is_wide, self.order = data[4] == 2, "<" if data[5] == 1 else ">"
        self.sections = list(self._sections())

    @property
    def pointer_size(self) -> int:
        return 8 if self.is_wide else 4

    def _part(self, offset: int, size: int) -> bytes:
        if size > _MOST:
            raise NotElf(f"it claims a table of {size} bytes")
        part = self.data[offset : offset + size]
        if len(part) < size:
            raise NotElf("truncated")
        return part

    def _sections(self) -> Iterator[Section]:
        header = struct.Struct(self.order + ("HHIQQQIHHHHHH" if self.is_wide else "HHIIIIIHHHHHH"))
        row = struct.Struct(self.order + ("IIQQQQIIQQ" if self.is_wide else "10I"))
        fields = header.unpack(self._part(16, header.size))
        table, width, count, names_at = fields[5], fields[10], fields[11], fields[12]
        if not table:
            return
        if width != row.size:
            raise NotElf(f"section headers of {width} bytes")
        # Numbers too large for the header stand in the first section.
        first = row.unpack(self._part(table, row.size))
        count, names_at = count or first[5], first[6] if names_at == 0xFFFF else names_at
        rows = list(row.iter_unpack(self._part(table, count * row.size)))
        names = self._part(*rows[names_at][4:6]) if names_at < len(rows) else b""
        for name, kind, flags, _, offset, size, link, info, *_ in rows:
            yield Section(_string(names, name), kind, flags, offset, size, link, info)

    def section(self, name: str) -> Section | None:
        """The first section of this name that has bytes in the file."""
        return next((s for s in self.sections if s.name == name and s.type != NOBITS), None)

    def body(self, section: Section | None) -> bytes:
        """A section's bytes; none for one that the file does not hold, and for no section."""
        has_bytes = section is not None and section.type != NOBITS
        return self._part(section.offset, section.size) if section is not None and has_bytes else b""

    def place(self, number: int) -> str:
        """The name of a section by its number; reserved numbers stand for themselves."""
        return self.sections[number].name if 0 < number < len(self.sections) else f"#{number}"

    @cached_property
    def symbols(self) -> list[Symbol]:
        """The symbols of all tables, in their order."""
        found = []
        for table in self.sections:
            if table.type != SYMTAB:
                continue
            if table.link >= len(self.sections):
                raise NotElf("its symbols have no names")
            names, row = self.body(self.sections[table.link]), self.body(table)
            if self.is_wide:
                rows = self._rows("IBBHQQ", row)
                plain = ((n, info, at, value, size) for n, info, _, at, value, size in rows)
            else:
                rows = self._rows("IIIBBH", row)
                plain = ((n, info, at, value, size) for n, value, size, info, _, at in rows)
            found += [Symbol(_string(names, n), i & 15, i >> 4, at, value, size) for n, i, at, value, size in plain]
        return found

    @property
    def functions(self) -> list[Symbol]:
        """The functions, in the order of the symbols."""
        known = range(1, len(self.sections))
        return [s for s in self.symbols if s.kind == FUNCTION and s.section in known and self._holds_code(s)]

    def _holds_code(self, symbol: Symbol) -> bool:
        return self.sections[symbol.section].is_code

    def relocations(self, section: Section) -> list[tuple[int, int, str]]:
        """The (offset, type, what the symbol is) of a section of relocations of a 64-bit object, by offset."""
        found = []
        for offset, info, *addend in self._rows("QQ" if section.type == REL else "QQq", self.body(section)):
            if info >> 32 >= len(self.symbols):
                raise NotElf("a relocation has no symbol")
            symbol = self.symbols[info >> 32]
            what = f"{symbol.name} {self.place(symbol.section)}+{symbol.value + sum(addend)}"
            found.append((offset, info & 0xFFFFFFFF, what))
        return sorted(found)

    def _rows(self, layout: str, data: bytes) -> Iterator[tuple[int, ...]]:
        try:
            yield from struct.iter_unpack(self.order + layout, data)
        except struct.error as error:
            raise NotElf(f"a table that is cut off: {error}") from None


def _string(strings: bytes, at: int) -> str:
    end = strings.find(b"\0", at, at + _LONGEST)
    return strings[at : end if end >= 0 else at + _LONGEST].decode("utf-8", "surrogateescape")


# -- .BTF.ext

_EXT_MAGIC = 0xEB9F
LINES, CORE_RELOCATIONS = 1, 2  # tables of .BTF.ext, in its order; 0 is of functions


def extended(elf: Elf, table: int) -> Iterator[tuple[int, tuple[int, int, int, int]]]:
    """The records of a table of `.BTF.ext`, each with the place of its section's name in BTF's strings: of LINES
    (offset in bytes, file, text, line << 10 | column), of CORE_RELOCATIONS (offset in bytes, type, access, kind)."""
    data, order = elf.body(elf.section(".BTF.ext")), elf.order
    try:
        if not data or struct.unpack_from(order + "H", data)[0] != _EXT_MAGIC:
            return
        (header,) = struct.unpack_from(order + "I", data, 4)
        if header < 8 * (table + 2):
            return
        start, size = struct.unpack_from(order + "II", data, 8 + 8 * table)
        at, end = header + start, header + start + size
        width = struct.unpack_from(order + "I", data, at)[0] if size >= 4 else 0
        at += 4
        while width >= 16 and at + 8 <= end:
            name, count = struct.unpack_from(order + "II", data, at)
            at += 8
            for n in range(count):
                yield name, struct.unpack_from(order + "IIII", data, at + n * width)
            at += count * width
    except struct.error as error:
        raise NotElf(f"its .BTF.ext is cut off: {error}") from None
