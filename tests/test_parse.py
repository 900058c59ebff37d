"""What is made up for a program whose headers are not there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support import analysed
from test_headers import VMLINUX

from ebpffix.fix import LIBBPF, Safety
from ebpffix.frontend import environment
from ebpffix.frontend.environment import Environment, Options
from ebpffix.frontend.parse import Parsed, parse
from ebpffix.run.analyse import Status
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


def test_a_statement_that_is_read_shows_more_errors_than_one_that_is_lost() -> None:
    uses = "".join(f"\te.n{i}.x = {i};\n" for i in range(9))
    found = parsed(f"int f(void)\n{{\n\tstruct gone e;\n\tHOOK\n{uses}\treturn send(&e);\n}}\n")
    assert (found.missing, found.guessed) == ((), frozenset({"struct gone", "HOOK", "send"}))
    assert len(found.local) == 9


def test_members_of_a_struct_that_is_nowhere_are_those_that_are_used() -> None:
    text = "int f(int n)\n{\n\tstruct gone e = {.kind = 1, .kind_too = n};\n\te.list[n] = 2;\n\treturn e.kind;\n}\n"
    assert not parsed(text).errors


def test_a_struct_with_the_name_of_another_kind_of_the_kernels_is_set_apart() -> None:
    found = parsed(
        "#include <linux/bpf.h>\nstruct bpf_map_type { int a; };\nint f(struct bpf_map_type *x) { return x->a; }\n"
    )
    assert (found.errors, found.renamed) == ((), {"$pf_map_type": "bpf_map_type"})


def test_a_map_that_was_taken_for_a_type_is_none() -> None:
    found = parsed(
        'struct {\n\t__uint(type, 1);\n} hists SEC(".maps");\nint f(void)\n{\n\treturn lookup(&hists, hists.type);\n}\n'
    )
    assert (found.missing, found.guessed) == ((), frozenset({"lookup"}))


def test_constants_of_a_header_differ_from_each_other(tmp_path: Path) -> None:
    (tmp_path / "h.h").write_bytes(b"static int g(int n) { switch (n) { case ONE: case TWO: return 1; } return 0; }\n")
    source = Source(tmp_path / "a.bpf.c", b'#include "h.h"\n')
    source.path.write_bytes(source.data)
    assert not parse(source, Environment(Options()).setup(source, LIBBPF), {}, pch=None).errors


@pytest.mark.skipif(not os.path.exists("/usr/include/sched.h"), reason="there is no C library here")
def test_headers_of_the_system_take_nothing_from_the_project() -> None:
    found = parsed("#include <sched.h>\n#include <pthread.h>\n#include <netdb.h>\nint x;\n")
    assert (found.missing, found.local) == ((), ())


def test_a_project_where_the_systems_headers_are_has_errors_all_the_same() -> None:
    source = Source(Path("/usr/src/mine/a.bpf.c"), b"int f(void) { return 1 }\n")
    setup = Environment(Options()).setup(source, LIBBPF)
    assert parse(source, setup, {str(source.path): source.data}, pch=None).missing


def test_a_generated_struct_is_made_up_where_all_of_the_kernels_are_there(tmp_path: Path) -> None:
    text = b"int f(void *x) { return send(x, sizeof(struct generated)); }\n"
    (tmp_path / "vmlinux.h").write_text(f"#pragma once\n{VMLINUX}\n/*{'-' * environment._HEAVY}*/\n")
    source = Source(tmp_path / "a.bpf.c", b'#include "vmlinux.h"\n' + text)
    source.path.write_bytes(source.data)
    setup = Environment(Options()).setup(source, LIBBPF, [tmp_path], tmp_path / "vmlinux.h")
    assert parse(source, setup, {}, pch=None).guessed == {"struct generated", "send"}
    assert parsed(text.decode()).missing, "one that the kernel may have is not"


def test_helpers_that_are_known_together() -> None:
    found = parsed("int f(void *l) { bpf_spin_lock(l); bpf_spin_unlock(l); return -ENOENT; }\n")
    assert (found.errors, found.guessed) == ((), frozenset())


def test_what_follows_an_error_directive_is_read(tmp_path: Path) -> None:
    text = "#error not here\nint f(void *c)\n{\n\tchar b[4];\n\tbpf_probe_read(b, 4, c);\n\treturn 0;\n}\n"
    found = analysed(tmp_path / "a.bpf.c", f"#include <bpf/bpf_helpers.h>\n{text}".encode(), "probe-read-space")
    assert (found.status, found.notes[-1]) == (Status.ANALYSED, "line 2: not here: not understood")
    assert all(fix.safety != Safety.SAFE for _, fix in found.findings)


ARENA = """#ifdef __BPF_FEATURE_ADDR_SPACE_CAST
#define __arena __attribute__((address_space(1)))
#else
%s
#define __arena
#endif
int take(char *);
int f(char __arena *p, char *q) { q = p; return take(p); }
"""


@pytest.mark.parametrize("other", ["", "#error wants arenas"])
def test_arenas_as_a_compiler_has_them_or_as_the_header_has_them_without(other: str) -> None:
    found = parsed(ARENA % other)
    assert not found.missing
    assert bool(found.local) == bool(other)


def test_a_word_beside_a_string_is_a_string() -> None:
    text = '#include <bpf/bpf_helpers.h>\nSEC("kprobe/" CALL(open) SUFFIX "_x") int f(void *c) { return 0; }\n'
    found = parsed(text)
    assert (found.errors, found.guessed) == ((), frozenset({"CALL", "SUFFIX"}))


def test_an_enum_that_is_nowhere() -> None:
    found = parsed("int take(enum gone one);\nint f(void) { enum gone one = 0; return take(one); }\n")
    assert (found.errors, found.guessed) == ((), frozenset({"enum gone"}))


def test_the_iterator_of_a_loop_has_its_name() -> None:
    loop = "bpf_for_each(num, n, 0, 9) use(&___it);"
    assert not parsed(f"#include <bpf/bpf_helpers.h>\nint f(int *n)\n{{\n\t{loop}\n\treturn 0;\n}}\n").missing


@pytest.mark.parametrize(
    "statement",
    [
        "one = (struct b){.y = bpf_probe_read(b, 4, ctx)};",
        "struct a same = (struct b){.y = bpf_probe_read(b, 4, ctx)};",
        "takes((struct b){.y = bpf_probe_read(b, 4, ctx)});",
        "two(bpf_probe_read(b, 4, ctx));",
        "two(1, 2, bpf_probe_read(b, 4, ctx));",
        "b = (char *)bpf_probe_read(b, 4, ctx);",
        "bpf_probe_read(b, 4, ctx) = 1;",
        "return one + bpf_probe_read(b, 4, ctx);",
    ],
)
def test_errors_of_one_expression_leave_the_rest_in_the_tree(statement: str) -> None:
    before = "struct a { int x; };\nstruct b { long y; };\nint two(int, int);\nvoid takes(struct a);\n"
    body = f"\tchar b[4];\n\tstruct a one = {{}};\n{statement}\n\treturn 0;\n"
    text = f'#include "vmlinux.h"\n#include <bpf/bpf_helpers.h>\n{before}SEC("xdp") int f(void *ctx)\n{{\n{body}}}\n'
    found = analysed(Path("/p/a.bpf.c"), text.encode(), "probe-read-space")
    assert (found.status, len(found.findings)) == (Status.ANALYSED, 1), found.notes
