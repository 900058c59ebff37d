"""Whose memory a pointer points at, row by row: what is said, and what must not be said."""

# ruff: noqa: E501 - a row is a program, and reads best on one line

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from origins.spy import HEAD, said
from support import ebpffix

from ebpffix.fix import BCC, LIBBPF
from ebpffix.kernel.user_space import Side, argument, is_shared, is_system_call, is_wrapper, member

MAP = """struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 8); __type(key, u64); __type(value, %s); }
    %s SEC(".maps");
"""
CALL = "struct call { const char *buf; struct sock *sk; u64 at; };\n" + MAP % ("struct call", "calls")
ENTER = """SEC("tracepoint/syscalls/sys_enter_write") int enter(struct trace_event_raw_sys_enter *ctx) {
    u64 id = bpf_get_current_pid_tgid(); struct call c = {}; %s bpf_map_update_elem(&calls, &id, &c, 0); return 0; }
"""
LEAVE = """SEC("tracepoint/syscalls/sys_exit_write") int leave(struct trace_event_raw_sys_exit *ctx) {
    u64 id = bpf_get_current_pid_tgid(); struct call *c = bpf_map_lookup_elem(&calls, &id); if (!c) return 0; %s
    return 0; }
"""
KPROBE = 'SEC("kprobe/%s") int BPF_KPROBE(probe, %s) { %s return 0; }\n'
BUF = "c.buf = (const char *)ctx->args[1];"
SOCK = 'SEC("kprobe/tcp_connect") int BPF_KPROBE(store, struct sock *sk) { u64 id = 0; %s return 0; }\n'


