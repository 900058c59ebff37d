"""Positions and edits of the protocol: an editor that follows its rules comes to the bytes that the engine means."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from lsprotocol import types

from ebpffix.fix import Edit, apply
from ebpffix.lsp.text import Text

HERE = Path("/a.c")
TEXTS = st.lists(st.sampled_from([*"ab \t\r\n\x0c\u2028é中\U0001f41d", "\r\n"]), max_size=20).map("".join)
ENCODINGS = ["utf-8", "utf-16", "utf-32"]


def _index(text: str, position: types.Position, encoding: str) -> int:
    """The character of a position, by the words of the protocol."""
    lines = text.replace("\r\n", "\n\0").replace("\r", "\n").replace("\n\0", "\r\n").split("\n")
    starts = [sum(len(line) + 1 for line in lines[:n]) for n in range(len(lines))]
    at, units = starts[position.line], 0
    codec = encoding if encoding == "utf-8" else f"{encoding}-le"
    size = {"utf-8": 1, "utf-16": 2, "utf-32": 4}[encoding]
    while units < position.character:
        assert text[at] not in "\r\n"
        units += len(text[at].encode(codec)) // size
        at += 1
    assert units == position.character
    return at


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(text=TEXTS, cut=st.integers(0, 40))
@example(text="a\r\nb", cut=2)
@example(text="\x0cé\rx", cut=3)
def test_there_and_back(encoding: str, text: str, cut: int) -> None:
    cut = min(cut, len(text))
    made = Text(text, encoding)
    offset = len(text[:cut].encode())
    position = made.position(offset)
    between = text[cut - 1 : cut + 1] == "\r\n"
    assert _index(text, position, encoding) == cut - between
    assert made.offset(position) == offset - between


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(text=TEXTS, places=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=4))
@example(text="a\r\nb\r\n", places=[(2, 2), (4, 5)])
def test_edits_are_the_engines(encoding: str, text: str, places: list[tuple[int, int]]) -> None:
    made = Text(text, encoding)
    cuts = sorted(min(cut, len(text)) for place in places for cut in place)
    spans = [(len(text[:a].encode()), len(text[:b].encode())) for a, b in zip(cuts[::2], cuts[1::2], strict=True)]
    edits = [Edit(HERE, a, b, b"<%d>" % n) for n, (a, b) in enumerate(spans)]
    expected = apply(made.data, edits)
    after, last = text, len(text) + 1
    for one in reversed(made.edits(edits)):
        start, end = (_index(text, place, encoding) for place in (one.range.start, one.range.end))
        assert end < last, "they touch"
        after, last = after[:start] + one.new_text + after[end:], start
    assert after.encode() == expected


def test_a_position_that_is_not_there() -> None:
    text = Text("ab\r\nc")
    assert text.offset(types.Position(0, 99)) == 2
    assert text.offset(types.Position(9, 0)) == 5


def test_lines_as_compilers_count_them() -> None:
    """A form feed and a lone CR end no line there."""
    text = Text("a\x0cb\r\n  c \rd \nlast")
    assert text.data[text.offset(text.line_range(2).start) : text.offset(text.line_range(2).end)] == b"c \rd"
    assert text.line_range(9) == text.range(0, 0)
