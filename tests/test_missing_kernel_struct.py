"""missing-kernel-struct: what depends on a kernel's BTF, and the shapes of uses. BTF is made here, with offsets of its
own, so that nothing hangs on the kernel that runs."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import support
from ebpffix_transforms.missing_kernel_struct.private_structs import LEADS, PRIVATE
from support import findings, transforms
from test_btf import Maker

from ebpffix.fix import BCC, LIBBPF, Fix, Safety, apply
from ebpffix.kernel import headers as kernel_headers
from ebpffix.kernel.btf import Kind, load
from ebpffix.run.analyse import Job
from ebpffix.verify.bcc import Bcc, Checked

KERNEL_BTF = Path("/sys/kernel/btf/vmlinux")
NAME = "missing-kernel-struct"


@pytest.fixture
def btf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """BTF of a kernel in which `mount` and `rq` look like nowhere else."""
    m = Maker()
    integer, pointer = m.integer("int", 4, 1), m.ptr(0)
    vfsmount = m.record("vfsmount", 32, ("mnt_flags", integer, 0))
    load_weight = m.record("load_weight", 16, ("weight", m.integer("long unsigned int", 8), 0))
    cfs = m.record("cfs_rq", 64, ("load", load_weight, 0), ("nr_running", integer, 128))
    m.record("rq", 256, ("cpu", integer, 320), ("cfs", cfs, 512), ("idle_state", pointer, 1024))
    hash_ = m.record("hlist_node", 16, ("next", pointer, 0))
    m.record("mount", 128, ("mnt_hash", hash_, 0), ("mnt", vfsmount, 256), ("mnt_id", integer, 640))
    choice = m.record("", 8, ("word", integer, 0), ("pointer", pointer, 0), union=True)
    flags = m.record("", 8, ("low", integer, 0, 3), ("high", integer, 5, 7), ("plain", integer, 32, 0))
    entity = m.record("bfq_entity", 48, ("weight", integer, 96), ("list", hash_, 128))
    members = [("ref", integer, 32), ("", choice, 64), ("flags", flags, 128), ("pids", m.array(integer, 4), 192)]
    members += [("mnt", vfsmount, 320), ("entity", entity, 640), ("bfqd", m.ptr(m.add(Kind.FWD, "bfq_data", 0)), 1024)]
    m.record("bfq_queue", 192, *members)
    m.record("bfq_data", 64, ("queued", integer, 64))
    m.record("io_worker", 64, ("ref", integer, 0))
    m.record("io_worker", 64, ("ref", integer, 32))
    path = tmp_path / "btf-4.19"
    path.write_bytes(m.data())
    with_btf(monkeypatch, path)
    return path


def with_btf(monkeypatch: pytest.MonkeyPatch, path: Path | None) -> None:
    def job(job: Job) -> Job:
        return dataclasses.replace(job, btf=path)

    monkeypatch.setattr(support, "as_it_is", job)


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
        "_Static_assert(__builtin_offsetof(struct rq, cpu) == 40, "
        '"cpu of struct rq is elsewhere than in kernel btf-4.19");\n'
        "_Static_assert(__builtin_offsetof(struct rq, idle_state) == 128, "
        '"idle_state of struct rq is elsewhere than in kernel btf-4.19");'
    )
    assert not said(apply(text, fix.edits))


MEMBERS = {
    "plain": ("ref", "int ref;", 4),
    "of an anonymous union": ("pointer", "void *pointer;", 8),
    "array": ("pids[1]", "int pids[4];", 24),
    "nested without a name": ("flags.plain", "} flags;", 20),
    "nested, of a public struct": ("mnt.mnt_flags", "int mnt_flags;", 40),
    "nested, of a private struct": ("entity.weight", "int weight;", 92),
    "nested, twice": ("entity.list.next", "struct hlist_node list;", 96),
    "pointer to a struct that is not": ("bfqd", "struct bfq_data *bfqd;", 128),
}


@pytest.mark.parametrize(("member", "line", "offset"), MEMBERS.values(), ids=MEMBERS)
def test_just_the_member_that_is_used(btf: Path, member: str, line: str, offset: int) -> None:
    text = bcc_program(f"return bq->{member} != 0;", parameter="struct bfq_queue *bq")
    (fix,) = said(text)
    path = member.partition("[")[0]
    made = fix.edits[0].text.decode()
    assert fix.safety is Safety.SUGGESTED and line in made
    assert f"_Static_assert(__builtin_offsetof(struct bfq_queue, {path}) == {offset}," in made
    assert sum(name in made for name in (" ref;", "pointer;", "pids[", " flags;", " mnt;", " entity;", "bfqd;")) == 1
    assert not said(apply(text, fix.edits))
    compile_alone(made)


def test_all_members_at_once(btf: Path) -> None:
    body = " + ".join(f"(long)bq->{member}" for member, _, _ in MEMBERS.values())
    (fix,) = said(bcc_program(f"return {body} + bq->word + bq->flags.high;", parameter="struct bfq_queue *bq"))
    made = fix.edits[0].text.decode()
    assert "high: 7;" in made and made.count("_Static_assert") == len(MEMBERS) + 1
    compile_alone(made)


def compile_alone(stub: str) -> None:
    """The assertions in a stub are what clang says of it."""
    compiler = shutil.which("clang-19") or shutil.which("clang-14") or shutil.which("clang")
    if not compiler:
        pytest.skip("no clang")
    text = "struct hlist_node { void *next; };\n" + stub
    command = [compiler, "-target", "bpf", "-fsyntax-only", "-Werror", "-xc", "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_through_a_pointer_to_another_private_struct(btf: Path) -> None:
    text = bcc_program("return bq->bfqd->queued;", parameter="struct bfq_queue *bq")
    queue, data = said(text)
    assert "struct bfq_data *bfqd;" in queue.edits[0].text.decode() and "int queued;" in data.edits[0].text.decode()
    assert not said(apply(text, [*queue.edits, *data.edits]))


# -- what is not the kernel's


@pytest.mark.parametrize(
    ("before", "body"),
    [
        ("", "return bq->absent;"),  # of the host program's text, perhaps
        ("struct bfq_queue { int x; int ref; };\nBPF_HASH(h, u32, struct bfq_queue);", "return bq->mnt.mnt_flags;"),
        ("struct bfq_queue { long x; int ref; };", "struct bfq_queue own = {};\n\treturn own.ref + bq->ref;"),
        ('#include "../block/bfq-iosched.h"', "return bq->ref;"),
        ("#include <kernel/sched/sched.h>", "return bq->ref;"),
    ],
)
def test_struct_of_that_name_which_is_not_ours(btf: Path, before: str, body: str) -> None:
    assert not said(bcc_program(body, before, "struct bfq_queue *bq"))


def test_two_structs_of_one_name(btf: Path) -> None:
    (fix,) = said(bcc_program("return w->ref;", parameter="struct io_worker *w"))
    assert fix.safety is Safety.ADVICE
    assert fix.reason == "the kernel btf-4.19 has several structs io_worker, which differ"


def test_struct_that_the_headers_here_define(btf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build = tmp_path / platform.release() / "build"
    for name in ("include/linux/kconfig.h", "include/generated/autoconf.h"):
        (build / name).parent.mkdir(parents=True, exist_ok=True)
        (build / name).write_text("")
    (build / "include/linux/bfq.h").write_text("struct bfq_data;\nstruct bfq_queue {\n\tint ref;\n};\n")
    monkeypatch.setattr(kernel_headers, "_MODULES", tmp_path)
    kernel_headers._definers.cache_clear()
    path, text = Path("/nowhere/program.c"), bcc_program("return bq->bfqd->queued;", parameter="struct bfq_queue *bq")
    result = support.analysed(path, text, NAME, dialect=BCC)
    kernel_headers._definers.cache_clear()
    assert ["struct bfq_data" in fix.message for _, fix in result.findings] == [True]
    assert f"`struct bfq_queue` is left alone: {build}/include/linux/bfq.h defines it" in result.notes


# -- BTF of modules


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as /sys/kernel/btf: two modules have one `struct bfq_queue`, two others differ in `io_worker`."""
    base = Maker()
    integer = base.integer("int", 4, 1)
    for name in ("vmlinux", "bfq", "mq", "other"):
        m = base if name == "vmlinux" else Maker("<", base.next, b"", len(base.strings))
        if name in ("bfq", "mq"):
            m.record("bfq_queue", 64, ("ref", integer, 96))
        if name in ("mq", "other"):
            m.record("io_worker", 64, ("ref", integer, 32 if name == "mq" else 64))
        (tmp_path / name).write_bytes(m.data())
    (tmp_path / "junk").write_bytes(b"bfq_queue\0")
    with_btf(monkeypatch, tmp_path / "vmlinux")
    return tmp_path


