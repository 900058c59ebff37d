"""Which findings a comment answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from ebpffix.run.suppress import Suppressions
from ebpffix.sources.source import Source


def covered(text: bytes, transform: str = "padded-init", at: bytes = b"bad();") -> bool:
    """Is a finding on the one place that reads `at` covered?"""
    assert text.count(at) == 1
    start = text.index(at)
    return Suppressions(Source(Path("/a.bpf.c"), text)).covers(transform, start, start + len(at))


@pytest.mark.parametrize(
    "text",
    [
        b"bad();\n",
        b"bad();\n// ebpffix: ignore\n",  # below
        b"// ebpffix: ignore\n\nbad();\n",  # not directly above
        b"// ebpffix: ignore\nok();\nbad();\n",
        b"ok(); // ebpffix: ignore\nbad();\n",  # answers for its own line
        b"bad(); // ebpffix: ignore[split-byteorder]\n",
        b"bad(); // ebpffix: ignore[]\n",
        b"bad(); // ebpffix: ignored\n",
        b"bad(); // ebpffix: ignore-files\n",
        b"bad(); // ignore[padded-init]\n",
        b'const char *s = "// ebpffix: ignore-file";\nbad();\n',
        b'say("ebpffix: ignore"); bad();\n',
        b"// ebpffix: ignore-file[split-byteorder]\nbad();\n",
    ],
)
def test_not_covered(text: bytes) -> None:
    assert not covered(text)
    assert not covered(text.replace(b"\n", b"\r\n"))


@pytest.mark.parametrize(
    "text",
    [
        b"bad(); // ebpffix: ignore\n",
        b"bad(); // ebpffix: ignore[padded-init]",
        b"bad(); /* ebpffix: ignore[split-byteorder, padded-init] */\n",
        b"bad(); // fine here; ebpffix:ignore[ padded-init ] because of it\n",
        b"/* ebpffix: ignore */ bad();\n",
        b"\t// ebpffix: ignore[padded-init]\n\tbad();\n",
        b"// ebpffix: ignore[padded-init]\n// and why\nbad();\n",
        b"/* ebpffix: ignore\n * and why */\nbad();\n",
        b"// ebpffix: ignore[padded-init]\n// ebpffix: ignore[map-size]\nbad();\n",
        b"x;\nbad();\n/* caf\xe9 ebpffix: ignore-file */\n",
        b"bad();\n// ebpffix: ignore-file[map-size,padded-init]\n",
    ],
)
def test_covered(text: bytes) -> None:
    assert covered(text)
    assert covered(text.replace(b"\n", b"\r\n"))


def test_a_finding_of_several_lines() -> None:
    text = b"struct s x = {\n\t.a = 1, // ebpffix: ignore\n};\nbad();\n"
    assert covered(text, at=text[: text.index(b"bad")].rstrip())
    assert not covered(text)


def test_an_open_list_does_not_answer_for_all() -> None:
    assert not covered(b"bad(); // ebpffix: ignore[map-size\n")


def test_unknown_names_are_noted() -> None:
    text = b"a; // ebpffix: ignore[padded-int, map-size]\n// ebpffix: ignore-file[]\n"
    notes = Suppressions(Source(Path("/a.c"), text)).unknown({"padded-init", "map-size"})
    assert notes == ["line 1: ignore of 'padded-int', which is no transform; `ebpffix --transforms` lists them"]


def test_a_comment_at_the_end_of_the_file() -> None:
    assert not covered(b"bad();\nok();\n// ebpffix: ignore")
