"""Which source line an instruction of a compiled program came from: the line table of an object's `.BTF.ext` section.

Verifier logs name the line themselves when the object had BTF (file and number from Linux 6.8 on). This is for the
rest: programs that were refused before their first instruction, and kernels that print the text alone.
"""

from __future__ import annotations

import re
from pathlib import Path

from ebpffix.kernel.btf import Btf, BtfError
from ebpffix.kernel.elf import LINES, Elf, NotElf, extended
from ebpffix.verify.logs import SourceLine

_INSTRUCTION = 8  # bytes


def check(data: bytes) -> None:
    """ValueError, with a reason, for what is no ELF object with a line table."""
    try:
        found = next(extended(_read(data), LINES), None)
    except NotElf as error:
        raise ValueError(f"no ELF object that can be read: {error}") from None
    if found is None:
        raise ValueError("no line table in it (.BTF.ext)")


def line_of(data: bytes, program: str, instruction: int) -> SourceLine | None:
    """The source line of instruction number `instruction` (from 0) of the function `program` in the object `data`.

    The number is the log's: 8 bytes are one. None without a line table, for a program that is not there, and
    for instructions behind its end, which are of functions that libbpf appended. Raises ValueError for what is no ELF
    object for BPF.
    """
    try:
        lines = _lines(_read(data), program)
    except (NotElf, BtfError) as error:
        raise ValueError(f"no ELF object that can be read: {error}") from None
    return lines[instruction] if 0 <= instruction < len(lines) else None


def table(data: bytes, program: str) -> list[SourceLine | None]:
    """The source line, with its column, of each instruction of the function `program`, by number. Empty where there is
    none, and for what cannot be read."""
    try:
        return _lines(_read(data), program)
    except (NotElf, BtfError):
        return []


_QUOTED = re.compile(r"^; ?(.*)\n(?=(\d+): \()", re.MULTILINE)


def numbered(log: str, data: bytes, program: str) -> str:
    """A log of a kernel before 6.8, which quotes lines without their numbers, with file and number behind each as later
    kernels have it, out of the object that was loaded. Other logs come back as they are."""
    lines = table(data, program) if _QUOTED.search(log) else []

    def placed(match: re.Match[str]) -> str:
        number = int(match[2])
        line = lines[number] if number < len(lines) else None
        if line is None or line.text != match[1].strip():
            return match[0]
        return f"; {match[1]} @ {line.file.rpartition('/')[2]}:{line.line}\n"

    return _QUOTED.sub(placed, log) if lines else log


def _lines(elf: Elf, program: str) -> list[SourceLine | None]:
    function = next((f for f in elf.functions if f.name == program), None)
    body = elf.body(elf.section(".BTF"))
    if function is None or not body:
        return []
    btf, section = Btf(Path(".BTF"), body), elf.place(function.section)
    starts = {
        (at - function.value) // _INSTRUCTION: (file, text, number)
        for at, file, text, number in sorted(row for name, row in extended(elf, LINES) if btf.string(name) == section)
        if function.value <= at < function.value + function.size
    }
    lines: list[SourceLine | None] = []
    line = None
    for instruction in range(function.size // _INSTRUCTION if starts else 0):
        if instruction in starts:
            file, text, number = starts[instruction]
            line = SourceLine(btf.text(file), number >> 10, btf.text(text).strip(), number & 0x3FF)
        lines.append(line)
    return lines


def _read(data: bytes) -> Elf:
    elf = Elf(data)
    if not elf.is_wide:
        raise NotElf("it is not one of 64 bits")
    return elf