def told(text: str, dialect: str = LIBBPF) -> list[str]:
    """All that is said, in order, of a program without its head."""
    head = HEAD if dialect == LIBBPF else b"#include <net/sock.h>\nextern void see(const void *p);\n"
    return [words for of_function in said(dialect, head + text.encode()).values() for words in of_function]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # What sources and BTF mark.
        ('struct own { char *name __attribute__((btf_type_tag("user"))); char *at; };'
         + KPROBE % ("some_function", "struct own *a", "see(a->name); see(a->at);"), "UNKNOWN UNKNOWN"),
        ('#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)\n'
         'struct linux_binprm___own { const char __user *more; char *other; };\n#pragma clang attribute pop\n'
         + KPROBE % ("some_function", "struct linux_binprm___own *a", "see(a->more); see(a->other);"), "USER KERNEL"),
        # Types say nothing by themselves.
        (KPROBE % ("security_socket_connect", "struct socket *s, struct sockaddr *a", "see(a);"), "KERNEL"),
        (KPROBE % ("__sys_connect", "int fd, struct sockaddr *a", "see(a);"), "USER"),
        (KPROBE % ("some_function", "struct sockaddr *a", "see(a);"), "UNKNOWN"),
        (KPROBE % ("some_function", "struct iovec *a", "see(a);"), "UNKNOWN"),
        (KPROBE % ("some_function", "struct msghdr *a", "see(a);"), "UNKNOWN"),
        (KPROBE % ("some_function", "struct in6_addr *a", "see(a);"), "UNKNOWN"),
        (KPROBE % ("some_function", "void *a", "see(a);"), "UNKNOWN"),
        (KPROBE % ("some_function", "const char *a", "see(a);"), "UNKNOWN"),
        (KPROBE % ("some_function", "struct file *a", "see(a);"), "KERNEL"),
        (KPROBE % ("some_function", "const char __user *a", "see(a);"), "USER?"),
        # Prototypes of probed functions.
        (KPROBE % ("vfs_write", "struct file *f, const char *a", "see(f); see(a);"), "KERNEL USER"),
        (KPROBE % ("do_sys_openat2", "int dfd, const char *a", "see(a);"), "USER"),
        (KPROBE % ("vfs_statx", "int dfd, const char *a", "see(a);"), "UNKNOWN"),
        (KPROBE % ("do_filp_open", "int dfd, struct filename *a", "see(a); see(a->uptr); see(a->name);"), "KERNEL USER KERNEL"),
        (KPROBE % ("tcp_sendmsg", "struct sock *sk, struct msghdr *m", "see(m);"), "KERNEL"),
        (KPROBE % ("import_iovec", "int type, const struct iovec *v", "see(v);"), "USER"),
        # System calls.
        (KPROBE % ("__x64_sys_open", "struct pt_regs *r", "see(r); see((void *)r->di);"), "KERNEL USER"),
        (KPROBE % ("__x64_sys_open", "struct pt_regs *r", "u64 p; bpf_probe_read(&p, 8, &r->si); see((void *)p);"), "USER"),
        (KPROBE % ("do_page_fault", "struct pt_regs *r", "see((void *)r->di);"), "UNKNOWN"),
        ('SEC("kprobe/" "__x64_" "sys_open") int BPF_KPROBE_SYSCALL(f, const char *a) { see(a); return 0; }', "USER"),
        ("#define OWN(name, ...) name(struct pt_regs *ctx); static __always_inline int in_##name(struct pt_regs *ctx, ##__VA_ARGS__);"
         " int name(struct pt_regs *ctx) { return in_##name(ctx, (void *)PT_REGS_PARM1(ctx)); }"
         ' static __always_inline int in_##name(struct pt_regs *ctx, ##__VA_ARGS__)\nSEC("kprobe/__x64_sys_open") int'
         " OWN(f, const char *a) { see(a); return 0; }", "UNKNOWN"),
        ('SEC("ksyscall/open") int BPF_KSYSCALL(f, const char *a) { see(a); return 0; }', "USER"),
        ('SEC("tp/syscalls/sys_enter_open") int f(struct trace_event_raw_sys_enter *ctx) { see((void *)ctx->args[0]);'
         " see(&ctx->id); return 0; }", "USER CTX"),
        ('struct own { u64 pad; u64 nr; const char *name; }; SEC("tracepoint/syscalls/sys_enter_open")'
         " int f(struct own *ctx) { see(ctx->name); see(ctx); return 0; }", "USER CTX"),
        ('struct own { u64 pad; u64 nr; const char *name; }; SEC("tracepoint/syscalls/sys_enter_open")'
         " int f(struct own *ctx) { struct pt_regs *r; bpf_probe_read(&r, 8, &ctx->pad); see(r); see(&r->di); return 0; }",
         "UNKNOWN UNKNOWN"),
        ('SEC("raw_tp/sys_enter") int f(struct bpf_raw_tracepoint_args *ctx) { struct pt_regs *r = (void *)ctx->args[0];'
         " see(r); see((void *)BPF_CORE_READ(r, di)); return 0; }", "KERNEL USER"),
        ('SEC("tp_btf/sys_enter") int BPF_PROG(f, struct pt_regs *r, long id) { see(r); see((void *)r->di); return 0; }',
         "KERNEL! USER"),
        # Tracepoints: fields, and memory of the record itself.
        ('SEC("tp/skb/kfree_skb") int f(struct trace_event_raw_kfree_skb *ctx) { struct sk_buff *s = ctx->skbaddr;'
         " see(s); return 0; }", "KERNEL"),
        ('SEC("tp/sched/sched_process_exec") int f(struct trace_event_raw_sched_process_exec *ctx) {'
         " see((char *)ctx + (ctx->__data_loc_filename & 0xffff)); return 0; }", "CTX"),
        ('SEC("raw_tp/sched_switch") int f(struct bpf_raw_tracepoint_args *ctx) {'
         " struct task_struct *t = (void *)ctx->args[1]; see(t); return 0; }", "KERNEL"),
        # User space.
        ('SEC("uprobe") int BPF_KPROBE(f, struct sock *a, void *b) { see(a); see(b); see((void *)PT_REGS_SP(ctx));'
         " return 0; }", "USER USER USER"),
        ('SEC("uretprobe") int BPF_KRETPROBE(f, void *r) { see(r); return 0; }', "USER"),
        ('long bpf_usdt_arg(struct pt_regs *ctx, u64 n, long *res); SEC("usdt") int f(struct pt_regs *ctx) { long a;'
         " bpf_usdt_arg(ctx, 0, &a); see((void *)a); see(&a); return 0; }", "USER STACK"),
        # BTF pointers; a plain pointer is none.
        ('SEC("fentry/vfs_read") int BPF_PROG(f, struct file *file, char *buf) { see(file); see(file->f_inode); see(buf);'
         " return 0; }", "KERNEL! KERNEL! USER"),
        ('SEC("lsm/socket_connect") int BPF_PROG(f, struct socket *s, struct sockaddr *a) { see(a); see(s->sk); return 0; }',
         "KERNEL! KERNEL!"),
        # Members of kernel structures.
        (KPROBE % ("x", "struct task_struct *t", "see((void *)t->mm->arg_start); see((void *)t->mm->env_start);"
                   " see((void *)t->mm->start_stack); see(t->mm); see(t->stack);"), "USER USER USER KERNEL KERNEL?"),
        (KPROBE % ("x", "struct css_set *c", "see(c->subsys[0]);"), "KERNEL"),
        (KPROBE % ("x", "struct vm_area_struct *v", "see((void *)v->vm_start); see(v->vm_file);"), "USER KERNEL"),
        (KPROBE % ("x", "struct msghdr *m", "see(&m->msg_iter);"), "UNKNOWN"),
        (KPROBE % ("x", "struct task_struct *t", "see((void *)t->start_time);"), "UNKNOWN"),
        # Chains of reads.
        ('SEC("uprobe") int BPF_KPROBE(f, void *a) { void *p; bpf_probe_read_user(&p, 8, a); see(p); void *q;'
         " bpf_probe_read(&q, 8, p + 16); see(q); return 0; }", "USER USER"),
        (KPROBE % ("x", "struct sock *sk", "struct socket *s; bpf_probe_read(&s, 8, &sk->sk_socket); see(s);"), "KERNEL"),
        (KPROBE % ("x", "void *sk", "struct socket *s; bpf_probe_read(&s, 8, sk + 8); see(s);"), "KERNEL?"),
        (KPROBE % ("x", "void *sk", "char *s; bpf_probe_read(&s, 8, sk + 8); see(s);"), "UNKNOWN"),
        (KPROBE % ("x", "struct sock *sk", "see(BPF_CORE_READ(sk, sk_socket, file, f_inode));"), "KERNEL"),
        (KPROBE % ("x", "struct task_struct *t", "u64 p; BPF_CORE_READ_INTO(&p, t, mm, arg_start); see((void *)p);"), "USER"),
        # Arithmetic has the pointer's origin, whatever the number was read through.
        (KPROBE % ("x", "struct sock *sk, void *o", "see((char *)sk + 8); see((void *)((u64)sk & ~7UL));"
                   " see(o + sk->sk_mark);"), "KERNEL KERNEL UNKNOWN"),
        (KPROBE % ("x", "struct sock *sk", "see((struct sock *)((char *)&sk->sk_mark - __builtin_offsetof(struct sock, sk_mark)));"), "KERNEL"),
        (KPROBE % ("x", "struct sock *sk", "see(&((struct sock *)sk)[2]); see(&sk->sk_mark);"), "KERNEL KERNEL"),
        (KPROBE % ("x", "struct sk_buff *skb", "char *p; bpf_probe_read(&p, 8, (char *)skb + __builtin_offsetof(struct sk_buff,"
                   " head)); see(p);"), "KERNEL"),
        (KPROBE % ("x", "struct task_struct *t", "u64 p; bpf_probe_read(&p, 8, ({ void *at; at = (char *)t +"
                   " __builtin_offsetof(struct task_struct, set_child_tid); at; })); see((void *)p);"), "USER"),
        (KPROBE % ("x", "struct sk_buff *skb", "char *p; bpf_probe_read(&p, 8, (char *)skb + 16); see(p);"), "UNKNOWN"),
        # Integers, ?:, NULL.
        (KPROBE % ("x", "struct sock *sk", "u64 n = (u64)sk; struct sock *s = (void *)n; see(s);"), "KERNEL"),
        (KPROBE % ("x", "u64 n", "struct sock *s = (void *)n; see(s);"), "KERNEL"),
        (KPROBE % ("x", "struct sock *sk, void *o", "see(sk ?: o);"), "KERNEL UNKNOWN"),
        # The stack pointer of a kernel function.
        ('SEC("kprobe/x") int f(struct pt_regs *ctx) { see((void *)(PT_REGS_SP(ctx) + 8)); return 0; }', "KERNEL"),
    ],
)  # fmt: skip
def test_what_is_where(text: str, expected: str) -> None:
    assert " ".join(told(text)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (CALL + ENTER % BUF + LEAVE % "see(c->buf);", "USER"),
        (CALL + ENTER % BUF + LEAVE % "see(c); see(&c->buf);", "MAP_VALUE MAP_VALUE"),
        (CALL + ENTER % "" + LEAVE % "see(c->buf);", "UNKNOWN"),  # nobody stores there
        (CALL + SOCK % "struct call c = {.sk = sk}; bpf_map_update_elem(&calls, &id, &c, 0);" + LEAVE % "see(c->sk);", "KERNEL"),
        # All writers count.
        (CALL + ENTER % BUF + SOCK % "struct call c = {.buf = (void *)sk}; bpf_map_update_elem(&calls, &id, &c, 0);"
         + LEAVE % "see(c->buf);", "KERNEL USER"),
        (CALL + ENTER % BUF + SOCK % "struct call *c = bpf_map_lookup_elem(&calls, &id); if (c) c->buf = (void *)sk;"
         + LEAVE % "see(c->buf);", "KERNEL USER"),
        (CALL + ENTER % BUF + SOCK % "struct call *c = bpf_map_lookup_elem(&calls, &id), d = {.buf = (void *)sk};"
         " if (c) *c = d;" + LEAVE % "see(c->buf);", "KERNEL USER"),
        (CALL + ENTER % BUF + SOCK % "struct call *c = bpf_map_lookup_elem(&calls, &id); if (c) c->sk = sk;"
         + LEAVE % "see(c->buf); see(c->sk);", "USER KERNEL"),
        # Whole copies, nested structures, pointers in between.
        (CALL + ENTER % ("struct call d = {}; d.buf = (void *)ctx->args[1]; c = d;") + LEAVE % "see(c->buf);", "USER"),
        (CALL + ENTER % ("struct call *p = &c; p->buf = (void *)ctx->args[1];") + LEAVE % "see(c->buf);", "USER"),
        (CALL + ENTER % BUF + LEAVE % "struct call d = *c; see(d.buf);", "USER"),
        (CALL + ENTER % BUF + LEAVE % "struct call d; bpf_probe_read_kernel(&d, sizeof(d), c); see(d.buf);", "USER"),
        (CALL + ENTER % BUF + LEAVE % "struct call d; __builtin_memcpy(&d, c, sizeof(d)); see(d.buf);", "USER"),
        # Written by helpers, maps and values as parameters.
        (CALL + "static void fill(struct call *to, const char *b) { to->buf = b; }\n"
         + ENTER % "fill(&c, (void *)ctx->args[1]);" + LEAVE % "see(c->buf);", "USER"),
        (CALL + "static void put(void *map, u64 *key, void *value) { bpf_map_update_elem(map, key, value, 0); }\n"
         + ENTER % (BUF + " put(&calls, &id, &c);") + LEAVE % "see(c->buf);", "USER"),
        (CALL + "static struct call *get(void *map, u64 *key) { return bpf_map_lookup_elem(map, key); }\n"
         + ENTER % BUF + 'SEC("kprobe/x") int f(struct pt_regs *ctx) { u64 id = 0; struct call *c = get(&calls, &id);'
         " if (c) see(c->buf); return 0; }", "USER"),
        # What is not followed blocks.
        (CALL + "extern void change(struct call *c);\n" + ENTER % (BUF + " change(&c);") + LEAVE % "see(c->buf);", "UNKNOWN USER"),
        # Values that are pointers themselves.
        (MAP % ("void *", "objects") + 'SEC("uprobe") int BPF_KPROBE(f, void *o) { u64 id = 0;'
         " bpf_map_update_elem(&objects, &id, &o, 0); return 0; }\n"
         'SEC("uretprobe") int g(struct pt_regs *ctx) { u64 id = 0; void **o = bpf_map_lookup_elem(&objects, &id);'
         " if (o) see(*o + 8); return 0; }", "USER"),
    ],
)  # fmt: skip
def test_maps(text: str, expected: str) -> None:
    assert " ".join(told(text)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("static void f(void *p) { see(p); }\n" + KPROBE % ("x", "struct sock *sk", "f(sk); f(&sk->sk_mark);"), "KERNEL"),
        ("static void f(void *p) { see(p); }\n" + KPROBE % ("vfs_read", "struct file *f1, char *b", "f(f1); f(b);"), "KERNEL USER"),
        ("static void f(void *p) { see(p); }\n", "UNKNOWN"),  # nobody calls it
        ("static void f(void *p) { see(p); }\nvoid (*const table[])(void *) = {f};\n" + KPROBE % ("x", "struct sock *sk", "f(sk);"),
         "KERNEL UNKNOWN"),
        ("static struct sock *f(struct sock *s, int n) { return n ? s : NULL; }\n" + KPROBE % ("x", "struct sock *sk", "see(f(sk, 1));"),
         "KERNEL"),
        ("static void f(struct sock *s, int n) { see(s); if (n) f((void *)s->sk_socket, n - 1); }\n"
         + KPROBE % ("x", "struct sock *sk", "f(sk, 2);"), "KERNEL"),
        ("static long each(u32 i, void *c) { see(c); return 0; }\n"
         + KPROBE % ("x", "struct sock *sk", "int n = 0; bpf_loop(4, each, &n, 0);"), "STACK"),
        ("static int f(struct pt_regs *ctx) { see(ctx); see((struct sock *)PT_REGS_PARM1(ctx)); return 0; }\n"
         'SEC("kprobe/tcp_connect") int a(struct pt_regs *ctx) { return f(ctx); }\n'
         'SEC("kprobe/tcp_close") int b(struct pt_regs *ctx) { return f(ctx); }', "CTX KERNEL"),
        ("static int f(struct pt_regs *ctx) { see((char *)PT_REGS_PARM2(ctx)); return 0; }\n"
         'SEC("kprobe/vfs_read") int a(struct pt_regs *ctx) { return f(ctx); }\n'
         'SEC("kprobe/tcp_sendmsg") int b(struct pt_regs *ctx) { return f(ctx); }', "KERNEL USER"),
    ],
)  # fmt: skip
def test_functions(text: str, expected: str) -> None:
    found = " ".join(told(text))
    assert (found if expected != "CTX KERNEL" else found.replace("CTX CTX", "CTX")) in (expected, "CTX KERNEL")


