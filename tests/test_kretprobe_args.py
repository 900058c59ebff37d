"""What fixtures cannot say of kretprobe-args: messages, reasons, places, odd shapes as short texts, and that no other
transform has anything to say of the result."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from ebpffix_transforms.kretprobe_args import signature
from ebpffix_transforms.kretprobe_args.signature import Parameter, Use, meant
from support import UNSAFE, Case, cases, ebpffix, findings, fixed, transforms

from ebpffix.fix import BCC, LIBBPF, Fix, Safety
from ebpffix.kernel import machine

NAME = "kretprobe-args"
HEAD = """#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
"""
BTF = pytest.mark.skipif(not os.access("/sys/kernel/btf/vmlinux", os.R_OK), reason="no BTF of a kernel here")


def found(body: str, *, section: str = "kretprobe/vfs_read", kernel: tuple[int, int] = (5, 10)) -> list[Fix]:
    text = f'{HEAD}SEC("{section}")\nint p(struct pt_regs *ctx)\n{{\n{body}\n\treturn 0;\n}}\n'
    return findings(text.encode(), NAME, kernel=kernel)


def rewritten(program: str, dialect: str = LIBBPF) -> str:
    text = (HEAD if dialect == LIBBPF else "") + program
    return fixed(text.encode(), NAME, dialect=dialect, safeties=UNSAFE).decode()


@pytest.mark.parametrize(
    "body",
    [
        'bpf_printk("%lx", PT_REGS_RC(ctx));',
        'struct pt_regs other = {}; bpf_printk("%lx", PT_REGS_PARM1(&other));',
        'struct pt_regs other = {}; bpf_printk("%lx", other.di);',
        'bpf_printk("%lx", ctx->bp); /* the frame */',
        'bpf_printk("PT_REGS_PARM1(ctx)"); /* PT_REGS_PARM1(ctx) */',
        '#if 0\n\tbpf_printk("%lx", PT_REGS_PARM1(ctx));\n#endif',
        'bpf_printk("%d", (int)sizeof(struct pt_regs)); // ctx->di still has the argument',
    ],
)
def test_leaves_alone(body: str) -> None:
    assert found(body) == []


@pytest.mark.parametrize(
    "section",
    ["kprobe/vfs_read", "uprobe//bin/sh:main", "tracepoint/x/y", "uretprobe//a:main.f", "uretprobe//a:net/http.(*T).F"],
)
def test_only_in_return_probes_of_c(section: str) -> None:
    assert found('bpf_printk("%lx", PT_REGS_PARM1(ctx));', section=section) == []


@pytest.mark.parametrize(
    ("read", "number"),
    [
        ("PT_REGS_PARM1(ctx)", 1),
        ("PT_REGS_PARM2_CORE(ctx)", 2),
        ("PT_REGS_PARM3((ctx))", 3),
        ("ctx->di", 1),
        ("(ctx)->si", 2),
        ("((struct pt_regs *)ctx)->dx", 3),
        ("ctx -> cx", 4),
        ("BPF_CORE_READ(ctx, si)", 2),
    ],
)
def test_every_way_to_read(read: str, number: int) -> None:
    text = rewritten(
        f'SEC("kretprobe/no_such_function")\nint p(struct pt_regs *ctx)\n{{\n\treturn (int){read} + 1;\n}}\n'
    )
    assert f"int BPF_KPROBE(p_entry, {', '.join(f'void *arg{n}' for n in range(1, number))}" in text
    assert f"int arg{number})" in text
    assert f"return arg{number} + 1;" in text


def test_a_member_is_not_the_variable_of_its_name() -> None:
    text = rewritten(
        'SEC("kretprobe/f")\nint p(struct pt_regs *ctx)\n{\n\tstruct file *a = NULL;\n\tstruct { u64 a; } k = {};\n\n'
        "\tk.a = (u64)ctx->di;\n\treturn k.a + (a != NULL);\n}\n"
    )
    assert "int BPF_KPROBE(p_entry, u64 arg1)" in text
    assert "k.a = arg1;" in text


def test_an_alias_of_the_context() -> None:
    (fix,) = found('struct pt_regs *regs = ctx; bpf_printk("%lx", regs->di);')
    assert fix.safety is Safety.SUGGESTED


# -- messages


@BTF
def test_message_of_libbpf() -> None:
    (fix,) = found('struct file *file = (struct file *)PT_REGS_PARM1(ctx);\n\tbpf_printk("%lx", file);')
    assert fix.message == (
        "`PT_REGS_PARM1(ctx)` is read from a register that no longer holds an argument when vfs_read returns: a new "
        "program `p_entry` stores it on entry, libbpf attaches it by its section; or make it one `fexit/vfs_read` "
        "program, which gets arguments and return value"
    )
    assert fix.reason == "it adds a program that runs on every call of the function, and a map"


@BTF
@pytest.mark.parametrize(("kernel", "offered"), [((5, 4), False), ((5, 5), True), ((6, 1), True)])
def test_fexit_is_offered_where_it_exists(kernel: tuple[int, int], offered: bool) -> None:
    (fix,) = found('bpf_printk("%lx", PT_REGS_PARM1(ctx));', kernel=kernel)
    assert ("fexit/vfs_read" in fix.message) == offered


def test_no_fexit_without_btf() -> None:
    (fix,) = found('bpf_printk("%lx", PT_REGS_PARM1(ctx));', section="kretprobe/no_such_function")
    assert "fexit" not in fix.message


def test_message_of_bcc() -> None:
    text = b"#include <linux/ptrace.h>\nint kretprobe__vfs_read(struct pt_regs *ctx) { return ctx->si; }\n"
    (fix,) = findings(text, NAME, dialect=BCC)
    assert "a new program `kprobe__vfs_read` stores it on entry, BCC attaches it by its name" in fix.message
    assert "fexit" not in fix.message


def test_message_where_the_host_program_attaches() -> None:
    text = b"#include <linux/ptrace.h>\nint f(struct pt_regs *ctx) { return PT_REGS_RC(ctx) + PT_REGS_PARM1(ctx); }\n"
    (fix,) = findings(text, NAME, dialect=BCC)
    assert fix.message == (
        "`PT_REGS_PARM1(ctx)` and PT_REGS_RC are read in one program: on entry nothing is returned yet, on return the "
        "argument is gone"
    )
    assert "attaches `f` to the return" in fix.reason


@pytest.mark.parametrize(
    ("host", "message", "reason"),
    [
        ("", "are read in one program", "if the host program attaches `f` to the return"),
        ('b.attach_kretprobe(event=name, fn_name="f")', "when the function returns",
         "`attach_kretprobe` in a.py attaches `f` to the return"),
        ('b.attach_uretprobe(name="c", sym="puts", fn_name="f")', "when puts returns",
         "`attach_uretprobe` in a.py attaches `f` to the return"),
        ('b.attach_kretprobe(event="vfs_read", fn_name="f")', "when vfs_read returns: a new program `kprobe__vfs_read`",
         "it adds a program"),
        ('b.attach_kretprobe(event="__x64_sys_read", fn_name="f")', "when __x64_sys_read returns", "a system call's"),
        ('b.attach_kprobe(event="vfs_read", fn_name="f")', "PT_REGS_RC is read where vfs_read is entered",
         "`attach_kprobe` in a.py attaches `f` to the entry"),
        ('b.attach_kprobe(event="a", fn_name="f")\nb.attach_kretprobe(event="a", fn_name="f")',
         "are read in one program", "if the host program attaches `f` to the return"),
    ],
)  # fmt: skip
def test_the_host_says_how_it_attaches(tmp_path: Path, host: str, message: str, reason: str) -> None:
    program = "#include <linux/ptrace.h>\nint f(struct pt_regs *ctx) { return PT_REGS_RC(ctx) + PT_REGS_PARM1(ctx); }\n"
    (tmp_path / "a.py").write_text(f'b = BPF(text="""{program}""")\n{host}\n')
    done = ebpffix("--select", NAME, "--no-cache", "--output-format", "json", "a.py", cwd=tmp_path)
    found = json.loads(done.out)["findings"]
    assert [(message in one["message"], reason in one["reason"]) for one in found] == [(True, True)]


def test_position_is_that_of_the_first_read() -> None:
    text = (
        HEAD
        + 'SEC("kretprobe/f")\nint p(struct pt_regs *ctx)\n{\n\treturn PT_REGS_PARM2(ctx) - PT_REGS_PARM1(ctx);\n}\n'
    )
    (fix,) = findings(text.encode(), NAME)
    assert text.encode()[fix.at.start : fix.at.end] == b"PT_REGS_PARM2(ctx)"


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ('SEC("kretprobe") int p(struct pt_regs *ctx) { return ctx->di; }', "user space attaches `p`"),
        ('SEC("kretprobe.multi/f*") int p(struct pt_regs *ctx) { return ctx->di; }', "user space attaches `p`"),
        ('SEC("uretprobe") int p(struct pt_regs *ctx) { return ctx->di; }', "user space attaches `p`"),
        ('SEC("kretprobe/__x64_sys_read") int p(struct pt_regs *ctx) { return ctx->di; }', "a system call's wrapper"),
        ('SEC("kretsyscall/read") int BPF_KPROBE(p, int fd) { return fd; }', "a system call's wrapper"),
        ('SEC("kretprobe/nope") int p(struct pt_regs *ctx) { return ctx->bx; }', "no BTF tells"),
        ('SEC("kretprobe/nope") int p(struct pt_regs *ctx) { return ctx->r9; }', "argument 6 has no place"),
        (
            '#define P(c) PT_REGS_PARM1(c)\nSEC("kretprobe/nope") int p(struct pt_regs *ctx) { return P(ctx); }',
            "a macro's body hides the read",
        ),
        ('SEC("kretprobe/nope") int BPF_KPROBE(p, int a /* first */, int b) { return b; }', "a comment among"),
        ('SEC("kretprobe/nope")\n#if 1\nint p(struct pt_regs *ctx)\n#endif\n{ return ctx->di; }', "an #if"),
    ],
)
def test_advice_says_why(program: str, reason: str) -> None:
    (fix,) = findings((HEAD + program + "\n").encode(), NAME)
    assert fix.safety is Safety.ADVICE
    assert reason in fix.reason
    assert not re.search(r"\n|\.\Z", fix.message + fix.reason)


# -- which argument

STATE = [Parameter("sk", "struct sock *", False), Parameter("state", "int", False)]


@pytest.mark.parametrize(
    ("use", "index", "parameters", "expected"),
    [
        (Use("struct sock *", "sk"), 0, STATE, 1),
        (Use("struct sock *"), 0, STATE, 1),
        (Use("u32", "state"), 4, STATE, 2),  # tcp_set_state has no fourth argument
        (Use("u32", "x"), 4, STATE, 2),
        (Use("", "x"), 0, STATE, None),
        (Use("void *", "sk"), 0, STATE, 1),
        (Use("unsigned long", ""), 2, STATE, 2),
        (Use("struct file *", "file"), 1, STATE, None),  # neither by type nor by name
        (Use("struct sock *", "sk"), 2, STATE, 1),  # the second is a number
        (Use("struct sock *", "other"), 2, STATE, None),
        (Use("bool", "b"), 1, STATE, None),  # the first is a pointer
        (Use("int", ""), 0, [*STATE, Parameter("flags", "int", False)], None),
        (Use("int", "flags"), 0, [*STATE, Parameter("flags", "int", False)], 3),
        (Use("int", "flags"), 0, [], None),
    ],
)
def test_meant(use: Use, index: int, parameters: list[Parameter], expected: int | None) -> None:
    assert meant(use, index, parameters) == expected


def test_registers_follow_the_calling_convention() -> None:
    assert [machine.ARGUMENTS[r] for r in ("di", "si", "dx", "cx", "r8", "r9")] == [1, 2, 3, 4, 5, 6]
    assert not machine.SAVED & machine.ARGUMENTS.keys()


@BTF
def test_a_struct_by_value_is_not_counted_as_one_register(monkeypatch: pytest.MonkeyPatch) -> None:
    parameters = [Parameter("idmap", "struct kqid", True), Parameter("n", "int", False)]
    monkeypatch.setattr(signature, "_read", lambda path, name: parameters)
    (fix,) = found('int n = PT_REGS_PARM2(ctx); bpf_printk("%d", n);')
    assert "by value" in fix.reason


# -- the text


def test_copies_out_before_it_deletes_and_deletes_before_all_else() -> None:
    text = rewritten(
        'SEC("kretprobe/f")\nint p(struct pt_regs *ctx)\n{\n\tif (PT_REGS_RC(ctx))\n\t\treturn 0;\n'
        "\treturn (int)PT_REGS_PARM1(ctx);\n}\n"
    )
    body = text[text.index("int p(struct") :]
    order = ["bpf_map_lookup_elem", "return 0;", "int arg1 = *saved;", "bpf_map_delete_elem", "if (PT_REGS_RC(ctx))"]
    places = [body.index(part) for part in order]
    assert places == sorted(places)


def test_nothing_that_is_reserved_is_left_open() -> None:
    text = rewritten(
        'struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 4096); } rb SEC(".maps");\n'
        'SEC("kretprobe/f")\nint p(struct pt_regs *ctx)\n{\n\tint *e = bpf_ringbuf_reserve(&rb, 4, 0);\n\n'
        "\tif (!e)\n\t\treturn 0;\n\t*e = PT_REGS_PARM1(ctx);\n\tbpf_ringbuf_submit(e, 0);\n\treturn 0;\n}\n"
    )
    assert text.index("bpf_map_delete_elem") < text.index("bpf_ringbuf_reserve")


def test_helper_arguments_in_a_declaration_come_after_the_lookup() -> None:
    text = rewritten(
        "static int h(struct pt_regs *ctx) { return (int)ctx->di; }\n"
        'SEC("kretprobe/f")\nint p(struct pt_regs *ctx)\n{\n\tint n = 1, r = h(ctx);\n\n\treturn n + r;\n}\n'
    )
    assert text.index("int arg1 = *saved;") < text.index("r = h(ctx, arg1)")
    assert "static int h(struct pt_regs *ctx, int arg1) { return arg1; }" in text


def test_names_that_clash_differ() -> None:
    text = rewritten(
        '#define args 1\nSEC("kretprobe/f")\nint BPF_KPROBE(p, int id, long saved)\n{\n\treturn id + saved;\n}\n'
    )
    assert "struct f_args args2;" in text
    assert "u64 id2 = bpf_get_current_pid_tgid();" in text
    assert "*saved2 = bpf_map_lookup_elem(&f_stash, &id2);" in text


CALLS = """struct call { u64 ts; };
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 64); __type(key, u64); __type(value, struct call); }
    calls SEC(".maps");
