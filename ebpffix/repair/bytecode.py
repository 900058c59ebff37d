"""The instructions of a compiled object, and the helpers by number."""

from __future__ import annotations

import functools
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ebpffix.verify.objects import functions

_CALL = 0x85
_DEFINITIONS = Path(__file__).parent.parent / "headers" / "libbpf" / "bpf" / "bpf_helper_defs.h"


@dataclass(frozen=True, slots=True)
class Insn:
    """One instruction of 8 bytes; the second half of a 16-byte one has the opcode 0."""

    opcode: int
    dst: int
    src: int
    offset: int
    imm: int

    @property
    def is_helper(self) -> bool:
        return self.opcode == _CALL and self.src == 0


def instructions(data: bytes) -> Iterator[tuple[str, list[Insn]]]:
    """(function, its instructions) of an object. Raises NotAnObject."""
    for name, code in functions(data):
        found = []
        for opcode, registers, offset, imm in struct.iter_unpack("<BBhi", code[: len(code) // 8 * 8]):
            found.append(Insn(opcode, registers & 15, registers >> 4, offset, imm))
        yield name, found


@functools.cache
def helper_names() -> dict[int, str]:
    """The names of all helpers by number."""
    text = _DEFINITIONS.read_text()
    return {int(n): f"bpf_{name}" for n, name in re.findall(r"EBPFFIX_HELPER\((\d+),[^,]*?,\s*(\w+)", text)}