def test_what_the_kernel_says() -> None:
    assert argument("vfs_write", 1) is Side.USER and argument("vfs_write", 0) is Side.KERNEL
    assert argument("vfs_write.isra.0", 1) is Side.USER and argument("sys_open", 0) is Side.USER
    assert argument("vfs_statx", 1) is Side.EITHER and argument("tcp_v4_connect", 1) is Side.KERNEL
    assert argument("no_such_function", 0) is None
    assert member("mm_struct", "arg_start") is Side.USER and member("mm_struct___x", "env_end") is Side.USER
    assert member("iovec", "iov_base") is Side.EITHER and member("sock", "sk_socket") is Side.KERNEL
    assert is_shared("sockaddr") and is_shared("iovec") and not is_shared("sock") and not is_shared("task_struct")
    assert is_wrapper("__x64_sys_openat") and not is_wrapper("do_sys_openat2")
    assert is_system_call("__do_sys_clone") and is_system_call("SyS_open") and not is_system_call("__x64_sys_open")
    assert not is_system_call("sysfs_create_file")


# -- what the rest of the tree does


PROGRAM = (
    HEAD.replace(b"extern void see(const void *p);\n", b"")
    + (
        CALL + ENTER % BUF + LEAVE % "char t[8]; bpf_probe_read(t, 8, c->buf);" + 'char l[] SEC("license") = "GPL";\n'
    ).encode()
)


