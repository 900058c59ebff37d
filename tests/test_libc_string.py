"""libc-string: what fixtures cannot say, which is messages, reasons, target kernels and odd shapes."""

from __future__ import annotations

import pytest
from support import UNSAFE, findings, fixed

from ebpffix.fix import BCC, LIBBPF, Safety
from ebpffix.transform import load_transforms
from ebpffix.verify.explain import cured_by, explain

HEAD = b"""#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
struct record { char name[16]; char path[64]; u32 len; };
void change(char *text);
"""


def program(body: str) -> bytes:
    text = 'SEC("xdp")\nint f(struct xdp_md *ctx)\n{\n\tstruct record a = {}, b = {};\n\tu32 len = 0;\n'
    return HEAD + text.encode() + body.encode() + b"\treturn len;\n}\n"


def after(body: str) -> str:
    done = fixed(program(body), "libc-string", dialect=LIBBPF, safeties=UNSAFE).decode()
    return done.partition("\tu32 len = 0;\n")[2].partition("\treturn len;")[0]


@pytest.mark.parametrize(
    "body",
    [
        'len = __builtin_strlen("a");',
        'len = bpf_strncmp(a.name, 4, "strlen(a)");',
        'static const char w[] = "sshd"; len = bpf_strncmp(a.name, 4, w);',
        "len = __builtin_memcmp(a.name, b.name, 4);",
        "len = strchr(\"abc\", 'b') != 0;",
        'len = sizeof("strcmp(a, b)"); /* strcmp(a, b) */',
    ],
)
def test_left_alone(body: str) -> None:
    assert findings(program("\t" + body + "\n"), "libc-string") == []


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ('strcpy(&(a.name[0]), "x");', '__builtin_memcpy(&(a.name[0]), "x", sizeof("x"));'),
        ('strcpy(a.name, "x");', '__builtin_memcpy(a.name, "x", sizeof("x"));'),
        ("strlcpy(a.name, b.path, sizeof(a.name));", "bpf_probe_read_kernel_str(a.name, sizeof(a.name), b.path);"),
        ("strncpy(a.name, b.path, 17);", "bpf_probe_read_kernel_str(a.name, sizeof(a.name), b.path);"),
        ('if (strcmp(a.name, "")) len++;', "if (a.name[0] != '\\0') len++;"),
        (
            'if (0 == strncmp(a.name, "ab", 9)) len++;',
            "if (a.name[0] == 'a' && a.name[1] == 'b' && a.name[2] == '\\0') len++;",
        ),
        ('len = !strncmp(a.name, "ab", 2);', "len = (a.name[0] == 'a' && a.name[1] == 'b');"),
        (
            "len = strlen(a.name);",
            "unsigned int length = 0;\n\twhile (length < sizeof(a.name) && a.name[length])\n\t\tlength++;\n"
            "\tlen = length;",
        ),
        (
            'char w[] = "sshd"; len = bpf_strncmp(a.name, 4, w);',
            'static const char w[] = "sshd"; len = bpf_strncmp(a.name, 4, w);',
        ),
        (
            'static char w[] = "sshd"; len = bpf_strncmp(a.name, 4, w);',
            'static const char w[] = "sshd"; len = bpf_strncmp(a.name, 4, w);',
        ),
        ("strcpy(a.path, b.name);", "__builtin_memcpy(a.path, b.name, sizeof(b.name));"),
        ('if (!(strcmp(a.name, "a"))) len++;', "if (a.name[0] == 'a' && a.name[1] == '\\0') len++;"),
    ],
)
def test_text(before: str, expected: str) -> None:
    assert after(f"\t{before}\n") == f"\t{expected}\n"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ('strcpy(a.name, "seventeen letters");', "make the array larger"),
        ("char *p = a.name; strcpy(p, b.name);", "size of what it writes is not known"),
        ("if (strcpy(a.name, b.name)) len++;", "its result is used"),
        ('char w[] = "sshd"; w[0] = 0; len = bpf_strncmp(a.name, 4, w);', "static const"),
        ('char w[] = "sshd", v; len = bpf_strncmp(a.name, 4, w);', "static const"),
        ("char w[] = {1, 2}; len = bpf_strncmp(a.name, 2, w);", "static const"),
        ('char w[] = "sshd"; change(w); len = bpf_strncmp(a.name, 4, w);', "static const"),
        ("char s[8]; if (len) s[0] = 0; len = strlen(s);", "nothing may have been written"),
        ("len = len && strlen(a.name);", "count in a loop"),
        ("while (strlen(a.name) > len) len++;", "count in a loop"),
        ("char *p = a.name; len = strlen(p);", "count in a loop"),
        ("char big[257] = {}; len = strlen(big);", "count in a loop"),
        ("len = __builtin_memcmp(a.name, b.name, len);", "loop of a constant number"),
        ("len = __builtin_strcmp(a.name, b.name);", "loop of a constant number"),
        ("len = strcmp(a.name, b.name);", "loop of a constant number"),
        ('len = strcmp(a.name, "abc");', "bpf_strncmp from Linux 5.17"),
        ('if (!strcmp(a.name, "a\\n")) len++;', "byte by byte"),
        ('if (!strcmp(a.name, "seventeen letters")) len++;', "as long as the literal"),
        ("len = memcmp(a.name, b.name, len);", "loop of a constant number"),
        ('if (strstr(a.name, "x")) len++;', "search in a loop"),
        ('snprintf(a.name, 16, "%d", len);', "BPF_SNPRINTF"),
    ],
)
def test_advice(body: str, why: str) -> None:
    (fix,) = findings(program(f"\t{body}\n"), "libc-string")
    assert (fix.safety, fix.edits) == (Safety.ADVICE, [])
    assert why in fix.reason


