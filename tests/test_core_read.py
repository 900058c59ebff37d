"""core-read: whose types the program has."""

from __future__ import annotations

import pytest
from support import findings

PROGRAM = """#include "TYPES"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
DEFINED
SEC("tp_btf/sched_switch")
int BPF_PROG(p, bool preempt, struct task_struct *prev) { return BPF_CORE_READ(prev, tgid); }
"""


@pytest.mark.parametrize(
    ("types", "defined", "is_found"),
    [
        ("vmlinux.h", "", True),
        # Members stand where they stood when the program was compiled.
        ("linux/bpf.h", "typedef _Bool bool; struct task_struct { int tgid; };", False),
    ],
)
def test_only_types_that_are_relocated(types: str, defined: str, is_found: bool) -> None:
    text = PROGRAM.replace("TYPES", types).replace("DEFINED", defined)
    assert bool(findings(text.encode(), "core-read")) == is_found
