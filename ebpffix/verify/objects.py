"""Are two BPF objects the same program? Section by section, and function by function where there is code.

Compared are code and data, their relocations by symbol, the symbols, and from BTF what the kernel or libbpf acts on:
map definitions, externs, prototypes, CO-RE relocations (with the layout they refer to). Line numbers, DWARF, the
numbering of types and the place of a function in its section are not.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_SYMTAB, _RELA, _NOBITS, _REL = 2, 4, 8, 9  # sh_type
_EXECINSTR = 4  # sh_flags
_OBJECT, _FUNC, _SECTION = 1, 2, 3  # st_info & 15
# By name: debug information, and tables that are read through the symbols.
_ASIDE = (".debug", ".BTF", ".rel.debug", ".rel.BTF", ".rela.debug", ".rela.BTF", ".llvm_addrsig", ".rel.llvm_")
_TABLES = (".strtab", ".symtab", ".shstrtab", "")


# What reading past an end, or a number that makes no sense, comes to.
_BROKEN = (struct.error, IndexError, KeyError, ValueError, OverflowError, RecursionError)


class NotAnObject(ValueError):
    """The bytes are no 64-bit ELF object that can be read."""


@dataclass(frozen=True)
class _Section:
    name: str
    type: int
    flags: int
    data: bytes
    size: int
    link: int
    info: int


@dataclass(frozen=True)
class _Symbol:
    name: str
    kind: int
    bind: int
    section: int
    value: int
    size: int


class _Elf:
    def __init__(self, data: bytes) -> None:
        if data[:5] != b"\x7fELF\x02":
            raise NotAnObject("not a 64-bit ELF object")
        self.order = "<" if data[5] == 1 else ">"
        try:
            self.sections = list(self._sections(data))
            self.symbols = list(self._symbols())
        except _BROKEN as error:
            raise NotAnObject(f"a broken ELF object: {error}") from None

    def _sections(self, data: bytes) -> Iterator[_Section]:
        (start,) = struct.unpack_from(self.order + "Q", data, 0x28)
        width, count, names = struct.unpack_from(self.order + "HHH", data, 0x3A)
        heads = [struct.unpack_from(self.order + "IIQQQQII", data, start + n * width) for n in range(count)]
        offset, length = heads[names][4:6]
        strings = data[offset : offset + length]
        for name, kind, flags, _, offset, size, link, info in heads:
            content = b"" if kind == _NOBITS else data[offset : offset + size]
            yield _Section(_string(strings, name), kind, flags, content, size, link, info)

    def _symbols(self) -> Iterator[_Symbol]:
        for table in self.sections:
            if table.type == _SYMTAB:
                strings = self.sections[table.link].data
                for name, info, _, section, value, size in struct.iter_unpack(self.order + "IBBHQQ", table.data):
                    yield _Symbol(_string(strings, name), info & 15, info >> 4, section, value, size)

    def place(self, number: int) -> str:
        """The name of a section by its number; reserved numbers stand for themselves."""
        return self.sections[number].name if 0 < number < len(self.sections) else f"#{number}"

    def relocations(self, section: _Section) -> list[tuple[Any, ...]]:
        """(offset, type, what the symbol is), by offset."""
        entry = "QQ" if section.type == _REL else "QQq"
        found: list[tuple[Any, ...]] = []
        for offset, info, *addend in struct.iter_unpack(self.order + entry, section.data):
            symbol = self.symbols[info >> 32]
            what = f"{symbol.name} {self.place(symbol.section)}+{symbol.value + sum(addend)}"
            found.append((offset, info & 0xFFFFFFFF, what))
        return sorted(found)


def _string(strings: bytes, offset: int) -> str:
    return strings[offset : strings.index(b"\0", offset)].decode("utf-8", "surrogateescape")


def programs(data: bytes) -> list[tuple[str, str]]:
    """The programs of an object as (name, section), in the order of the file; what stands in .text is called by them.

    Raises NotAnObject.
    """
    elf = _Elf(data)
    found = [
        (s.section, s.value, s.name)
        for s in elf.symbols
        if s.kind == _FUNC and 0 < s.section < len(elf.sections) and elf.sections[s.section].flags & _EXECINSTR
    ]
    return [(name, elf.place(n)) for n, _, name in sorted(found) if elf.place(n) != ".text"]


def functions(data: bytes) -> Iterator[tuple[str, bytes]]:
    """The functions of an object as (name, code), those that others call among them. Raises NotAnObject."""
    elf = _Elf(data)
    for symbol in elf.symbols:
        if symbol.kind == _FUNC and 0 < symbol.section < len(elf.sections):
            section = elf.sections[symbol.section]
            if section.flags & _EXECINSTR:
                yield symbol.name, section.data[symbol.value : symbol.value + symbol.size]


def same_object(a: bytes, b: bytes) -> bool:
    """Whether two objects are the same to the kernel. Raises NotAnObject."""
    return a == b or parts(a) == parts(b)


def difference(a: bytes, b: bytes) -> str:
    """The first difference in one line, "" for none. Raises NotAnObject."""
    before, after = parts(a), parts(b)
    for name in sorted(before.keys() | after.keys()):
        if name not in after or name not in before:
            return f"{name}: only {'before' if name in before else 'after'}"
        if before[name] != after[name]:
            return f"{name} differs"
    return ""


def parts(data: bytes) -> dict[str, object]:
    """What an object is made of, under names that a person can read; "program NAME" is what only that program has.

    Two objects of equal parts are the same to the kernel. Raises NotAnObject.
    """
    elf = _Elf(data)
    try:
        return _parts(elf)
    except _BROKEN as error:
        raise NotAnObject(f"a broken object: {error}") from None


def _parts(elf: _Elf) -> dict[str, object]:
    found: dict[str, object] = {}
    types = next((s.data for s in elf.sections if s.name == ".BTF"), b"")
    extended = next((s.data for s in elf.sections if s.name == ".BTF.ext"), b"")
    btf = _Btf(types, elf.order) if types else None
    core = btf.relocations(extended) if btf else {}
    moved = {elf.place(s.info): elf.relocations(s) for s in elf.sections if s.type in (_REL, _RELA)}
    for number, section in enumerate(elf.sections):
        name = section.name
        if name.startswith(_ASIDE) or name in _TABLES or section.type in (_REL, _RELA):
            continue
        functions = [s for s in elf.symbols if s.section == number and s.kind == _FUNC]
        spans = [(f"{'function' if name == '.text' else 'program'} {f.name}", f.value, f.size) for f in functions]
        if sum(size for _, _, size in spans) != section.size:  # data, or code that no symbol covers
            spans = [(f"section {name}", 0, section.size)]
        for part, start, size in spans:
            found[part] = (
                (name, section.type, section.flags, size, section.data[start : start + size]),
                _within(moved.get(name, []), start, size),
                _within(core.get(name, []), start, size),
            )
    for symbol in elf.symbols:
        if symbol.kind in (_FUNC, _OBJECT):
            value = symbol.value if symbol.kind == _OBJECT else 0
            found[f"symbol {symbol.name}"] = (symbol.kind, symbol.bind, elf.place(symbol.section), value)
    return found | btf.parts() if btf else found


def _within(marks: list[tuple[Any, ...]], start: int, size: int) -> list[tuple[Any, ...]]:
    """Of relocations that begin with their offset, those of a span, counted from its start."""
    return [(m[0] - start, *m[1:]) for m in marks if start <= m[0] < start + size]


@dataclass(frozen=True)
class _Type:
    name: str
    kind: int
    flag: int
    size: int  # or the number of the type that this one refers to
    extra: tuple[tuple[int, ...], ...]  # what follows, entry by entry


# BTF kinds
_INT, _PTR, _ARRAY, _STRUCT, _UNION, _ENUM, _FWD, _TYPEDEF = range(1, 9)
_VOLATILE, _CONST, _RESTRICT, _FUNCTION, _PROTO, _VAR, _DATASEC, _FLOAT, _DECL_TAG, _TYPE_TAG, _ENUM64 = range(9, 20)

_EXTRA = {_INT: "I", _ARRAY: "III", _VAR: "I", _DECL_TAG: "i"}
_ENTRY = {_STRUCT: "III", _UNION: "III", _ENUM: "Ii", _PROTO: "II", _DATASEC: "III", _ENUM64: "III"}


class _Btf:
    """The types of an object, written out so that their numbers do not matter."""

    def __init__(self, data: bytes, order: str) -> None:
        self.order = order
        header, types, length, names, names_length = struct.unpack_from(order + "IIIII", data, 4)
        self.strings = data[header + names : header + names + names_length]
        self.types = [_Type("void", 0, 0, 0, ())]
        self._texts: dict[tuple[int, int], str] = {}
        at, end = header + types, header + types + length
        while at < end:
            name, info, size = struct.unpack_from(order + "III", data, at)
            at += 12
            kind, count = info >> 24 & 31, info & 0xFFFF
            layout, entries = (_EXTRA[kind], 1) if kind in _EXTRA else (_ENTRY.get(kind, ""), count)
            width = struct.calcsize(order + layout) if layout else 0
            tail = data[at : at + width * entries]
            extra = tuple(struct.iter_unpack(order + layout, tail)) if width else ()
            self.types.append(_Type(self.string(name), kind, info >> 31, size, extra))
            at += len(tail)

    def string(self, offset: int) -> str:
        return _string(self.strings, offset)

    def parts(self) -> dict[str, object]:
        found: dict[str, object] = {}
        for number, each in enumerate(self.types):
            if each.kind == _DATASEC:
                for variable, _, size in each.extra:
                    var = self.types[variable]
                    depth = 2 if each.name == ".maps" else 0
                    found[f"{each.name} variable {var.name}"] = (self.text(var.size, depth), size, var.extra)
            elif each.kind == _FUNCTION:
                found[f"prototype {each.name}"] = (self.text(each.size), self.tags(number))
        return found

    def tags(self, number: int) -> list[tuple[str, int]]:
        return sorted((t.name, t.extra[0][0]) for t in self.types if t.kind == _DECL_TAG and t.size == number)

    def name(self, number: int) -> str:
        """The name of what a pointer points to, else all of it: so a struct that points to itself comes to an end."""
        each = self.types[number]
        if each.kind in (_VOLATILE, _CONST, _RESTRICT, _TYPE_TAG):
            return f"{each.kind} {each.name} {self.name(each.size)}"
        named = each.name and each.kind in (_STRUCT, _UNION, _ENUM, _FWD, _TYPEDEF, _ENUM64)
        return each.name if named else self.text(number)

    def text(self, number: int, follow: int = 0) -> str:
        """A type in words, or a digest of many: by value all of it, behind a pointer its name alone, save for `follow`
        pointers (those of a map's definition are its key and value)."""
        key = number, follow
        if key not in self._texts:
            words = self._text(number, follow)
            digest = hashlib.sha256(words.encode(errors="surrogateescape")).hexdigest
            self._texts[key] = words if len(words) < 200 else digest()
        return self._texts[key]

    def _text(self, number: int, follow: int) -> str:
        each = self.types[number]
        kind, name = each.kind, each.name
        if kind == _PTR:
            return f"*{self.text(each.size, follow - 1) if follow else self.name(each.size)}"
        if kind in (_STRUCT, _UNION):
            members = (f"{self.string(n)}@{at}:{self.text(t, follow)}" for n, t, at in each.extra)
            return f"{kind} {name}[{each.size}]{{{';'.join(members)}}}"
        if kind == _ARRAY:
            item, _, count = each.extra[0]
            return f"{self.text(item, follow)}[{count}]"
        if kind == _PROTO:
            given = (f"{self.string(n)}:{self.text(t)}" for n, t in each.extra)
            return f"{self.text(each.size)}({','.join(given)})"
        if kind in (_ENUM, _ENUM64):
            return f"enum {name}[{each.size}]{[(self.string(n), *v) for n, *v in each.extra]}"
        if kind in (_TYPEDEF, _VOLATILE, _CONST, _RESTRICT, _TYPE_TAG, _FUNCTION):
            return f"{kind} {name} {self.text(each.size, follow)}"
        return f"{kind} {name}[{each.size}]{each.flag}{each.extra}"

    def relocations(self, extended: bytes) -> dict[str, list[tuple[Any, ...]]]:
        """CO-RE relocations by section, as (offset, type, access, kind), in order."""
        found: dict[str, list[tuple[Any, ...]]] = {}
        if len(extended) < 32:
            return found
        (header,) = struct.unpack_from(self.order + "I", extended, 4)
        if header < 32:
            return found
        start, length = struct.unpack_from(self.order + "II", extended, 24)
        at, end = header + start, header + start + length
        if not length:
            return found
        (width,) = struct.unpack_from(self.order + "I", extended, at)
        at += 4
        while at < end:
            section, count = struct.unpack_from(self.order + "II", extended, at)
            at += 8
            for _ in range(count):
                offset, number, access, kind = struct.unpack_from(self.order + "IIII", extended, at)
                place = found.setdefault(self.string(section), [])
                place.append((offset, self.text(number), self.string(access), kind))
                at += width
        return found