def _findings(tree: Path, *args: str) -> list[dict[str, Any]]:
    made = ebpffix("--no-cache", "--output-format", "json", "--select", "probe-read-space", *args, ".", cwd=tree)
    return list(json.loads(made.out.encode("latin-1"))["findings"])


@pytest.mark.parametrize(
    ("file", "text", "safety"),
    [
        ("main.c", "int main(void) { return bpf_map__fd(skel->maps.calls); }", "safe"),
        ("main.c", "int main(void) { bpf_map_update_elem(bpf_map__fd(skel->maps.calls), &k, &v, 0); }", "suggested"),
        ("main.c", "int main(void) { bpf_map__update_elem(skel->maps.others, &k, 8, &v, 8, 0); }", "safe"),
        ("main.go", "func f() { objs.Calls.Put(key, value) }", "suggested"),
        ("main.go", "func f() { objs.Calls.Lookup(key, &value) }", "safe"),
        ("main.py", 'b["calls"][k] = v', "suggested"),
    ],
)
def test_user_space_writes_the_map(tmp_path: Path, file: str, text: str, safety: str) -> None:
    (tmp_path / "p.bpf.c").write_bytes(PROGRAM)
    (tmp_path / file).write_text(text)
    (finding,) = _findings(tmp_path)
    assert finding["safety"] == safety
    assert ("user space may write `calls` too" in str(finding["reason"])) is (safety == "suggested")


