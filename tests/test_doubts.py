"""What a fix loses where the program around it was not understood, and what a made-up name costs."""

from __future__ import annotations

from pathlib import Path

from support import ebpffix, findings

from ebpffix.fix import BCC, LIBBPF, Safety
from ebpffix.frontend.environment import Environment, Options
from ebpffix.frontend.parse import Parsed, parse
from ebpffix.sources import build
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


def test_a_macro_that_only_the_build_gives() -> None:
    head = "#if defined(WITH_BTF)\n#define _(x) (x)\n#elif defined(WITHOUT)\n#define _(x) 0\n#endif\n"
    found = parsed(head + "int f(int *p) { return _(*p); }\n")
    assert (found.missing, found.guessed, found.assumed) == ((), frozenset(), ("WITH_BTF",))
    user_space = "#ifdef USER\n#define _(x) throw(x)\n#endif\nint f(int *p) { return _(*p); }\n"
    assert parsed(user_space).guessed == {"_"}
    assert parsed("#ifndef X\n#else\n#define _(x) x\n#endif\nint f(int *p) { return _(*p); }\n").assumed == ()


def test_macros_of_build_files_are_read_as_text(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "src").mkdir()
    (tmp_path / "Makefile").write_text(
        "# -DIN_A_COMMENT\nCFLAGS += -DSIDE=1 -D__TARGET_ARCH_$(ARCH) -DFROM=$(shell id) -D NAMED\n"
        "\t$(CLANG) -DSIDE=2 '-DTEXT=\"a b\"' -D@/etc/passwd -D-o -xD-DNOT\n"
    )
    assert build.defines(tmp_path / "src" / "a.bpf.c", tmp_path) == ("SIDE=1", "NAMED", 'TEXT="a b"')
    text = "#ifdef SIDE\nint f(void) { return 1; }\n#else\n#error user space\nstruct x : y { };\n#endif\n"
    source = Source(tmp_path / "src" / "a.bpf.c", text.encode())
    setup = Environment(Options()).setup(source, LIBBPF, root=tmp_path)
    found = parse(source, setup, {str(source.path): source.data}, pch=None)
    assert not found.missing
    assert "SIDE" in found.assumed


def test_a_function_that_bccs_prelude_has_as_a_macro() -> None:
    source = Source(Path("/p/a.c"), b"static int min(int a, int b) { return a < b ? a : b; }\n")
    found = parse(source, Environment(Options()).setup(source, BCC), {str(source.path): source.data}, pch=None)
    assert not found.errors


def test_a_word_with_a_dollar_is_a_number() -> None:
    assert parsed("int f(int pid) { return pid == $PID; }\n").guessed == {"$PID"}


def test_a_struct_that_is_nowhere_is_made_up_where_there_is_an_object_of_it() -> None:
    found = parsed("int f(void) { struct theirs one; return one.x + sizeof(struct theirs); }\n")
    assert not found.missing
    assert found.guessed == {"struct theirs"}
    assert not found.local, "with the members that are used"
    assert parsed("struct theirs;\nint f(struct theirs *p) { return p != 0; }\n").guessed == frozenset()


def test_a_struct_that_parameters_name_first_is_one_struct() -> None:
    text = "int f(struct theirs *p);\nint f(struct theirs *p) { return 0; }\n"
    assert (parsed(text).errors, parsed(text).guessed) == ((), frozenset())