@pytest.mark.parametrize("given", ["vmlinux", "bfq"])
def test_struct_of_a_module(module: Path, given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with_btf(monkeypatch, module / given)
    (fix,) = said(bcc_program("return bq->ref;", parameter="struct bfq_queue *bq"))
    assert fix.safety is Safety.SUGGESTED and "bfq_queue, ref) == 12," in fix.edits[0].text.decode()
    kernel = "bfq" if given == "bfq" else "vmlinux, module bfq"
    assert fix.reason == f"the offsets are those of kernel {kernel}; another kernel may have others"


def test_modules_that_differ(module: Path) -> None:
    assert not said(bcc_program("return w->ref;", parameter="struct io_worker *w"))


@pytest.mark.parametrize("own", [True, False])
def test_module_struct_that_vmlinux_lacks(module: Path, own: bool) -> None:
    project = module / "project"
    project.mkdir()
    text = b'#include "vmlinux.h"\n#include <bpf/bpf_helpers.h>\n#include <bpf/bpf_core_read.h>\n'
    context = "struct bfq_queue;\nstruct io_context { struct bfq_queue *queue; };\n"
    text += b"struct bfq_queue;\n" if own else context.encode()
    text += b'SEC("kprobe/x") int f(struct io_context *ctx)\n{\n'
    text += b"\t__u32 ref = BPF_CORE_READ(ctx, queue, ref);\n\treturn ref;\n}\n"
    (project / "x.bpf.c").write_bytes(text)
    if own:
        (project / "vmlinux.h").write_text("typedef unsigned int __u32;\n" + context)
    argv = [
        sys.executable,
        "-m",
        "ebpffix",
        "--select",
        NAME,
        "--btf",
        str(module / "vmlinux"),
        "--output-format",
        "json",
    ]
    done = subprocess.run([*argv, "--no-cache", str(project)], capture_output=True, timeout=60)
    (found,) = json.loads(done.stdout)["findings"]
    if own:
        assert found["safety"] == "suggested" and "clash" in found["reason"]
        assert "int ref;\n} __attribute__((preserve_access_index));" in found["edits"][0]["text"]
    else:
        assert found["safety"] == "advice" and "vmlinux.h that is not known here" in found["reason"]


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
            "struct cfs_rq *cfs = &rq->cfs;\n\treturn cfs != 0;",
            "a member that is used contains `struct cfs_rq`, which no public header has either",
        ),
        (
            "struct vfsmount *v = &bq->mnt;\n\treturn v != 0;",
            "a member that is used contains `struct vfsmount`, whose header is not known here",
        ),
        ("return rq->nr_switches;", "struct rq of kernel btf-4.19 has no member nr_switches"),
    ],
)
def test_advice_where_btf_gives_no_stub(btf: Path, body: str, reason: str) -> None:
    (fix,) = said(bcc_program(body, parameter="struct rq *rq, struct bfq_queue *bq"))
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


