"""What a section, a name and a macro say of a program."""

from __future__ import annotations

from pathlib import Path

import pytest

from ebpffix.analysis.programs import By, Program, program_of, programs
from ebpffix.analysis.values import returned, taker, values
from ebpffix.fix import BCC, LIBBPF
from ebpffix.frontend import Unit
from ebpffix.frontend.environment import Environment, Options
from ebpffix.frontend.parse import parse
from ebpffix.kernel.program_types import Attach, Kind, Role, of_bcc_macro, of_bcc_name, of_section
from ebpffix.sources.source import Source


@pytest.mark.parametrize(
    ("section", "kind", "role", "target", "certain"),
    [
        ("kprobe/tcp_sendmsg", Kind.FUNCTION, Role.ENTRY, "tcp_sendmsg", True),
        ("kretprobe/tcp_sendmsg+0x10", Kind.FUNCTION, Role.RETURN, "tcp_sendmsg", True),
        ("?kretprobe/f", Kind.FUNCTION, Role.RETURN, "f", False),
        ("kprobe.multi/tcp_*", Kind.FUNCTION, Role.ENTRY, "tcp_*", False),
        ("kprobe", Kind.FUNCTION, Role.ENTRY, "", False),
        ("kretsyscall/openat", Kind.SYSTEM_CALL, Role.RETURN, "openat", True),
        ("uprobe//bin/bash:readline", Kind.USER, Role.ENTRY, "readline", True),
        ("uretprobe/readline", Kind.USER, Role.RETURN, "readline", False),
        ("uprobe.s/./server:net/http.(*T).F", Kind.USER, Role.ENTRY, "net/http.(*T).F", True),
        ("usdt/./a:p:n", Kind.USER, Role.OTHER, "n", True),
        ("tp/sched/sched_switch", Kind.EVENT, Role.OTHER, "sched_switch", True),
        ("tracepoint/syscalls/sys_enter_openat", Kind.SYSTEM_CALL_EVENT, Role.ENTRY, "sys_enter_openat", True),
        ("tp/raw_syscalls/sys_exit", Kind.SYSTEM_CALL_EVENT, Role.RETURN, "sys_exit", True),
        ("raw_tp/sys_exit", Kind.RAW, Role.RETURN, "sys_exit", True),
        ("raw_tp.w/x", Kind.TYPED, Role.OTHER, "x", True),
        ("tp_btf/sys_enter", Kind.TYPED, Role.ENTRY, "sys_enter", True),
        ("fentry.s/f", Kind.TYPED, Role.ENTRY, "f", True),
        ("fexit/f", Kind.TYPED, Role.RETURN, "f", True),
        ("lsm/file_open", Kind.TYPED, Role.OTHER, "file_open", True),
        ("xdp.frags", Kind.OTHER, Role.OTHER, "", False),
        ("cgroup/connect4", Kind.OTHER, Role.OTHER, "connect4", True),
    ],
)
def test_sections(section: str, kind: Kind, role: Role, target: str, certain: bool) -> None:
    said = of_section(section)
    assert said is not None
    assert (said.kind, said.role, said.target, said.certain) == (kind, role, target, certain)


def test_what_is_no_section() -> None:
    assert of_section("") is None and of_section("/x") is None


def test_names_of_bcc() -> None:
    assert of_bcc_name("kprobe____x64_sys_open") == Attach(
        Kind.FUNCTION, Role.ENTRY, "__x64_sys_open", "__x64_sys_open", True
    )
    assert of_bcc_name("tracepoint__syscalls__sys_exit_open") == Attach(
        Kind.SYSTEM_CALL_EVENT, Role.RETURN, "sys_exit_open", "syscalls/sys_exit_open", True
    )
    called = of_bcc_name("syscall__execve")
    assert called is not None and called.kind is Kind.SYSTEM_CALL and not called.certain
    assert of_bcc_name("trace_return") is None and of_bcc_name("my_kprobe__f") is None


def test_macros_of_bcc() -> None:
    event = of_bcc_macro("TRACEPOINT_PROBE", ["syscalls", " sys_enter_open"])
    assert event is not None and (event.kind, event.role) == (Kind.SYSTEM_CALL_EVENT, Role.ENTRY)
    result = of_bcc_macro("KRETFUNC_PROBE", ["vfs_read", "struct file *file", "int ret"])
    assert result is not None and (result.kind, result.role, result.target) == (Kind.TYPED, Role.RETURN, "vfs_read")
    module = of_bcc_macro("MODULE_KFUNC_PROBE", ["kvm", "kvm_exit"])
    assert module is not None and module.target == "kvm_exit" and module.where == "kvm/kvm_exit"
    assert of_bcc_macro("BPF_HASH", ["m"]) is None


def _unit(text: str, dialect: str, folder: Path) -> Unit:
    source = Source(folder / "program.c", text.encode())
    setup = Environment(Options()).setup(source, dialect)
    parsed = parse(source, setup, {str(source.path): source.data}, pch=None)
    return Unit(source.path, dialect, parsed, {source.path: source})


