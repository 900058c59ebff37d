"""probe-read-result: what the fixtures do not say."""

from __future__ import annotations

import pytest
from support import UNSAFE, findings, fixed

from ebpffix.fix import Safety

HEAD = b"""#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
int out, limit; char buf[64]; u32 kept; void see(u32 *p);
struct event { u32 len; u16 kind; u32 each[4]; u64 at; } event, other;
SEC("kprobe/tcp_connect") int BPF_KPROBE(p, struct sock *sk)
{
"""
READ = "bpf_probe_read_kernel_str(buf, sizeof(buf), sk)"


def _program(body: str) -> bytes:
    return HEAD + body.replace("READ", READ).encode() + b"\n    return 0;\n}\n"


@pytest.mark.parametrize(
    "body",
    [
        "u32 n = READ; if (n > sizeof(buf)) return 0;",
        "u32 n = READ; if (n > limit) return 0;",
        "u32 n = READ; if (n < 16) buf[n] = 0;",
        "u32 n = READ; if (n > 3 && n <= 16) out = 1;",  # bounded on purpose
        "u32 n = READ; out = n;",
        "u32 n = bpf_probe_read_kernel(buf, 4, sk); if (!n) out = 1;",
        "u32 n = bpf_probe_read_kernel(buf, 4, sk); if (n != 0) out = 1;",
        "int n = READ; if (n > 0) out = 1;",
        "long n = READ; if (n < 0) out = 1;",
        "u32 n = bpf_get_smp_processor_id(); if (n > 3) out = 1;",
        "u32 n = READ; if (n <= 1 || n > sizeof(buf)) return 0; out = n;",
        "u32 n = READ; if (n <= 1) return 0; else if (n < 64) buf[n] = 0;",
        "u32 n = bpf_probe_read_kernel(buf, 4, sk); if (n > 0) out = 1;",  # whether it failed
        "u32 n = bpf_get_stackid(ctx, &out, 0); if (n > 3) out = 1;",
        "u32 n = out; if (n <= 1) return 0; n = READ; out = n;",  # the test is of another value
        "u32 n = bpf_ktime_get_ns(); if (n < 0) out = 1;",
        # Looked at as a signed number.
        "u32 n = READ; if ((int)n < 0) return 0; out = n;",
        "event.len = READ; if ((int)event.len <= 0 || event.len > 3) return 0;",
        "if ((int)(event.len = READ) < 0) return 0;",
        # Other members, other objects, what is set otherwise in between, elements.
        "event.len = READ; if (event.kind < 0) out = 1;",
        "event.len = READ; event.len = 4; if (event.len > 3) out = 1;",
        "struct event *e = &event; e->len = READ; e = &other; if (e->len > 3) out = 1;",
        "event.each[out & 3] = READ; if (event.each[out & 3] < 0) out = 1;",
        "event.len = READ; if (event.len < 64) out = 1;",
        # A bound that also looks for 0, one of a result that is not used behind it or only as a number where it passes.
        "u32 n = READ; if (n == 0 || n > 64) return 0; bpf_trace_printk(buf, n);",
        "long n = READ; if (n > 64) return 0; bpf_trace_printk(buf, n);",
        "u32 n = READ; if (n > 64) out = 1;",
        "u32 n = READ; if (n <= 64) out = n; else bpf_trace_printk(buf, n);",
        "u32 n = bpf_probe_read_kernel(buf, 4, sk); if (n > 64) return 0; bpf_trace_printk(buf, n);",
        "u32 n = READ; if (out || n > 64) return 0; bpf_trace_printk(buf, n);",
        "u32 n = READ; if (n > 64) return 0; n = 4; bpf_trace_printk(buf, n);",
        "u32 n = bpf_csum_diff(0, 0, (void *)buf, 4, 0); if (n < 0) out = 1;",  # a checksum may look negative
    ],
)
def test_left_alone(body: str) -> None:
    assert not findings(_program(body), "probe-read-result")


