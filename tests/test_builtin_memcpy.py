"""builtin-memcpy: what fixtures cannot say, which is messages, reasons, places and odd shapes."""

from __future__ import annotations

import pytest
from support import UNSAFE, findings, fixed

from ebpffix.fix import LIBBPF, Safety

HEAD = b"""#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
struct record { char name[16]; char path[64]; u32 len; };
void *memcpy(void *dst, const void *src, unsigned long n);
void see(const void *p);
"""


def program(body: str) -> bytes:
    text = "int f(struct pt_regs *ctx)\n{\n\tstruct record a = {}, b = {};\n\tu32 len = a.len;\n\tint i;\n"
    return HEAD + b'SEC("kprobe/f")\n' + text.encode() + body.encode() + b"\treturn i = len;\n}\n"


def said(body: str) -> list[tuple[str, str]]:
    return [(fix.message, fix.reason) for fix in findings(program(body), "builtin-memcpy")]


def after(body: str) -> str:
    done = fixed(program(body), "builtin-memcpy", dialect=LIBBPF, safeties=UNSAFE).decode()
    return done.partition("\tint i;\n")[2].partition("\treturn i = len;")[0]


@pytest.mark.parametrize(
    "body",
    [
        "see(memcpy);",  # the name, not a call
        "void *(*copy)(void *, const void *, unsigned long) = memcpy; copy(a.name, b.name, 4);",
        "for (i = 0; i < 16; i++) { a.name[i] = b.name[i]; see(&i); }",
        "for (i = 0; i < 17; i++) a.name[i] = b.path[i];",
        "for (int n = 0, m = 0; n < 16; n++) a.name[n] = 0;",
        "for (int n = 0; n < len; n++) a.name[n] = 0;",
        "for (int n = 0; n < 16; n++) a.name[n] = len;",
        "for (int n = 0; n <= 15; n++) a.name[n] = 0;",
        "for (int n = 0; 16 > n; n++) a.name[n] = 0;",
        "for (int n = 0; n < 16; n++) ;",
        "for (;;) { a.name[0] = 0; break; }",
        "for (int n = 0; n < 16; n++) a.name[n] = b.name[n], see(&a);",
        "for (int n = 0; n < 16; n++) a.name[n] = a.path[n];",
        "char s[200]; for (u8 n = 0; n < 200; n++) s[n] = 0;",
        "__attribute__((address_space(1))) struct record *r = (void __attribute__((address_space(1))) *)&a; "
        "for (int n = 0; n < 16; n++) r->name[n] = b.name[n];",
        "char *p = len ? a.name : b.name; for (int n = 0; n < 16; n++) p[n] = b.path[n];",
        "struct task_struct *t = (void *)bpf_get_current_task(); for (int n = 0; n < 16; n++) a.name[n] = t->comm[n];",
    ],
)
def test_left_alone(body: str) -> None:
    assert said("\t" + body + "\n") == []


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("\tmemcpy (a.name, b.name, 4);\n", "\t__builtin_memcpy (a.name, b.name, 4);\n"),
        ("\t(void)memcpy(&a, &b, sizeof a);\n", "\t(void)__builtin_memcpy(&a, &b, sizeof a);\n"),
        (
            "\tsee(memcpy(a.name, memcpy(b.name, a.path, 4), 4));\n",
            "\tsee(__builtin_memcpy(a.name, __builtin_memcpy(b.name, a.path, 4), 4));\n",
        ),
        (
            "\tfor (u8 n = 0; n < 16; n++)\n\t\ta.name[n] = (char)b.name[n];\n",
            "\t__builtin_memcpy(a.name, b.name, 16);\n",
        ),
        ("\tif (len) for (i = 0; i < 4; ++i) a.name[i] = 7;\n", "\tif (len) __builtin_memset(a.name, 7, 4);\n"),
    ],
)
def test_text(before: str, expected: str) -> None:
    assert after(before) == expected


def test_a_counter_that_other_configurations_use_stays() -> None:
    loop = "\tint n;\n%s\tfor (n = 0; n < 4; n++)\n\t\ta.name[n] = 0;\n"
    call = "\t__builtin_memset(a.name, 0, 4);\n"
    other = "#ifdef DEBUG\n\tn = 3;\n#endif\n"
    assert after(loop % "") == call
    assert after(loop % other) == "\tint n;\n" + other + call


def test_a_finding_stands_at_the_call() -> None:
    text = program("\tif (len) memcpy(a.name, b.name, 4);\n")
    (fix,) = findings(text, "builtin-memcpy")
    assert text[fix.at.start : fix.at.end] == b"memcpy(a.name, b.name, 4)"
    assert fix.message == "there is no libc in BPF: `memcpy` is only what the compiler makes of it"


def test_kernel_memory_names_source_and_helper() -> None:
    task = "\tstruct task_struct *t = (void *)bpf_get_current_task();\n"
    assert said(task + "\tmemcpy(a.name, t->comm, 16);\n") == [
        ("`t->comm` is kernel memory, which memcpy cannot read; `bpf_probe_read_kernel` can", "")
    ]
    (fix,) = findings(program(task + "\tmemcpy(a.name, t->comm, len);\n"), "builtin-memcpy")
    assert fix.safety is Safety.ADVICE
    assert "bpf_probe_read_kernel(to, size, from)" in fix.reason


def test_the_stack_is_too_small() -> None:
    ((message, reason),) = said("\tchar page[513];\n\tmemcpy(page, &a, sizeof(a));\n")
    assert message == "memcpy of an object of 513 bytes on the stack, which has 512"
    assert "per-CPU array" in reason


