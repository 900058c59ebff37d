"""unsafe-deref: messages, reasons, places, and shapes that need no program of their own."""

from __future__ import annotations

import pytest
from support import Frame

from ebpffix.fix import BCC, Safety

FRAME = Frame(
    "unsafe-deref",
    """#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#define same(x) (x)
struct own { struct sock *sk; } *own_of(void *ctx);
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, u32); __type(value, struct own); }
    owns SEC(".maps");
int out, other; char buf[64]; void *x;
SEC("kprobe/tcp_connect") int BPF_KPROBE(p, struct sock *sk)
{
    struct task_struct *task = (void *)bpf_get_current_task();
    u32 key = 0; struct own *own = bpf_map_lookup_elem(&owns, &key);
    $body
    return 0;
}
""",
)
found, after = FRAME.found, FRAME.after


@pytest.mark.parametrize(
    "body",
    [
        "x = &task->mm;",
        "x = task->comm;",
        "x = &task->comm[3];",
        "x = &sk->__sk_common.skc_daddr;",
        "out = sizeof(task->mm->owner);",
        "typeof(task->mm) mm; x = &mm;",
        "out = __builtin_offsetof(struct task_struct, comm);",
        "out = bpf_core_field_exists(task->mm->owner);",
        "out = BPF_CORE_READ(task, mm, owner, tgid);",
        "bpf_core_read(&x, sizeof(x), &task->mm);",
        "if (own) x = own->sk;",
        "out = PT_REGS_PARM1(ctx) + ctx->ip;",
        "out = BPF_CORE_READ_BITFIELD_PROBED(task, in_iowait);",
    ],
)
def test_left_alone(body: str) -> None:
    assert not found(body)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("out = (task)->pid;", "out = BPF_CORE_READ(task, pid);"),
        ("out = task -> real_parent -> pid;", "out = BPF_CORE_READ(task, real_parent, pid);"),
        ("out = (task->real_parent)->pid;", "out = BPF_CORE_READ(task, real_parent, pid);"),
        ("x = &task->mm->owner;", "x = &BPF_CORE_READ(task, mm)->owner;"),
        ("out = same(task->real_parent)->pid;", "out = BPF_CORE_READ(task, real_parent, pid);"),
        ("out = same(task->pid) + other;", "out = same(BPF_CORE_READ(task, pid)) + other;"),
        # A structure of the program's own must not be relocated.
        ("if (own) x = own->sk->sk_socket;", "if (own) x = BPF_PROBE_READ(own->sk, sk_socket);"),
        # Reads into less than the member, or by another size, stay as they are.
        (
            "bpf_probe_read_kernel(buf, 8, &task->mm->owner);",
            "bpf_probe_read_kernel(buf, 8, &BPF_CORE_READ(task, mm)->owner);",
        ),
        ("bpf_core_read(&x, sizeof(x), (void *)&task->mm->owner);", "BPF_CORE_READ_INTO(&x, task, mm, owner);"),
        (
            "bpf_probe_read_kernel_str(&buf, sizeof(buf), task->thread_pid->numbers[0].ns->ucounts->ns);",
            "bpf_probe_read_kernel_str(&buf, sizeof(buf), "
            "BPF_CORE_READ(task, thread_pid, numbers[0].ns, ucounts, ns));",
        ),
    ],
)  # fmt: skip
def test_text(body: str, expected: str) -> None:
    assert after(body) == expected
    assert not found(expected)


def test_two_locals_of_one_pass_have_two_names() -> None:
    done = after("out = task->files->fdt->fd[0]->f_mode; other = task->files->fdt->fd[1]->f_mode;")
    assert "struct file *entry;" in done and "struct file *entry2;" in done
    assert "out = f_mode;" in done and "other = f_mode2;" in done


@pytest.mark.parametrize(
    ("body", "safety", "message", "reason"),
    [
        (
            "out = task->pid;",
            Safety.SAFE,
            "`task->pid` reads kernel memory directly, which the verifier refuses: `BPF_CORE_READ` reads every link",
            "",
        ),
        (
            "task->pid++;",
            Safety.ADVICE,
            "`task->pid` writes kernel memory, which no program may: the verifier refuses it",
            "only helpers and kfuncs of the kernel change its memory",
        ),
        (
            "for (int i = 0; task->files->fdt->fd[i]; i++) out++;",
            Safety.ADVICE,
            "`task->files->fdt->fd[i]` reads kernel memory directly, which the verifier refuses: "
            "read it link by link into locals",
            "there is no place for the locals in front of it",
        ),
    ],
)
def test_messages(body: str, safety: Safety, message: str, reason: str) -> None:
    (fix,) = found(body)
    assert (fix.safety, fix.message, fix.reason) == (safety, message, reason)


def test_place() -> None:
    body = "out = 1 + task->real_parent->pid;"
    text = FRAME.program(body)
    (fix,) = found(body)
    assert text[fix.at.start : fix.at.end] == b"task->real_parent->pid"


BCC_FRAME = Frame(
    "unsafe-deref",
    """#include <linux/sched.h>
#include <net/sock.h>
int kprobe__tcp_connect(struct pt_regs *ctx, struct sock *sk) { u64 n = bpf_get_current_task();
    struct task_struct *lost = (void *)n, *task = (struct task_struct *)bpf_get_current_task(); u32 out = 0;
$body return out; }
""",
    dialect=BCC,
)


@pytest.mark.parametrize(
    ("body", "safeties"),
    [
        ("out = task->real_parent->pid;", []),
        ("out = sk->__sk_common.skc_num;", []),
        ("out = ntohs(lost->pid);", []),  # split-byteorder's
        ("out = lost->pid;", [Safety.SAFE]),
        ("out = lost->in_iowait;", [Safety.ADVICE]),
    ],
)
def test_bcc(body: str, safeties: list[Safety]) -> None:
    assert [fix.safety for fix in BCC_FRAME.found(body)] == safeties