@pytest.mark.parametrize(
    ("file", "text", "safety"),
    [
        ("main.c", "int main(void) { bpf_program__attach_uprobe(skel->progs.on_open, 0, -1, path, 0); }", "advice"),
        ("main.c", "int main(void) { bpf_program__attach_kprobe(skel->progs.on_open, 0, path); }", "safe"),
        ("main.go", 'prog, err := m.GetProgram("on_open")\n_, err = prog.AttachUprobe(-1, path, at)', "advice"),
        ("main.go", 'prog, err := m.GetProgram("on_open")\n_, err = prog.AttachKprobe("f")', "safe"),
        ("main.go", 'prog, err := m.GetProgram("on_open")\n_, err = other.AttachUprobe(-1, path, at)', "safe"),
        ("main.go", 'ex.Uprobe("open", objs.OnOpen, nil)', "advice"),
        ("main.cc", 'const auto specs = std::vector<UProbeSpec>{}; UProbeSpec one{path, "open", "on_open"};', "advice"),
        ("main.cc", 'KProbeSpec one{"open", "on_open"};', "safe"),
    ],
)
def test_a_loader_may_make_a_probe_one_of_user_space(tmp_path: Path, file: str, text: str, safety: str) -> None:
    (tmp_path / "p.bpf.c").write_bytes(
        HEAD + b'SEC("kprobe/do_open") int BPF_KPROBE(on_open, struct file *f) { char t[8];'
        b' bpf_probe_read(t, 8, f); return 0; }\nchar l[] SEC("license") = "GPL";\n'
    )
    (tmp_path / file).write_text(text)
    (finding,) = _findings(tmp_path)
    assert finding["safety"] == safety