def _by_name(unit: Unit) -> dict[str, Program]:
    return {program.name: program for program in programs(unit)}


def test_programs_of_libbpf(tmp_path: Path) -> None:
    unit = _unit(
        "#include <linux/bpf.h>\n#include <linux/ptrace.h>\n#include <bpf/bpf_helpers.h>\n"
        "#include <bpf/bpf_tracing.h>\n"
        "static int helper(void) { return 0; }\n"
        'SEC("kprobe/f")\nint BPF_KPROBE(enter, int a)\n{\n  return helper();\n}\n'
        'SEC("uretprobe")\nint leave(struct pt_regs *ctx)\n{\n  return 0;\n}\n',
        LIBBPF,
        tmp_path,
    )
    found = _by_name(unit)
    assert set(found) == {"enter", "leave"}
    enter, leave = found["enter"], found["leave"]
    assert (enter.role, enter.target, enter.by) == (Role.ENTRY, "f", By.SECTION)
    assert enter.macro is not None and enter.macro.name == "BPF_KPROBE"
    assert (leave.kind, leave.role, leave.by, leave.macro) == (Kind.USER, Role.RETURN, By.HOST, None)
    helper = next(f for f in unit.functions if f.name == "helper")
    assert program_of(unit, helper) is None


def test_sections_in_other_words_than_one_string(tmp_path: Path) -> None:
    unit = _unit(
        "#include <linux/bpf.h>\n#include <linux/ptrace.h>\n#include <bpf/bpf_helpers.h>\n"
        '#include <bpf/bpf_tracing.h>\n#define PREFIX "__x64_"\n#define WHOLE "xdp"\n'
        '#define ON(call) SEC("kprobe/" PREFIX "sys_" #call) int on_##call(struct pt_regs *ctx)\n'
        "#define IN(name) static __always_inline int name(void)\n"
        'SEC("kprobe/" PREFIX "sys_accept")\nint BPF_KPROBE_SYSCALL(accepted, int fd)\n{\n  return 0;\n}\n'
        "ON(open) { return 0; }\n"
        "SEC(WHOLE) int drop(struct xdp_md *ctx) { return 0; }\n"
        '__attribute__((section("tc"), used)) int pass(struct __sk_buff *skb) { return 0; }\n'
        "IN(helper) { return 0; }\n",
        LIBBPF,
        tmp_path,
    )
    assert {name: program.section for name, program in _by_name(unit).items()} == {
        "accepted": "kprobe/__x64_sys_accept",
        "on_open": "kprobe/__x64_sys_open",
        "drop": "xdp",
        "pass": "tc",
    }


def test_programs_of_bcc(tmp_path: Path) -> None:
    unit = _unit(
        "static int shared(struct pt_regs *ctx) { return 0; }\n"
        "int called(struct pt_regs *ctx) { return 0; }\n"
        "int kprobe__f(struct pt_regs *ctx) { return shared(ctx) + called(ctx) + PT_REGS_RC(ctx); }\n"
        "int trace_it(struct pt_regs *ctx) { return 0; }\n"
        "int trace_ret(struct pt_regs *ctx) { return 0; }\n"
        "int other(struct pt_regs *ctx) { return PT_REGS_RC(ctx); }\n"
        "int filter(struct __sk_buff *skb) { return 0; }\n"
        "TRACEPOINT_PROBE(sched, sched_switch) { return 0; }\n"
        "int compute(int x) { return x; }\n",
        BCC,
        tmp_path,
    )
    found = {name: (p.kind, p.role, p.by) for name, p in _by_name(unit).items()}
    assert found == {
        "kprobe__f": (Kind.FUNCTION, Role.ENTRY, By.NAME),
        "trace_it": (Kind.FUNCTION, Role.ENTRY, By.HOST),
        "trace_ret": (Kind.FUNCTION, Role.RETURN, By.HOST),
        "other": (Kind.FUNCTION, Role.RETURN, By.HOST),
        "filter": (Kind.OTHER, Role.OTHER, By.HOST),
        "tracepoint__sched__sched_switch": (Kind.EVENT, Role.OTHER, By.NAME),
    }


def test_values(tmp_path: Path) -> None:
    unit = _unit(
        "int get(void);\n"
        "int f(int x) { int a = 1, b; b = (long)get(); a = b = 2; a += 5; get(); return x; return 7; }\n",
        LIBBPF,
        tmp_path,
    )
    function = unit.functions[0]
    decls = {n.name: n.decl for n in function.find("VAR_DECL")}
    assert [v.constant for v in values(function, decls["a"])] == [1, None]
    assert [v.constant for v in values(function, decls["b"])] == [None, 2]
    first, last = unit.calls
    target = taker(first)
    assert target is not None and target.decl == decls["b"] and taker(last) is None
    assert [r.constant for r in returned(function)] == [None, 7]
