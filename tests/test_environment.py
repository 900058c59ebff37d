"""Which headers of a program are precompiled."""

from __future__ import annotations

from pathlib import Path

import pytest

from ebpffix.fix import LIBBPF
from ebpffix.frontend import environment
from ebpffix.frontend.environment import Environment, Options, Setup
from ebpffix.sources.source import Source

PROGRAM = b'#include "vmlinux.h"\nint x;\n'


def setup(folder: Path, program: bytes = PROGRAM) -> Setup:
    source = Source(folder / "a.bpf.c", program)
    return Environment(Options()).setup(source, LIBBPF, [folder], folder / "vmlinux.h")


def heavy(name: str = "types") -> bytes:
    return b"struct %s { int x; };\n" % name.encode() + b"/* %s */\n" % (b"-" * environment._HEAVY)


def test_a_small_header_is_not_precompiled(tmp_path: Path) -> None:
    (tmp_path / "vmlinux.h").write_bytes(b"struct types { int x; };\n")
    assert setup(tmp_path).prefix == ()


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_heavy_one_is_and_its_content_counts(tmp_path: Path, wrapped: bool) -> None:
    text = tmp_path / ("vmlinux_x86.h" if wrapped else "vmlinux.h")
    if wrapped:
        (tmp_path / "vmlinux.h").write_bytes(b'#if 1\n#include "vmlinux_x86.h"\n#endif\n')
    text.write_bytes(heavy())
    first = setup(tmp_path)
    assert first.prefix[0] == str(tmp_path / "vmlinux.h")
    text.write_bytes(heavy("other"))
    assert setup(tmp_path).digest != first.digest


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_program_that_renames_what_is_in_it_reads_it_itself(tmp_path: Path, wrapped: bool) -> None:
    (tmp_path / "vmlinux.h").write_bytes(b'#include "vmlinux_x86.h"\n' if wrapped else heavy())
    (tmp_path / "vmlinux_x86.h").write_bytes(heavy())
    assert setup(tmp_path, b"#define types other\n" + PROGRAM).prefix == ()
