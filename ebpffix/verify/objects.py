"""Are two BPF objects the same program? Section by section, and function by function where there is code.

Compared are code and data, their relocations by symbol, the symbols, and from BTF what the kernel or libbpf acts on:
map definitions, externs, prototypes, CO-RE relocations (with the layout they refer to). Line numbers, DWARF, the
numbering of types and the place of a function in its section are not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ebpffix.kernel.btf import Btf, BtfError, Kind
from ebpffix.kernel.elf import CORE_RELOCATIONS, FUNCTION, OBJECT, REL, RELA, Elf, NotElf, extended

# By name: debug information, and tables that are read through the symbols.
_ASIDE = (".debug", ".BTF", ".rel.debug", ".rel.BTF", ".rela.debug", ".rela.BTF", ".llvm_addrsig", ".rel.llvm_")
_TABLES = (".strtab", ".symtab", ".shstrtab", "")


class NotAnObject(ValueError):
    """The bytes are no 64-bit ELF object that can be read."""


def _read(data: bytes) -> Elf:
    try:
        elf = Elf(data)
        if not elf.is_wide or elf.symbols is None:
            raise NotElf("it is not one of 64 bits")
    except NotElf as error:
        raise NotAnObject(f"not a 64-bit ELF object: {error}") from None
    return elf


def programs(data: bytes) -> list[tuple[str, str]]:
    """The programs of an object as (name, section), in the order of the file; what stands in .text is called by them.

    Raises NotAnObject.
    """
    elf = _read(data)
    found = sorted((f.section, f.value, f.name) for f in elf.functions)
    return [(name, elf.place(number)) for number, _, name in found if elf.place(number) != ".text"]


def functions(data: bytes) -> Iterator[tuple[str, bytes]]:
    """The functions of an object as (name, code), those that others call among them. Raises NotAnObject."""
    elf = _read(data)
    for symbol in elf.functions:
        yield symbol.name, elf.body(elf.sections[symbol.section])[symbol.value : symbol.value + symbol.size]


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
    try:
        return _parts(_read(data))
    except (NotElf, BtfError) as error:
        raise NotAnObject(f"a broken object: {error}") from None


def _parts(elf: Elf) -> dict[str, object]:
    found: dict[str, object] = {}
    types = elf.body(elf.section(".BTF"))
    btf = _Types(Btf(Path(".BTF"), types)) if types else None
    core = btf.relocations(elf) if btf else {}
    moved = {elf.place(s.info): elf.relocations(s) for s in elf.sections if s.type in (REL, RELA)}
    for number, section in enumerate(elf.sections):
        name = section.name
        if name.startswith(_ASIDE) or name in _TABLES or section.type in (REL, RELA):
            continue
        named = [s for s in elf.symbols if s.section == number and s.kind == FUNCTION]
        spans = [(f"{'function' if name == '.text' else 'program'} {f.name}", f.value, f.size) for f in named]
        if sum(size for _, _, size in spans) != section.size:  # data, or code that no symbol covers
            spans = [(f"section {name}", 0, section.size)]
        for part, start, size in spans:
            found[part] = (
                (name, section.type, section.flags, size, elf.body(section)[start : start + size]),
                _within(moved.get(name, []), start, size),
                _within(core.get(name, []), start, size),
            )
    for symbol in elf.symbols:
        if symbol.kind in (FUNCTION, OBJECT):
            value = symbol.value if symbol.kind == OBJECT else 0
            found[f"symbol {symbol.name}"] = (symbol.kind, symbol.bind, elf.place(symbol.section), value)
    return found | btf.parts() if btf else found


def _within(marks: Sequence[tuple[Any, ...]], start: int, size: int) -> list[tuple[Any, ...]]:
    """Of relocations that begin with their offset, those of a span, counted from its start."""
    return [(m[0] - start, *m[1:]) for m in marks if start <= m[0] < start + size]


_ALIASES = (Kind.VOLATILE, Kind.CONST, Kind.RESTRICT, Kind.TYPE_TAG)
_NAMED = (Kind.STRUCT, Kind.UNION, Kind.ENUM, Kind.FWD, Kind.TYPEDEF, Kind.ENUM64)
_VARIABLE = "variable"
VARIABLE = f".maps {_VARIABLE} "  # what begins the name of the part that a map's definition is
_DEEP = 200  # types within each other; no program has so many


class _Types:
    """The types of an object, written out so that their numbers do not matter."""

    def __init__(self, btf: Btf) -> None:
        self.btf = btf
        self._texts: dict[tuple[int, int], str] = {}
        self._depth = 0

    def parts(self) -> dict[str, object]:
        btf, found = self.btf, dict[str, object]()
        tags = self._tags()
        for number in range(len(btf)):
            kind, name = btf.kind(number), btf.name(number)
            if kind is Kind.DATASEC:
                words = btf.words(number)[2:]
                for variable, size in zip(words[::3], words[2::3], strict=True):
                    depth = 2 if name == ".maps" else 0
                    linkage = btf.words(variable)[2:]
                    found[f"{name} {_VARIABLE} {btf.name(variable)}"] = (
                        self.text(btf.target(variable), depth), size, linkage,
                    )  # fmt: skip
            elif kind is Kind.FUNC:
                found[f"prototype {name}"] = (self.text(btf.target(number)), sorted(tags.get(number, [])))
        return found

    def _tags(self) -> dict[int, list[tuple[str, int]]]:
        """The declaration tags of each type, as (name, component)."""
        found: dict[int, list[tuple[str, int]]] = {}
        for number in range(len(self.btf)):
            if self.btf.kind(number) is Kind.DECL_TAG:
                _, target, component = self.btf.words(number)
                found.setdefault(target, []).append((self.btf.name(number), component))
        return found

    def name(self, number: int) -> str:
        """The name of what a pointer points to, else all of it: so a struct that points to itself comes to an end."""
        kind, name = self.btf.kind(number), self.btf.name(number)
        if kind in _ALIASES:
            return f"{kind} {name} {self.name(self.btf.target(number))}"
        return name if name and kind in _NAMED else self.text(number)

    def text(self, number: int, follow: int = 0) -> str:
        """A type in words, or a digest of many: by value all of it, behind a pointer its name alone, save for `follow`
        pointers (those of a map's definition are its key and value)."""
        key = number, follow
        if key not in self._texts:
            if self._depth > _DEEP:
                raise self.btf.bad("its types contain each other")
            self._depth += 1
            words = self._text(number, follow)
            self._depth -= 1
            digest = hashlib.sha256(words.encode(errors="surrogateescape")).hexdigest
            self._texts[key] = words if len(words) < 200 else digest()
        return self._texts[key]

    def _text(self, number: int, follow: int) -> str:
        btf = self.btf
        kind, name, words = btf.kind(number), btf.name(number), btf.words(number)
        if kind is Kind.PTR:
            target = btf.target(number)
            return f"*{self.text(target, follow - 1) if follow else self.name(target)}"
        if kind in (Kind.STRUCT, Kind.UNION):
            members = (f"{m.name}@{m.offset}+{m.bits}:{self.text(m.type, follow)}" for m in btf.members(number))
            return f"{kind} {name}[{words[1]}]{{{';'.join(members)}}}"
        if kind is Kind.ARRAY:
            return f"{self.text(btf.target(number), follow)}[{btf.array_length(number)}]"
        if kind is Kind.FUNC_PROTO:
            given = (f"{n}:{self.text(t)}" for n, t in btf.parameters(number))
            return f"{self.text(btf.target(number))}({','.join(given)})"
        if kind in (Kind.ENUM, Kind.ENUM64):
            return f"enum {name}[{words[1]}]{btf.enumerators(number)}"
        if kind in (Kind.TYPEDEF, *_ALIASES, Kind.FUNC):
            return f"{kind} {name} {self.text(btf.target(number), follow)}"
        return f"{kind} {name}{words}"

    def relocations(self, elf: Elf) -> dict[str, list[tuple[Any, ...]]]:
        """CO-RE relocations by section, as (offset, type, access, kind), in order."""
        found: dict[str, list[tuple[Any, ...]]] = {}
        for section, (offset, number, access, kind) in extended(elf, CORE_RELOCATIONS):
            place = found.setdefault(self.btf.string(section), [])
            place.append((offset, self.text(number), self.btf.string(access), kind))
        return found
