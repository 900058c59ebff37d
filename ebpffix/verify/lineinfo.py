"""Which source line an instruction of a compiled program came from: the line table of an object's `.BTF.ext` section.

Verifier logs name the line themselves when the object had BTF (file and number from Linux 6.8 on). This is for the
rest: programs that were refused before their first instruction, and kernels that print the text alone.
"""

from __future__ import annotations

import re
from pathlib import Path

from ebpffix.kernel.btf import Btf, BtfError
from ebpffix.kernel.elf import LINES, Elf, NotElf, Symbol, extended
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
        return _line_of(_read(data), program, instruction)
    except (NotElf, BtfError) as error:
        raise ValueError(f"no ELF object that can be read: {error}") from None


def _line_of(elf: Elf, program: str, instruction: int) -> SourceLine | None:
    function = next((f for f in elf.functions if f.name == program), None)
    if function is None or not 0 <= instruction * _INSTRUCTION < function.size:
        return None
    return next((line for first, line in reversed(_lines(elf, function)) if first <= instruction), None)


def _lines(elf: Elf, function: Symbol) -> list[tuple[int, SourceLine]]:
    """The lines of a function in order, each with its first instruction."""
    body = elf.body(elf.section(".BTF"))
    if not body:
        return []
    btf, section = Btf(Path(".BTF"), body), elf.place(function.section)
    rows = sorted(row for name, row in extended(elf, LINES) if btf.string(name) == section)
    return [
        ((at - function.value) // _INSTRUCTION, SourceLine(btf.text(file), number >> 10, btf.text(text).strip()))
        for at, file, text, number in rows
        if function.value <= at < function.value + function.size
    ]


_TEXT = re.compile(r"^; ?(.*)\n(?=(\d+): \()", re.MULTILINE)


def numbered(log: str, data: bytes, program: str) -> str:
    """A log of a kernel before 6.8, which quotes lines without their numbers, with file and number behind each as later
    kernels have it, out of the object that was loaded. Other logs come back as they are."""
    try:
        elf = _read(data)
        function = next((f for f in elf.functions if f.name == program), None)
        lines = dict(_lines(elf, function)) if function else {}
    except (NotElf, BtfError):
        return log

    def placed(match: re.Match[str]) -> str:
        line = lines.get(int(match[2]))
        if line is None or line.text != match[1].strip():
            return match[0]
        return f"; {match[1]} @ {line.file.rpartition('/')[2]}:{line.line}\n"

    return _TEXT.sub(placed, log)


def _read(data: bytes) -> Elf:
    elf = Elf(data)
    if not elf.is_wide:
        raise NotElf("it is not one of 64 bits")
    return elf
