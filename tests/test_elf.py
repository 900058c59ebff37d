"""ELF files of both classes: sections, symbols, relocations, and what is broken."""

from __future__ import annotations

import mmap
import random
import subprocess
from pathlib import Path

import pytest

from ebpffix.kernel.elf import CORE_RELOCATIONS, LINES, REL, Elf, NotElf, extended
from ebpffix.verify.compile import find_clang

PROGRAM = b"""
struct s { int a, b; } __attribute__((preserve_access_index));
static __attribute__((noinline)) int inner(struct s *s) { return __builtin_preserve_access_index(&s->b) != 0; }
int count;
__attribute__((section("kprobe/f"))) int first(struct s *s)
{
    count++;
    return inner(s);
}
"""


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("elf")
    (folder / "p.c").write_bytes(PROGRAM)
    clang = find_clang(None).path
    subprocess.run([clang, "-target", "bpf", "-O2", "-g", "-c", "p.c", "-o", "p.o"], cwd=folder, check=True)
    return (folder / "p.o").read_bytes()


def test_what_an_object_holds(compiled: bytes) -> None:
    elf = Elf(compiled)
    assert elf.is_wide and elf.pointer_size == 8 and elf.order == "<"
    code = elf.section("kprobe/f")
    assert code is not None and code.is_code and len(elf.body(code)) == code.size
    first = next(f for f in elf.functions if f.name == "first")
    assert elf.place(first.section) == "kprobe/f" and first.size == code.size and first.value == 0
    moved = [elf.relocations(s) for s in elf.sections if s.type == REL and elf.place(s.info) == "kprobe/f"]
    assert any(what.startswith("count ") for _, _, what in moved[0])
    assert elf.section(".nothing") is None and elf.body(None) == b"" and elf.place(0xFFF1) == "#65521"


def test_the_tables_of_btf_ext(compiled: bytes) -> None:
    elf = Elf(compiled)
    lines = {row[3] >> 10 for _, row in extended(elf, LINES)}
    assert {7, 8} <= lines
    assert len(list(extended(elf, CORE_RELOCATIONS))) == 1


def test_a_mapped_file_is_read_as_bytes_are(compiled: bytes, tmp_path: Path) -> None:
    path = tmp_path / "p.o"
    path.write_bytes(compiled)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        elf = Elf(mapped)
        assert elf.body(elf.section(".BTF")) == Elf(compiled).body(Elf(compiled).section(".BTF"))


@pytest.mark.parametrize("data", [b"", b"\x7fELF", b"\x7fELF" + bytes(60), b"#!/bin/sh\n" * 20])
def test_what_is_none(data: bytes) -> None:
    with pytest.raises(NotElf):
        Elf(data)


def test_a_broken_object_says_so_and_nothing_else(compiled: bytes) -> None:
    chance = random.Random(3)
    for _ in range(150):
        data = bytearray(compiled)
        for _ in range(4):
            data[chance.choice((chance.randrange(64), -1 - chance.randrange(1200)))] = chance.randrange(256)
        cut = bytes(data[: chance.randrange(len(data))] if chance.random() < 0.3 else data)
        try:
            elf = Elf(cut)
            for section in elf.sections:
                elf.body(section)
                if section.type == REL:
                    elf.relocations(section)
            assert isinstance(elf.functions, list)
            list(extended(elf, LINES))
        except NotElf as error:
            assert str(error) and "\n" not in str(error)
