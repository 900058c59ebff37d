"""Whose memory the pointers of small programs point at."""

from __future__ import annotations

import pytest
from origins.spy import said

from ebpffix.fix import BCC, LIBBPF

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


def seen(dialect: str, body: str = "") -> dict[str, list[str]]:
    return said(dialect, PROGRAMS[dialect].replace(b"%s", body.encode()))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("char a[4]; see(a);", "STACK"),
        ("struct val a; see(&a);", "STACK"),
        ("struct val a; see(a.c + 2);", "STACK"),
        ("struct val a; see(&a.c[2]);", "STACK"),
        ('see("text");', "GLOBAL"),
        ("see(big);", "GLOBAL"),
        ("static struct val a; see(&a);", "GLOBAL"),
        ("see(somewhere);", "UNKNOWN"),
        ("u32 k = 0; struct val *v = bpf_map_lookup_elem(&m, &k); if (v) see(v->c);", "MAP_VALUE"),
        ("u32 k = 0; struct val *v; v = bpf_map_lookup_elem(&m, &k); see((char *)v + 2);", "MAP_VALUE"),
        ("u32 k = 0; struct val *v = bpf_map_lookup_elem(&m, &k); if (v) see(v->sk);", "KERNEL?"),
        ("u32 k = 0; struct val a, *v = bpf_map_lookup_elem(&m, &k); if (!v) v = &a; see(v);", "MAP_VALUE STACK"),
        ("struct val *e = bpf_ringbuf_reserve(&rb, sizeof(*e), 0); if (e) see(e->c);", "RINGBUF"),
        ("struct task_struct *t = (void *)bpf_get_current_task(); see(t->comm);", "KERNEL"),
        ("struct task_struct *t = (void *)bpf_get_current_task(); see(t->mm->owner);", "KERNEL"),
        ("struct task_struct *t = bpf_get_current_task_btf(); see(t->comm);", "KERNEL!"),
        ("struct task_struct *t = NULL; t = (void *)bpf_get_current_task(); see(t);", "KERNEL"),
        ("struct net *p = BPF_CORE_READ(sk, __sk_common.skc_net.net); see(p);", "KERNEL"),
        ("struct net *n; bpf_probe_read_kernel(&n, sizeof(n), &sk->__sk_common.skc_net.net); see(n);", "KERNEL"),
        ("char *n; bpf_probe_read_user(&n, sizeof(n), text); see(n);", "USER"),
        ("see(sk);", "KERNEL"),
        ("see(&sk->__sk_common.skc_num);", "KERNEL"),
        ("see(&sk->no_such_member);", "KERNEL"),
        ("see(sk->sk_user_data);", "KERNEL?"),
        ("see(text);", "UNKNOWN"),
        ("see(ctx);", "CTX"),
        ("struct sock *s = (struct sock *)PT_REGS_PARM1(ctx); see(s);", "KERNEL"),
        ("u64 s = PT_REGS_PARM1(ctx); see((void *)s);", "UNKNOWN"),
        ("struct sock *s = sk; struct sock **p = &s; see(s); see(p);", "KERNEL"),
        ("struct sock *s = sk; if (text) s = (void *)big; see(s);", "GLOBAL KERNEL"),
        ("struct sock *s = sk; while (s) s = (struct sock *)s->sk_socket; see(s);", "KERNEL"),
        ("struct sock *s; s = s; see(s);", "UNKNOWN"),
        ("struct task_struct *t = (void *)bpf_get_current_task(); see(t->set_child_tid);", "USER"),
        (
            "struct mm_struct *m = ((struct task_struct *)bpf_get_current_task())->mm; see((char *)m->arg_start);",
            "USER",
        ),
        ("struct task_struct *t = (void *)bpf_get_current_task(); see(BPF_CORE_READ(t, comm));", "STACK"),
        (
            "struct task_struct *t = (void *)bpf_get_current_task(); see((char *)BPF_CORE_READ(t, mm, arg_start));",
            "USER",
        ),
        ("struct filename *n = (void *)PT_REGS_PARM2(ctx); see(BPF_CORE_READ(n, uptr));", "USER"),
        ("struct val a; void *p = text ? (void *)&a : NULL; see(p);", "STACK"),
    ],
)
def test_expressions(body: str, expected: str) -> None:
    assert seen(LIBBPF, body)["probe"][0] == expected


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("sys", ["USER"]),
        ("enter", ["KERNEL!"]),
        ("drop", ["PACKET", "CTX"]),
        ("helper", ["STACK"]),
        ("mixed", ["GLOBAL STACK"]),
    ],
)
def test_programs(function: str, expected: list[str]) -> None:
    assert seen(LIBBPF)[function] == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("see(sk);", "KERNEL~"),
        ("see(&sk->__sk_common.skc_daddr);", "KERNEL~"),
        ("struct task_struct *t = (struct task_struct *)bpf_get_current_task(); see(t->comm);", "KERNEL~"),
        ("struct task_struct *t = (struct task_struct *)bpf_get_current_task(); see(t->mm);", "KERNEL~"),
        ("u64 t = bpf_get_current_task(); struct task_struct *p = (void *)t; see(p->comm);", "KERNEL"),
        ("struct sock *s = (struct sock *)ctx->di; see(s);", "KERNEL~"),
        ("struct sock *s = (struct sock *)PT_REGS_PARM1(ctx); see(s);", "KERNEL~"),
        ("struct sock *s; bpf_probe_read_kernel(&s, sizeof(s), &sk->sk_prot); see(s);", "KERNEL"),
        ("struct sock **p = socks.lookup(&id); if (!p) return 0; struct sock *s = *p; see(s);", "KERNEL~"),
        ("struct sock **p = others.lookup(&id); if (!p) return 0; struct sock *s = *p; see(s);", "KERNEL?"),
        ("struct sock **p = others.lookup(&id); see(p);", "MAP_VALUE"),
        ("see(text);", "UNKNOWN"),
    ],
)
def test_bcc(body: str, expected: str) -> None:
    assert seen(BCC, body)["kprobe__tcp_connect"][0] == expected


def test_bcc_programs() -> None:
    assert seen(BCC)["syscall__open"] == ["USER"]
    assert seen(BCC)["helper"] == ["KERNEL~"]