@pytest.mark.parametrize(
    ("stub", "used", "said_of"),
    [
        ("int a; struct { char pad[8]; int weight; } entity;", "entity.weight", "`entity.weight` is at byte 12 of"),
        ("char pad[4]; union { int ref; struct { int x, y; }; };", "y", ""),  # no such member in BTF
        ("char pad[8]; union { long x; struct { int y, ref; }; };", "ref", "`ref` is at byte 12 of"),
        ("char pad[16]; struct { int low: 3, high: 7; } flags;", "flags.high", "`flags.high` is at byte 16, bit 3, of"),
        ("char pad[16]; struct { int low: 3, : 2, high: 7; } flags;", "flags.high", ""),
        ("char pad[8]; void *pointer;", "pointer", ""),
    ],
)
def test_own_stub_member_by_member(btf: Path, stub: str, used: str, said_of: str) -> None:
    text = bcc_program(f"return bq->{used} != 0;", f"struct bfq_queue {{ {stub} }};", "struct bfq_queue *bq")
    found = said(text)
    assert [fix.message[: len(said_of)] for fix in found] == ([said_of] if said_of else [])
    assert all(fix.safety is Safety.ADVICE for fix in found)


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


def test_co_re_stub_has_just_the_members_that_are_used(btf: Path) -> None:
    chain = {member.partition("[")[0]: line for member, line, _ in MEMBERS.values() if "list" not in member}
    reads = "".join(f"\tsum += (long)BPF_CORE_READ(bq, {member});\n" for member in [*chain, "word", "flags.high"])
    reads = reads.replace(", pids)", ", pids[1])").replace(", bfqd)", ", bfqd, queued)")
    text = MINIMAL + b"struct bfq_queue;\nstruct bfq_data;\n"
    text += b'SEC("kprobe/x") int f(struct bfq_queue *bq)\n{\n\tlong sum = 0;\n'
    text += reads.encode() + b"\treturn sum;\n}\n"
    queue, *others = said(text, LIBBPF)
    assert queue.safety is Safety.SAFE and queue.edits[0].text.decode().strip() == (
        "/* Only the members that are used here; the loader finds where they are. */\n"
        "struct bfq_queue {\n\tint ref;\n\tvoid *pointer;\n\tint pids[4];\n"
        "\tstruct {\n\t\tint plain;\n\t\tint high: 7;\n\t} flags;\n"
        "\tstruct {\n\t\tint mnt_flags;\n\t} mnt;\n\tstruct {\n\t\tint weight;\n\t} entity;\n"
        "\tstruct bfq_data *bfqd;\n\tint word;\n} __attribute__((preserve_access_index));"
    )
    fixed = apply(text, queue.edits)
    others = others or said(fixed, LIBBPF)  # what it points at shows when it is there
    assert ["int queued;" in fix.edits[0].text.decode() for fix in others] == [True]