def test_a_variable_size_is_held_down_in_64_bits() -> None:
    assert after("\tmemcpy(a.path, b.path, len);\n") == (
        "\t__u64 size = len;\n\tif (size > sizeof(a.path))\n\t\tsize = sizeof(a.path);\n"
        "\tbpf_probe_read_kernel(a.path, size, b.path);\n"
    )


def test_each_size_has_a_variable_of_its_own() -> None:
    text = after("\tmemcpy(a.path, b.path, len);\n\tmemset(a.name, 0, 4);\n\tmemcpy(a.name, b.name, len);\n")
    assert "__u64 size = len;" in text and "__u64 size2 = len;" in text


def test_nothing_reaches_it() -> None:
    unused = b"static void unused(char *a, char *b) { memcpy(a, b, 4); }\n"
    text = program("").replace(b'SEC("kprobe', unused + b'SEC("kprobe')
    assert findings(text, "builtin-memcpy") == []
    assert findings(text.replace(b"return i = len;", b"unused(a.name, b.name); return 0;"), "builtin-memcpy")


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("a.name[0] = b.name[0]; a.name[1] = b.name[1]; a.name[2] = b.name[2]; a.name[3] = b.name[3];", True),
        (
            "a.name[i] = b.name[i]; i++; a.name[i] = b.name[i]; ++i; a.name[i] = b.name[i]; i++; "
            "a.name[i] = b.name[i];",
            True,
        ),
        (
            "a.name[i] = b.name[i]; i++; a.name[i] = b.name[i]; i++; a.name[i] = b.name[i]; a.name[i] = b.name[i];",
            False,
        ),
        ("a.name[i] = b.name[i]; i += 2; a.name[i] = b.name[i]; i += 2; a.name[i] = b.name[i]; i += 2;", False),
        ("a.name[0] = a.path[0]; a.name[1] = a.path[1]; a.name[2] = a.path[2]; a.name[3] = a.path[3];", False),
        ("a.name[0] = b.name[1]; a.name[1] = b.name[2]; a.name[2] = b.name[3]; a.name[3] = b.name[4];", False),
        (
            "__attribute__((address_space(1))) struct record *r = (void __attribute__((address_space(1))) *)&a; "
            "r->name[0] = b.name[0]; r->name[1] = b.name[1]; r->name[2] = b.name[2]; r->name[3] = b.name[3];",
            False,
        ),
        ("a.name[14] = b.name[14]; a.name[15] = b.name[15]; a.name[16] = b.name[16]; a.name[17] = b.name[17];", False),
        (
            "struct task_struct *t = (void *)bpf_get_current_task(); a.name[0] = t->comm[0]; a.name[1] = t->comm[1]; "
            "a.name[2] = t->comm[2]; a.name[3] = t->comm[3];",
            False,
        ),
    ],
)
def test_written_out(body: str, found: bool) -> None:
    assert bool(findings(program("\ti = 0; " + body + "\n"), "builtin-memcpy")) is found


def test_1024_bytes_is_the_limit() -> None:
    head = HEAD + b"char from[4096], to[4096];\nint f(void) { memcpy(to, from, %d); return 0; }\n"
    (small,) = findings(head % 1024, "builtin-memcpy")
    (large,) = findings(head % 1025, "builtin-memcpy")
    assert (small.safety, large.safety) == (Safety.SAFE, Safety.SUGGESTED)
    assert "1025 bytes does not compile: at most 1024" in large.message


def test_a_file_that_is_partly_understood_is_not_safe() -> None:
    text = program("\tmemcpy(a.name, b.name, 4);\n").replace(b"u32 len;", b"u32 len; @ no_such_thing x;", 1)
    (fix,) = findings(text, "builtin-memcpy")
    assert fix.safety is Safety.SUGGESTED


def test_more_bytes_than_there_are_is_no_mere_rename() -> None:
    assert said('\tmemcpy(a.name, "ab", 9);\n') == [
        (
            'memcpy reads 9 bytes of `"ab"`, which has 3: `sizeof("ab")`',
            "what lies behind it is read today; if that is meant, name the object that holds both",
        )
    ]
    assert after('\tmemcpy(a.name, "ab", 9);\n') == '\t__builtin_memcpy(a.name, "ab", sizeof("ab"));\n'
    assert after("\tmemset(&a, 0, 200);\n") == "\t__builtin_memset(&a, 0, sizeof(a));\n"
    assert after("\tmemcpy(&a.name[0], b.path, 90);\n") == "\t__builtin_memcpy(&a.name[0], b.path, sizeof(b.path));\n"
    # The structure has them, though the member has not: name and path stand side by side.
    assert findings(program("\tmemcpy(a.name, b.name, 20);\n"), "builtin-memcpy")[0].safety is Safety.SAFE
    # No size could be written.
    ((_, reason),) = said("\tmemcpy(&a.path[60], b.path, 12);\n")
    assert reason == "its size has no simple name"


@pytest.mark.parametrize("size", [1014, 1015, 1016, 1019, 1020, 1021, 1023, 1024])
def test_128_stores_is_the_limit(size: int) -> None:
    head = HEAD + b"char from[4096], to[4096];\nint f(void) { memcpy(to, from, %d); return 0; }\n"
    (fix,) = findings(head % size, "builtin-memcpy")
    fits = size in (1014, 1016, 1020, 1024)
    assert fix.safety is (Safety.SAFE if fits else Safety.SUGGESTED)
    assert fits or "stores, of which clang writes out 128 at most" in fix.message
