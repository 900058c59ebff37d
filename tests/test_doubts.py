"""What a fix loses where the program around it was not understood, and what a made-up name costs."""

from __future__ import annotations

from pathlib import Path

from support import ebpffix, findings

from ebpffix.fix import LIBBPF, Safety
from ebpffix.frontend.environment import Environment, Options
from ebpffix.frontend.parse import Parsed, parse
from ebpffix.sources.source import Source

READ = """#include <linux/bpf.h>
%s
struct task_struct { int pid; int tgid; };

SEC("kprobe/f")
int f(void *ctx)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	int pid;

	bpf_probe_read(&pid, sizeof(pid), &task->pid);
	return pid;
}

char _license[] SEC("license") = "GPL";
"""
OWN_HELPERS = """#define SEC(name) __attribute__((section(name), used))
static int (*bpf_probe_read)(void *to, int size, const void *from) = (void *)4;
static unsigned long (*bpf_get_current_task)(void) = (void *)35;
"""


def safeties(text: str) -> list[tuple[Safety, str]]:
    return [(fix.safety, fix.reason) for fix in findings(text.encode(), "probe-read-space")]


def parsed(text: str) -> Parsed:
    source = Source(Path("/p/a.bpf.c"), text.encode())
    return parse(source, Environment(Options()).setup(source, LIBBPF), {str(source.path): source.data}, pch=None)


def test_a_helper_that_a_header_of_libbpf_has_may_be_called() -> None:
    assert [safety for safety, _ in safeties(READ % "#include <bpf/bpf_helpers.h>")] == [Safety.SAFE]


def test_a_fix_calls_nothing_that_the_programs_own_header_lacks() -> None:
    told = [(Safety.ADVICE, "no header of the program declares `bpf_probe_read_kernel`")]
    assert safeties(READ % OWN_HELPERS) == told
    newer = OWN_HELPERS + "static int (*bpf_probe_read_kernel)(void *, int, const void *) = (void *)113;\n"
    assert [safety for safety, _ in safeties(READ % newer)] == [Safety.SAFE]


CHAIN = """#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
%s
SEC("kprobe/f")
int BPF_KPROBE(f, struct task_struct *task)
{
	return %s;
}

char _license[] SEC("license") = "GPL";
"""


def chain(head: str, what: str) -> list[tuple[Safety, str]]:
    return [(fix.safety, fix.reason) for fix in findings((CHAIN % (head, what)).encode(), "unsafe-deref")]


def test_nothing_is_rewritten_in_the_argument_of_a_name_that_nobody_knows() -> None:
    assert [safety for safety, _ in chain("", "task->tgid")] == [Safety.SAFE]
    known = "static int same(int x) { return x; }"
    assert [safety for safety, _ in chain(known, "same(task->tgid)")] == [Safety.SAFE]
    told = chain("", "_(task->tgid)")
    assert [safety for safety, _ in told] == [Safety.ADVICE]
    assert "`_` is in no header that was found" in told[0][1]


def test_an_unknown_member_doubts_its_function_alone(tmp_path: Path) -> None:
    other = "static int g(struct task_struct *p) { return p->no_such_member; }"
    assert [safety for safety, _ in chain(other, "task->tgid")] == [Safety.SAFE]
    beside = chain("", "task->tgid + task->no_such_member")
    assert [safety for safety, _ in beside] == [Safety.SUGGESTED]
    assert "no member named 'no_such_member'" in beside[0][1]
    (tmp_path / "a.bpf.c").write_text(CHAIN % (other, "task->tgid"))
    report = ebpffix("--output-format", "json", ".", cwd=tmp_path).out
    assert '"status": "analysed"' in report
    assert "no member named 'no_such_member' in 'struct task_struct': fixes beside it are only suggested" in report


def test_names_that_everybody_knows_are_what_they_are() -> None:
    found = parsed("static __always_inline u_int8_t f(uint32_t *p, ssize_t n) { return p == NULL ? n : htons(*p); }\n")
    assert (found.missing, found.guessed) == ((), frozenset())
    assert parsed("static int f(void) { return THEIRS(1); }\n").guessed == {"THEIRS"}


def test_a_macro_at_file_scope() -> None:
    text = "MY_OUTPUT(events);\nint f(void *ctx)\n{\n\tint x = 1;\n\treturn send(ctx, &events, &x);\n}\n"
    found = parsed(text)
    assert not found.missing
    assert {"MY_OUTPUT", "events"} <= found.guessed


def test_what_a_compiler_of_today_refuses_is_counted() -> None:
    assert not parsed("void *f(long *x) { return x; }\n").looser
    assert parsed("void *f(long x) { return x; }\n").looser == 1