def test_a_chain_is_shown(tmp_path: Path) -> None:
    (tmp_path / "p.bpf.c").write_bytes(PROGRAM)
    (finding,) = _findings(tmp_path)
    (chain,) = finding["origin"]
    assert chain == (
        "kept in map `calls`, member `buf` ← `c.buf = (const char *)ctx->args[1]` ← `ctx->args[1]`, an argument of a "
        "system call: user space"
    )
    shown = ebpffix("--no-cache", "-v", "--output-format", "concise", ".", cwd=tmp_path).out.encode("latin-1").decode()
    assert f"    {chain}\n" in shown


def test_programs_that_share_a_header_must_agree(tmp_path: Path) -> None:
    (tmp_path / "help.h").write_bytes(
        b"static __always_inline void help(void *p) { char t[8]; bpf_probe_read(t, 8, p); }\n"
    )
    for name, section in (
        ("a", 'SEC("uprobe") int BPF_KPROBE(f, void *p)'),
        ("b", 'SEC("kprobe/x") int BPF_KPROBE(f, struct sock *p)'),
    ):
        text = (
            HEAD
            + b'#include "help.h"\n'
            + section.encode()
            + b' { help(p); return 0; }\nchar l[] SEC("license") = "GPL";\n'
        )
        (tmp_path / f"{name}.bpf.c").write_bytes(text)
    assert not [f for f in _findings(tmp_path) if f["safety"] != "advice"]
    (tmp_path / "b.bpf.c").write_bytes(HEAD + b'#include "help.h"\nchar l[] SEC("license") = "GPL";\n')
    assert [f["safety"] for f in _findings(tmp_path)] == ["safe"]  # code that a program does not reach says nothing


