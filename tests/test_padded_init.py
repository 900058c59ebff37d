"""padded-init: what its fixtures cannot say: words, places, odd shapes; and the layout that it counts by."""

from __future__ import annotations

import pytest
from support import Frame, findings

from ebpffix.fix import BCC

FRAME = Frame(
    "padded-init",
    """#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
struct flow { __u32 ifindex; __u8 proto; __u64 cookie; };
struct full { __u32 ifindex; __u32 proto; };
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 8); __type(key, struct flow); __type(value, __u64); }
flows SEC(".maps");
int unknown(void *);
${before}SEC("xdp")
int prog(struct xdp_md *ctx)
{
$body
}
""",
)
found, after = FRAME.found, FRAME.after


GOES = "\tbpf_map_delete_elem(&flows, &key);\n\treturn 0;"


@pytest.mark.parametrize(
    "body",
    [
        "struct flow key = { .ifindex = ctx->ingress_ifindex }; __builtin_memset(&key, 0, sizeof(key));",
        "struct flow key; unknown(&key);",
        "struct flow key, *p = &key; *p = (struct flow){}; p->ifindex = 1; __builtin_memset(p, 0, sizeof(*p));",
        "struct flow key, other = {}; key = other;",
        "struct flow key; __builtin_memcpy(&key, ctx, sizeof(key));",
        "struct flow key = { .ifindex = sizeof(key) }; bpf_xdp_load_bytes(ctx, 0, &key, sizeof(key));",
        "struct full key = { .ifindex = ctx->ingress_ifindex };",
        "struct full key; key.ifindex = 1; key.proto += 2;",
        "struct flow key = {{}};",
        "struct flow key = { 0 };",
        "extern struct flow key;",
        "struct { union { __u8 small; __u32 all; }; __u32 a; } key = { .a = ctx->rx_queue_index };",
        "volatile const struct flow key = { .proto = 1 };",
        "struct full key = {}; struct { __u8 n; struct flow *flow, *list; } p = { 1, unknown(0), unknown(0) };"
        " bpf_map_lookup_elem(&flows, p.flow); bpf_map_lookup_elem(&flows, &p.list[1]);"
        " bpf_map_lookup_elem(&flows, &p.flow->cookie);",
    ],
)
def test_left_alone(body: str) -> None:
    assert not found(body + GOES)


@pytest.mark.parametrize(
    "setup, what",
    [
        ("struct flow key = { .proto = ctx->rx_queue_index };", "3 padding bytes after `proto`"),
        ("struct flow key; key.proto = 1; key.cookie = 2;", "`ifindex` and 3 padding bytes after `proto`"),
        ("struct full key; key.proto = 1;", "`ifindex`"),
        ("struct { __u32 a : 3, b : 4; } key = { .a = ctx->rx_queue_index };", "25 spare bits after `b`"),
        ("struct { __u8 a; __u16 b; __u8 c; } key = { ctx->rx_queue_index };", "2 padding bytes, the first after `a`"),
        ("struct { __u8 a; __u32 : 0; __u8 c; } key = { ctx->rx_queue_index };", "3 padding bytes after `a`"),
        ("struct { __u32 a : 4, : 4, b : 24; } key = { ctx->rx_queue_index };", "4 spare bits after `a`"),
        ("struct { struct flow in[2]; __u64 a; } key = { .a = ctx->rx_queue_index };", "6 padding bytes"),
        ("union { __u8 small; __u64 all; } key = { ctx->rx_queue_index };", "`all`"),
        ("struct { __u8 a, b, c, d, e; } key; key.c = 1;", "`a`, `b` and 2 more members"),
        ("struct { union { __u8 s; __u32 all; }; __u32 a; } key = { .s = ctx->rx_queue_index };", "members of a union"),
    ],
)
def test_says_which_bytes(setup: str, what: str) -> None:
    (fix,) = found(setup + GOES)
    assert f"`key` goes to bpf_map_delete_elem with bytes never written ({what}" in fix.message
    assert fix.message.endswith("; zero it first") and "\n" not in fix.message


def test_points_at_the_object() -> None:
    body = "\tstruct flow key = { .ifindex = ctx->rx_queue_index };\n\n\tkey = (struct flow){ 1 };\n" + GOES
    text = FRAME.program(body)
    places = [text[f.at.start : f.at.end] for f in found(body)]
    assert places == [b"key = (struct flow){ 1 }"]


