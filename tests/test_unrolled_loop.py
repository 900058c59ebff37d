"""unrolled-loop: which loops end for certain, and where the counter must be a constant."""

from __future__ import annotations

import pytest
from support import Frame

FRAME = Frame(
    "unrolled-loop",
    """#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
SEC("tracepoint/raw_syscalls/sys_enter") int p(struct trace_event_raw_sys_enter *ctx)
{
	int sum = 0, n = ctx->id;
#pragma unroll
	$body
	return sum;
}
""",
)


@pytest.mark.parametrize(
    ("loop", "rounds"),
    [
        ("for (int i = 0; i < 4; i++) sum += i;", 4),
        ("for (int i = 4; i > 0; i--) sum += i;", 4),
        ("for (int i = 0; i <= 9; i += 3) sum += i;", 4),
        ("for (u8 i = 0; i != 8; i += 2) sum += i;", 4),
        ("for (int i = 9; i >= 0; --i) { if (sum > n) break; sum += i; }", 10),
    ],
)
def test_it_ends(loop: str, rounds: int) -> None:
    (found,) = FRAME.found(loop)
    assert f"of {rounds} rounds" in found.message and "bpf_for" not in found.message
    (found,) = FRAME.found(loop, kernel=(6, 4))
    assert "bpf_for" in found.message


@pytest.mark.parametrize(
    "loop",
    [
        "for (int i = 0; i < n; i++) sum += i;",
        "for (int i = n; i < 4; i++) sum += i;",
        "for (int i = 0; i < 4; i += n) sum += i;",
        "for (int i = 0; i < 4; i--) sum += i;",
        "for (int i = 0; i != 7; i += 2) sum += i;",
        "for (u8 i = 0; i < 256; i++) sum += i;",
        "for (int i = 4; i < 4; i++) sum += i;",
        "for (int i = 0; i < 4;) sum += i++;",
        "for (int i = 0; n < 4; i++) sum += i;",
        "for (int i = 0; i < 4; i++) { int *p = &i; *p = 0; }",
        "for (;;) { if (sum++ > 3) break; }",
        "while (sum < 4) sum++;",
    ],
)
def test_nobody_knows_whether_it_ends(loop: str) -> None:
    assert FRAME.found(loop) == []


@pytest.mark.parametrize(
    "loop",
    [
        "for (int i = 0; i < 6; i++) sum += ctx->args[i];",
        'for (int i = 0; i < 6; i++) asm volatile("" : "+r"(sum));',
    ],
)
def test_the_counter_must_be_a_constant(loop: str) -> None:
    assert FRAME.found(loop) == []