SEC("kprobe/vfs_read") int BPF_KPROBE(before) {
    u64 id = bpf_get_current_pid_tgid();
    struct call call = {};
    bpf_map_update_elem(&calls, &id, &call, BPF_ANY);
    return 0;
}
"""


@pytest.mark.parametrize(
    ("body", "extended"),
    [
        ("if (!c) return 0; return (int)PT_REGS_PARM3(ctx);", True),
        ("if (c) return (int)PT_REGS_PARM3(ctx); return 0;", True),
        ("return (int)PT_REGS_PARM3(ctx);", False),  # not checked
        ("if (!c) return 0; bpf_map_delete_elem(&calls, &id); return (int)PT_REGS_PARM3(ctx);", False),
        ("if (!c) return 0; c = bpf_map_lookup_elem(&calls, &id); return (int)PT_REGS_PARM3(ctx);", False),
        ("if (!c) return 0; bpf_map_update_elem(&calls, &id, c, 0); return (int)PT_REGS_PARM3(ctx);", False),
    ],
)
def test_a_struct_that_is_stored_already_is_extended_only_where_it_is_at_hand(body: str, extended: bool) -> None:
    text = rewritten(
        CALLS + 'SEC("kretprobe/vfs_read") int BPF_KRETPROBE(after) {\n    u64 id = bpf_get_current_pid_tgid();\n'
        "    struct call *c = bpf_map_lookup_elem(&calls, &id);\n    " + body + "\n}\n"
    )
    assert ("return c->count;" in text) == extended
    assert ("struct call { u64 ts; int count; };" in text or "size_t count; };" in text) == extended
    assert ("vfs_read_stash" in text) != extended


@pytest.mark.parametrize("case", [c for c in cases(NAME) if "suggested" in c.expect], ids=str)
def test_no_transform_dislikes_the_result(case: Case, tmp_path: Path) -> None:
    """Neither this one nor another has anything to mend in what the rewrite wrote."""
    (tmp_path / "before").mkdir()
    (tmp_path / "after").mkdir()
    names = tuple(transforms())
    known = {one.fix.message for one in case.run(case.files, tmp_path / "before", names).findings}
    result = case.run({**case.files, **case.fixed}, tmp_path / "after", names)
    new = [f for f in (one.fix for one in result.findings) if f.safety is not Safety.ADVICE and f.message not in known]
    assert not new, [f.message for f in new]
