"""Whose memory the pointers of small programs point at."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import pytest
from support import findings, transforms

from ebpffix.analysis.provenance import Origin, origin, origins
from ebpffix.fix import BCC, LIBBPF, Fix, Safety
from ebpffix.frontend import Unit
from ebpffix.transform import Registered, Transform

PROGRAMS = {
    LIBBPF: b"""
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
struct val { char c[16]; struct sock *sk; };
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 8); __type(key, u32); __type(value, struct val); }
    m SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 4096); } rb SEC(".maps");
char big[64]; char *somewhere;
extern void see(const void *p);
static void helper(struct val *v) { see(v); }
static void mixed(void *v) { see(v); }
SEC("kprobe/tcp_connect") int BPF_KPROBE(probe, struct sock *sk, const char *text) { %s return 0; }
SEC("ksyscall/open") int BPF_KSYSCALL(sys, const char *name) { see(name); return 0; }
SEC("fentry/tcp_connect") int BPF_PROG(enter, struct sock *sk) { see(sk); return 0; }
SEC("xdp") int drop(struct xdp_md *ctx) {
    void *data = (void *)(long)ctx->data; struct ethhdr *eth = data; see(eth + 1); see(ctx); return 0; }
SEC("tp_btf/x") int calls(u64 *ctx) { struct val a; helper(&a); helper(&a); mixed(&a); mixed(big); return 0; }
char _license[] SEC("license") = "GPL";
""",
    BCC: b"""
#include <uapi/linux/ptrace.h>
#include <net/sock.h>
BPF_HASH(socks, u32, struct sock *);
BPF_HASH(others, u32, struct sock *);
extern void see(const void *p);
static inline void helper(struct sock *sk) { see(sk); }
int kprobe__tcp_connect(struct pt_regs *ctx, struct sock *sk, char *text) { u32 id = 0; %s return 0; }
int syscall__open(struct pt_regs *ctx, const char *name) { see(name); return 0; }
int store(struct pt_regs *ctx, struct sock *sk) { u32 id = 1; helper(sk); socks.update(&id, &sk); return 0; }
""",
}


def _say(unit: Unit) -> Iterator[Fix]:
    """A finding for each argument of see(): the function and the argument's origins, the certain one first."""
    for function in unit.functions:
        for call in function.find("CALL_EXPR"):
            if call.name == "see":
                kinds = [origin(unit, call.arguments[0]), *origins(unit, call.arguments[0])]
                said = f"{function.name.removeprefix('____')}: {' '.join(kind.name for kind in kinds)}"
                yield Fix(call, said, Safety.ADVICE, reason="-")


@functools.cache
def said(dialect: str, body: str = "") -> dict[str, list[list[Origin]]]:
    """By function, what is known of each argument that it passes to see(): its origin, then all that are possible."""
    spy = Transform("spy", 0, (LIBBPF, BCC), (rb"\bsee\s*\(",), "says origins")
    transforms()["spy"] = Registered(spy, _say, "")
    try:
        fixes = findings((PROGRAMS[dialect]).replace(b"%s", body.encode()), "spy", dialect=dialect)
    finally:
        del transforms()["spy"]
    found: dict[str, list[list[Origin]]] = {}
    for function, _, names in (fix.message.partition(": ") for fix in fixes):
        found.setdefault(function, []).append([Origin[name] for name in names.split()])
    return found