def test_the_helper_needs_its_kernel_and_read_only_data() -> None:
    text = program('\tif (!strcmp(a.name, "abc")) len++;\n')
    told = {
        (kernel, dialect): findings(text, "libc-string", dialect=dialect, kernel=kernel)[0].message
        for kernel in ((5, 16), (5, 17))
        for dialect in (LIBBPF, BCC)
    }
    helper = [key for key, message in told.items() if "`bpf_strncmp` compares `a.name`" in message]
    assert helper == [((5, 17), LIBBPF)]


def test_memcmp_says_which_compilers_take_it() -> None:
    four, five = (program(f"\tlen = memcmp(a.name, b.name, {n});\n") for n in (4, 5))
    assert "clang 14" not in findings(four, "libc-string")[0].message
    assert "clang 14 does for 1, 2 and 4 bytes only" in findings(five, "libc-string")[0].message
    (fix,) = findings(four, "libc-string", dialect=BCC)
    assert fix.safety is Safety.ADVICE
    assert "LLVM 14" in fix.message


def test_a_length_is_only_taken_from_the_read_that_made_it() -> None:
    read = "\tchar s[8]; long n = bpf_probe_read_kernel_str(s, sizeof(s), b.path);\n"
    assert after(read + "\tlen = strlen(s);\n") == read + "\tlen = n - 1;\n"
    for between in ("\tn = 3;\n", "\ts[2] = 0;\n", "\tbpf_probe_read_kernel_str(s, 4, b.path);\n"):
        assert after(read + between + "\tlen = strlen(s);\n").endswith("\tlen = length;\n")


def test_each_loop_counts_in_a_variable_of_its_own() -> None:
    text = after("\tlen = strlen(a.name);\n\tlen += strlen(a.path);\n")
    assert "len = length;" in text and "len += length2;" in text
    assert text.count("unsigned int length") == 2


def test_a_kernel_without_loops_gets_none() -> None:
    (fix,) = findings(program("\tlen = strlen(a.name);\n"), "libc-string", kernel=(5, 2))
    assert fix.safety is Safety.ADVICE


def test_nothing_reaches_it() -> None:
    unused = b"static int unused(char *a, char *b) { return strcmp(a, b); }\n"
    text = program("").replace(b'SEC("xdp")', unused + b'SEC("xdp")')
    assert findings(text, "libc-string") == []
    assert findings(text.replace(b"return len;", b"return unused(a.name, b.name);"), "libc-string")


def test_bcc_has_no_read_only_data() -> None:
    text = program('\tlen = bpf_strncmp(a.name, 4, "pwd");\n')
    assert findings(text, "libc-string") == []
    (fix,) = findings(text, "libc-string", dialect=BCC)
    assert (fix.safety, fix.reason) == (Safety.ADVICE, "compare the bytes one by one")


@pytest.mark.parametrize("message", ["R3 type=fp expected=map_value", "R3 does not point to a readonly map'"])
def test_it_cures_what_bpf_strncmp_is_refused_for(message: str) -> None:
    transforms = [one.facts for one in load_transforms().values()]
    refusal = explain(message)
    assert refusal is not None
    for call, cure in (("bpf_strncmp#182", "libc-string"), ("bpf_map_lookup_elem#1", None)):
        assert cured_by(refusal.key, f"@libbpf\n9: (85) call {call}\n\n{message}", transforms) == cure
