"""A repair without one of its candidates: the others stay where they were."""

from __future__ import annotations

from pathlib import Path

from ebpffix.fix import Edit
from ebpffix.repair.needed import without

P = Path("/p.c")
TEXT = b"int f(void)\n{\n\ta();\n\tb();\n\tc();\n}\n"


def insertion(data: bytes, at: bytes, text: bytes) -> Edit:
    start = data.index(at)
    return Edit(P, start, start, text)


def test_the_later_ones_move() -> None:
    first = [insertion(TEXT, b"b();", b"guard_b();\n\t")]
    then = TEXT.replace(b"b();", b"guard_b();\n\tb();")
    second = [insertion(then, b"c();", b"guard_c();\n\t")]
    files = without({P: TEXT}, [first, second], 0)
    assert files == {P: TEXT.replace(b"c();", b"guard_c();\n\tc();")}
    assert without({P: TEXT}, [first, second], 1) == {P: then}


def test_an_earlier_place_moves_what_is_left_out() -> None:
    first = [insertion(TEXT, b"b();", b"guard_b();\n\t")]
    then = TEXT.replace(b"b();", b"guard_b();\n\tb();")
    second = [insertion(then, b"a();", b"guard_a();\n\t")]
    after = then.replace(b"a();", b"guard_a();\n\ta();")
    third = [insertion(after, b"c();", b"guard_c();\n\t")]
    files = without({P: TEXT}, [first, second, third], 0)
    assert files == {P: TEXT.replace(b"a();", b"guard_a();\n\ta();").replace(b"c();", b"guard_c();\n\tc();")}


def test_what_stands_in_the_text_that_goes_cannot_stay() -> None:
    first = [insertion(TEXT, b"b();", b"if (x)\n\t\treturn;\n\t")]
    then = TEXT.replace(b"b();", b"if (x)\n\t\treturn;\n\tb();")
    second = [insertion(then, b"return;", b"release();\n\t\t")]
    assert without({P: TEXT}, [first, second], 0) is None
