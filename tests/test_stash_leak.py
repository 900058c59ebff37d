"""What fixtures cannot say of stash-leak: messages, places, and odd shapes as short texts."""

from __future__ import annotations

import pytest
from support import Frame, findings

from ebpffix.fix import BCC, Safety

STORE = "__u32 k = bpf_get_current_pid_tgid(); struct call c = {}; bpf_map_update_elem(&m, &k, &c, BPF_ANY);"
LOOKUP = "__u32 k = bpf_get_current_pid_tgid();\n\tstruct call *c = bpf_map_lookup_elem(&m, &k);\n\tif (!c) return 0;\n"
DELETE = "\tbpf_map_delete_elem(&m, &k);\n"
FRAME = Frame(
    "stash-leak",
    """#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
struct call { __u64 start; struct file *file; char name[16]; };
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 8); __type(key, __u32); __type(value, struct call); }
    m SEC(".maps");
void report(__u64 n);
static struct call *same(struct call *c) { return c; }
${more}SEC("$entry") int enter(struct pt_regs *ctx) { $store return 0; }
SEC("$leave") int leave(struct pt_regs *ctx)
{
	$body
}
""",
    parts={"store": STORE, "entry": "kprobe/f", "leave": "kretprobe/f"},
)
found, program = FRAME.found, FRAME.program

USE = "\treport(c->start);\n"


@pytest.mark.parametrize(
    "body",
    [
        LOOKUP + USE + DELETE + "return 0;",
        LOOKUP + "if (c->start) { " + DELETE + "return 1; }" + DELETE + "return 0;",
        LOOKUP + "if (!c->start) goto out;" + USE + "out:" + DELETE + "return 0;",
        LOOKUP + "do {" + USE + "} while (ctx->ax--);" + DELETE + "return 0;",
        LOOKUP + USE + "if (bpf_map_delete_elem(&m, &k)) return 1; return 0;",
        LOOKUP + "return 0;",  # the entry is only a sign that the call is one of interest
        LOOKUP + "c->start++; return 0;",  # adds up
        LOOKUP + "__sync_fetch_and_add(&c->start, 1); c->start = 1; return 0;",
        LOOKUP + USE + "keep(&m); return 0;",
        LOOKUP + USE + "struct call n = {}; bpf_map_update_elem(&m, &k, &n, BPF_ANY); return 0;",
        "__u32 k = bpf_get_smp_processor_id(); struct call *c = bpf_map_lookup_elem(&m, &k); if (!c) return 0;"
        "report(c->start); return 0;",
        "__u32 k = bpf_get_current_pid_tgid(); return bpf_map_lookup_elem(&m, &k) != 0;",
        LOOKUP + USE + "void *t = &&out; goto *t; out: return 0;",
    ],
)
def test_leaves_alone(body: str) -> None:
    assert not found(body, more="void keep(void *map);\n")


@pytest.mark.parametrize(
    "store",
    [
        "__u32 k = bpf_get_smp_processor_id(); struct call c = {}; bpf_map_update_elem(&m, &k, &c, BPF_ANY);",
        "__u32 k = bpf_get_current_pid_tgid(); struct call c = {}; bpf_map_update_elem(&m, &k, &c, BPF_NOEXIST);",
        STORE + "struct call *old = bpf_map_lookup_elem(&m, &k); if (old) old->start++;",
        "",
    ],
)
def test_leaves_what_is_no_stash(store: str) -> None:
    assert not found(LOOKUP + USE + "return 0;", store=store)


@pytest.mark.parametrize(
    ("entry", "leave"),
    [
        ("kprobe/f", "kprobe/g"),
        ("kprobe/f", "tp_btf/sched_switch"),
        ("xdp", "kretprobe/f"),
        ("kretprobe/f", "kprobe/f"),
    ],
)
def test_leaves_other_pairs(entry: str, leave: str) -> None:
    assert not found(LOOKUP + USE + "return 0;", entry=entry, leave=leave)


@pytest.mark.parametrize(
    ("entry", "leave"),
    [
        ("kprobe/f", "kretprobe/f"),
        ("kprobe.multi/f*", "kretprobe.multi/f*"),
        ("ksyscall/read", "kretsyscall/read"),
        ("uprobe/./a:f", "uretprobe/./a:f"),
        ("fentry/f", "fexit/f"),
        ("tracepoint/syscalls/sys_enter_read", "tp/syscalls/sys_exit_read"),
        ("raw_tp/sys_enter", "raw_tracepoint/sys_exit"),
    ],
)
def test_pairs_of_probes(entry: str, leave: str) -> None:
    (fix,) = found(LOOKUP + USE + "return 0;", entry=entry, leave=leave)
    assert fix.safety is Safety.SUGGESTED
    assert fix.message == (
        "nothing deletes what the entry probe stored in `m`: entries of threads that end add up until the hash is "
        "full; the fix deletes it"
    )
    assert fix.reason == "if user space reads `m` too, the entries have to stay"


