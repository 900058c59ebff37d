"""The bundled headers: each stands alone, and the macros give the types and shapes that transforms build on."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import ebpffix
from ebpffix.frontend import clang

HEADERS = Path(ebpffix.__file__).parent / "headers"
ALL = sorted(HEADERS.rglob("*.h"))
BASE = ["-target", "bpf", "-nostdinc", "-ferror-limit=0", "-Wall", "-isystem", f"{HEADERS}/libbpf"]
BASE += ["-isystem", f"{HEADERS}/builtin", "-idirafter", f"{HEADERS}/system"]
PRELUDE = ["-include", f"{HEADERS}/bcc/prelude.h"]

# What a vmlinux.h gives first, cut down to what the headers lean on.
VMLINUX = """
#ifndef __VMLINUX_H__
#define __VMLINUX_H__
#define EBPFFIX_VMLINUX
typedef unsigned char __u8; typedef unsigned short __u16; typedef unsigned int __u32; typedef unsigned long long __u64;
typedef signed char __s8; typedef short __s16; typedef int __s32; typedef long long __s64;
typedef __u8 u8; typedef __u16 u16; typedef __u32 u32; typedef __u64 u64; typedef __s32 s32; typedef __s64 s64;
typedef __u16 __be16; typedef __u32 __be32; typedef __u64 __be64; typedef __u32 __wsum; typedef __u16 __sum16;
typedef _Bool bool; enum { false = 0, true = 1 }; typedef unsigned long size_t;
typedef u64 uint64_t; typedef u16 wchar_t;
struct pt_regs { unsigned long r10, r9, r8, bp, ax, cx, dx, si, di, ip, sp; };
struct sock_common { __be16 skc_dport; }; struct sock { struct sock_common __sk_common; };
struct iphdr { u8 ttl; }; struct xdp_md { u32 data; }; struct ethhdr { u8 h_dest[6]; };
enum { BPF_ANY, BPF_F_NO_PREALLOC = 1 }; enum bpf_map_type { BPF_MAP_TYPE_HASH = 1 };
struct bpf_iter_num { u64 opaque[1]; };
#endif
"""


def parse(text: str, *args: str) -> Any:
    return clang.parse("/t.c", [*BASE, *args], [("/t.c", text.encode()), ("/vmlinux.h", VMLINUX.encode())])


def complaints(tu: Any) -> list[str]:
    return [f"{d.location.file}:{d.location.line}: {d.spelling}" for d in tu.diagnostics if d.severity >= 2]


def below(cursor: Any) -> list[Any]:
    return list(cursor.walk_preorder())


def find(tu: Any, kind: str, name: str) -> Any:
    found = [c for c in below(tu.cursor) if clang.kind_name(c) == kind and c.spelling == name]
    assert found, f"no {kind} {name}"
    return found[0]


def parameters(function: Any) -> list[tuple[str, str]]:
    found = [c for c in function.get_children() if clang.kind_name(c) == "PARM_DECL"]
    return [(c.spelling, c.type.spelling) for c in found]


def expanded(tu: Any) -> set[str]:
    return {c.spelling for c in below(tu.cursor) if clang.kind_name(c) == "MACRO_INSTANTIATION"}


@pytest.mark.parametrize("vmlinux", [False, True])
def test_each_header_stands_alone(vmlinux: bool) -> None:
    before = '#include "/vmlinux.h"\n' if vmlinux else ""
    for header in ALL:
        if not (vmlinux and header.parent.name == "bcc"):  # these want the whole of a kernel's types
            assert complaints(parse(f'{before}#include "{header}"\n')) == [], header


def test_order_does_not_matter() -> None:
    ours = [p for p in ALL if p.parent.name != "bcc" and p.parent.parent.name != "netinet"]
    for order in (ours, ours[::-1]):
        assert complaints(parse("".join(f'#include "{p}"\n' for p in [*order, *order]))) == []


def test_every_header_says_what_it_is_for() -> None:
    for header in ALL:
        assert re.match(r"/\*.*?\bparsing\b.*?\*/", header.read_text(), re.DOTALL), header


def test_helpers_are_numbered_without_gap() -> None:
    text = (HEADERS / "libbpf/bpf/bpf_helper_defs.h").read_text()
    numbers = [int(n) for n in re.findall(r"^EBPFFIX_HELPER\((\d+),", text, re.MULTILINE)]
    assert numbers == list(range(1, 212))


def test_a_program_may_define_a_helper_that_its_libbpf_lacked() -> None:
    own = "static long (*bpf_xdp_load_bytes)(struct xdp_md *ctx, __u32 offset, void *to, __u32 size) = (void *)189;"
    assert complaints(parse(f'#include "/vmlinux.h"\n#include <bpf/bpf_helpers.h>\n{own}\n')) == []


LIBBPF = """
#include "/vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/usdt.bpf.h>
"""


TYPED = "BPF_PROG BPF_KPROBE BPF_KRETPROBE BPF_UPROBE BPF_URETPROBE BPF_KSYSCALL BPF_KPROBE_SYSCALL BPF_USDT".split()


@pytest.mark.parametrize("macro", TYPED)
def test_a_typed_program_has_an_inner_function_with_the_written_body(macro: str) -> None:
    tu = parse(f'{LIBBPF}SEC("x") int {macro}(f, struct sock *sk, int n) {{ return sk ? n : 0; }}\n')
    assert complaints(tu) == []
    find(tu, "FUNCTION_DECL", "f")
    inner = parameters(find(tu, "FUNCTION_DECL", "____f"))
    assert [name for name, _ in inner] == ["ctx", "sk", "n"]
    assert inner[1][1] == "struct sock *"


def test_prog2_takes_types_and_names_in_turn() -> None:
    tu = parse(f'{LIBBPF}SEC("x") int BPF_PROG2(f, struct sock *, sk, int, n) {{ return sk ? n : 0; }}\n')
    assert complaints(tu) == []
    assert [name for name, _ in parameters(find(tu, "FUNCTION_DECL", "____f"))] == ["ctx", "sk", "n"]


def test_libbpf_macros_parse() -> None:
    tu = parse(
        LIBBPF
        + """
        struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 8); __type(key, u32); __type(value, u64);
                 __ulong(map_extra, 1ull << 40); __array(values, int); } m SEC(".maps");
        int plain(struct pt_regs *ctx, struct seq_file *s, struct sock *sk, char *buf) {
            u32 key = 0; int i, *n; u64 *v = bpf_map_lookup_elem(&m, &key);
            if (v) *v += PT_REGS_PARM1(ctx) + PT_REGS_PARM4_SYSCALL(ctx) + PT_REGS_RC_CORE(ctx);
            bpf_for(i, 0, 4) bpf_printk("%d %d %d %d", i, i, i, i);
            bpf_for_each(num, n, 0, 4) bpf_printk("plain");
            bpf_repeat(3) barrier_var(key);
            BPF_SEQ_PRINTF(s, "%d %s", i, "a"); BPF_SNPRINTF(buf, 8, "%d", i);
            BPF_CORE_READ_INTO(&key, sk, __sk_common.skc_dport);
            bpf_core_read(&key, 2, &sk->__sk_common.skc_dport);
            return bpf_core_field_exists(sk->__sk_common) + bpf_core_field_size(struct sock, __sk_common) +
                   bpf_core_type_exists(struct sock) + bpf_core_enum_value(enum bpf_map_type, BPF_MAP_TYPE_HASH);
        }"""
    )
    assert complaints(tu) == []


def test_core_read_has_the_type_of_the_chain_and_shows_its_members() -> None:
    read = "__auto_type port = BPF_CORE_READ(sk, __sk_common.skc_dport);"
    tu = parse(f"{LIBBPF}void f(struct sock *sk) {{ {read} (void)port; }}")
    assert complaints(tu) == []
    assert find(tu, "VAR_DECL", "port").type.get_canonical().spelling == "unsigned short"
    find(tu, "MEMBER_REF_EXPR", "skc_dport")


def test_what_libbpf_keeps_to_itself_is_there_for_those_who_use_it() -> None:
    head = '#include "vmlinux.h"\n#include <bpf/bpf_core_read.h>\n'
    body = "int f(struct sock *sk) { ___type(sk, __sk_common.skc_dport) port = ___arrow(sk, __sk_common.skc_dport); "
    assert not complaints(parse(head + body + "___type(port) same = port; return same; }\n"))


def test_byte_order_is_a_macro_with_libbpf() -> None:
    tu = parse(LIBBPF + "int f(u16 x) { return bpf_ntohs(x); }")
    assert complaints(tu) == []
    assert "bpf_ntohs" in expanded(tu)


def bcc(text: str) -> Any:
    tu = parse(text, *PRELUDE)
    assert complaints(tu) == []
    return tu


def test_byte_order_in_bcc_is_a_macro_as_the_kernels_and_a_function_as_bccs() -> None:
    tu = bcc("int f(u16 x) { return ntohs(x) + bpf_ntohs(x); }")
    assert "ntohs" in expanded(tu)
    assert "bpf_ntohs" not in expanded(tu)
    find(tu, "CALL_EXPR", "bpf_ntohs")


@pytest.mark.parametrize(
    ("arguments", "key", "leaf"),
    [
        ("m", "u64", "u64"),
        ("m, u32", "u32", "u64"),
        ("m, u32, u8", "u32", "u8"),
        ("m, u32, struct sock *, 7", "u32", "struct sock *"),
    ],
)
@pytest.mark.parametrize("macro", ["BPF_HASH", "BPF_PERCPU_HASH", "BPF_LPM_TRIE"])
def test_a_hash_has_bccs_defaults(macro: str, arguments: str, key: str, leaf: str) -> None:
    tu = bcc(f"{macro}({arguments}); int f(void *k) {{ return m.lookup(k) != 0; }}")
    assert find(tu, "CALL_EXPR", "lookup").type.spelling.replace(" ", "") == f"{leaf}*".replace(" ", "")
    members = {c.spelling: c.type.spelling for c in find(tu, "STRUCT_DECL", "m_table_t").get_children()}
    assert (members["key"], members["leaf"]) == (key, leaf)


def test_all_map_macros_and_methods_parse() -> None:
    bcc("""
        struct key_t { u32 pid; char comm[TASK_COMM_LEN]; };
        BPF_HISTOGRAM(h1); BPF_HISTOGRAM(h2, struct key_t); BPF_HISTOGRAM(h3, u32, 100);
        BPF_ARRAY(a1); BPF_ARRAY(a2, u32); BPF_PERCPU_ARRAY(a3, struct key_t, 1);
        BPF_STACK_TRACE(st, 10); BPF_STACK_TRACE_BUILDID(sb, 10); BPF_PERF_OUTPUT(ev); BPF_RINGBUF_OUTPUT(rb, 8);
        BPF_PERF_ARRAY(pa, 4); BPF_PROG_ARRAY(jump, 4); BPF_CGROUP_ARRAY(cg, 1); BPF_DEVMAP(dm, 1); BPF_CPUMAP(cm, 1);
        BPF_XSKMAP(x1, 1); BPF_XSKMAP(x2, 1, "/p"); BPF_SOCKMAP(sm, 1); BPF_SOCKHASH(sh, u32, 5);
        BPF_TABLE("lru_hash", u32, u64, t1, 5); BPF_F_TABLE("hash", u32, u64, t2, 5, BPF_F_NO_PREALLOC);
        BPF_TABLE_PUBLIC("hash", u32, u64, t3, 5); BPF_TABLE_SHARED("hash", u32, u64, t4, 5);
        BPF_TABLE_PINNED("hash", u32, u64, t5, 5, "/p"); BPF_TABLE_PINNED("hash", u32, u64, t6, 5, "/p", 1);
        BPF_ARRAY_OF_MAPS(am, "t1", 2); BPF_HASH_OF_MAPS(hm, u32, "t1", 2); BPF_QUEUE(q, u32, 3);
        BPF_STACK(s, u32, 3, 0); BPF_SK_STORAGE(sks, u64); BPF_TASK_STORAGE(ts, u64);
        int f(struct pt_regs *ctx, struct __sk_buff *skb) {
            struct key_t k = {}; u64 zero = 0, *v = h2.lookup_or_try_init(&k, &zero); u32 n = 1; int i = 0;
            if (v) { h2.increment(k); h2.increment(k, 2); h2.atomic_increment(k); }
            h2.update(&k, &zero); h2.insert(&k, &zero); h2.delete(&k); a1.increment(i);
            ev.perf_submit(ctx, &k, sizeof(k)); ev.perf_submit_skb(skb, 4, &k, sizeof(k)); jump.call(ctx, 1);
            rb.ringbuf_output(&k, sizeof(k), 0); q.push(&n, 0); q.pop(&n); s.peek(&n);
            return st.get_stackid(ctx, 0) + pa.perf_read(0) + cg.check_current_task(0) + dm.redirect_map(0, 0);
        }""")


def test_bcc_programs_parse() -> None:
    tu = bcc("""
        TRACEPOINT_PROBE(sched, sched_switch) { return args->prev_pid; }
        TRACEPOINT_PROBE(syscalls, sys_enter_openat) { const char *name = args->filename; return name && args->flags; }
        RAW_TRACEPOINT_PROBE(sched_wakeup) { return ctx->args[0]; }
        KFUNC_PROBE(tcp_connect, struct sock *sk) { return sk->__sk_common.skc_num; }
        int kretprobe__tcp(struct pt_regs *ctx) { bpf_trace_printk("%d\\n", 1); return PT_REGS_RC(ctx); }
        int filter(struct __sk_buff *skb) {
            u8 *cursor = 0; struct ethernet_t *eth = cursor_advance(cursor, sizeof(*eth));
            struct ip_t *ip = cursor_advance(cursor, sizeof(*ip));
            return eth->type == ETH_P_IP && ip->nextp == IPPROTO_TCP && min_t(u32, skb->len, 3) == load_byte(skb, 0);
        }""")
    names = {c.spelling for c in below(tu.cursor) if clang.kind_name(c) == "FUNCTION_DECL"}
    assert {"tracepoint__sched__sched_switch", "raw_tracepoint__sched_wakeup"} <= names
    assert "____kfunc__vmlinux__tcp_connect" in names


def test_an_xdp_program_needs_no_system_header() -> None:
    tu = parse("""
        #include <linux/bpf.h>
        #include <linux/if_ether.h>
        #include <linux/ip.h>
        #include <linux/in.h>
        #include <linux/tcp.h>
        #include <bpf/bpf_helpers.h>
        #include <bpf/bpf_endian.h>
        SEC("xdp") int f(struct xdp_md *ctx) {
            void *end = (void *)(long)ctx->data_end; struct ethhdr *eth = (void *)(long)ctx->data;
            struct iphdr *ip = (void *)(eth + 1);
            if ((void *)(ip + 1) > end || eth->h_proto != bpf_htons(ETH_P_IP) || ip->protocol != IPPROTO_TCP)
                return XDP_PASS;
            return XDP_DROP;
        }""")
    assert complaints(tu) == []


@pytest.mark.parametrize(
    ("header", "struct", "size"),
    [("linux/if_ether.h", "ethhdr", 14), ("linux/ip.h", "iphdr", 20), ("linux/ipv6.h", "ipv6hdr", 40),
     ("linux/tcp.h", "tcphdr", 20), ("linux/udp.h", "udphdr", 8), ("linux/icmp.h", "icmphdr", 8),
     ("linux/bpf.h", "__sk_buff", 192), ("linux/bpf.h", "xdp_md", 24), ("linux/bpf.h", "bpf_sock_ops", 224),
     ("linux/bpf.h", "bpf_fib_lookup", 64), ("linux/bpf.h", "bpf_tunnel_key", 44), ("linux/bpf.h", "sk_msg_md", 80)],
)  # fmt: skip
def test_records_have_their_true_size(header: str, struct: str, size: int) -> None:
    tu = parse(f'#include <{header}>\n_Static_assert(sizeof(struct {struct}) == {size}, "size");')
    assert complaints(tu) == []
