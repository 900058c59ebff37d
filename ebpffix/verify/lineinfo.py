"""Which source line an instruction of a compiled program came from: the line table of an object's `.BTF.ext` section.

Verifier logs name the line themselves when the object had BTF (file and number from Linux 6.8 on). This is for the
rest: programs that were refused before their first instruction, and kernels that print the text alone.
"""

from __future__ import annotations

import struct
from collections.abc import Set
from dataclasses import dataclass
from typing import NamedTuple

from ebpffix.verify.logs import SourceLine
from ebpffix.verify.objects import LONGEST

_BTF_MAGIC = 0xEB9F
_INSTRUCTION = 8  # bytes
_FUNCTION = 2  # STT_FUNC


class _Section(NamedTuple):
    name: bytes
    offset: int
    size: int
    link: int


@dataclass(frozen=True)
class _Elf:
    data: bytes
    order: str  # of struct: "<" or ">"
    sections: list[_Section]

    def body(self, name: bytes) -> bytes:
        """The section's bytes; b"" when there is none."""
        found = next((s for s in self.sections if s.name == name), None)
        return self.data[found.offset : found.offset + found.size] if found else b""

    def function(self, wanted: str) -> tuple[bytes, int, int] | None:
        """Section name, offset and size in bytes of a function."""
        table = next((s for s in self.sections if s.name == b".symtab"), None)
        if table is None or table.link >= len(self.sections):
            return None
        strings = self.sections[table.link]
        for at in range(table.offset, table.offset + table.size - 23, 24):
            name, info, _, section, value, size = struct.unpack_from(self.order + "IBBHQQ", self.data, at)
            found = info & 15 == _FUNCTION and section < len(self.sections)
            if found and _string(self.data, strings.offset + name) == wanted.encode():
                return self.sections[section].name, value, size
        return None


def check(data: bytes) -> None:
    """ValueError, with a reason, for what is no ELF object with a line table."""
    try:
        elf = _read(data)
        found = _lines(elf, frozenset(section.name for section in elf.sections))
    except (struct.error, OverflowError) as error:
        raise ValueError(f"not a whole ELF object: {error}") from None
    if not found:
        raise ValueError("no line table in it (.BTF.ext)")


def line_of(data: bytes, program: str, instruction: int) -> SourceLine | None:
    """The source line of instruction number `instruction` (from 0) of the function `program` in the object `data`.

    The number is the log's: 8 bytes are one. None without a line table, for a program that is not there, and
    for instructions behind its end, which are of functions that libbpf appended. Raises ValueError for what is no ELF
    object for BPF.
    """
    try:
        return _line_of(data, program, instruction)
    except (struct.error, OverflowError) as error:
        raise ValueError(f"not a whole ELF object: {error}") from None


def _line_of(data: bytes, program: str, instruction: int) -> SourceLine | None:
    elf = _read(data)
    function = elf.function(program)
    if function is None or not 0 <= instruction * _INSTRUCTION < function[2]:
        return None
    section, start, _ = function
    wanted = start + instruction * _INSTRUCTION
    btf = elf.body(b".BTF")
    if not btf:
        return None
    before = [line for line in _lines(elf, {section}) if start <= line[0] <= wanted]
    if not before:
        return None
    _, file, text, number = before[-1]
    name, words = (_btf_string(btf, elf.order, at).decode("utf-8", "replace") for at in (file, text))
    return SourceLine(name, number >> 10, words.strip())


def _read(data: bytes) -> _Elf:
    if data[:5] != b"\x7fELF\x02":
        raise ValueError("not a 64-bit ELF object")
    order = "<" if data[5] == 1 else ">"
    (table,) = struct.unpack_from(order + "Q", data, 40)
    entry_size, count, names_at = struct.unpack_from(order + "HHH", data, 58)
    raw = [struct.unpack_from(order + "IIQQQQII", data, table + n * entry_size) for n in range(count)]
    names = raw[names_at][4] if names_at < count else 0
    return _Elf(data, order, [_Section(_string(data, names + r[0]), r[4], r[5], r[6]) for r in raw])


def _string(data: bytes, at: int) -> bytes:
    end = data.find(b"\0", at, at + LONGEST)
    return data[at:end] if end >= 0 else b""


def _btf_string(btf: bytes, order: str, at: int) -> bytes:
    magic, _, _, header, _, _, strings, _ = struct.unpack_from(order + "HBBIIIII", btf)
    return _string(btf, header + strings + at) if magic == _BTF_MAGIC else b""


def _lines(elf: _Elf, wanted: Set[bytes]) -> list[tuple[int, int, int, int]]:
    """The line table of sections by offset: offset in bytes, file and text as places in BTF's strings, line << 10."""
    ext = elf.body(b".BTF.ext")
    if not ext:
        return []
    magic, _, _, header, _, _, at, size = struct.unpack_from(elf.order + "HBBIIIII", ext)
    if magic != _BTF_MAGIC or size < 4:
        return []
    btf, at, end = elf.body(b".BTF"), header + at, header + at + size
    (record,) = struct.unpack_from(elf.order + "I", ext, at)
    at += 4
    found: list[tuple[int, int, int, int]] = []
    while record >= 16 and at + 8 <= end:
        name, count = struct.unpack_from(elf.order + "II", ext, at)
        at += 8
        if _btf_string(btf, elf.order, name) in wanted:
            found += [struct.unpack_from(elf.order + "IIII", ext, at + n * record) for n in range(count)]
        at += count * record
    return sorted(found)
