"""What is made up for a program whose headers are not there."""

from __future__ import annotations

from pathlib import Path

from test_headers import VMLINUX

from ebpffix.fix import LIBBPF
from ebpffix.frontend import environment
from ebpffix.frontend.environment import Environment, Options
from ebpffix.frontend.parse import Parsed, parse
from ebpffix.sources.source import Source


def parsed(text: str) -> Parsed:
    source = Source(Path("/p/a.bpf.c"), text.encode())
    return parse(source, Environment(Options()).setup(source, LIBBPF), {str(source.path): source.data}, pch=None)


def test_types_come_before_the_variables_that_lack_them() -> None:
    found = parsed("int f(void)\n{\n\tour_t a;\n\t__be16 port = LIMIT;\n\treturn &a != 0 && port == 3;\n}\n")
    assert found.made_up == {"our_t", "__be16", "LIMIT"}
    assert not [message for message in found.missing if "port" in message]


def test_a_function_that_the_kernels_types_declare_otherwise_is_the_programs_own(tmp_path: Path) -> None:
    heavy = f"#pragma once\n{VMLINUX}\nextern int kfunc(int);\n/*{'-' * environment._HEAVY}*/\n"
    (tmp_path / "vmlinux.h").write_text(heavy)
    text = b'#include "vmlinux.h"\nstatic int kfunc(int x) { return x; }\n'
    source = Source(tmp_path / "a.bpf.c", text)
    setup = Environment(Options()).setup(source, LIBBPF, [tmp_path], tmp_path / "vmlinux.h")
    source.path.write_bytes(text)
    found = parse(source, setup, {}, pch=None)
    assert (found.missing, found.made_up) == ((), frozenset({"kfunc"}))


def test_kernel_sources_names_of_headers() -> None:
    assert not parsed("#include <uapi/linux/bpf.h>\nenum bpf_map_type type = BPF_MAP_TYPE_HASH;\n").errors


def test_a_name_in_a_macros_argument_is_a_number() -> None:
    found = parsed("#define ROOM(type, name, size) type name[size]\nROOM(int, many, MAX_THREADS);\n")
    assert (found.missing, found.made_up) == ((), frozenset({"MAX_THREADS"}))


def test_a_header_that_asks_for_the_machine_is_told() -> None:
    text = "#ifdef __bpf__\n#if !defined(__x86_64__) && !defined(__aarch64__)\n#error which machine\n#endif\n#endif\n"
    assert not parsed(text).errors
    assert [e.message for e in parsed("#error never\n").errors] == ["never"]
