"""Which findings a comment answers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import FIXED, PROGRAM, UPDATE, ebpffix, environment

from ebpffix.fix import BCC, LIBBPF, Edit, Fix, Safety, Span
from ebpffix.frontend import Unit
from ebpffix.run.engine import run
from ebpffix.run.settings import Settings
from ebpffix.run.suppress import Suppressions
from ebpffix.sources.discover import discover
from ebpffix.sources.source import Source
from ebpffix.transform import Registered, Transform


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


ALL = ("padded-init", "map-size")


@pytest.mark.parametrize(
    ("text", "looked_for", "notes"),
    [
        (b"bad(); // ebpffix: ignore[padded-init]\n", ALL, []),
        (b"bad(); // ebpffix: ignore\n", ALL, []),
        (b"// ebpffix: ignore-file[padded-init]\nbad();\n", ALL, []),
        (b"bad(); // ebpffix: ignore[map-size, padded-init]\n", ("padded-init",), []),  # not looked for
        (b"bad();\nok(); // ebpffix: ignore\n", ("padded-init",), []),  # may be for the other one
        (b"bad(); // ebpffix: ignore[padded-int]\n", ALL, []),  # told as unknown
        (b"bad();\nok(); // ebpffix: ignore\n", ALL, ["line 2: this ignore silences nothing; remove it"]),
        (
            b"bad(); // ebpffix: ignore[map-size, padded-init]\n",
            ALL,
            ["line 1: ignore of 'map-size' silences nothing; remove it"],
        ),
        (
            b"// ebpffix: ignore-file[map-size]\nbad();\n",
            ALL,
            ["line 1: ignore of 'map-size' silences nothing; remove it"],
        ),
    ],
)
def test_what_silences_nothing_is_told(text: bytes, looked_for: tuple[str, ...], notes: list[str]) -> None:
    ignores = Suppressions(Source(Path("/a.bpf.c"), text))
    start = text.index(b"bad();")
    ignores.covers("padded-init", start, start + 6)
    assert ignores.idle(looked_for, ALL, ignores.heeded) == notes


def test_the_command_tells_and_does_not_fail(tree: Path) -> None:
    path = tree / "src" / "count.bpf.c"
    answered = UPDATE.rstrip() + b" // ebpffix: ignore[redundant-map-update]\n"
    path.write_bytes(PROGRAM.replace(UPDATE, answered))
    done = ebpffix(cwd=tree)
    assert (done.code, done.err) == (0, "")
    path.write_bytes(FIXED + b"int x; // ebpffix: ignore[redundant-map-update]\nint y; // ebpffix: ignore[map-sice]\n")
    done = ebpffix("--output-format", "json", cwd=tree)
    notes = [
        "line 25: ignore of 'map-sice', which is no transform; `ebpffix --transforms` lists them",
        "line 24: ignore of 'redundant-map-update' silences nothing; remove it",
    ]
    assert done.code == 0
    assert done.err.splitlines() == [f"src/count.bpf.c: {note}" for note in notes]
    assert json.loads(done.out)["files"][0]["notes"][-2:] == notes
    assert "silences nothing" not in ebpffix("--select", "map-size", cwd=tree).err


def replacing(name: str, old: bytes, new: bytes) -> Registered:
    def find(unit: Unit) -> Iterator[Fix]:
        for path, source in unit.sources.items():
            for match in re.finditer(rb"\b%s\b" % old, source.code):
                yield Fix(Span(path, *match.span()), name, Safety.SAFE, [Edit(path, *match.span(), new)])

    return Registered(Transform(name, 0, (BCC, LIBBPF), (old,), ""), find, "")


def test_an_ignore_of_what_only_a_later_pass_finds_is_not_told(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    path = tmp_path / "a.bpf.c"
    known = {"first": replacing("first", b"OLD", b"MID"), "second": replacing("second", b"MID", b"NEW")}
    for text, told in (("// ebpffix: ignore[second]\nint OLD;\n", 0), ("// ebpffix: ignore[second]\n\nint OLD;\n", 1)):
        path.write_text(text)
        report = run(discover([tmp_path]), Settings(known, environment((), (5, 10))))
        assert len(report.files[0].ignores) == told
        assert report.changed[path] == text.replace("OLD", "NEW" if told else "MID").encode()