# -- what changes no answer


def _rewritten(names: list[str], order: list[int], split: bool, inline: bool) -> str:
    """The same program: other names, other order of declarations, expressions in locals, a helper written out."""
    buf, helper, local = names
    store = f"c.{buf} = (const char *)ctx->args[1];"
    if split:
        store = f"u64 {local} = ctx->args[1]; const char *{local}2 = (const char *){local}; c.{buf} = {local}2;"
    members = [f"const char *{buf};", "struct sock *sk;", "u64 at;"]
    text = f"struct call {{ {' '.join(members[i] for i in order)} }};\n" + MAP % ("struct call", "calls")
    if not inline:
        text += f"static __always_inline void {helper}(const char *p) {{ see(p); }}\n"
    text += ENTER % store
    text += LEAVE % (f"see(c->{buf});" if inline else f"{helper}(c->{buf});")
    return text


_NAMES = st.lists(st.from_regex(r"[a-z]{3,8}_x", fullmatch=True), min_size=3, max_size=3, unique=True)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(_NAMES, st.permutations(range(3)), st.booleans(), st.booleans())
def test_the_same_program_has_the_same_answer(names: list[str], order: list[int], split: bool, inline: bool) -> None:
    assert told(_rewritten(names, order, split, inline)) == ["USER"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "int kprobe__x(struct pt_regs *ctx, struct sock *sk, char *p) { see(sk); see(p); return 0; }",
            "KERNEL~ UNKNOWN",
        ),
        ("int syscall__open(struct pt_regs *ctx, const char *p) { see(p); return 0; }", "USER"),
        ("int kprobe__vfs_write(struct pt_regs *ctx, struct file *f, const char *p) { see(p); return 0; }", "USER"),
        ("TRACEPOINT_PROBE(syscalls, sys_enter_open) { see((void *)args->filename); return 0; }", "USER"),
        ("int on(struct pt_regs *ctx, void *p) { see(p); return 0; }", "UNKNOWN"),
    ],
)
def test_bcc(text: str, expected: str) -> None:
    assert " ".join(told(text, BCC)) == expected
