"""probe-read-space: what the fixtures do not say."""

from __future__ import annotations

import pytest
from support import SAFE, Frame

from ebpffix.fix import Safety

FRAME = Frame(
    "probe-read-space",
    """#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#define CHECK(x) do { if (x) return 1; } while (0)
#define alias bpf_probe_read
int out; char buf[64]; void *x;
SEC("kprobe/tcp_connect") int BPF_KPROBE(p, struct sock *sk, char *text)
{
    struct task_struct *task = (void *)bpf_get_current_task();
$body
    return 0;
}
""",
    safeties=SAFE,
)


@pytest.mark.parametrize(
    ("body", "better"),
    [
        ("bpf_probe_read(&out, 4, &task->pid);", "bpf_probe_read_kernel(&out"),
        ("bpf_probe_read (&out, 4, buf);", "bpf_probe_read_kernel (&out"),
        ("CHECK(bpf_probe_read(&out, 4, sk) < 0);", "CHECK(bpf_probe_read_kernel(&out"),
        ("bpf_probe_read(&out, 4, task->set_child_tid);", "bpf_probe_read_user(&out"),
        ("bpf_probe_read_str(buf, 4, BPF_CORE_READ(task, fs, pwd.dentry, d_name.name));", "bpf_probe_read_kernel_str("),
    ],
)
def test_safe(body: str, better: str) -> None:
    assert [fix.safety for fix in FRAME.found(body)] == [Safety.SAFE]
    assert better in FRAME.after(body)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("bpf_probe_read(&out, 4, text);", "it is not known whose it is: `text`"),
        ("alias(&out, 4, task);", "the macro's definition serves other places too"),
    ],
)
def test_advice(body: str, reason: str) -> None:
    (fix,) = FRAME.found(body)
    assert fix.safety is Safety.ADVICE and fix.reason.startswith(reason)


def test_target_kernel() -> None:
    text = "bpf_probe_read(&out, 4, task);"
    (fix,) = FRAME.found(text, kernel=(5, 4))
    assert (fix.safety, fix.reason) == (
        Safety.SUGGESTED,
        "`bpf_probe_read_kernel` came with Linux 5.5, and the target kernel is older",
    )
    (fix,) = FRAME.found(text, kernel=(5, 5))
    assert fix.safety is Safety.SAFE
    assert fix.message == "`bpf_probe_read` does not say whose memory it reads: `bpf_probe_read_kernel`"
    assert FRAME.program(text)[fix.at.start : fix.at.end] == b"bpf_probe_read"


@pytest.mark.parametrize(
    ("condition", "safety"),
    [
        ("#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 6, 0)", Safety.SUGGESTED),
        ("#if 0\n#elif \\\n    LINUX_VERSION_CODE < 0x80000\n#endif\n#if !defined(NO)", Safety.SAFE),
        ("#if 1 || LINUX_VERSION_CODE\n#ifndef NO\n#endif", Safety.SUGGESTED),
        ("#if 0 && LINUX_VERSION_CODE\n#else", Safety.SUGGESTED),
        ("#ifndef NO", Safety.SAFE),
    ],
)
def test_a_branch_for_some_kernels(condition: str, safety: Safety) -> None:
    """What is there for old kernels alone must not get what only new ones have."""
    text = f"\n#include <linux/version.h>\n{condition}\nbpf_probe_read(&out, 4, task);\n#endif\n"
    assert [fix.safety for fix in FRAME.found(text)] == [safety]