@pytest.mark.parametrize(
    "setup, safety, reason",
    [
        ("struct flow key = { .ifindex = 1 };", "suggested", "constants"),
        ("struct { __u32 a : 8, b : 24; } key = { .a = ctx->rx_queue_index };", "suggested", "2020"),
        ("struct gone key = { .b = ctx->rx_queue_index };", "", ""),
        ("struct flow key = { .gone = ctx->rx_queue_index };", "", ""),
        ("gone_t key = { .type = 3, .at = ctx->rx_queue_index };", "", ""),
        ("struct gone *of; struct flow key = { .ifindex = of->b, .gone.a = 1 };", "", ""),
        ("struct { __u32 n; char s[1100]; } key; key.n = 1;", "advice", "1024"),
        ("struct { const __u8 a; __u32 b; } key = { .b = ctx->rx_queue_index, .a = 1 };", "advice", "const member"),
        ("struct { struct full f; __u8 a; } key = { 1, ctx->rx_queue_index, 2 };", "advice", "left out"),
        ('struct { __u32 n; char s[2]; } key = { .s = ("a"), .n = ctx->rx_queue_index };', "advice", "array"),
        ("struct { __u32 a[2]; __u8 b; } key = { .a = { [0 ... 1] = ctx->rx_queue_index } };", "advice", "understood"),
        ("struct flow key = { ifindex: ctx->rx_queue_index };", "advice", "understood"),
        ("struct flow key = { .ifindex = ctx->rx_queue_index }, *p = unknown(ctx);", "advice", "no statement"),
        (
            "struct flow key = {}, *p = &key; p->proto = 1; key = (struct flow){ .ifindex = p->proto };",
            "advice",
            "through a pointer",
        ),
        ("struct full key; key.proto = 1; lost: key.ifindex = (struct flow){ 1 }.ifindex; goto lost;", "", ""),
    ],
)
def test_safety_and_reason(setup: str, safety: str, reason: str) -> None:
    made_up = "struct gone { lost_t a; __u8 b; };\n" if "struct gone" in setup else ""
    fixes = found(setup + GOES, before=made_up)
    assert [str(f.safety) for f in fixes] == ([safety] if safety else [])
    assert all(reason in f.reason for f in fixes)


def test_comments_and_multi_line_values_keep_their_shape() -> None:
    assert after(
        "\tstruct flow key = {\n"
        "\t\t.ifindex = ctx->ingress_ifindex +\n"
        "\t\t\t   1, /* one\n"
        "\t\t\t       more */\n"
        "\t\t.proto = 6 }; // six\n\n" + GOES
    ) == (
        "\tstruct flow key; // six\n"
        "\t__builtin_memset(&key, 0, sizeof(key));\n"
        "\tkey.ifindex = ctx->ingress_ifindex +\n"
        "\t\t   1; /* one\n"
        "\t\t       more */\n"
        "\tkey.proto = 6;\n\n" + GOES
    )


def test_clearing_stands_behind_declarations_that_do_not_use_the_object() -> None:
    assert after("\tstruct flow key;\n\tint a = 1;\n\tint b = unknown(&key);\n\tkey.proto = b;\n" + GOES).startswith(
        "\tstruct flow key;\n\tint a = 1;\n\tint b"
    )
    assert after("\tstruct flow key;\n\tint a = 1;\n\tvoid *p = &a;\n\tkey.proto = a;\n" + GOES).startswith(
        "\tstruct flow key;\n\tint a = 1;\n\tvoid *p = &a;\n\t__builtin_memset(&key, 0, sizeof(key));\n\tkey.proto"
    )


def test_assignments_stay_before_a_declaration_that_may_depend_on_them() -> None:
    body = "\tstruct flow key = { .cookie = unknown(ctx) };\n\tint after = unknown(ctx);\n" + GOES
    lines = after(body).splitlines()
    assert lines.index("\tkey.cookie = unknown(ctx);") < lines.index("\tint after = unknown(ctx);")


def test_bcc_by_value_key() -> None:
    text = b"""
struct flow_t { u32 pid; u8 kind; };
BPF_HASH(flows, struct flow_t);
int on_call(struct pt_regs *ctx) {
    struct flow_t key = { .pid = bpf_get_current_pid_tgid() };
    flows.increment(key);
    return 0;
}
"""
    (fix,) = findings(text, "padded-init", dialect=BCC)
    assert "goes to increment" in fix.message


def test_arrays_count_whatever_their_length() -> None:
    """Half a million elements take no time: a buffer of that size once took more than a minute."""
    for length in (0, 1, 2, 5, 8):
        list_ = f"struct {{ __u8 a; __u16 b; }} list[{length}];"
        body = f"\tstruct {{ {list_} __u8 end[600000]; __u64 last; }} w;\n\tw.last = 0;\n"
        [fix] = found(body + "\tbpf_map_update_elem(&flows, &w, &w, 0);\n\treturn 0;")
        assert "`list`" in fix.message or not length
