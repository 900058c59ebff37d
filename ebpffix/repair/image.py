"""A compiled object as something that can be run: functions with their instructions, maps, and global data."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path

from ebpffix.kernel.btf import Btf, BtfError, Kind
from ebpffix.kernel.elf import FUNCTION, REL, Elf, NotElf, Symbol
from ebpffix.repair.bytecode import Insn

_SECTION = 3  # Symbol.kind
_DATA = (".data", ".bss", ".rodata")


@dataclass(frozen=True)
class MapInfo:
    """A map's definition; sizes are bytes."""

    name: str
    type: int
    key: int
    value: int
    entries: int


@dataclass(frozen=True)
class Reference:
    """What an instruction refers to: a map, a function, or `offset` bytes into a section of data."""

    kind: str  # "map", "function", "data"
    name: str
    offset: int = 0


@dataclass
class Image:
    """`functions` by name; `references` by (function, instruction); `data` are the sections of global variables."""

    functions: dict[str, list[Insn]] = field(default_factory=dict)
    sections: dict[str, str] = field(default_factory=dict)
    references: dict[tuple[str, int], Reference] = field(default_factory=dict)
    maps: dict[str, MapInfo] = field(default_factory=dict)
    data: dict[str, bytes] = field(default_factory=dict)


def read(data: bytes) -> Image:
    """The image of an object. Raises ValueError for what is none, and for what only a loader resolves."""
    image = Image()
    try:
        elf = Elf(data)
        for section in elf.sections:
            if section.name.startswith(_DATA):
                image.data[section.name] = elf.body(section) or bytes(section.size)
        for symbol in elf.functions:
            section = elf.sections[symbol.section]
            code = elf.body(section)[symbol.value : symbol.value + symbol.size]
            image.functions[symbol.name] = [
                Insn(op, regs & 15, regs >> 4, off, imm) for op, regs, off, imm in struct.iter_unpack("<BBhi", code)
            ]
            image.sections[symbol.name] = section.name
        _relocate(elf, image)
        image.maps = _maps(elf)
    except (BtfError, struct.error) as error:
        raise NotElf(str(error)) from None
    return image


def _relocate(elf: Elf, image: Image) -> None:
    for section in elf.sections:
        if section.type != REL or not 0 <= section.info < len(elf.sections):
            continue
        code = elf.sections[section.info]
        starts = [s for s in elf.functions if s.section == section.info]
        if not code.is_code:
            continue
        for offset, info in struct.iter_unpack(elf.order + "QQ", elf.body(section)):
            owner = next((s for s in starts if s.value <= offset < s.value + s.size), None)
            if owner is not None and info >> 32 < len(elf.symbols):
                (imm,) = struct.unpack_from("<i", elf.body(code), offset + 4)
                at = owner.name, (offset - owner.value) // 8
                image.references[at] = _reference(elf, elf.symbols[info >> 32], imm)


def _reference(elf: Elf, symbol: Symbol, imm: int) -> Reference:
    place = elf.place(symbol.section)
    if place == ".maps":
        return Reference("map", symbol.name)
    if place.startswith(_DATA):
        return Reference("data", place, symbol.value + imm)
    if symbol.kind == FUNCTION:
        return Reference("function", symbol.name)
    if symbol.kind == _SECTION:  # the call's immediate says where in it
        wanted = symbol.value + (imm + 1) * 8
        function = next((s.name for s in elf.functions if elf.place(s.section) == place and s.value == wanted), "")
        if function:
            return Reference("function", function)
    raise ValueError(f"{symbol.name} is known to a loader alone")


def _maps(elf: Elf) -> dict[str, MapInfo]:
    data = elf.body(elf.section(".BTF"))
    found: dict[str, MapInfo] = {}
    if not data:
        return found
    btf = Btf(Path(".BTF"), data)
    for number in range(1, len(btf)):
        if btf.plain_kind(number) == Kind.DATASEC and btf.name(number) == ".maps":
            for variable in btf.words(number)[2::3]:
                found[btf.name(variable)] = _map(btf, btf.name(variable), btf.target(variable))
    return found


def _map(btf: Btf, name: str, number: int) -> MapInfo:
    """A map as `__uint()` and `__type()` write it: numbers as the lengths of arrays, types behind pointers."""
    facts = {"type": 0, "max_entries": 0, "key": 0, "value": 0, "key_size": 0, "value_size": 0}
    for member in btf.members(btf.resolve(number)):
        kind = btf.resolve(member.type)
        if btf.plain_kind(kind) != Kind.PTR or member.name not in facts:
            continue
        behind = btf.resolve(btf.target(kind))
        if member.name in ("key", "value"):
            facts[member.name] = btf.size_of(behind)
        elif btf.plain_kind(behind) == Kind.ARRAY:
            facts[member.name] = btf.array_length(behind)
    key_size, value_size = facts["key"] or facts["key_size"], facts["value"] or facts["value_size"]
    return MapInfo(name, facts["type"], key_size, value_size, facts["max_entries"])
