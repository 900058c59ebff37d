"""No tree takes the machine: memory, CPU time and waiting end, are told in one line, and the rest goes on."""

from __future__ import annotations

import os

import pytest

from .support import Attack

FINE = """#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct key { int a; char b; };
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 10); __type(key, struct key); __type(value, int); }
m SEC(".maps");
SEC("xdp") int prog(void *ctx)
{
    struct key k = { .a = 1 };
    int *v = bpf_map_lookup_elem(&m, &k);
    return v ? *v : 0;
}
char LICENSE[] SEC("license") = "GPL";
"""
_BOMB = "#define A x x x x x x x x\n" + "".join(
    f"#define {b} {' '.join([a] * 32)}\n" for a, b in zip("ABCDEF", "BCDEFG", strict=True)
)
ATTACKS = {
    "endless include": ('#define H "/dev/zero"\n#include H\n', "of memory"),
    "macro bomb": (_BOMB + "int f(void) { return G; }\n", "CPU time|of memory"),
    "bomb of strings": (
        '#define A "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"\n'
        + "".join(f"#define {b} {' '.join([a] * 32)}\n" for a, b in zip("ABCDE", "BCDEF", strict=True))
        + "const char *f(void) { return F; }\n",
        "CPU time|of memory",
    ),
    "include of itself": ('#include "fine.bpf.c"\n#include __FILE__\n#include __FILE__\n', ""),
    "deep nesting": ("int f(void) { return " + "(" * 100_000 + "1" + ")" * 100_000 + "; }\n", ""),
    "deep blocks": ("int f(void) " + "{" * 100_000 + "}" * 100_000 + "\n", ""),
    "crash asked for": ("#pragma clang __debug crash\n", ""),
    "overflow asked for": ("#pragma clang __debug overflow_stack\n", "CPU time"),
    "error asked for": ("#pragma clang __debug llvm_fatal_error\n", ""),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_program_that_takes_too_much_is_told_of_and_the_rest_goes_on(attack: Attack, name: str) -> None:
    text, reason = ATTACKS[name]
    files = {f"fine{number}.bpf.c": FINE for number in range(3)}
    done = attack.write({**files, "hostile.bpf.c": FINE + text}).run("--jobs", "2", timeout=200)
    assert done.out.count("padded-init") >= 3, done.err
    assert "Traceback" not in done.err and "a mistake of ebpffix" not in done.err
    told = [line for line in done.err.splitlines() if line.startswith("hostile.bpf.c: failed: ")]
    if reason:
        assert len(told) == 1 and any(part in told[0] for part in reason.split("|")), done.err
        assert done.code == 2


def test_a_pipe_among_the_includes_is_not_waited_for(attack: Attack) -> None:
    os.mkfifo(attack.tree / "pipe.h")
    attack.write({"hostile.bpf.c": FINE + "#define H <pipe.h>\n#include H\n", "fine.bpf.c": FINE})
    done = attack.run("-I", attack.tree)
    assert done.out.count("padded-init") == 1 and done.code == 2
    assert "gives nothing" in done.err and done.seconds < 60
