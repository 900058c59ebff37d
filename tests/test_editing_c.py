"""C text from templates: parts, indentation, declarations."""

from __future__ import annotations

from pathlib import Path

import pytest

from ebpffix.editing.c import declared, statements
from ebpffix.sources.source import Source

TEMPLATE = """
    if ({size} > {room})
    \t{size} = {room};
"""


@pytest.mark.parametrize(("code", "step"), [(b"int f()\n{\n  a();\n}\n", b"  "), (b"int f()\n{\n\ta();\n}\n", b"\t")])
def test_a_tab_is_one_level_of_the_file(code: bytes, step: bytes) -> None:
    made = statements(Source(Path("/p.c"), code), TEMPLATE, size=b"len", room=b"sizeof(buf)")
    assert made == [b"if (len > sizeof(buf))", step + b"len = sizeof(buf);"]


def test_braces_of_c_stay() -> None:
    source = Source(Path("/p.c"), b"\tx;\n")
    made = statements(source, "struct {name} {\n\tint a[] = {};\n};", name=b"args")
    assert made == [b"struct args {", b"\tint a[] = {};", b"};"]


def test_what_a_part_holds_is_not_looked_at_again() -> None:
    assert statements(Source(Path("/p.c"), b""), "{a};", a=b"x{b}\\1") == [b"x{b}\\1;"]


def test_a_part_that_is_missing_is_an_error() -> None:
    with pytest.raises(KeyError):
        statements(Source(Path("/p.c"), b""), "{nothing};")


@pytest.mark.parametrize(
    ("type_", "said"),
    [
        (b"int", b"int x"),
        (b"struct sock *", b"struct sock *x"),
        (b"char [16]", b"char x[16]"),
        (b"int (*)(void *)", b"int (*x)(void *)"),
        (b"const char *const", b"const char *const x"),
    ],
)
def test_declarations(type_: bytes, said: bytes) -> None:
    assert declared(type_, b"x") == said
