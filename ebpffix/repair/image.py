"""A compiled object as something that can be run: functions with their instructions, maps, and global data."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from ebpffix.repair.bytecode import Insn
from ebpffix.verify.objects import Btf, Elf

_PTR, _ARRAY, _STRUCT, _UNION, _ENUM, _TYPEDEF = 2, 3, 4, 5, 6, 8
_MODIFIERS = (_TYPEDEF, 9, 10, 11, 18)  # typedef, volatile, const, restrict, type tag
_DATASEC = 15
_REL = 9


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


def read(object_: bytes) -> Image:
    """The image of an object. Raises NotAnObject, or ValueError for what only a loader resolves."""
    elf, image = Elf(object_), Image()
    for number, section in enumerate(elf.sections):
        if section.name.startswith((".data", ".bss", ".rodata")):
            image.data[section.name] = section.data or bytes(section.size)
        for symbol in elf.symbols:
            if symbol.section == number and symbol.kind == 2:
                code = section.data[symbol.value : symbol.value + symbol.size]
                image.functions[symbol.name] = [
                    Insn(op, regs & 15, regs >> 4, off, imm) for op, regs, off, imm in struct.iter_unpack("<BBhi", code)
                ]
                image.sections[symbol.name] = section.name
    _relocate(elf, image)
    image.maps = _maps(elf)
    return image


def _relocate(elf: Elf, image: Image) -> None:
    for section in elf.sections:
        if section.type != _REL or section.name.startswith((".rel.debug", ".rel.BTF", ".rel.eh")):
            continue
        if not 0 <= section.info < len(elf.sections):
            continue
        code = elf.sections[section.info]
        starts = [s for s in elf.symbols if s.section == section.info and s.kind == 2]
        for offset, info in struct.iter_unpack(elf.order + "QQ", section.data):
            owner = next((s for s in starts if s.value <= offset < s.value + s.size), None)
            target = elf.symbols[info >> 32]
            if owner is not None:
                at = (owner.name, (offset - owner.value) // 8)
                (imm,) = struct.unpack_from("<i", code.data, offset + 4)
                image.references[at] = _reference(elf, target, imm)


def _reference(elf: Elf, target: object, imm: int) -> Reference:
    symbol, place = target, elf.place(target.section)  # type: ignore[attr-defined]
    name, value, kind = symbol.name, symbol.value, symbol.kind  # type: ignore[attr-defined]
    if place == ".maps":
        return Reference("map", name)
    if place.startswith((".data", ".bss", ".rodata")):
        return Reference("data", place, value + imm)
    if kind == 2:
        return Reference("function", name)
    if kind == 3:  # a section: the call's immediate says where in it
        wanted = value + (imm + 1) * 8
        function = next(
            (s.name for s in elf.symbols if s.kind == 2 and elf.place(s.section) == place and s.value == wanted), ""
        )
        if function:
            return Reference("function", function)
    raise ValueError(f"{name} is known to a loader alone")


def _maps(elf: Elf) -> dict[str, MapInfo]:
    data = next((s.data for s in elf.sections if s.name == ".BTF"), b"")
    if not data:
        return {}
    btf, found = Btf(data, elf.order), {}
    for each in btf.types:
        if each.kind == _DATASEC and each.name == ".maps":
            for variable, _, _ in each.extra:
                var = btf.types[variable]
                found[var.name] = _map(btf, var.name, var.size)
    return found


def _map(btf: Btf, name: str, number: int) -> MapInfo:
    facts = {"type": 0, "max_entries": 0, "key": 0, "value": 0, "key_size": 0, "value_size": 0}
    for member, kind, _ in btf.types[_bare(btf, number)].extra:
        key, pointer = btf.string(member), btf.types[kind]
        if pointer.kind != _PTR or key not in facts:
            continue
        if key in ("key", "value"):
            facts[key] = _size(btf, pointer.size)
        else:
            array = btf.types[_bare(btf, pointer.size)]
            facts[key] = array.extra[0][2] if array.kind == _ARRAY else 0
    key_size, value_size = facts["key"] or facts["key_size"], facts["value"] or facts["value_size"]
    return MapInfo(name, facts["type"], key_size, value_size, facts["max_entries"])


def _bare(btf: Btf, number: int) -> int:
    while btf.types[number].kind in _MODIFIERS:
        number = btf.types[number].size
    return number


def _size(btf: Btf, number: int) -> int:
    each = btf.types[_bare(btf, number)]
    if each.kind == _PTR:
        return 8
    if each.kind == _ARRAY:
        item, _, count = each.extra[0]
        return _size(btf, item) * count
    return each.size