@pytest.mark.parametrize(
    ("body", "after"),
    [
        (LOOKUP + USE + "\treturn 0;", LOOKUP + USE + DELETE + "\treturn 0;"),
        # Behind the last of several uses, and with declarations kept together.
        (
            LOOKUP + "\t__u64 a = c->start;\n\t__u64 b = 0;\n\treport(a + b);\n\treturn 0;",
            LOOKUP + "\t__u64 a = c->start;\n\t__u64 b = 0;\n" + DELETE + "\treport(a + b);\n\treturn 0;",
        ),
        # The last use is a condition.
        (
            LOOKUP + "\tif (c->start)\n\t\treturn 1;\n\treturn 0;",
            LOOKUP + "\tif (c->start) {\n\t" + DELETE + "\t\treturn 1;\n\t}\n" + DELETE + "\treturn 0;",
        ),
        # One return of two deletes already.
        (
            LOOKUP + USE + "\tif (ctx->ax)\n\t\treturn 1;\n" + DELETE + "\treturn 0;",
            LOOKUP + USE + "\tif (ctx->ax) {\n\t" + DELETE + "\t\treturn 1;\n\t}\n" + DELETE + "\treturn 0;",
        ),
        # The key is out of scope.
        (
            "struct call *c; { __u32 k = bpf_get_current_pid_tgid(); c = bpf_map_lookup_elem(&m, &k); }\n"
            "\tif (!c)\n\t\treturn 0;\n" + USE + "\treturn 0;",
            "struct call *c; { __u32 k = bpf_get_current_pid_tgid(); c = bpf_map_lookup_elem(&m, &k); }\n"
            "\tif (!c)\n\t\treturn 0;\n" + USE + "\t__u32 k = bpf_get_current_pid_tgid();\n" + DELETE + "\treturn 0;",
        ),
        # A helper of the kernel gets the pointer.
        (
            LOOKUP + '\tbpf_printk("%s", c->name);\n\treturn 0;',
            LOOKUP + '\tbpf_printk("%s", c->name);\n' + DELETE + "\treturn 0;",
        ),
    ],
)
def test_where_the_delete_goes(body: str, after: str) -> None:
    assert FRAME.after(body) == after
    assert not found(after)


@pytest.mark.parametrize(
    "body",
    [
        LOOKUP + "return c->start;",
        LOOKUP + "struct call *d = c; report(d->start); return 0;",
        LOOKUP + "report(same(c)->start); return 0;",
        LOOKUP + "k = 0; report(c->start + k); return 0;",
        "#define CHECK if (c->start) return 3\n" + LOOKUP + "CHECK; return 0;",
        "#define FAIL do { report(0); return 0; } while (0)\n" + LOOKUP + "if (c->start) FAIL; report(1); return 0;",
        "#define CHECK(x) if (!(x)) return 0\n" + LOOKUP + "CHECK(c->start); report(1);" + DELETE + "return 0;",
    ],
)
def test_advice_where_it_has_no_place(body: str) -> None:
    (fix,) = found(body)
    assert fix.safety is Safety.ADVICE
    assert fix.message.endswith("; delete it on every path")


def test_finding_points_at_the_lookup() -> None:
    text = program(LOOKUP + USE + "return 0;")
    (fix,) = findings(text, FRAME.transform)
    assert text[fix.at.start : fix.at.end] == b"bpf_map_lookup_elem(&m, &k)"


def test_some_paths_only() -> None:
    (fix,) = found(LOOKUP + USE + "if (ctx->ax) return 1;" + DELETE + "return 0;")
    assert fix.message.startswith(
        "what the entry probe stored in `m` stays there where line 16 leaves the return probe: "
    )


def test_stacked_file_systems_once_a_file() -> None:
    body = LOOKUP + USE + DELETE + "return 0;"
    again = 'SEC("kprobe/vfs_mkdir") int again(struct pt_regs *ctx) { ' + STORE + " return 0; }\n"
    (fix,) = found(body, entry="kprobe/vfs_unlink", leave="kretprobe/vfs_unlink", more=again)
    assert fix.safety is Safety.ADVICE
    assert fix.message.startswith("on overlayfs `vfs_")
    assert not found(body, entry="kprobe/vfs_read", leave="kretprobe/vfs_read")


BCC_HEAD = "BPF_HASH(m, u32, u64, 64);\n"
BCC_STORE = "u32 k = bpf_get_current_pid_tgid(); u64 t = bpf_ktime_get_ns(); m.update(&k, &t); return 0;"
BCC_LOOKUP = "u32 k = bpf_get_current_pid_tgid(); u64 *t = m.lookup(&k); if (!t) return 0;"


@pytest.mark.parametrize(
    ("enter", "leave", "count"),
    [
        ("int kprobe__f(struct pt_regs *ctx)", "int kretprobe__f(struct pt_regs *ctx)", 1),
        ("int trace_entry(struct pt_regs *ctx)", "int trace_return(struct pt_regs *ctx)", 1),
        ("int probe(struct pt_regs *ctx)", "int probe_ret(struct pt_regs *ctx)", 1),
        ("TRACEPOINT_PROBE(syscalls, sys_enter_read)", "TRACEPOINT_PROBE(syscalls, sys_exit_read)", 1),
        ("KFUNC_PROBE(vfs_read)", "KRETFUNC_PROBE(vfs_read)", 1),
        ("int on_a(struct pt_regs *ctx)", "int on_b(struct pt_regs *ctx)", 0),
        ("int kprobe__f(struct pt_regs *ctx)", "RAW_TRACEPOINT_PROBE(sched_switch)", 0),
    ],
)
def test_bcc_roles(enter: str, leave: str, count: int) -> None:
    use = 'bpf_trace_printk("%llu", *t);'
    text = f"{BCC_HEAD}{enter}\n{{ {BCC_STORE} }}\n{leave}\n{{ {BCC_LOOKUP} {use} return 0; }}\n"
    assert len(findings(text.encode(), FRAME.transform, dialect=BCC)) == count