def test_chain_through_an_array_of_pointers(btf: Path) -> None:
    text = MINIMAL + b"struct bfq_data;\nstruct bfq_group { struct bfq_data **each; struct bfq_data *two[2]; };\n"
    text += b'SEC("kprobe/x") int f(struct bfq_group *g)\n{\n'
    text += b"\treturn BPF_CORE_READ(g, each[1], queued) + BPF_CORE_READ(g, two[1], queued);\n}\n"
    (fix,) = said(text, LIBBPF)
    assert "struct bfq_data {\n\tint queued;\n}" in fix.edits[0].text.decode()


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


@pytest.mark.parametrize(
    ("parameter", "used"),
    [("struct rq *rq", "rq->cpu"), ("struct rq *rq", "rq->rt.rt_nr_running"), ("struct io_worker *w", "w->flags")],
)
def test_padded_stub_loads(bcc: Bcc, parameter: str, used: str) -> None:
    text = bcc_program(f'\tbpf_trace_printk("%d\\n", {used});\n\treturn 0;', parameter=parameter)
    (fix,) = said(text)
    before, after = bcc.check(Path("/x.c"), text), bcc.check(Path("/x.c"), apply(text, fix.edits))
    assert "incomplete" in str(before) and isinstance(after, Checked)
    assert [p.verdict for p in after.programs] == ["accepted"]


@pytest.mark.slow
def test_kept_result_follows_the_btf(tmp_path: Path) -> None:
    program, types = tmp_path / "x.bpf.c", tmp_path / "btf"
    program.write_bytes(libbpf_program(b"return rq->cpu;"))
    env = os.environ | {"EBPFFIX_CACHE_DIR": str(tmp_path / "cache")}
    argv = [sys.executable, "-m", "ebpffix", "--output-format", "concise", "--select", NAME, "--btf", types, program]
    said = []
    for member in ("other", "cpu"):
        m = Maker()
        m.record("rq", 64, (member, m.integer("int", 4, 1), 32))
        types.write_bytes(m.data())
        said.append(subprocess.run([*map(str, argv)], env=env, capture_output=True, text=True, timeout=60).stdout)
    assert "has no member cpu" in said[0] and "the loader finds `cpu`" in said[1]
