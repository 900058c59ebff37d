"""Which source line an instruction of a compiled program came from: the line table of an object's `.BTF.ext` section.

Verifier logs name the line themselves when the object had BTF (file and number from Linux 6.8 on). This is for the
rest: programs that were refused before their first instruction, and kernels that print the text alone.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
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
        return _table(_read(data), program).at(instruction)
    except (NotElf, BtfError) as error:
        raise ValueError(f"no ELF object that can be read: {error}") from None


@dataclass(frozen=True)
class Table:
    """The source lines of a function's instructions: `lines` with their columns, `starts` the first instruction of
    each, in order; `count` are all."""

    starts: Sequence[int] = ()
    lines: Sequence[SourceLine] = ()
    count: int = 0

    def at(self, instruction: int) -> SourceLine | None:
        """The line of an instruction, by its number from 0; None where it has none."""
        row = bisect_right(self.starts, instruction) - 1 if instruction < self.count else -1
        return self.lines[row] if row >= 0 else None


def table(data: bytes, program: str) -> Table:
    """The source lines of the function `program`. Empty where there are none, and for what cannot be read."""
    try:
        return _table(_read(data), program)
    except (NotElf, BtfError):
        return Table()


_QUOTED = re.compile(r"^; ?(.*)\n(?=(\d+): \()", re.MULTILINE)


def numbered(log: str, data: bytes, program: str) -> str:
    """A log of a kernel before 6.8, which quotes lines without their numbers, with file and number behind each as later
    kernels have it, out of the object that was loaded. Other logs come back as they are."""
    lines = table(data, program) if _QUOTED.search(log) else Table()

    def placed(match: re.Match[str]) -> str:
        line = lines.at(int(match[2]))
        if line is None or line.text != match[1].strip():
            return match[0]
        return f"; {match[1]} @ {line.file.rpartition('/')[2]}:{line.line}\n"

    return _QUOTED.sub(placed, log) if lines.count else log


def _table(elf: Elf, program: str) -> Table:
    function = next((f for f in elf.functions if f.name == program), None)
    body = elf.body(elf.section(".BTF"))
    if function is None or not body:
        return Table()
    btf, section = Btf(Path(".BTF"), body), elf.place(function.section)
    rows = sorted(row for name, row in extended(elf, LINES) if btf.string(name) == section)
    own = [row for row in rows if function.value <= row[0] < function.value + function.size]
    return Table(
        [(at - function.value) // _INSTRUCTION for at, *_ in own],
        [SourceLine(btf.text(f), number >> 10, btf.text(text).strip(), number & 0x3FF) for _, f, text, number in own],
        function.size // _INSTRUCTION,
    )


def _read(data: bytes) -> Elf:
    elf = Elf(data)
    if not elf.is_wide:
        raise NotElf("it is not one of 64 bits")
    return elf
