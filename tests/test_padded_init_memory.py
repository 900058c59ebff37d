"""padded-init of memory that a ring buffer reserved, and of what clang clears itself: what fixtures cannot say."""

from __future__ import annotations

import pytest
from support import UNSAFE, Frame, fixed

FRAME = Frame(
    "padded-init",
    """#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
struct flow { __u32 ifindex; __u8 proto; __u64 cookie; };
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 4096); } rb SEC(".maps");
int unknown(void *);
${before}SEC("xdp")
int prog(struct xdp_md *ctx)
{
$body
	return 0;
}
""",
)
found = FRAME.found


RESERVE = "\tstruct flow *e = bpf_ringbuf_reserve(&rb, sizeof(*e), 0);\n"
SUBMIT = "\n\tbpf_ringbuf_submit(e, 0);"


@pytest.mark.parametrize(
    "body",
    [
        RESERVE + "if (!e) return 0; unknown(e);" + SUBMIT,
        RESERVE + "if (!e) return 0; *e = (struct flow){ .proto = 1 };" + SUBMIT,
        RESERVE + "if (!e) return 0; __builtin_memset(e, 0, 16); e->cookie = 1;" + SUBMIT,
        RESERVE + "if (!e) return 0; bpf_probe_read_kernel(e, sizeof(*e), ctx);" + SUBMIT,
        RESERVE + "if (!e) return 0; struct flow *same = e; __builtin_memset(same, 0, sizeof(*same));" + SUBMIT,
        RESERVE + "if (!e) return 0; void *kept[1] = { e }; unknown(kept);" + SUBMIT,
        RESERVE + "if (!e) return 0; e->proto = 1; if (ctx) { bpf_ringbuf_discard(e, 0); return 1; }",
        "struct gone *e = bpf_ringbuf_reserve(&rb, 16, 0); if (!e) return 0;" + SUBMIT,
        "void *e = bpf_ringbuf_reserve(&rb, 16, 0); if (!e) return 0;" + SUBMIT,
        "__u64 *e = bpf_ringbuf_reserve(&rb, 8, 0); if (!e) return 0;" + SUBMIT,
        "struct flow *e; for (;;) { e = bpf_ringbuf_reserve(&rb, 16, 0); if (!e) break; unknown(e);" + SUBMIT + "}",
        "struct { __u32 n; __u8 b; } *e = bpf_ringbuf_reserve(&rb, 5, 0); if (!e) return 0; e->n = e->b = 1;" + SUBMIT,
    ],
)
def test_left_alone(body: str) -> None:
    assert not found(body)


@pytest.mark.parametrize(
    "body, safety, what",
    [
        ("if (!e) return 0; e->ifindex = e->cookie = 1;", "safe", "`proto` and 3 padding bytes after `proto`"),
        ("if (e) { e->ifindex = e->cookie = e->proto = 1;" + SUBMIT + "} if (!e) return 0;", "safe", "3 padding bytes"),
        ("if (__builtin_expect(!!(!e), 0)) return 0; e->ifindex = 1;", "safe", "`proto`, `cookie` and 3 padding"),
        ("if (!e || ctx->rx_queue_index) return 0; e->ifindex = 1;", "safe", "padding"),
        ("if (NULL == e) { unknown(ctx); return 0; } e->ifindex = 1;", "safe", "padding"),
        ("unknown(ctx); if (!e) return 0; e->ifindex = 1;", "safe", "padding"),
        ("if (!e) unknown(ctx); e->ifindex = 1;", "advice", "padding"),
        ("e->ifindex = 1; if (!e) return 0;", "advice", "padding"),
    ],
)
def test_memory(body: str, safety: str, what: str) -> None:
    (fix,) = found(RESERVE + body + SUBMIT)
    assert str(fix.safety) == safety and what in fix.message
    assert fix.message.startswith("`e` goes to bpf_ringbuf_submit with bytes never written (")


def test_every_event_of_a_loop_is_a_new_one() -> None:
    loop = "for (int i = 0; i < 2; i++) {" + RESERVE + "if (!e) break; e->proto = 1;" + SUBMIT + "}"
    (fix,) = found(loop)
    assert "`ifindex`, `cookie`" in fix.message


def test_the_end_of_a_string_alone_is_suggested() -> None:
    text = "struct { __u32 n; char s[12]; } *e = bpf_ringbuf_reserve(&rb, 16, 0); if (!e) return 0; e->n = 1;"
    (fix,) = found(text + "bpf_probe_read_kernel_str(e->s, sizeof(e->s), ctx);" + SUBMIT)
    assert str(fix.safety) == "suggested" and "(the end of `s`)" in fix.message and "to its end" in fix.reason


def test_a_call_that_gives_constants_takes_no_other_branch() -> None:
    helper = "static int fill(struct flow *e, bool all) { if (!all) e->ifindex = 1; else unknown(e); return 0; }\n"
    assert found(RESERVE + "if (!e) return 0; fill(e, false);" + SUBMIT, before=helper)
    assert not found(RESERVE + "if (!e) return 0; fill(e, true);" + SUBMIT, before=helper)
    assert not found(RESERVE + "if (!e) return 0; fill(e, ctx->rx_queue_index);" + SUBMIT, before=helper)


def test_a_helper_that_sets_members_and_has_no_test_is_not_cleared_behind_them() -> None:
    helper = (
        "static struct flow *take(void) { struct flow *e = bpf_ringbuf_reserve(&rb, 16, 0);"
        " if (e) e->ifindex = 7; return e; }\n"
    )
    program = FRAME.program("struct flow *e = take(); if (!e) return 0; e->proto = 1;" + SUBMIT, before=helper)
    after = fixed(program, FRAME.transform, safeties=UNSAFE).decode()
    assert after.count("memset") == 1
    assert after.index("if (e)") < after.index("memset(e, 0") < after.index("e->ifindex = 7")


BIG = "struct { __u8 k; __u64 a, b, c, d; }"


@pytest.mark.parametrize(
    "setup, safety",
    [
        (BIG + " key = { .a = ctx->rx_queue_index };", "suggested"),
        (BIG + " key = { .a = ctx->rx_queue_index, .k = 1, .b = 0 };", "safe"),  # (u64)0 counts
        (BIG + " key = { .a = ctx->rx_queue_index, .k = 0 };", "suggested"),
        ("struct { __u8 k; __u64 a; } key = { .k = ctx->rx_queue_index };", "safe"),
        ("struct { __u8 k; __u64 a, b; } key = { .k = ctx->rx_queue_index };", "suggested"),
        ("struct { __u32 k : 3; __u64 a, b; } key = { .k = ctx->rx_queue_index };", "suggested"),
    ],
)
def test_what_clang_clears_itself_is_suggested(setup: str, safety: str) -> None:
    (fix,) = found(setup + " bpf_ringbuf_output(&rb, &key, sizeof(key), 0);")
    assert str(fix.safety) == safety and ("clang" in fix.reason) == (safety == "suggested")
