"""missing-kernel-struct: what depends on a kernel's BTF, and the shapes of uses. BTF is made here, with offsets of its
own, so that nothing hangs on the kernel that runs."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
import support
from support import Fix, findings, transforms
from test_btf import Maker

from ebpffix.analyse import Job
from ebpffix.btf import load
from ebpffix.private_structs import LEADS, PRIVATE
from ebpffix.rewrite import apply
from ebpffix.transform import BCC, LIBBPF, Safety
from ebpffix.verify.bcc import Bcc

KERNEL_BTF = Path("/sys/kernel/btf/vmlinux")
NAME = "missing-kernel-struct"


@pytest.fixture
def btf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """BTF of a kernel in which `mount` and `rq` look like nowhere else."""
    m = Maker()
    integer, pointer = m.int("int", 4, 1), m.ptr(0)
    vfsmount = m.record("vfsmount", 32, ("mnt_flags", integer, 0))
    load_weight = m.record("load_weight", 16, ("weight", m.int("long unsigned int", 8), 0))
    cfs = m.record("cfs_rq", 64, ("load", load_weight, 0), ("nr_running", integer, 128))
    m.record("rq", 256, ("cpu", integer, 320), ("cfs", cfs, 512), ("idle_state", pointer, 1024))
    hash_ = m.record("hlist_node", 16, ("next", pointer, 0))
    m.record("mount", 128, ("mnt_hash", hash_, 0), ("mnt", vfsmount, 256), ("mnt_id", integer, 640))
    path = tmp_path / "btf-4.19"
    path.write_bytes(m.data())
    with_btf(monkeypatch, path)
    return path


def with_btf(monkeypatch: pytest.MonkeyPatch, path: Path | None) -> None:
    def job(*args: Any, **kwargs: Any) -> Job:
        return dataclasses.replace(Job(*args, **kwargs), btf=path)

    monkeypatch.setattr(support, "Job", job)


def bcc_program(body: str, before: str = "", parameter: str = "struct rq *rq") -> bytes:
    return f"#include <linux/sched.h>\n{before}\nint f(struct pt_regs *ctx, {parameter})\n{{\n{body}\n}}\n".encode()


def said(text: bytes, dialect: str = BCC) -> list[Fix]:
    return findings(text, NAME, dialect=dialect)


# -- must not fire


@pytest.mark.parametrize(
    ("before", "body"),
    [
        ("", "return rq != 0;"),  # only handed on
        ("struct rq { char pad[40]; int cpu; };", "return rq->cpu;"),  # a stub with the right offset
        ("struct rq { int cpus; int other; };", "return rq->other;"),  # of a kernel that has this member; BTF has none
        ("struct rq { struct { char pad[40]; int cpu; }; };", "return rq->cpu;"),
        ("#if 0\nstruct rq { int x; };\n#endif", "return rq->cpu;"),  # there, for some kernel
        ("", "/* struct rq: rq->cpu */ return ctx->ax;"),
    ],
)
def test_nothing_to_say(btf: Path, before: str, body: str) -> None:
    assert not said(bcc_program(body, before))


# -- stubs from BTF


def test_padded_stub(btf: Path) -> None:
    text = bcc_program("return rq->cpu + (rq->idle_state != 0);")
    (fix,) = said(text)
    assert fix.safety is Safety.SUGGESTED
    assert fix.message == (
        "`struct rq` is in no public kernel header, so BCC cannot compile the use of `cpu`; "
        "a stub pads it to its offset"
    )
    assert fix.reason == "the offsets are those of kernel btf-4.19; another kernel may have others"
    assert text[fix.at.start : fix.at.end] == b"rq" and text[fix.at.end : fix.at.end + 5] == b"->cpu"
    assert apply(text, fix.edits).split(b"\n\nint f")[0].decode() == (
        "#include <linux/sched.h>\n\n"
        "/* Only the members that are used here, from the BTF of kernel btf-4.19.\n"
        " * The padding puts each where that kernel has it: another kernel needs another. */\n"
        "struct rq {\n\tunsigned char __ebpffix_pad1[40];\n\tint cpu;\n\tunsigned char __ebpffix_pad2[84];\n"
        "\tvoid *idle_state;\n\tunsigned char __ebpffix_pad3[120];\n};\n"
        '_Static_assert(__builtin_offsetof(struct rq, cpu) == 40, "cpu of struct rq is elsewhere");\n'
        '_Static_assert(__builtin_offsetof(struct rq, idle_state) == 128, "idle_state of struct rq is elsewhere");'
    )
    assert not said(apply(text, fix.edits))


def test_offset_of_a_member_is_a_use(btf: Path) -> None:
    body = "struct mount *m = container_of(vfs, struct mount, mnt);\n\treturn m->mnt_id;"
    (fix,) = said(bcc_program(body, parameter="struct vfsmount *vfs"))
    made = fix.edits[0].text.decode()
    assert fix.safety is Safety.SUGGESTED and "#include <linux/mount.h>\n\n" in made
    assert "struct mount, mnt) == 32" in made and "struct mount, mnt_id) == 80" in made


@pytest.mark.parametrize(
    "body",
    [
        "struct mount copy;\n\tbpf_probe_read_kernel(&copy, 16, m);\n\treturn m->mnt_hash.next != 0;",
        "return m->mnt_hash.next != 0 && sizeof(struct mount) > 4;",
    ],
)
def test_whole_struct_needs_its_size(btf: Path, body: str) -> None:
    (fix,) = said(bcc_program(body, parameter="struct mount *m"))
    assert fix.safety is Safety.SUGGESTED and "[112];\n};" in fix.edits[0].text.decode()


def test_offset_zero_needs_no_btf(monkeypatch: pytest.MonkeyPatch) -> None:
    with_btf(monkeypatch, None)
    (fix,) = said(bcc_program("return m->mnt_hash.next != 0;", parameter="struct mount *m"))
    assert (
        fix.safety is Safety.SAFE and "struct mount {\n\tstruct hlist_node mnt_hash;\n};" in fix.edits[0].text.decode()
    )


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (
            "return rq->cfs.load.weight;",
            "a member that is used contains `struct cfs_rq`, which no public header has either",
        ),
        ("return rq->nr_switches;", "struct rq of kernel btf-4.19 has no member nr_switches"),
    ],
)
def test_advice_where_btf_gives_no_stub(btf: Path, body: str, reason: str) -> None:
    (fix,) = said(bcc_program(body))
    assert (fix.safety, fix.reason, fix.edits) == (Safety.ADVICE, reason, [])


def test_advice_without_btf(monkeypatch: pytest.MonkeyPatch) -> None:
    with_btf(monkeypatch, None)
    (fix,) = said(bcc_program("return rq->cpu;"))
    assert fix.safety is Safety.ADVICE and fix.reason == "there is no BTF that has its offsets; give one with --btf"


def test_bad_btf_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "junk").write_bytes(b"junk" * 20)
    with_btf(monkeypatch, tmp_path / "junk")
    (fix,) = said(bcc_program("return rq->cpu;"))
    assert fix.safety is Safety.ADVICE


# -- definitions that are there


def test_own_stub_with_a_wrong_offset(btf: Path) -> None:
    text = bcc_program("return rq->cpu;", "struct rq { char pad[48]; int cpu; };")
    (fix,) = said(text)
    assert fix.safety is Safety.ADVICE and fix.message == (
        "`cpu` is at byte 48 of the program's own `struct rq`, but at byte 40 in kernel btf-4.19: "
        "the program reads other bytes there"
    )


# -- libbpf without vmlinux.h

MINIMAL = b"""#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
struct vfsmount;
struct mount;
struct rq;
"""


def libbpf_program(body: bytes) -> bytes:
    return MINIMAL + b'SEC("kprobe/x") int f(void *ctx)\n{\n\tstruct rq *rq = ctx;\n\t' + body + b"\n}\n"


def test_co_re_stub_in_the_middle_of_a_chain(btf: Path) -> None:
    text = MINIMAL + b"struct task { struct { struct rq *queue; } sched; } __attribute__((preserve_access_index));\n"
    text += b'SEC("kprobe/x") int f(void *ctx)\n{\n\tstruct task *t = ctx;\n\tint cpu = 0;\n'
    text += b"\tBPF_CORE_READ_INTO(&cpu, t, sched.queue, cpu);\n"
    text += b"\treturn cpu + BPF_CORE_READ(t, sched.queue, cfs.nr_running);\n}\n"
    (fix,) = said(text, LIBBPF)
    assert fix.safety is Safety.SAFE
    assert fix.edits[0].text.decode().strip() == (
        "/* Only the members that are used here; the loader finds where they are. */\n"
        "struct rq {\n\tint cpu;\n\tstruct {\n\t\tint nr_running;\n\t} cfs;\n} __attribute__((preserve_access_index));"
    )
    assert not said(apply(text, fix.edits), LIBBPF)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (
            b"bpf_trace_printk(0, sizeof(struct rq));\n\treturn rq->cpu;",
            "it is used as a whole or for an offset, which the loader cannot adjust",
        ),
        (
            b"return rq->cfs.load;",
            "a member that is used contains `struct load_weight`, which no public header has either",
        ),
        (b"return rq->absent;", "struct rq of kernel btf-4.19 has no member absent"),
    ],
)
def test_co_re_advice(btf: Path, body: bytes, reason: str) -> None:
    (fix,) = said(libbpf_program(body), LIBBPF)
    assert (fix.safety, fix.reason) == (Safety.ADVICE, reason)


# -- shapes of uses


@pytest.mark.parametrize(
    "expression",
    [
        "task->sched_task_group->css.id",
        "(*task->sched_task_group).css.id",
        "task->sched_task_group[0].css.id",
        "(ctx ? task->sched_task_group : 0)->css.id",
        "((struct task_group *)ctx)->css.id",
        "GROUP(task)->css.id",
        "ID(task->sched_task_group->css.id)",
        "other(task)->css . id",
        "*&task->sched_task_group->css.id",
        "min_t(int, task->sched_task_group->css.id, 3)",
    ],
)
def test_shapes(expression: str) -> None:
    before = (
        "#define GROUP(t) ((t)->sched_task_group)\n#define ID(x) ((x) + 1)\n"
        "static struct task_group *other(struct task_struct *task) { return task->sched_task_group; }"
    )
    (fix,) = said(bcc_program(f"\treturn {expression};", before, "struct task_struct *task"))
    assert fix.safety is Safety.SAFE and "struct cgroup_subsys_state css;" in fix.edits[0].text.decode()


def test_header_that_user_space_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    def job(*args: Any, **kwargs: Any) -> Job:
        made = Job(*args, **kwargs)
        return dataclasses.replace(made, shared_with_user_space=frozenset((made.path,)))

    monkeypatch.setattr(support, "Job", job)
    (fix,) = said(bcc_program("return m->mnt_hash.next != 0;", parameter="struct mount *m"))
    assert fix.safety is Safety.SUGGESTED and fix.edits


# -- where the stub goes


@pytest.mark.parametrize(
    ("head", "wanted"),
    [
        (b"", b"struct mount {\n\tstruct hlist_node mnt_hash;\n};\n\nint f("),
        (b"// What follows.\n", b"struct mount {\n\tstruct hlist_node mnt_hash;\n};\n\n// What follows.\nint f("),
        (b"#define X 1\n\n/* A program. */\n\n", b"};\n\nint f("),
        (b"#include <a.h>\r\nint x;\r\n", b"#include <a.h>\r\n#include <linux/mount.h>\r\n\r\nstruct mount {\r\n"),
        (
            b"#ifdef A\n#include <a.h>\n#endif\n#include <b.h>\n#if B\n#include <c.h>\n#endif\n",
            b"<b.h>\n#include <linux/mount.h>\n\nstruct",
        ),
        (
            b"#include <linux/mount.h>\nint x;\n",
            b"#include <linux/mount.h>\n\nstruct mount {\n\tstruct hlist_node mnt_hash;\n};\n\nint x;\n",
        ),
    ],
)
def test_place(head: bytes, wanted: bytes) -> None:
    text = head + b"int f(struct pt_regs *ctx, struct mount *m) { return m->mnt_hash.next != 0; }\n"
    (fix,) = said(text)
    assert wanted in apply(text, fix.edits)


def test_no_place() -> None:
    text = b"#if 1\nint f(struct pt_regs *ctx, struct mount *m) { return m->mnt_hash.next != 0; }\n#endif\n"
    (fix,) = said(text)
    assert fix.safety is Safety.ADVICE and "no place" in fix.reason


# -- the table


def test_triggers_are_cheap_and_hit() -> None:
    trigger = transforms()[NAME].facts.trigger
    assert trigger.search(b"task->sched_task_group->css") and trigger.search(
        b"BPF_CORE_READ(task, sched_task_group, css)"
    )
    assert trigger.search(b"struct  rq *rq") and not trigger.search(b"struct rqs *rq = sched_task_groups")


@pytest.mark.skipif(not KERNEL_BTF.exists(), reason="no BTF of a kernel")
def test_table_against_the_running_kernel() -> None:
    kernel = load(KERNEL_BTF)
    for name, known in PRIVATE.items():
        record = kernel.struct(name)
        if record and known.first:
            member = record.find(re.split(r"\W", known.first)[-1])
            assert member and member.offset == 0, name
    assert all(kernel._strings.find(f"\0{lead}\0".encode()) >= 0 for lead in LEADS)


def test_padded_stub_loads(bcc: Bcc) -> None:
    text = bcc_program('\tbpf_trace_printk("%d\\n", rq->cpu);\n\treturn 0;')
    (fix,) = said(text)
    before, after = bcc.check(Path("/x.c"), text), bcc.check(Path("/x.c"), apply(text, fix.edits))
    assert "incomplete" in str(before) and [p.verdict for p in after.programs] == ["accepted"]