@pytest.mark.parametrize(
    ("body", "safety", "better"),
    [
        ("u32 n = READ; if (n < 0) out = 1;", Safety.SAFE, "int n = bpf"),
        ("unsigned n; n = READ; if (n >= 0) out = 1;", Safety.SAFE, "int n; n"),
        ("unsigned long n = READ; if (n <= 0) out = 1;", Safety.SAFE, "long n = bpf"),
        ("uint64_t n = READ; if (!(0 <= n)) out = 1;".replace("uint64_t", "__u64"), Safety.SAFE, "long n = bpf"),
        ("size_t n = READ; if (n < 0 || n > limit) out = 1;", Safety.SAFE, "long n = bpf"),
        ("u32 n = READ; if (n > 3) out = 1;", Safety.SUGGESTED, ""),
        ("u32 n = READ; if (n < 0) out = 1; else buf[n & 7] = 0;", Safety.SUGGESTED, ""),
        ("u32 n = READ; if (n < 0) n = 4; ", Safety.SUGGESTED, ""),
        ("u32 i = 0, n = READ; if (n < 0) out = i;", Safety.SAFE, "u32 i = 0;\nint n = bpf"),
        ("u32 n = READ, i = 0; if (n < 0) out = i;", Safety.ADVICE, ""),
        ("u32 n = out = READ; if (n < 0) out = 1;", Safety.SAFE, "int n = out = bpf"),  # through a chain
        ("u32 n = bpf_get_stackid(ctx, &out, 0); if (n < 0) out = 1;", Safety.SAFE, "int n = bpf"),
        # An error is large, so that it stays where the small values leave.
        ("size_t n = READ; if (n <= 1) return 0; out += n;", Safety.SUGGESTED, ""),
        ("size_t n = READ; if (n < 2) { out = 0; return 0; } out += n;", Safety.SUGGESTED, ""),
        ("u32 n = READ; if (n == 1) return 0; out = n;", Safety.SUGGESTED, ""),
        # What others see keeps its type.
        ("kept = READ; if (kept > 3) out = 1;", Safety.SUGGESTED, "if ((int)kept > 3)"),
        ("static u32 n; n = READ; if (n > 3) out = 1;", Safety.SUGGESTED, "if ((int)n > 3)"),
        ("event.len = READ; if (event.len > 3) out = 1;", Safety.SUGGESTED, "if ((int)event.len > 3)"),
        ("event.at = READ; if (0 <= event.at) out = 1;", Safety.SUGGESTED, "if (0 <= (long)event.at)"),
        ("struct event *e = &event; e->len = READ; if (e->len < 0) out = 1;", Safety.SUGGESTED, "(int)e->len < 0"),
        ("if ((event.len = READ) < 0) out = 1;", Safety.SUGGESTED, "if ((int)(event.len = bpf"),
        ("u32 n; if ((n = READ) < 0) out = 1;", Safety.SAFE, "int n; if"),
        ("event.kind = READ; if (event.kind < 0) out = 1;", Safety.ADVICE, ""),
        ("event.len = READ; if (event.len) out = 1;", Safety.ADVICE, ""),
        # A chain keeps as much of an error as its narrowest part.
        ("u64 n = event.len = READ; if (n < 0) out = 1;", Safety.SAFE, "int n = event.len"),
        ("u32 n = event.kind = READ; if (n < 0) out = 1;", Safety.ADVICE, ""),
        # Too much is kept out, and errors with it, but not 0.
        (
            "u32 n = READ; if (n > sizeof(buf)) return 0; bpf_trace_printk(buf, n);",
            Safety.SUGGESTED,
            "if (n <= 0 || n > sizeof(buf)) return 0;",
        ),
        ("u32 n = READ; if (n <= 64) buf[n - 1] = 0;", Safety.SUGGESTED, "if (n > 0 && n <= 64)"),
        ("u32 n = READ; if (n > 64) return 0; out = n;", Safety.ADVICE, ""),
        ("u32 n = READ; if (n > 64) return 0; bpf_trace_printk(buf, n); see(&n);", Safety.ADVICE, ""),
        # All that fill memory and say how far, and all that fail.
        ("u32 n = bpf_get_stack(ctx, buf, sizeof(buf), 0); if (n > 0) out = 1;", Safety.SUGGESTED, "int n = bpf"),
        ("u32 n = bpf_get_current_comm(buf, sizeof(buf)); if (n < 0) out = 1;", Safety.SAFE, "int n = bpf"),
        ("u32 n = bpf_current_task_under_cgroup(&out, 0); if (n < 0) out = 1;", Safety.SAFE, "int n = bpf"),
    ],
)
def test_safety(body: str, safety: Safety, better: str) -> None:
    (fix,) = findings(_program(body), "probe-read-result")
    assert fix.safety is safety
    assert better.encode() in fixed(_program(body), "probe-read-result", safeties=UNSAFE)


def test_nothing_reaches_it() -> None:
    unused = b"static int unused(struct sock *sk) { u32 n = bpf_probe_read_kernel_str(buf, 64, sk); return n < 0; }\n"
    program = _program("").replace(b'SEC("kprobe', unused + b'SEC("kprobe')
    assert unused in program
    assert not findings(program, "probe-read-result")
    assert findings(program.replace(b"return 0;", b"return unused(sk);"), "probe-read-result")


def test_messages() -> None:
    (fix,) = findings(_program("size_t len = READ; if (len < 0) out = 1;"), "probe-read-result")
    assert fix.message == (
        "`len` is unsigned, so `len < 0` never sees an error of `bpf_probe_read_kernel_str`: make it `long`"
    )
    (fix,) = findings(_program("u32 len = READ; if (len > 3) out = buf[len];"), "probe-read-result")
    assert fix.reason == "it is used as a number too; as an index or a size it must be bounded on both sides"
