"""Which source line an instruction of a compiled program came from: the line table of an object's `.BTF.ext` section.

Verifier logs name the line themselves when the object had BTF (file and number from Linux 6.8 on). This is for the
rest: programs that were refused before their first instruction, and kernels that print the text alone.
"""

from __future__ import annotations

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
        return _line_of(_read(data), program, instruction)
    except (NotElf, BtfError) as error:
        raise ValueError(f"no ELF object that can be read: {error}") from None


def _line_of(elf: Elf, program: str, instruction: int) -> SourceLine | None:
    function = next((f for f in elf.functions if f.name == program), None)
    if function is None or not 0 <= instruction * _INSTRUCTION < function.size:
        return None
    wanted = function.value + instruction * _INSTRUCTION
    body = elf.body(elf.section(".BTF"))
    if not body:
        return None
    btf, section = Btf(Path(".BTF"), body), elf.place(function.section)
    lines = sorted(row for name, row in extended(elf, LINES) if btf.string(name) == section)
    before = [line for line in lines if function.value <= line[0] <= wanted]
    if not before:
        return None
    _, file, text, number = before[-1]
    return SourceLine(btf.text(file), number >> 10, btf.text(text).strip())


def _read(data: bytes) -> Elf:
    elf = Elf(data)
    if not elf.is_wide:
        raise NotElf("it is not one of 64 bits")
    return elf