def seen(dialect: str, body: str = "") -> dict[str, list[Origin]]:
    return {function: [kinds[0] for kinds in each] for function, each in said(dialect, body).items()}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("char a[4]; see(a);", Origin.STACK),
        ("struct val a; see(&a);", Origin.STACK),
        ("struct val a; see(a.c + 2);", Origin.STACK),
        ("struct val a; see(&a.c[2]);", Origin.STACK),
        ('see("text");', Origin.GLOBAL),
        ("see(big);", Origin.GLOBAL),
        ("static struct val a; see(&a);", Origin.GLOBAL),
        ("see(somewhere);", Origin.UNKNOWN),
        ("u32 k = 0; struct val *v = bpf_map_lookup_elem(&m, &k); if (v) see(v->c);", Origin.MAP_VALUE),
        ("u32 k = 0; struct val *v; v = bpf_map_lookup_elem(&m, &k); see((char *)v + 2);", Origin.MAP_VALUE),
        ("u32 k = 0; struct val *v = bpf_map_lookup_elem(&m, &k); if (v) see(v->sk);", Origin.KERNEL),
        ("u32 k = 0; struct val a, *v = bpf_map_lookup_elem(&m, &k); if (!v) v = &a; see(v);", Origin.UNKNOWN),
        ("struct val *e = bpf_ringbuf_reserve(&rb, sizeof(*e), 0); if (e) see(e->c);", Origin.RINGBUF),
        ("struct task_struct *t = (void *)bpf_get_current_task(); see(t->comm);", Origin.KERNEL),
        ("struct task_struct *t = (void *)bpf_get_current_task(); see(t->mm->owner);", Origin.KERNEL),
        ("struct task_struct *t = bpf_get_current_task_btf(); see(t->comm);", Origin.BTF),
        ("struct task_struct *t = NULL; t = (void *)bpf_get_current_task(); see(t);", Origin.KERNEL),
        ("struct net *p = BPF_CORE_READ(sk, __sk_common.skc_net.net); see(p);", Origin.KERNEL),
        ("struct net *n; bpf_probe_read_kernel(&n, sizeof(n), &sk->__sk_common.skc_net.net); see(n);", Origin.KERNEL),
        ("char *n; bpf_probe_read_user(&n, sizeof(n), text); see(n);", Origin.USER),
        ("see(sk);", Origin.KERNEL),
        ("see(&sk->__sk_common.skc_num);", Origin.KERNEL),
        ("see(&sk->no_such_member);", Origin.UNKNOWN),
        ("see(sk->sk_user_data);", Origin.UNKNOWN),
        ("see(text);", Origin.UNKNOWN),
        ("see(ctx);", Origin.CTX),
        ("struct sock *s = (struct sock *)PT_REGS_PARM1(ctx); see(s);", Origin.KERNEL),
        ("u64 s = PT_REGS_PARM1(ctx); see((void *)s);", Origin.UNKNOWN),
        ("struct sock *s = sk; struct sock **p = &s; see(s); see(p);", Origin.UNKNOWN),
        ("struct sock *s = sk; if (text) s = (void *)big; see(s);", Origin.UNKNOWN),
        ("struct sock *s = sk; while (s) s = (struct sock *)s->sk_socket; see(s);", Origin.KERNEL),
        ("struct sock *s; s = s; see(s);", Origin.UNKNOWN),
        ("struct task_struct *t = (void *)bpf_get_current_task(); see(t->set_child_tid);", Origin.USER),
        (
            "struct mm_struct *m = ((struct task_struct *)bpf_get_current_task())->mm; see((char *)m->arg_start);",
            Origin.UNKNOWN,
        ),
        ("struct task_struct *t = (void *)bpf_get_current_task(); see(BPF_CORE_READ(t, comm));", Origin.STACK),
        (
            "struct task_struct *t = (void *)bpf_get_current_task(); see((char *)BPF_CORE_READ(t, mm, arg_start));",
            Origin.UNKNOWN,
        ),
        ("struct filename *n = (void *)PT_REGS_PARM2(ctx); see(BPF_CORE_READ(n, uptr));", Origin.USER),
        ("struct val a; void *p = text ? (void *)&a : NULL; see(p);", Origin.STACK),
    ],
)
def test_expressions(body: str, expected: Origin) -> None:
    assert seen(LIBBPF, body)["probe"][0] is expected


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("sys", [Origin.USER]),
        ("enter", [Origin.BTF]),
        ("drop", [Origin.PACKET, Origin.CTX]),
        ("helper", [Origin.STACK]),
        ("mixed", [Origin.UNKNOWN]),
    ],
)
def test_programs(function: str, expected: list[Origin]) -> None:
    assert seen(LIBBPF)[function] == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("see(sk);", Origin.KERNEL_TRACKED),
        ("see(&sk->__sk_common.skc_daddr);", Origin.KERNEL_TRACKED),
        ("struct task_struct *t = (struct task_struct *)bpf_get_current_task(); see(t->comm);", Origin.KERNEL_TRACKED),
        ("struct task_struct *t = (struct task_struct *)bpf_get_current_task(); see(t->mm);", Origin.KERNEL_TRACKED),
        ("u64 t = bpf_get_current_task(); struct task_struct *p = (void *)t; see(p->comm);", Origin.KERNEL),
        ("struct sock *s = (struct sock *)ctx->di; see(s);", Origin.KERNEL_TRACKED),
        ("struct sock *s = (struct sock *)PT_REGS_PARM1(ctx); see(s);", Origin.KERNEL_TRACKED),
        ("struct sock *s; bpf_probe_read_kernel(&s, sizeof(s), &sk->sk_prot); see(s);", Origin.KERNEL),
        ("struct sock **p = socks.lookup(&id); if (!p) return 0; struct sock *s = *p; see(s);", Origin.KERNEL_TRACKED),
        ("struct sock **p = others.lookup(&id); if (!p) return 0; struct sock *s = *p; see(s);", Origin.UNKNOWN),
        ("struct sock **p = others.lookup(&id); see(p);", Origin.MAP_VALUE),
        ("see(text);", Origin.UNKNOWN),
    ],
)
def test_bcc(body: str, expected: Origin) -> None:
    assert seen(BCC, body)["kprobe__tcp_connect"][0] is expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("struct sock *s = sk; if (text) s = (void *)big; see(s);", {Origin.KERNEL, Origin.GLOBAL}),
        ("struct sock *s = sk; if (text) s = (void *)somewhere; see(s);", {Origin.KERNEL, Origin.UNKNOWN}),
        ("struct sock *s = sk; if (text) s = NULL; see(s);", {Origin.KERNEL}),
    ],
)
def test_all_that_is_possible(body: str, expected: set[Origin]) -> None:
    assert set(said(LIBBPF, body)["probe"][0][1:]) == expected


def test_bcc_programs() -> None:
    assert seen(BCC)["syscall__open"] == [Origin.USER]
    assert seen(BCC)["helper"] == [Origin.KERNEL_TRACKED]
